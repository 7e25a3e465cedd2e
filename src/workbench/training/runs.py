"""What a run's folder tells: its figures, curves, samples and checkpoints. Light: no torch."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import UserError
from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import EventReader
from workbench.models.adapter import FOLDER as ADAPTER
from workbench.models.adapter import MANIFEST
from workbench.training import tags
from workbench.workspace import Workspace


@dataclass(frozen=True)
class RunSummary:
    """A run in a list."""

    run: str
    state: str
    step: int
    steps: int | None
    loss: float | None
    eval_loss: float | None
    tokens_per_second: float | None
    adapter: str | None
    """Its folder, relative to the workspace, once there is one."""
    recipe: str
    dataset: str
    base: str
    created_at: float
    error: str | None
    method: str = "sft"
    tags: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def runs(workspace: Workspace) -> list[RunSummary]:
    """All runs of a workspace, newest first; without those whose spec.json cannot be read."""
    found = []
    for path in workspace.runs.glob("*/spec.json"):
        with contextlib.suppress(UserError, KeyError, TypeError):
            found.append(summary(JobFolder(path.parent)))
    return sorted(found, key=lambda run: run.created_at, reverse=True)


def find(workspace: Workspace, name: str) -> JobFolder:
    """The run called `name`.

    Raises:
        UserError: there is none; those there are, are named.
    """
    folder = workspace.run(name)
    if not (folder / "spec.json").is_file():
        known = ", ".join(run.run for run in runs(workspace)) or "none yet"
        raise UserError(f"there is no run {name!r}", do=f"Runs: {known}.")
    return JobFolder(folder)


def summary(job: JobFolder) -> RunSummary:
    """The figures of one run."""
    spec, status = job.spec, job.status()
    arguments, figures = spec["arguments"], status.figures
    in_steps = status.progress.unit == "steps"
    has_adapter = (job.path / ADAPTER / MANIFEST).is_file()
    return RunSummary(
        run=job.id,
        state=status.state,
        step=int(status.progress.done) if in_steps else 0,
        steps=int(status.progress.total) if in_steps and status.progress.total else None,
        loss=figures.get("loss"),
        eval_loss=figures.get("eval_loss"),
        tokens_per_second=figures.get("tokens_per_second"),
        adapter=f"runs/{job.id}/{ADAPTER}" if has_adapter else None,
        recipe=arguments.get("recipe_name", ""),
        dataset=arguments["recipe"]["dataset"],
        base=arguments["base"],
        created_at=spec["created_at"],
        error=status.error,
        method=arguments["recipe"].get("method", "sft"),
        tags=tags.read(job.path).tags,
    )


def without_undone(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events with the steps left out that were done again after a resume."""
    kept: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "resumed":
            kept = [old for old in kept if "step" not in old or old["step"] <= event["step"]]
        kept.append(event)
    return kept


def learning_rates(events: list[dict[str, Any]]) -> dict[int, float]:
    """The learning rates that a run was given while it went on, each by its step; by its events without undone steps.

    Those of undone steps are in the event `resumed`, until the user gives another one earlier.
    """
    rates: dict[int, float] = {}
    for event in events:
        if event["type"] == "resumed":
            rates |= dict(event.get("learning_rates", []))
        elif event["type"] == "learning_rate":
            step, rate = event["step"], event["after"]
            if rates.get(step) != rate:
                rates = {at: earlier for at, earlier in rates.items() if at < step}
            rates[step] = rate
    return dict(sorted(rates.items()))


def events(job: JobFolder) -> list[dict[str, Any]]:
    """All of a run's events, without undone steps."""
    return without_undone(EventReader(job.events).read())
