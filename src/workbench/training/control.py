"""Starting a run; everything that can be refused is refused before a process starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    from workbench.pairs.store import PairStore

    folder = workspace.run(name)
    checked = recipes.load(recipe, changes)
    settings = workspace.settings()
    base = workspace.model(checked.model_name_or_path or settings.base_model)
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
    arguments = {
        "recipe": checked.model_dump(mode="json"),
        "recipe_name": recipe.stem,
        "base": base,
        "system": checked.system_prompt if checked.system_prompt is not None else settings.system_prompt,
    }
    return control.start(workspace, "train", arguments, title=f"train {name}", folder=folder)
