"""What becomes of runs after they ended: which of them match, their recipes as files, and deleting them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from workbench import files
from workbench.errors import UserError
from workbench.jobs.folder import JobFolder
from workbench.training.recipe import Recipe
from workbench.training.runs import RunSummary
from workbench.workspace import Workspace

RECIPE = "recipe.yaml"
_DELETED = ".deleted-"


def matching(
    found: Iterable[RunSummary],
    *,
    tag: str | None = None,
    state: str | None = None,
    method: str | None = None,
    dataset: str | None = None,
) -> list[RunSummary]:
    """Those of `found` that have all that is asked."""
    return [
        run
        for run in found
        if (tag is None or tag in run.tags)
        and (state is None or run.state == state)
        and (method is None or run.method == method)
        and (dataset is None or run.dataset == dataset)
    ]


def recipe_of(job: JobFolder) -> Recipe:
    """The whole recipe of a run, with every default.

    Raises:
        UserError: an older or newer version wrote it, and this one cannot read it.
    """
    try:
        return Recipe.model_validate(job.spec["arguments"]["recipe"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"its recipe is not one that this version reads: {str(error).splitlines()[0]}", where=job.id
        ) from None


def recipe_file(job: JobFolder) -> Path:
    """The recipe in a run's folder; written now, where the run still waits to begin."""
    path = job.path / RECIPE
    if not path.is_file():
        files.write_text(path, _yaml(recipe_of(job).model_dump(mode="json")))
    return path


def changes_to_repeat(workspace: Workspace, job: JobFolder) -> dict[str, Any]:
    """What must be laid over a run's recipe so that it trains the same here: the base and the system prompt that the
    recipe left to the workspace, where the workspace now has others."""
    arguments, settings, recipe = job.spec["arguments"], workspace.settings(), recipe_of(job)
    changes: dict[str, Any] = {}
    if recipe.model_name_or_path is None and arguments["base"] != settings.base_model:
        changes["model_name_or_path"] = arguments["base"]
    if recipe.system_prompt is None and arguments["system"] not in (None, settings.system_prompt):
        changes["system_prompt"] = arguments["system"]
    return changes


def clone(workspace: Workspace, job: JobFolder) -> str:
    """The recipe of a run as YAML, without what is default anyway.

    Raises:
        UserError: see `recipe_of`.
    """
    recipe = recipe_of(job)
    said = {"method": recipe.method, **recipe.model_dump(mode="json", exclude_defaults=True)}
    said |= changes_to_repeat(workspace, job)
    if said.get(recipe.method) == {}:  # the method's own section, all default: it comes by itself
        del said[recipe.method]
    return f"# The recipe of the run {job.id}; every key left out has its default.\n{_yaml(said)}"


def save_clone(workspace: Workspace, job: JobFolder, name: str) -> Path:
    """Write the recipe of a run as configs/NAME.yaml.

    Raises:
        UserError: there is such a recipe already, or the name is none.
    """
    path = workspace.own_recipe(name)
    if path.exists():
        raise UserError(f"there is a recipe {name!r} already", where=str(path), do="Choose another name.")
    files.write_text(path, clone(workspace, job))
    return path


def delete(job: JobFolder) -> None:
    """Remove a run with its checkpoints and its adapter, for good.

    Without its spec.json it is no run, so that a crash leaves no half of one: at most a folder that the next deletion
    removes.

    Raises:
        UserError: it is going on.
    """
    with FileLock(job.path / ".resuming"):  # nobody resumes it meanwhile
        status = job.status()
        if status.live:
            raise UserError(f"{job.id} is {status.state}", do=f"Stop it first: `workbench runs stop {job.id}`.")
        (job.path / "spec.json").unlink()
        job.path.rename(job.path.with_name(f"{_DELETED}{job.id}-{os.urandom(3).hex()}"))
    for gone in job.path.parent.glob(f"{_DELETED}*"):
        shutil.rmtree(gone, ignore_errors=True)


def _yaml(data: dict[str, Any]) -> str:
    import io

    from ruamel.yaml import YAML

    stream = io.StringIO()
    YAML().dump(data, stream)
    return stream.getvalue()
