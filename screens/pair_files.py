"""Pairs from files and into files: the dialogs, one after the other, and the job that imports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from screens.watcher import Job, JobBoard
from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.pairs.exporting import export
from workbench.pairs.importing import preview
from workbench.pairs.job import faults_of
from workbench.pairs.readers import FORMATS
from workbench.pairs.store import PairStore

if TYPE_CHECKING:
    from screens.base import WorkbenchScreen
    from screens.modals.export_pairs import ExportRequest
    from screens.modals.import_dataset import DatasetRequest
    from screens.modals.import_pairs import ImportRequest

_SHOWN = 100_000  # faults in the report's list
IMPORTS = ("import", "import-hub")
"""Of the jobs."""


class PairFiles:
    """What the Pairs screen does with files; it remembers which imports were started here."""

    def __init__(self, screen: WorkbenchScreen, started: Callable[[], object]) -> None:
        """`started` is called when an import has begun."""
        self._screen, self._has_started = screen, started
        self._folder: Path | None = None
        self._started: set[str] = set()

    # Import

    def ask_file(self) -> None:
        """Ask for a file, then for what is in it, then start the job."""
        from screens.modals.open_file import OpenFile

        root = self._screen.workspace.root
        if self._folder is None or not self._folder.is_dir():
            brought = root / "datasets"
            self._folder = brought if brought.is_dir() and any(brought.iterdir()) else root
        self._screen.app.push_screen(OpenFile(self._folder, "Import pairs", "Pairs", FORMATS), self._look_into)

    def _look_into(self, path: Path | None) -> None:
        if path is not None:
            self._folder = path.parent
            self._screen.run_worker(
                partial(self._ask_how, path), group="pairs-import", exclusive=True, exit_on_error=False
            )

    async def _ask_how(self, path: Path) -> None:
        from screens.modals.import_pairs import ImportPairs

        # In a thread: a JSON file is read as a whole.
        first = await asyncio.to_thread(preview, path)
        datasets = await asyncio.to_thread(_datasets, self._screen.workspace.database)
        if self._screen.app.screen is self._screen:  # else the user has gone elsewhere meanwhile
            self._screen.app.push_screen(ImportPairs(path, first, datasets), self._start)

    def _start(self, request: ImportRequest | None) -> None:
        if request is None:
            return
        arguments = {
            "file": str(request.file),
            "dataset": request.dataset,
            "columns": request.columns,
            "status": request.status,
        }
        with self._screen.reporting():
            title = f"import {request.file.name}"
            self._started.add(control.start(self._screen.workspace, "import", arguments, title=title).id)
            self._screen.app.look_at_jobs()
            self._has_started()

    def ask_dataset(self) -> None:
        """Ask for a Hugging Face dataset, then start the job that reads it."""
        self._screen.run_worker(self._ask_dataset, group="pairs-import", exclusive=True, exit_on_error=False)

    async def _ask_dataset(self) -> None:
        from screens.modals.import_dataset import ImportDataset

        datasets = await asyncio.to_thread(_datasets, self._screen.workspace.database)
        if self._screen.app.screen is self._screen:
            self._screen.app.push_screen(ImportDataset(self._screen.workspace.root, datasets), self._start_dataset)

    def _start_dataset(self, request: DatasetRequest | None) -> None:
        if request is None:
            return
        named = request.named
        kind = "import-hub" if named.on_hub else "import"
        arguments = {
            "file": str(named),
            "dataset": request.dataset,
            "columns": request.columns,
            "status": request.status,
            "limit": request.limit,
        }
        with self._screen.reporting():
            title = f"import {named if named.on_hub else Path(named.name).name}"
            self._started.add(control.start(self._screen.workspace, kind, arguments, title=title).id)
            self._screen.app.look_at_jobs()
            self._has_started()

    def ended(self, board: JobBoard) -> list[Job]:
        """Imports started here that have just ended; what they skipped is shown."""
        jobs = [job for job in board.ended if job.id in self._started]
        for job in jobs:
            if (job.status.result or {}).get("skipped") and self._screen.app.screen is self._screen:
                self._show_report(job)
        return jobs

    def show_last_report(self) -> None:
        """What the newest import brought that has ended, whoever started it."""
        job = next((job for job in self._screen.app.board.jobs if job.kind in IMPORTS and job.status.result), None)
        if job is None:
            raise UserError(
                "nothing was imported here yet", do=f"Press {self._screen.app.key_of('pairs.import')} to import pairs."
            )
        self._show_report(job)

    def _show_report(self, job: Job) -> None:
        from screens.modals.import_report import ImportReport

        result = job.status.result or {}
        report = ImportReport(Path(job.arguments.get("file", "?")).name, result, _faults(job.folder))
        self._screen.app.push_screen(report)

    # Export

    def ask_export(self, dataset: str, *, preference: bool) -> None:
        """Ask what to write and where to, and write it; `preference`: whether the dataset holds such pairs."""
        from screens.modals.export_pairs import ExportPairs

        form = "preference" if preference else "messages"
        self._screen.app.push_screen(ExportPairs(dataset, self._screen.workspace.root, form), self._confirm_export)

    def _confirm_export(self, request: ExportRequest | None) -> None:
        if request is None:
            return
        if not request.file.exists():
            self._start_export(request)
            return
        from screens.modals.confirm import Confirm

        question = Confirm(f"Replace {request.file.name}?", str(request.file), yes="Replace", danger=True)
        self._screen.app.push_screen(question, lambda yes: self._start_export(request, replace=True) if yes else None)

    def _start_export(self, request: ExportRequest, *, replace: bool = False) -> None:
        self._screen.run_worker(partial(self._export, request, replace), group="pairs-export", exit_on_error=False)

    async def _export(self, request: ExportRequest, replace: bool) -> None:
        count = await asyncio.to_thread(_export, self._screen.workspace.database, request, replace)
        self._screen.app.tell(f"{count:,} {'pair is' if count == 1 else 'pairs are'} in {request.file}")


def _datasets(database: Path) -> list[str]:
    if not database.exists():
        return []
    with PairStore(database) as store:
        return [dataset.name for dataset in store.datasets()]


def _export(database: Path, request: ExportRequest, replace: bool) -> int:
    with PairStore(database) as store:
        return export(
            store,
            request.dataset,
            request.file,
            request.form,
            request.status,
            replace=replace,
            test_size=request.test_size,
        )


def _faults(job: JobFolder) -> list[tuple[int, str]]:
    return [(row["line"], row["reason"]) for row in faults_of(job, _SHOWN)]
