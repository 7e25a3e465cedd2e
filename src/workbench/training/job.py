"""The job that is a run: read top to bottom, it is what happens between `train` and the adapter."""

from __future__ import annotations

from collections.abc import Sequence
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
    from workbench.training.model import build
    from workbench.training.trainer import Sample, Trainer

    tokenizer = load_tokenizer(base_folder)
    training = _encoded(context, prepared.training, tokenizer, system, recipe.max_length, "training")
    evaluation = _encoded(context, prepared.evaluation, tokenizer, system, recipe.max_length, "eval")
    samples = [
        Sample(example.prompt, pair.messages[-1]["content"], pair.completion)
        for pair in prepared.samples
        if (example := encode(pair, tokenizer, system=system, max_length=recipe.max_length)[0])
    ]
    if not training:
        raise UserError("every pair is longer than max_length", do="Raise max_length in the recipe.")
    model = build(recipe, base_folder, _public_name(base_name))
    context.event("path", path=model.path, why=model.why, dtype=str(model.dtype), device=model.device)
    context.message(f"{model.path} path{f', because {model.why}' if model.why else ''}, {model.dtype}, {model.device}")
    trainer = Trainer(context, recipe, model, tokenizer, training, evaluation, samples)
    trainer.resume()
    try:
        trainer.fit()
    except StopRequested:
        _write_adapter(context, recipe, prepared, trainer, base_name)
        raise
    folder = _write_adapter(context, recipe, prepared, trainer, base_name)
    return {"adapter": folder, "steps": trainer.steps, "eval_loss": trainer.eval_loss, "tokens": trainer.tokens}


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
    loss = None if trainer.eval_loss is None else round(trainer.eval_loss, 4)
    card = adapter.model_card(
        run=context.folder.name,
        base=_public_name(base_name),
        facts={
            **facts(prepared, recipe),
            "optimizer steps": f"{trainer.step} of {trainer.steps}",
            "eval loss": loss,
            "rank, alpha": f"{recipe.lora.r}, {recipe.lora.lora_alpha:g}",
            "trained with passages from": recipe.context.index if recipe.context else None,
        },
    )
    adapter.write(
        context.folder,
        trainer.model,
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
