"""Question sets from files and away, verdicts into files: the dialogs of the Compare screen, the work in a thread."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.compare.store import CompareStore, Comparison
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.pairs.readers import FORMATS

if TYPE_CHECKING:
    from screens.base import WorkbenchScreen
    from screens.store_thread import StoreThread
    from workbench.compare.importing import ImportResult

_SAID = {
    "markdown": "Markdown, to read and to paste",
    "html": "one page with its plots and all answers",
    "json": "data",
}


class CompareFiles:
    """What the Compare screen does with files."""

    def __init__(self, screen: WorkbenchScreen) -> None:
        self._screen = screen
        self._folder: Path | None = None

    # Questions

    def ask_file(self) -> None:
        """Ask for a file of questions, then for the name of the set, and import it."""
        from screens.modals.open_file import OpenFile

        root = self._screen.workspace.root
        if self._folder is None or not self._folder.is_dir():
            brought = root / "datasets"
            self._folder = brought if brought.is_dir() and any(brought.iterdir()) else root
        self._screen.app.push_screen(OpenFile(self._folder, "Import questions", "Questions", FORMATS), self._ask_name)

    def _ask_name(self, path: Path | None) -> None:
        if path is None:
            return
        from screens.modals.prompt import Prompt

        self._folder = path.parent
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-")[:64] or "questions"
        question = Prompt(
            "The name of the question set",
            name,
            detail="Questions that the set has already are passed over.",
            check=lambda text: check_name(text.strip(), "question set"),
        )

        def named(answer: str | None) -> None:
            if answer is not None:
                work = partial(self._import, path, answer.strip())
                self._screen.run_worker(work, group="compare-import", exit_on_error=False)

        self._screen.app.push_screen(question, named)

    async def _import(self, path: Path, name: str) -> None:
        result = await asyncio.to_thread(_import, self._screen.workspace.database, path, name)
        skipped = f", {len(result.faults):,} rows skipped" if result.faults else ""
        there = f", {result.duplicates:,} were there" if result.duplicates else ""
        self._screen.app.tell(f"{result.added:,} questions came into {name}{there}{skipped}. n compares with them.")
        if result.faults and self._screen.is_current:
            from screens.modals.import_report import ImportReport

            figures = {
                "form": "questions",
                "imported": result.added,
                "duplicates": result.duplicates,
                "skipped": len(result.faults),
            }
            faults = [(fault.line, fault.reason) for fault in result.faults]
            self._screen.app.push_screen(ImportReport(path.name, figures, faults))

    async def ask_delete(self, thread: StoreThread[CompareStore]) -> None:
        """Ask which set is to be deleted, then whether really.

        Raises:
            UserError: there is none.
        """
        from screens.modals.choose import Choice, Choose
        from screens.modals.confirm import Confirm

        sets = await thread.do(lambda store: store.sets())
        if not sets:
            raise UserError("there is no question set", do="Press i to bring one in.")

        async def delete(name: str) -> None:
            await thread.do(lambda store: store.delete_set(name))
            self._screen.app.tell(f"The question set {name} is deleted.")

        def chosen(name: str | None) -> None:
            if name is None:
                return

            def answered(yes: bool | None) -> None:
                if yes:
                    self._screen.run_worker(delete(name), group="compare-delete", exit_on_error=False)

            detail = "Comparisons keep the questions that they asked."
            question = Confirm(f"Delete the question set {name}?", detail, yes="Delete", danger=True)
            self._screen.app.push_screen(question, answered)

        choices = [Choice(each.name, each.name, f"{each.questions:,} questions") for each in sets]
        self._screen.app.push_screen(Choose("Delete which question set?", choices), chosen)

    # The verdict

    def ask_export(self, comparison: Comparison) -> None:
        """Ask for the form, then write the verdict into the workspace; a file is replaced when the user says so."""
        from screens.modals.choose import Choice, Choose
        from workbench.compare.export import FORMS

        files = {form: self._screen.workspace.root / f"{comparison.name}-verdict{end}" for form, end in FORMS.items()}
        choices = [Choice(form, file.name, _SAID.get(form, "")) for form, file in files.items()]

        def chosen(form: str | None) -> None:
            if form is not None:
                self._confirm(comparison, files[form], form)

        self._screen.app.push_screen(Choose(f"Write the verdict of {comparison.name}", choices), chosen)

    def _confirm(self, comparison: Comparison, file: Path, form: str) -> None:
        def write(yes: bool | None) -> None:
            if yes:
                work = partial(self._export, comparison, file, form)
                self._screen.run_worker(work, group="compare-export", exit_on_error=False)

        if not file.exists():
            write(True)
            return
        from screens.modals.confirm import Confirm

        question = Confirm(f"Replace {file.name}?", str(file), yes="Replace", danger=True)
        self._screen.app.push_screen(question, write)

    async def _export(self, comparison: Comparison, file: Path, form: str) -> None:
        from workbench.compare.export import write

        try:
            verdict = comparison.verdict or {}
            await asyncio.to_thread(write, self._screen.workspace, comparison.name, verdict, file, form)
        except OSError as error:
            raise UserError(f"cannot be written: {error.strerror}", where=str(file)) from None
        self._screen.app.tell(f"The verdict is in {file}")


def _import(database: Path, path: Path, name: str) -> ImportResult:
    from workbench.compare.importing import import_questions

    with CompareStore(database) as store:
        return import_questions(store, path, name)
