"""The checks on the Pairs screen: starting them, what they found of a pair, and where near-duplicates begin."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from screens.pair_list import PairFilter
from screens.watcher import JobBoard
from workbench.checks.findings import Detail
from workbench.checks.settings import CheckStore
from workbench.jobs import control
from workbench.pairs.pair import Pair
from workbench.pairs.query import Query
from workbench.pairs.reading import Flag

if TYPE_CHECKING:
    from pathlib import Path

    from screens.pair_browser import PairBrowser
    from screens.watcher import Job


class PairChecks:
    """What the Pairs screen does with checks; it remembers which were started here."""

    def __init__(self, screen: PairBrowser) -> None:
        self._screen = screen
        self._started: set[str] = set()

    def start(self, dataset: str, **arguments: float | str) -> None:
        """Check a dataset; what else the job is told is in `workbench.checks.job`."""
        title = f"check {dataset}"
        job = control.start(self._screen.workspace, "check", {"dataset": dataset, **arguments}, title=title)
        self._started.add(job.id)
        self._screen.app.look_at_jobs()
        key = self._screen.key("flags")
        self._screen.app.tell(f"Checking {dataset}. What is found becomes flags; {key} shows those of a pair.")

    def ended(self, board: JobBoard) -> None:
        """Tell what checks found that were started here and have just ended."""
        for job in board.ended:
            if job.id in self._started and job.status.state == "done":
                self._tell(job)

    def _tell(self, job: Job) -> None:
        flags = (job.status.result or {}).get("flags", {})
        found = ", ".join(f"{count:,} {name}" for name, count in sorted(flags.items(), key=lambda each: -each[1])[:4])
        self._screen.app.tell(f"{job.arguments['dataset']}: {found or 'nothing was found'}.")

    def show(self, pair: Pair) -> None:
        """What was found of a pair."""
        self._screen.run_worker(partial(self._show, pair), group="pair-flags", exclusive=True, exit_on_error=False)

    async def _show(self, pair: Pair) -> None:
        from screens.modals.pair_flags import PairFlags

        flags, partners = await asyncio.to_thread(_read, self._screen.workspace.database, pair.id)
        if self._screen.app.screen is self._screen:  # else the user has gone elsewhere meanwhile
            self._screen.app.push_screen(PairFlags(pair, flags, partners), partial(self._chosen, pair))

    def _chosen(self, pair: Pair, chosen: Pair | str | None) -> None:
        with self._screen.reporting():
            if isinstance(chosen, Pair):
                self._go_to(pair, chosen)
            elif chosen is not None:
                self.ask_threshold(pair.dataset)

    def _go_to(self, pair: Pair, partner: Pair) -> None:
        """Put the cursor on the partner; where it is not listed, list the two."""
        if not self._screen.table.go_to(partner.id):
            dataset = pair.dataset if pair.dataset == partner.dataset else None
            self._screen.set_filter(PairFilter(dataset, Query.parse(f"id:{partner.id},{pair.id}")))

    def ask_threshold(self, dataset: str) -> None:
        """Show pairs on both sides of the threshold; another one is applied without embedding anything anew."""
        from screens.modals.near_duplicates import NearDuplicates

        def apply(threshold: float | None) -> None:
            if threshold is not None:
                with self._screen.reporting():
                    self.start(dataset, threshold=threshold, only="duplicates")

        self._screen.app.push_screen(NearDuplicates(self._screen.workspace, dataset), apply)


def _read(database: Path, id: int) -> tuple[tuple[Flag, ...], dict[int, Pair]]:
    """The flags of a pair, and the pairs that they are about."""
    with CheckStore(database) as store:
        flags = store.flags_of([id]).get(id, ())
        about = [partner for flag in flags if (partner := Detail.read(flag.detail).pair) is not None]
        return flags, {pair.id: pair for pair in store.get_many(about)}
