"""Starting a run, where everything that can be refused is refused before a process starts; and steering it.

A run is steered by files in its folder, which its process looks for after every step: `stop` and `pause` (see
`workbench.jobs.folder`), `save` and `learning_rate`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.models.local import ensure
from workbench.training import recipe as recipes
from workbench.workspace import Workspace


def start_run(workspace: Workspace, recipe: Path, name: str, changes: dict[str, Any] | None = None) -> JobFolder:
    """Start a run called `name`; it is queued behind other heavy jobs.

    Args:
        workspace: whose pairs and indexes it uses.
        recipe: the YAML file.
        name: names the run and its folder under runs/.
        changes: dotted keys laid over the recipe's.

    Raises:
        Faults: the recipe has faults.
        UserError: the name is taken, the base model is not here, the dataset has no accepted pairs, or the index of
            `context:` is absent.
    """
    folder = workspace.run(name)
    arguments = _checked_arguments(workspace, recipe, changes)
    return control.start(workspace, "train", arguments, title=f"train {name}", folder=folder)


def start_preflight(workspace: Workspace, recipe: Path, changes: dict[str, Any] | None = None) -> JobFolder:
    """Start the pre-flight of a run that is not started; the result of the job are its figures.

    Raises:
        Faults, UserError: as `start_run`.
    """
    arguments = _checked_arguments(workspace, recipe, changes)
    return control.start(workspace, "preflight", arguments, title=f"pre-flight of {recipe.stem}")


def _checked_arguments(workspace: Workspace, recipe: Path, changes: dict[str, Any] | None) -> dict[str, Any]:
    from workbench.pairs.store import PairStore

    checked = recipes.load(recipe, changes)
    base, system = base_and_system(workspace, checked)
    ensure(base)
    with PairStore(workspace.database) as store:
        if not store.count(checked.dataset, status="accepted"):
            known = ", ".join(summary.name for summary in store.datasets()) or "none"
            raise UserError(
                f"the dataset {checked.dataset!r} has no accepted pairs (datasets: {known})",
                where=f"{recipe}: dataset",
                do="Import and accept pairs first.",
            )
    if checked.context and not workspace.index(checked.context.index).is_dir():
        raise UserError(
            f"there is no index {checked.context.index!r}",
            where=f"{recipe}: context.index",
            do=f"Build it with `workbench index build {checked.context.index} FOLDER`.",
        )
    return {
        "recipe": checked.model_dump(mode="json"),
        "recipe_name": name_of(workspace, recipe),
        "base": base,
        "system": system,
    }


def name_of(workspace: Workspace, recipe: Path) -> str:
    """What a recipe is called: a run's own one, taken for another, by the run."""
    return recipe.parent.name if recipe.parent.parent == workspace.runs else recipe.stem


def base_and_system(workspace: Workspace, recipe: recipes.Recipe) -> tuple[str, str]:
    """The base model that a run of this recipe starts from, and its system prompt: the recipe's, else the workspace's.

    Raises:
        Faults: the settings have faults.
    """
    settings = workspace.settings()
    base = workspace.model(recipe.model_name_or_path or settings.base_model)
    return base, recipe.system_prompt if recipe.system_prompt is not None else settings.system_prompt


SAVE = "save"
"""Its presence asks for a checkpoint after this step; the run removes it then."""
LEARNING_RATE = "learning_rate"
"""Holds the new peak learning rate as a JSON number; the run removes it when it has taken it over."""


def pause(job: JobFolder) -> None:
    """Let the run wait after the step it is at; it keeps its memory and its turn.

    Raises:
        UserError: it is not training.
    """
    _must_be(job, "running")
    job.pause_file.touch()


def go_on(job: JobFolder) -> None:
    """End a pause.

    Raises:
        UserError: it is not paused.
    """
    _must_be(job, "paused")
    job.pause_file.unlink(missing_ok=True)


def save_now(job: JobFolder) -> None:
    """Ask for a checkpoint after the step it is at.

    Raises:
        UserError: it is not training.
    """
    _must_be(job, "running", "paused")
    (job.path / SAVE).touch()


def change_learning_rate(job: JobFolder, learning_rate: float) -> None:
    """Scale the rest of the schedule so that its peak is `learning_rate`, from the next step on.

    Raises:
        UserError: it is not training, or the rate is not above 0 and at most 1.
    """
    check_learning_rate(learning_rate)
    _must_be(job, "running", "paused")
    files.write_json(job.path / LEARNING_RATE, learning_rate)


def check_learning_rate(learning_rate: float) -> None:
    """Refuse what is no learning rate.

    Raises:
        UserError: it is not above 0 and at most 1.
    """
    if not (math.isfinite(learning_rate) and 0 < learning_rate <= 1):
        raise UserError(f"{learning_rate:g} is no learning rate", do="Give a number above 0 and at most 1, e.g. 1e-4.")


def _must_be(job: JobFolder, *states: str) -> None:
    state = job.status().state
    if state not in states:
        raise UserError(f"{job.id} is {state}, not {' or '.join(states)}")
