"""Pairs that a model proposes: the dialogs, the jobs, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from screens.hybrid_choices import HybridChoices, read_choices
from screens.watcher import Job, JobBoard
from workbench.errors import UserError
from workbench.pairs.store import PairStore

if TYPE_CHECKING:
    from pathlib import Path

    from screens.base import WorkbenchScreen
    from workbench.jobs.folder import JobFolder

KINDS = ("draft", "sample")
"""Of the jobs."""


class PairProposals:
    """What the Pairs screen has a model do; it remembers which jobs were started here."""

    def __init__(self, screen: WorkbenchScreen) -> None:
        self._screen = screen
        self._started: set[str] = set()

    def ask_draft(self, datasets: Sequence[str], dataset: str) -> None:
        """Ask from which index and by which model, then start the job.

        Args:
            datasets: those that there are.
            dataset: the one that is listed; empty: all are.
        """
        self._run(partial(self._with_choices, partial(self._draft_dialog, datasets, dataset)))

    def ask_samples(self, ids: Sequence[int]) -> None:
        """Ask which model is to answer the prompts of these pairs of one dataset twice, then start the job."""
        self._run(partial(self._ask_samples, ids))

    def ended(self, board: JobBoard) -> list[Job]:
        """Jobs started here that have just ended; what came of them is shown."""
        jobs = [job for job in board.ended if job.id in self._started]
        for job in jobs:
            if job.status.result and self._screen.app.screen is self._screen:
                self.show(job)
        return jobs

    def show(self, job: Job) -> None:
        """Show what came of a job."""
        from screens.modals.proposed import Proposed

        self._screen.app.push_screen(Proposed(job.title, job.kind, job.status.result or {}))

    # Inside

    def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        self._screen.run_worker(work, group="pairs-propose", exclusive=True, exit_on_error=False)

    async def _ask_samples(self, ids: Sequence[int]) -> None:
        found = await asyncio.to_thread(_datasets_of, self._screen.workspace.database, ids)
        names = set(found.values())
        if not names:
            raise UserError("there is no pair here any more")
        if len(names) > 1:
            key = self._screen.app.key_of("pairs.dataset")
            raise UserError("the marked pairs are of several datasets", do=f"Press {key} to choose one.")
        await self._with_choices(partial(self._sample_dialog, names.pop(), [id for id in ids if id in found]))

    async def _with_choices(self, dialog: Callable[[HybridChoices], None]) -> None:
        choices = await asyncio.to_thread(read_choices, self._screen.workspace)
        if self._screen.app.screen is self._screen:  # else the user has gone elsewhere meanwhile
            dialog(choices)

    def _draft_dialog(self, datasets: Sequence[str], dataset: str, choices: HybridChoices) -> None:
        from screens.modals.propose_pairs import DraftPairs

        self._screen.app.push_screen(DraftPairs(self._screen.workspace, choices, datasets, dataset), self._has_started)

    def _sample_dialog(self, dataset: str, ids: Sequence[int], choices: HybridChoices) -> None:
        from screens.modals.propose_pairs import SamplePairs

        self._screen.app.push_screen(SamplePairs(self._screen.workspace, choices, dataset, ids), self._has_started)

    def _has_started(self, job: JobFolder | None) -> None:
        if job is not None:
            self._started.add(job.id)
            self._screen.app.look_at_jobs()
            self._screen.app.tell(f"{job.spec['title']} has begun; jobs go on when you leave.")


def _datasets_of(database: Path, ids: Sequence[int]) -> dict[int, str]:
    with PairStore(database) as store:
        return store.datasets_of(ids)
