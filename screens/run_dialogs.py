"""What is done to runs that are there: tags, deleting, cloning, comparing; and the queue and the grid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from screens.home_state import names_of
from screens.watcher import Job
from workbench.errors import UserError

if TYPE_CHECKING:
    from screens.base import WorkbenchScreen


class RunDialogs:
    """The dialogs of the Training screen about runs; what takes long is done in a thread."""

    def __init__(self, screen: WorkbenchScreen, started: Callable[[str | None], None]) -> None:
        """`started` gets the name of a run that was started; None when the user left the form."""
        self._screen, self._started = screen, started

    # New runs

    def ask_recipe(self, then: Callable[[Path], None]) -> None:
        """Ask for a recipe, where there are several.

        Raises:
            UserError: there is none.
        """
        here = self._screen.workspace
        recipes = here.recipes()
        if not recipes:
            raise UserError("there are no recipes", where=str(here.configs), do="Put a recipe there.")
        if len(recipes) == 1:
            then(recipes[0])
            return
        from screens.modals.choose import Choice, Choose

        def chosen(recipe: str | None) -> None:
            if recipe is not None:
                with self._screen.reporting():
                    then(Path(recipe))

        choices = [
            Choice(str(path), path.stem, "yours" if path.parent == here.configs else "shipped") for path in recipes
        ]
        self._screen.app.push_screen(Choose("Which recipe?", choices), chosen)

    def new(self, recipe: Path) -> None:
        """The form of a new run."""
        self._open_form(recipe)

    def clone(self, run: Job) -> None:
        """The form of a new run with this run's recipe.

        Raises:
            UserError: the recipe cannot be read.
        """
        from workbench.training import history

        recipe = history.recipe_file(run.folder)
        self._open_form(recipe, cloned=run.id, changes=history.changes_to_repeat(self._screen.workspace, run.folder))

    def _open_form(self, recipe: Path, **of: Any) -> None:
        work = partial(self._read_and_open_form, recipe, **of)
        self._screen.run_worker(work, group="run-form", exclusive=True, exit_on_error=False)

    async def _read_and_open_form(self, recipe: Path, **of: Any) -> None:
        from screens.modals.new_run import NewRun

        here = self._screen.workspace
        names = await asyncio.to_thread(names_of, here)
        if self._screen.is_current:  # else the user has gone on
            self._screen.app.push_screen(NewRun(here, recipe, names, **of), self._started)

    def grid(self, recipe: Path) -> None:
        """The form of a grid over a recipe.

        Raises:
            UserError: the recipe cannot be read.
        """
        from screens.modals.new_grid import NewGrid

        self._screen.app.push_screen(NewGrid(self._screen.workspace, recipe), self._started)

    # Runs that are there

    def ask_tags(self, runs: Sequence[Job]) -> None:
        """Ask for the tags that all these runs shall have; those that only some have stay."""
        from screens.modals.prompt import Prompt
        from workbench.training import tags

        common = [tag for tag in runs[0].tags if all(tag in run.tags for run in runs)]
        known = sorted({tag for job in self._screen.app.board.jobs for tag in job.tags})

        def answered(text: str | None) -> None:
            if text is None:
                return
            wanted = text.split()
            with self._screen.reporting():
                for run in runs:
                    tags.change(run.folder, wanted, [tag for tag in common if tag not in wanted])
            self._screen.app.look_at_jobs()

        self._screen.app.push_screen(
            Prompt(
                f"Tags of {_names(runs)}",
                " ".join(common),
                detail="Words, with spaces between them; the search finds them by tag:NAME.",
                placeholder=f"e.g. {' '.join(known[:3]) or 'good baseline'}",
                check=lambda text: [tags.check(tag) for tag in text.split()],
            ),
            answered,
        )

    def ask_delete(self, runs: Sequence[Job], deleted: Callable[[], object]) -> None:
        """Ask, then remove the runs for good. A run that is going on is refused.

        Raises:
            UserError: one of them is going on.
        """
        from screens.modals.confirm import Confirm

        if going := next((run for run in runs if run.live), None):
            raise UserError(f"{going.id} is {going.status.state}", do="Stop it first.")

        def answered(yes: bool | None) -> None:
            if yes:
                work = partial(self._delete, runs, deleted)
                self._screen.run_worker(work, group="runs-delete", exit_on_error=False)

        self._screen.app.push_screen(
            Confirm(
                f"Delete {_names(runs)}?", "With checkpoints, adapter and samples, for good.", yes="Delete", danger=True
            ),
            answered,
        )

    async def _delete(self, runs: Sequence[Job], deleted: Callable[[], object]) -> None:
        from workbench.training import history

        try:
            for run in runs:
                await asyncio.to_thread(history.delete, run.folder)
        finally:
            deleted()
            self._screen.app.look_at_jobs()

    def compare(self, runs: Sequence[Job]) -> None:
        """The runs side by side.

        Raises:
            UserError: they are too few.
        """
        if len(runs) < 2:
            raise UserError("mark the runs to compare", do="space marks one; D sets the marked ones side by side.")
        from screens.modals.compare_runs import CompareRuns

        self._screen.app.push_screen(CompareRuns([run.folder for run in runs]))

    def show_queue(self) -> None:
        """Who waits for their turn, and in which order."""
        from screens.modals.queue import Queue

        self._screen.app.push_screen(Queue(self._screen.workspace))


def _names(runs: Sequence[Job]) -> str:
    return runs[0].id if len(runs) == 1 else f"{len(runs)} runs"
