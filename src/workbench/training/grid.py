"""A small grid: one run for each combination of a few values of a few fields of a recipe."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import Faults, UserError
from workbench.hybrid import check_name
from workbench.jobs.folder import JobFolder
from workbench.training import recipe as recipes
from workbench.training import tags
from workbench.training.control import start_run
from workbench.training.recipe import Recipe
from workbench.workspace import Workspace
from workbench.yaml_file import parse_value

MOST = 24
"""Runs of a grid; beyond it, a search that learns from its runs is worth more than a grid."""


@dataclass(frozen=True)
class GridRun:
    """One run of a grid."""

    name: str
    values: dict[str, Any]
    """By dotted key."""
    steps: int | None
    """Optimizer steps, as far as the dataset tells now; None where it has no accepted pairs."""


@dataclass(frozen=True)
class Grid:
    """What would be started."""

    tag: str
    runs: list[GridRun]

    @property
    def steps(self) -> int | None:
        """Of all runs together."""
        each = [run.steps for run in self.runs]
        return None if None in each else sum(steps or 0 for steps in each)


def parse(entries: Sequence[str]) -> dict[str, list[Any]]:
    """`["lora.r=8,16", "learning_rate=1e-4,2e-4"]` as values by key.

    Commas inside brackets and quotes belong to a value: `lora.target_modules=all-linear,[q_proj,v_proj]`.

    Raises:
        UserError: an entry is not KEY=VALUE,VALUE, or a key or a value stands there twice.
    """
    axes: dict[str, list[Any]] = {}
    for entry in entries:
        key, separator, text = entry.partition("=")
        key, values = key.strip(), [parse_value(part) for part in _split(text)]
        if not separator or not key or not values:
            raise UserError(f"{entry!r} is not KEY=VALUE,VALUE", where="grid", do="Write, e.g., lora.r=8,16.")
        if key in axes:
            raise UserError(f"{key} is varied twice", where="grid", do=f"Write all its values behind one {key}=.")
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise UserError(f"{key} has the value {twice} twice", where="grid")
        axes[key] = values
    return axes


def plan(
    workspace: Workspace,
    recipe: Path,
    name: str,
    axes: Mapping[str, Sequence[Any]],
    changes: Mapping[str, Any] | None = None,
) -> Grid:
    """The runs of a grid, each checked; nothing is started.

    Args:
        workspace: where they would run.
        recipe: the YAML file.
        name: they are called NAME-1, NAME-2, ...
        axes: the values of each varied key.
        changes: dotted keys laid over the recipe's in every run.

    Raises:
        UserError: there are too many combinations, a name is taken, or a varied key is also in `changes`.
        Faults: combinations have faults.
    """
    check_name(name, "run")
    changes = dict(changes or {})
    count = math.prod(len(values) for values in axes.values())
    if not axes or count > MOST:
        told = f"{count} combinations are too many" if axes else "no field is varied"
        raise UserError(told, where="grid", do=f"Up to {MOST} runs make a grid; name fields with fewer values.")
    if both := sorted(axes.keys() & changes.keys()):
        raise UserError(f"{both[0]} is both set and varied", where="grid", do="Do one of the two.")
    combinations = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    checked = _checked(recipe, changes, combinations)
    names = [f"{name}-{number}" for number in range(1, count + 1)]
    if taken := next((each for each in names if workspace.run(each).exists()), None):
        raise UserError(f"there is a run {taken!r} already", do="Choose another name for the grid.")
    pairs = _accepted(workspace, {one.dataset for one in checked})
    return Grid(
        f"grid:{name}",
        [
            GridRun(each, values, steps_of(one, pairs[one.dataset]))
            for each, values, one in zip(names, combinations, checked, strict=True)
        ],
    )


def start(workspace: Workspace, recipe: Path, grid: Grid, changes: Mapping[str, Any] | None = None) -> list[JobFolder]:
    """Start the runs of a grid, in its order; each waits for its turn, and is tagged with the grid and its values.

    Raises:
        UserError: see `workbench.training.control.start_run`; those that were started before it go on.
    """
    started = []
    for run in grid.runs:
        job = start_run(workspace, recipe, run.name, {**(changes or {}), **run.values})
        tags.change(job, [grid.tag], values=run.values)
        started.append(job)
    return started


def cost(grid: Grid) -> str:
    """How much a grid is, in words."""
    count, total = len(grid.runs), grid.steps
    if total is None:
        return f"{count} runs; of how many steps is not known, for the dataset has no accepted pairs"
    each = {run.steps for run in grid.runs}
    of_each = f" of about {each.pop():,} steps each" if len(each) == 1 else ""
    return f"{count} runs{of_each}, about {total:,} steps in all"


def steps_of(recipe: Recipe, accepted: int) -> int | None:
    """About how many optimizer steps a recipe takes over a dataset with so many accepted pairs."""
    if recipe.max_steps > 0:
        return recipe.max_steps
    if not accepted:
        return None
    per_step = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps * recipe.launch.num_processes
    trained = max(1, round(accepted * (1 - recipe.test_size)))
    if recipe.online:  # answers are counted, and a round that is not full is left out
        steps = trained // recipe.prompts_a_round * recipe.online.num_iterations
    else:
        steps = math.ceil(trained * (2 if recipe.method == "kto" else 1) / per_step)
    return math.ceil(recipe.num_train_epochs * steps)


def _checked(recipe: Path, changes: dict[str, Any], combinations: list[dict[str, Any]]) -> list[Recipe]:
    checked, faults = [], {}
    for values in combinations:
        try:
            checked.append(recipes.load(recipe, {**changes, **values}))
        except Faults as error:
            faults |= dict.fromkeys(error.faults)  # most combinations share theirs
    if faults:
        raise Faults(str(recipe), list(faults))
    return checked


def _accepted(workspace: Workspace, datasets: set[str]) -> dict[str, int]:
    from workbench.pairs.store import PairStore

    if not workspace.database.exists():
        return dict.fromkeys(datasets, 0)
    with PairStore(workspace.database) as store:
        return {name: store.count(name, status="accepted") for name in datasets}


def _split(text: str) -> list[str]:
    """At the commas that are outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and not parts[-1].strip(" [{"):
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and depth <= 0:
            parts.append("")
            continue
        parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
