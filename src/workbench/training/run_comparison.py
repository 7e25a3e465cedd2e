"""Two or more runs side by side: their figures and curves, what their recipes and their data differ in, their samples.

It reads what the runs wrote and computes nothing new; whether one run answers better than another is what
`workbench.compare` measures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from workbench.errors import UserError
from workbench.jobs.folder import JobFolder
from workbench.training import run_data, runs
from workbench.training.history import recipe_of

MOST = 24
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class RunFigures:
    """What one run came to; None where it was not measured."""

    run: str
    state: str
    method: str
    dataset: str
    base: str
    tags: tuple[str, ...]
    step: int
    steps: int | None
    train_pairs: int | None
    """None before it has begun: the pairs are frozen then."""
    eval_pairs: int | None
    loss: float | None
    eval_loss: float | None
    """Of the last evaluation."""
    best_eval_loss: float | None
    """None where the run learns by rewards, and is judged by them."""
    best_eval_reward: float | None
    best_step: int | None
    """The one of the two that is there."""
    metrics: dict[str, float]
    """The last value of everything else that its method measures, e.g. rewards/accuracies, eval_accuracy, reward."""
    tokens_per_second: float | None
    """The median of all steps."""
    seconds: float | None
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class RecipeLine:
    """A key in which the recipes differ, and its value in each run."""

    key: str
    values: list[Any]


@dataclass(frozen=True)
class SampleLine:
    """A prompt, and how each run answered it last; None where it was not asked."""

    prompt: str
    reference: str | None
    answers: list[str | None]


@dataclass(frozen=True)
class RunComparison:
    """Runs in the order in which they were named; all lists by run are in that order."""

    runs: list[RunFigures]
    recipe: list[RecipeLine]
    data: list[run_data.DataDifference | None]
    """Each run's pairs against the first run's; None of the first, of a run with the very same pairs, and where one of
    the two has none yet."""
    samples: list[SampleLine]
    curves: list[dict[str, Points]]
    """(step, value) of each metric, by its name."""


def compare(jobs: Sequence[JobFolder]) -> RunComparison:
    """Set runs side by side.

    Raises:
        UserError: they are fewer than two or more than `MOST`, or one is named twice.
    """
    if not 2 <= len(jobs) <= MOST:
        raise UserError(f"{len(jobs)} run{'s' * (len(jobs) != 1)} cannot be compared", do=f"Name 2 to {MOST} runs.")
    if twice := next((job.id for job in jobs if [other.path for other in jobs].count(job.path) > 1), None):
        raise UserError(f"{twice!r} is named twice", do="Name each run once.")
    events = [runs.events(job) for job in jobs]
    curves = [_curves(of_run) for of_run in events]
    counts, data = _data(jobs)
    return RunComparison(
        [_figures(*of_run) for of_run in zip(jobs, events, curves, counts, strict=True)],
        _recipe_lines([_flat_recipe(job) for job in jobs]),
        data,
        _sample_lines(events),
        curves,
    )


_Counts = tuple[int | None, int | None]


def _data(jobs: Sequence[JobFolder]) -> tuple[list[_Counts], list[run_data.DataDifference | None]]:
    """Of each run its pairs trained on and kept for evaluation, and how they differ from those of the first."""
    first, sha256 = run_data.digests(jobs[0].path), _frozen_sha256(jobs[0])
    counts = [_counts(first)]
    differences: list[run_data.DataDifference | None] = [None]
    for job in jobs[1:]:
        if sha256 and _frozen_sha256(job) == sha256:
            counts.append(counts[0])
            differences.append(None)
            continue
        other = run_data.digests(job.path)
        counts.append(_counts(other))
        both = first.by_prompt and other.by_prompt
        differences.append(run_data.difference(first, other) if both else None)
    return counts, differences


def _counts(pairs: run_data.Digests) -> _Counts:
    return (pairs.train_pairs, pairs.eval_pairs) if pairs.by_prompt else (None, None)


_NOT_CURVES = ("time", "step", "epoch")
_OWN_COLUMNS = {"loss", "eval_loss", "tokens_per_second"}
_OF_THE_STEP = {"learning_rate", "grad_norm", "tokens", "memory_bytes", "cpu", "gpu", "eval_tokens"}


def _curves(events: list[dict[str, Any]]) -> dict[str, Points]:
    curves: dict[str, Points] = {}
    for event in events:
        if event.get("type") == "metrics" and isinstance(event.get("step"), int | float):
            for name, value in event.items():
                if name not in _NOT_CURVES and isinstance(value, int | float) and not isinstance(value, bool):
                    curves.setdefault(name, []).append((event["step"], float(value)))
    return curves


def _best(events: list[dict[str, Any]], curves: dict[str, Points]) -> dict[str, Any]:
    """The best evaluation as the run told it; older versions told none, and it is the one of the lowest loss."""
    for event in reversed(events):
        if event.get("type") == "best":
            names = ("eval_loss", "eval_reward")
            return {"best_step": event.get("step"), **{f"best_{name}": event.get(name) for name in names}}
    step, loss = min(curves.get("eval_loss", []), key=lambda point: point[1], default=(None, None))
    return {"best_step": None if step is None else int(step), "best_eval_loss": loss, "best_eval_reward": None}


def _figures(job: JobFolder, events: list[dict[str, Any]], curves: dict[str, Points], pairs: _Counts) -> RunFigures:
    summary, figures = runs.summary(job), job.status().figures
    evaluations = curves.get("eval_loss", [])
    speeds = [value for _, value in curves.get("tokens_per_second", [])]
    return RunFigures(
        run=job.id, state=summary.state, method=summary.method, dataset=summary.dataset, base=summary.base,
        tags=summary.tags, step=summary.step, steps=summary.steps, train_pairs=pairs[0], eval_pairs=pairs[1],
        loss=curves["loss"][-1][1] if "loss" in curves else None,
        eval_loss=evaluations[-1][1] if evaluations else None,
        **_best(events, curves),
        metrics={
            name: points[-1][1] for name, points in curves.items() if name not in _OWN_COLUMNS | _OF_THE_STEP
        },
        tokens_per_second=median(speeds) if speeds else None,
        seconds=figures.get("seconds"),
        peak_memory_bytes=figures.get("peak_memory_bytes"),
    )  # fmt: skip


def _flat_recipe(job: JobFolder) -> dict[str, Any]:
    """By dotted key; with what a recipe leaves to the workspace."""
    arguments = job.spec["arguments"]
    try:
        recipe = recipe_of(job).model_dump(mode="json")
    except UserError:  # of another version: what it says is shown all the same
        recipe = arguments["recipe"]
    recipe |= {"model_name_or_path": arguments.get("base"), "system_prompt": arguments.get("system")}
    return _flat(recipe)


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) and inner else {f"{prefix}{key}": inner}
    return flat


def _recipe_lines(recipes: list[dict[str, Any]]) -> list[RecipeLine]:
    keys = dict.fromkeys(key for recipe in recipes for key in recipe)
    lines = [RecipeLine(key, [recipe.get(key) for recipe in recipes]) for key in keys]
    return [line for line in lines if any(value != line.values[0] for value in line.values)]


def _sample_lines(events: list[list[dict[str, Any]]]) -> list[SampleLine]:
    latest = [{str(e.get("prompt")): e for e in of_run if e.get("type") == "sample"} for of_run in events]
    lines = []
    for prompt in dict.fromkeys(prompt for of_run in latest for prompt in of_run):
        asked = [of_run.get(prompt) for of_run in latest]
        reference = next((str(sample["reference"]) for sample in asked if sample and sample.get("reference")), None)
        lines.append(SampleLine(prompt, reference, [str(s.get("answer", "")) if s else None for s in asked]))
    # The prompts that all were asked come first: they are what can be compared.
    return sorted(lines, key=lambda line: line.answers.count(None))


def _frozen_sha256(job: JobFolder) -> str | None:
    try:
        return json.loads((job.path / "prepared.json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
