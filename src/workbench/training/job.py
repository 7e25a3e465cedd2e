"""The job that is a run: read top to bottom, it is what happens between `train` and the adapter."""

from __future__ import annotations

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
from workbench.training.data import Example, FrozenPair, encode
from workbench.training.prepare import Prepared, facts, prepare
from workbench.training.recipe import Recipe
from workbench.training.runs import events


def run(context: Context) -> dict[str, Any]:
    """Train the recipe in the job's arguments; the result names the adapter and the last figures.

    Raises:
        UserError: there is nothing to train on, or training diverged.
        StopRequested: the user asked to stop; checkpoint and adapter are saved.
    """
    recipe = Recipe.model_validate(context.arguments["recipe"])
    base_name, system = context.arguments["base"], context.arguments["system"]
    files.write_text(context.folder / "recipe.yaml", _as_yaml(recipe))
    base_folder = ensure(base_name)
    prepared = prepare(context, recipe)
    context.check_stop()

    context.progress(0, message="Loading the model")
    be_offline()
    import torch

    if recipe.num_threads:
        torch.set_num_threads(recipe.num_threads)
    from workbench.training import checkpoint, model
    from workbench.training.methods import make_trainer
    from workbench.training.sampling import make_sampler

    tokenizer = load_tokenizer(base_folder)
    training = _encoded(context, prepared.training, tokenizer, system, recipe.max_length, "training")
    evaluation = _encoded(context, prepared.evaluation, tokenizer, system, recipe.max_length, "eval")
    samples = _encoded(context, prepared.samples, tokenizer, system, recipe.max_length, "samples")
    if not training:
        raise UserError("every pair is longer than max_length", do="Raise max_length in the recipe.")
    resume = checkpoint.newest_whole(context.folder, lambda fault: context.message(fault, level="warning"))
    changes = _go_on(context, resume) if context.attempt > 1 or resume else []
    plan = model.plan(recipe, base_folder)
    context.event("path", path=plan.path, why=plan.why, dtype=plan.dtype, device=plan.device)
    context.message(f"{plan.path} path{f', because {plan.why}' if plan.why else ''}, {plan.dtype}, {plan.device}")
    base = model.load_base(plan, recipe, base_folder)
    by_key = {pair.key: pair for pair in prepared.samples}
    sampler = make_sampler([(example, by_key[example.key]) for example in samples], tokenizer, recipe)
    trainer = make_trainer(context, recipe, plan, base, tokenizer, training, evaluation, sampler, resume)
    trainer.steering.repeat(changes)
    context.check_stop()
    trainer.conduct(resume)
    if not trainer.steering.stopped:
        trainer.load_best()
    folder = _write_adapter(context, recipe, prepared, trainer, base_name)
    if trainer.steering.stopped:
        raise StopRequested
    progress = trainer.progress
    return {
        "adapter": folder, "steps": trainer.state.global_step, "eval_loss": progress.eval_loss,
        "best_step": progress.best_step, "tokens": progress.tokens, "stopped_early": trainer.steering.early,
    }  # fmt: skip


def _go_on(context: Context, resume: Path | None) -> list[dict[str, Any]]:
    """Tell where the run goes on, and of the checkpoint itself where an end came before that could be told.

    Returns:
        The changes of the learning rate that were told of before.
    """
    from workbench.training import checkpoint

    step = checkpoint.step_of(resume) if resume else -1
    before = events(context.job)
    told = any(event["type"] == "checkpoint" and event["step"] == step for event in before)
    context.event("resumed", step=step)
    if resume and not told:
        context.event("checkpoint", step=step, folder=resume.name, why=checkpoint.why_of(resume))
    return [event for event in before if event["type"] == "learning_rate"]


def _encoded(
    context: Context, pairs: Sequence[FrozenPair], tokenizer: Any, system: str | None, max_length: int, split: str
) -> list[Example]:
    examples, dropped, passages = [], 0, 0
    for pair in pairs:
        example, left_out = encode(pair, tokenizer, system=system, max_length=max_length)
        passages += left_out
        if example:
            examples.append(example)
        else:
            dropped += 1
    if dropped or passages:
        context.message(
            f"{split}: {dropped} pairs longer than max_length {max_length} dropped, {passages} passages left out",
            level="warning",
        )
    return examples


def _write_adapter(context: Context, recipe: Recipe, prepared: Prepared, trainer: Any, base_name: str) -> str:
    progress = trainer.progress
    loss = None if progress.eval_loss is None else round(progress.eval_loss, 4)
    card = adapter.model_card(
        run=context.folder.name,
        base=_public_name(base_name),
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
