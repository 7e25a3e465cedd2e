"""What is exported: a run's verified adapter, its base, and what the card tells of how it was trained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.jobs.folder import JobFolder
from workbench.library.grounding import Passage, grounded_messages, new_nonce
from workbench.models.adapter import FOLDER, MANIFEST, verified_adapter
from workbench.models.catalogue import catalogue
from workbench.models.load import control_strings
from workbench.models.local import ensure
from workbench.training import runs
from workbench.training.data import FROZEN
from workbench.workspace import Workspace

_AT_LEAST = 3  # samples, where the run had none


@dataclass(frozen=True)
class Loss:
    """One evaluation of a run."""

    step: int
    loss: float


@dataclass(frozen=True)
class Source:
    """A run that can be exported."""

    run: JobFolder
    recipe: dict[str, Any]
    """As the run was started with it."""
    recipe_yaml: str
    model: str
    """The base model by the name that the workspace knows it by."""
    base: str
    """Its public name."""
    base_folder: Path
    base_fingerprint: str
    licence: str | None
    """Of the base, where the catalogue knows it."""
    adapter: Path
    adapter_config: dict[str, Any]
    system: str | None
    """What the model was told before every prompt."""
    pairs_sha256: str
    samples: list[dict[str, Any]]
    """The run's sample pairs, as it froze them; never empty."""
    losses: list[Loss]
    """Of its evaluations, in their order."""

    @property
    def rewards(self) -> bool:
        """Whether it is a reward model, which scores texts and writes none."""
        return self.recipe.get("method") == "reward"


def read(workspace: Workspace, name: str) -> Source:
    """The run called `name`, verified.

    Raises:
        UserError: there is no such run, it has no adapter, a file of it was changed, its base model is not here or has
            other weights, or the adapter cannot be loaded again.
    """
    run = runs.find(workspace, name)
    folder = run.path / FOLDER
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        model, base, system = manifest["model"], manifest["base"], manifest["system_prompt"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"the run {name!r} has no whole adapter", do="Let it finish, or see `workbench runs list`."
        ) from None
    base_folder = ensure(model)
    adapter = verified_adapter(run.path, base_folder)
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    _check_start(name, config)
    arguments = run.spec["arguments"]
    entry = catalogue().get(model)
    scored = arguments["recipe"].get("method") == "reward"  # a reward model needs answers to score
    sha256, samples = _prepared(run.path, scored=scored)
    return Source(
        run=run,
        recipe=arguments["recipe"],
        recipe_yaml=_text(run.path / "recipe.yaml"),
        model=model,
        base=base,
        base_folder=base_folder,
        base_fingerprint=manifest["base_fingerprint"],
        licence=entry.licence if entry else None,
        adapter=adapter,
        adapter_config=config,
        system=system,
        pairs_sha256=sha256,
        samples=samples,
        losses=[
            Loss(event["step"], event["eval_loss"])
            for event in runs.events(run)
            if isinstance(event.get("eval_loss"), float) and event["type"] == "metrics"
        ],
    )


def prompt_of(sample: dict[str, Any], tokenizer: Any, system: str | None) -> str:
    """The prompt of a sample, as training and chat build it."""
    messages = grounded_messages(
        sample["messages"],
        [Passage(**passage) for passage in sample.get("passages") or []],
        added_tokens=control_strings(tokenizer),
        nonce=new_nonce(sample["key"]),
        system=system,
    )
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))


def _check_start(name: str, config: dict[str, Any]) -> None:
    """Refuse an adapter that belongs to a base which nobody has.

    PiSSA moves a part of the base's weights into the adapter. PEFT does so again when it loads one, which gives the
    same base for `pissa` and `olora`, and for a converted adapter (`path_initial_model_for_weight_conversion`) nothing
    is moved at all; but `pissa_niter_N` draws random numbers, and loads as a broken model (PEFT 0.21).
    """
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.startswith("pissa_niter_"):
        raise UserError(
            f"the adapter of {name!r} began with {start}, whose random start PEFT cannot repeat: it loads as another"
            " model",
            where="lora.init_lora_weights",
            do="Train again with pissa, or with any other start.",
        )


def _prepared(folder: Path, *, scored: bool) -> tuple[str, list[dict[str, Any]]]:
    try:
        prepared = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))
        samples = [sample for sample in prepared["samples"] if not scored or sample.get("rejected")]
        if not samples:
            with (folder / FROZEN).open(encoding="utf-8") as lines:
                samples = [json.loads(line) for line, _ in zip(lines, range(_AT_LEAST), strict=False)]
        if not samples:
            raise ValueError("no pairs")
        return prepared["sha256"], samples
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            "does not hold the pairs that the run was trained on; an export is checked with them", where=str(folder)
        ) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
