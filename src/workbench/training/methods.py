"""From a recipe to the trainer of its method: TRL's arguments, and the pairs as the columns that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
from transformers import set_seed
from trl import DPOConfig, GRPOConfig, KTOConfig, RewardConfig, RLOOConfig, SFTConfig  # pyright: ignore

from workbench.errors import UserError
from workbench.jobs.context import Context
from workbench.training import trainers
from workbench.training.conducted import Sampler
from workbench.training.data import Example, judged
from workbench.training.model import Plan, lora_config
from workbench.training.recipe import ONLINE_METHODS, Recipe
from workbench.training.rewards import reward_functions

_TRAINERS: dict[str, tuple[Any, Any]] = {
    "sft": (trainers.Sft, SFTConfig),
    "dpo": (trainers.Dpo, DPOConfig),
    "kto": (trainers.Kto, KTOConfig),
    "reward": (trainers.Reward, RewardConfig),
    "grpo": (trainers.Grpo, GRPOConfig),
    "rloo": (trainers.Rloo, RLOOConfig),
}


def make_trainer(
    context: Context, recipe: Recipe, plan: Plan, model: Any, tokenizer: Any, training: Sequence[Example],
    evaluation: Sequence[Example], sampler: Sampler, resume: Path | None,
) -> Any:  # fmt: skip
    """The trainer of the recipe's method, with a fresh adapter on `model`, seeded by the recipe.

    Args:
        context: the job's; events and checkpoints go there.
        recipe: how to train.
        plan: where and how to compute.
        model: the frozen base.
        tokenizer: its tokenizer.
        training: the pairs to learn from.
        evaluation: the pairs to evaluate on; may be none.
        sampler: (model, plan, max_new_tokens) -> what the model answers to the sample prompts now.
        resume: a whole checkpoint to go on from.

    Raises:
        UserError: the model has none of the target modules, or the arguments contradict each other for TRL.
    """
    kind, arguments = _TRAINERS[recipe.method]
    set_seed(recipe.seed)
    options: dict[str, Any] = {}
    if recipe.online:
        options["reward_funcs"] = reward_functions(context.workspace, recipe.online, tokenizer, plan)
    try:
        return kind(
            model=model,
            args=arguments(**_arguments(context, recipe, plan, bool(evaluation), resume), **_of_method(recipe)),
            train_dataset=_dataset(training, recipe, tokenizer),
            eval_dataset=_dataset(evaluation, recipe, tokenizer) if evaluation else None,
            processing_class=tokenizer,
            peft_config=lora_config(recipe),
            context=context, recipe=recipe, plan=plan, sampler=sampler, resume=resume, **options,
        )  # fmt: skip
    except ValueError as error:
        what = str(error).strip().splitlines()[0]
        where = "lora.target_modules" if "arget module" in what else None
        raise UserError(what, where=where, do="Change the recipe.") from None


def _arguments(context: Context, recipe: Recipe, plan: Plan, evaluated: bool, resume: Path | None) -> dict[str, Any]:
    """What all methods share."""
    warmup = recipe.warmup_steps
    return {
        "output_dir": str(context.folder / "checkpoints"),
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.lr_scheduler_type,
        "lr_scheduler_kwargs": recipe.lr_scheduler_kwargs,
        "warmup_steps": int(warmup) if warmup >= 1 else warmup,
        "num_train_epochs": recipe.num_train_epochs,
        "max_steps": recipe.max_steps,
        "per_device_train_batch_size": recipe.per_device_train_batch_size,
        "per_device_eval_batch_size": recipe.per_device_train_batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation_steps,
        "weight_decay": recipe.weight_decay,
        "adam_beta1": recipe.adam_beta1,
        "adam_beta2": recipe.adam_beta2,
        "max_grad_norm": recipe.max_grad_norm,
        "neftune_noise_alpha": recipe.neftune_noise_alpha,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "use_liger_kernel": _liger(recipe, plan),
        "bf16": plan.autocast,
        "use_cpu": plan.device == "cpu",
        "logging_steps": recipe.logging_steps,
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if evaluated else "no",
        "eval_steps": recipe.eval_steps,
        "eval_on_start": evaluated and resume is None,
        "save_strategy": "no",  # `steering` says when
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": plan.device == "cuda",
        "ddp_find_unused_parameters": False,
        "ddp_backend": "gloo" if plan.device == "cpu" and recipe.launch.num_processes > 1 else None,
    }


def _of_method(recipe: Recipe) -> dict[str, Any]:
    match recipe.method:
        case "sft":
            return {"max_length": recipe.max_length, "packing": False}
        case "dpo" | "kto" | "reward":
            options = getattr(recipe, recipe.method).model_dump(exclude_none=True)
            options["disable_dropout"] = not recipe.lora.lora_dropout  # TRL's default takes the adapter's away, too
            if recipe.method == "dpo" and recipe.launch.num_processes > 1:
                # TRL 1.16 hands the scores over in a cache file of the first process's own temporary folder.
                options["precompute_ref_log_probs"] = False
            return {"max_length": recipe.max_length, **options}
        case _:
            online = recipe.online
            assert online
            options = online.model_dump(exclude={"rewards"})
            if recipe.method == "grpo":
                options["loss_type"] = "dapo"
            return {
                **options,
                "reward_weights": [reward.weight for reward in online.rewards],
                "generation_batch_size": recipe.per_device_train_batch_size
                * recipe.gradient_accumulation_steps
                * recipe.launch.num_processes,
            }


def _dataset(examples: Sequence[Example], recipe: Recipe, tokenizer: Any) -> datasets.Dataset:
    """The columns that the method's trainer reads."""
    if recipe.method in ONLINE_METHODS:
        rows = [
            {"prompt": each.prompt, "reference": tokenizer.decode(each.answers[0], skip_special_tokens=True)}
            for each in examples
        ]
    elif recipe.method == "sft":
        rows = [
            {"input_ids": each.input_ids, "labels": [-100] * len(each.prompt_ids) + each.answers[0]}
            for each in examples
        ]
    elif recipe.method == "dpo":
        rows = [
            {"prompt_ids": each.prompt_ids, "chosen_ids": each.answers[0], "rejected_ids": each.answers[1]}
            for each in examples
        ]
    elif recipe.method == "reward":
        rows = [
            {"chosen_ids": each.prompt_ids + each.answers[0], "rejected_ids": each.prompt_ids + each.answers[1]}
            for each in examples
        ]
    else:
        rows = [
            {
                "prompt_ids": each.prompt_ids, "completion_ids": each.answer, "label": each.wanted,
                "KL_completion_ids": each.elsewhere,
            }
            for each in judged(examples, recipe.per_device_train_batch_size)
        ]  # fmt: skip
    return datasets.Dataset.from_list(rows)


def _liger(recipe: Recipe, plan: Plan) -> bool:
    from importlib.util import find_spec

    there = find_spec("liger_kernel") is not None
    if recipe.use_liger_kernel and (plan.device != "cuda" or not there):
        raise UserError(
            "Liger's kernels need an NVIDIA GPU and liger-kernel", where="use_liger_kernel", do="Leave it out."
        )
    return plan.device == "cuda" and there and recipe.use_liger_kernel is not False
