"""Pairs: decide which are learned, mend them, bring in more. What is done to pairs is in `pair_curation`, how they are
looked through in `pair_browser`, how they are listed in `pair_lister`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from screens.commands import bindings
from screens.pair_checks import PairChecks
from screens.pair_curation import PairCuration
from screens.pair_files import IMPORTS, PairFiles
from screens.pair_list import PairFilter
from screens.pair_proposals import KINDS, PairProposals
from screens.pair_seen import SeenPairs
from screens.watcher import JobBoard
from workbench.errors import UserError
from workbench.pairs.selection import Selection


class PairsScreen(SeenPairs, PairCuration):
    """The screen of the pairs, and what goes in and out of it."""

    SCOPE = "pairs"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "pairs.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._files = PairFiles(self, started=self._import_started)
        self._checks = PairChecks(self)
        self._proposals = PairProposals(self)
        self._place_at_import: tuple[object, ...] = ()

    # Files

    def action_import_file(self) -> None:
        self._files.ask_file()

    def action_import_dataset(self) -> None:
        self._files.ask_dataset()

    def action_export_file(self) -> None:
        names = [dataset.name for dataset in self.listing.datasets]
        name = self.listing.filter.dataset or (names[0] if len(names) == 1 else None)
        if name is None:
            raise UserError(
                "which dataset is to be exported?" if names else "there are no pairs to export",
                do=f"Press {self.key('dataset')} to choose one."
                if names
                else f"Press {self.key('import')} to import some.",
            )
        pair = self.table.pair
        self._files.ask_export(name, preference=pair is not None and pair.is_preference)

    def action_report(self) -> None:
        ended = (job for job in self.app.board.jobs if job.kind in (*IMPORTS, *KINDS) and job.status.result)
        job = next(ended, None)
        if job is not None and job.kind in KINDS:
            self._proposals.show(job)
        else:
            self._files.show_last_report()

    # What a model proposes, and two answers side by side

    def action_prefer(self) -> None:
        pairs = self.table.marked_ids if self.table.mark_count else self.listing.filter.selection
        work = partial(self._open_preferences, pairs, self.table.current)
        self.run_worker(work, group="pairs-prefer", exclusive=True, exit_on_error=False)

    async def _open_preferences(self, pairs: Sequence[int] | Selection, current: int | None) -> None:
        from screens.preferences import PreferencesScreen, read_preferences

        found, pending = await read_preferences(self.workspace.database, pairs)
        if not found:
            sample, better = self.key("sample"), self.app.key_of("chat.better")
            mark, worse = self.app.key_of("compare.better"), self.app.key_of("compare.worse")
            raise UserError(
                "no pair with two answers is listed",
                do=f"{sample} has a model answer twice; {better} in a chat, {mark} and {worse} in a comparison, make"
                " such pairs, too.",
            )
        if self.app.screen is self:  # else the user has gone elsewhere meanwhile
            self.app.push_screen(PreferencesScreen(found, pending, current))

    def action_sample(self) -> None:
        self._proposals.ask_samples(self._targets().ids)

    def action_draft(self) -> None:
        self._proposals.ask_draft(
            [dataset.name for dataset in self.listing.datasets], self.listing.filter.dataset or ""
        )

    # Checks

    def action_check(self) -> None:
        self._checks.start(self._dataset_to_check())

    def _dataset_to_check(self) -> str:
        """The one that is listed, else that of the pair under the cursor."""
        if named := self.listing.filter.dataset:
            return named
        if pair := self.table.pair:
            return pair.dataset
        names = [dataset.name for dataset in self.listing.datasets]
        if len(names) == 1:
            return names[0]
        raise UserError(
            "which dataset is to be checked?" if names else "there are no pairs to check",
            do=f"Press {self.key('dataset')} to choose one."
            if names
            else f"Press {self.key('import')} to import some.",
        )

    def action_flags(self) -> None:
        pair = self.table.pair
        if pair is None:
            raise UserError("there is no pair here", do=self.elsewhere)
        self._checks.show(pair)

    def _import_started(self) -> None:
        self._place_at_import = self._place

    @property
    def _place(self) -> tuple[object, ...]:
        """Where the user is; the same again: nothing was touched meanwhile."""
        return self.listing.filter, self.focused, bool(self.table.mark_count), self.table.cursor

    def jobs_changed(self, board: JobBoard) -> None:
        self._checks.ended(board)
        self._proposals.ended(board)
        untouched = self._place == self._place_at_import
        for job in self._files.ended(board):
            if job.status.state == "done" and untouched:
                self.leave_search(keep=False)
                self.set_filter(PairFilter(dataset=job.arguments["dataset"]))
                self.show_dataset(job.arguments["dataset"])
