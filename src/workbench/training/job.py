"""The job that is a run: read top to bottom, it is what happens between `train` and the adapter."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import UserError
from workbench.jobs.context import Context, StopRequested
from workbench.models.adapter import FOLDER
from workbench.models.load import be_offline, load_tokenizer
from workbench.models.local import ensure
from workbench.training import adapter
from workbench.training import preflight as counting
from workbench.training.data import FROZEN, FrozenPair
from workbench.training.launch import launch
from workbench.training.prepare import PREPARED, Prepared, facts, prepare
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import LaunchSettings
from workbench.training.runs import events, learning_rates


def run(context: Context) -> dict[str, Any]:
    """Train the recipe in the job's arguments, here or, where it says so, in processes of their own.

    Raises:
        UserError: there is nothing to train on, or training diverged.
        StopRequested: the user asked to stop; checkpoint and adapter are saved.
    """
    recipe = Recipe.model_validate(context.arguments["recipe"])
    if recipe.launch.num_processes > 1:
        return launch(context, recipe)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # with several, transformers would split each batch over them
    return train(context)


def train(context: Context) -> dict[str, Any]:
    """Train, in the only process or in one of several; the result names the adapter and the last figures.

    Raises:
        UserError: there is nothing to train on, or training diverged.
        StopRequested: the user asked to stop; checkpoint and adapter are saved.
    """
    return _train(context, Recipe.model_validate(context.arguments["recipe"]), dry=False)


def preflight(context: Context) -> dict[str, Any]:
    """Go as far as a run goes before its first step; the result is what its event `preflight` would tell.

    What several processes would take is not measured: the figures are for one.

    Raises:
        UserError: the run would be refused.
        StopRequested: the user asked to stop.
    """
    from workbench.training.preflight import Measured

    try:
        recipe = Recipe.model_validate(context.arguments["recipe"])
        _train(context, recipe.model_copy(update={"launch": LaunchSettings()}), dry=True)
    except Measured as measured:
        return measured.figures
    finally:
        for name in (FROZEN, PREPARED):
            (context.folder / name).unlink(missing_ok=True)
    raise AssertionError("a dry run ends before its first step")


def _train(context: Context, recipe: Recipe, *, dry: bool) -> dict[str, Any]:
    base_name, system = context.arguments["base"], context.arguments["system"]
    if context.first:
        files.write_text(context.folder / "recipe.yaml", _as_yaml(recipe))
    base_folder = context.in_turn(lambda: ensure(base_name))
    prepared = context.in_turn(lambda: prepare(context, recipe))
    counting.refuse_leaks(prepared.training, prepared.evaluation)
    context.check_stop()

    context.progress(0, message="Loading the model")
    be_offline()
    import torch

    if recipe.num_threads:
        torch.set_num_threads(recipe.num_threads)
    from workbench.training import checkpoint, model, probe, together
    from workbench.training.methods import make_trainer
    from workbench.training.sampling import make_sampler

    together.refuse_other_pairs(prepared.sha256)
    tokenizer = load_tokenizer(base_folder)
    training = _encoded(context, prepared.training, tokenizer, system, recipe.max_length, "training")
    evaluation = _encoded(context, prepared.evaluation, tokenizer, system, recipe.max_length, "eval")
    samples = _encoded(context, prepared.samples, tokenizer, system, recipe.max_length, "samples").examples
    if not training.examples:
        raise UserError("every pair is longer than max_length", do="Raise max_length in the recipe.")
    if recipe.prompts_a_round > len(training.examples):
        raise UserError(
            f"{len(training.examples)} prompts are fewer than the {recipe.prompts_a_round} that are answered at once",
            where="per_device_train_batch_size",
            do="Lower it or gradient_accumulation_steps, or raise num_generations.",
        )
    resume = checkpoint.newest_whole(context.folder, lambda fault: context.message(fault, level="warning"))
    resume = together.common_checkpoint(context.folder, resume)
    changes = _go_on(context, resume) if context.attempt > 1 or resume else {}
    plan = model.plan(recipe, base_folder)
    context.event("path", path=plan.path, why=plan.why, dtype=plan.dtype, device=plan.device)
    context.message(f"{plan.path} path{f', because {plan.why}' if plan.why else ''}, {plan.dtype}, {plan.device}")
    probe.refuse_weights(plan, recipe, base_folder)
    base = model.load_base(plan, recipe, base_folder)
    by_key = {pair.key: pair for pair in prepared.samples}
    sampler = make_sampler([(example, by_key[example.key]) for example in samples], tokenizer, recipe)
    trainer = make_trainer(
        context, recipe, plan, base, tokenizer, training.examples, evaluation.examples, sampler, resume
    )
    if context.first and adapter.changes_base(recipe.lora.init_lora_weights):
        adapter.keep_beginning(context.folder, trainer.accelerator.unwrap_model(trainer.model))
    measured = probe.Probe(trainer, context, recipe, training, evaluation, dry=dry)
    if recipe.launch.num_processes == 1:
        trainer.add_callback(measured)
    trainer.steering.repeat(changes)
    context.check_stop()
    trainer.conduct(resume)
    if not trainer.steering.stopped:
        trainer.load_best()
    folder = _write_adapter(context, recipe, prepared, trainer, base_name)
    measured.check()
    if trainer.steering.stopped:
        raise StopRequested
    progress = trainer.progress
    return {
        "adapter": folder, "steps": trainer.state.global_step, "eval_loss": progress.eval_loss,
        "best_step": progress.best_step, "tokens": progress.tokens, "stopped_early": trainer.steering.early,
    }  # fmt: skip


def _go_on(context: Context, resume: Path | None) -> dict[int, float]:
    """Tell where the run goes on, and of the checkpoint itself where an end came before that could be told.

    Returns:
        The learning rates that the run was given before, each by its step.
    """
    from workbench.training import checkpoint

    step = checkpoint.step_of(resume) if resume else -1
    before = events(context.job)
    told = any(event["type"] == "checkpoint" and event["step"] == step for event in before)
    rates = learning_rates(before)
    undone = [[at, rate] for at, rate in rates.items() if at > step]  # the event leaves theirs out of the history
    context.event("resumed", step=step, learning_rates=undone)
    if resume and not told:
        context.event("checkpoint", step=step, folder=resume.name, why=checkpoint.why_of(resume))
    return rates


def _encoded(
    context: Context, pairs: Sequence[FrozenPair], tokenizer: Any, system: str | None, max_length: int, split: str
) -> counting.Counted:
    counted = counting.count(pairs, tokenizer, system=system, max_length=max_length)
    if lost := counted.describe_losses(max_length):
        context.message(f"{split}: {lost}", level="warning")
    return counted


def _write_adapter(context: Context, recipe: Recipe, prepared: Prepared, trainer: Any, base_name: str) -> str:
    sharded = trainer.whole() if trainer.is_fsdp_enabled else None
    if not context.first:
        return ""
    progress = trainer.progress
    loss = None if progress.eval_loss is None else round(progress.eval_loss, 4)
    card = adapter.model_card(
        run=context.folder.name,
        base=_public_name(base_name),
        method=recipe.method,
        facts={
            **facts(prepared, recipe),
            "method": recipe.method,
            "optimizer steps": f"{trainer.state.global_step} of {trainer.state.max_steps}",
            "eval loss": loss,
            "rank, alpha": f"{recipe.lora.r}, {recipe.lora.lora_alpha:g}",
            "trained with passages from": recipe.context.index if recipe.context else None,
        },
    )
    adapter.write(
        context.folder,
        trainer.accelerator.unwrap_model(trainer.model),
        base=_public_name(base_name),
        base_folder=ensure(base_name),
        model=base_name,
        system_prompt=context.arguments["system"],
        card=card,
        state_dict=sharded,
    )
    return f"runs/{context.folder.name}/{FOLDER}"


def _public_name(base: str) -> str:
    """The base's hub id where the catalogue knows it, so that the adapter loads anywhere."""
    from workbench.models.catalogue import catalogue

    entry = catalogue().get(base)
    return entry.hub.id if entry else base


def _as_yaml(recipe: Recipe) -> str:
    import io

    from ruamel.yaml import YAML

    stream = io.StringIO()
    YAML().dump(recipe.model_dump(mode="json"), stream)
    return stream.getvalue()
