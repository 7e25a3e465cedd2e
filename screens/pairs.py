"""Pairs: decide which are learned, mend them, bring in more. What is done to pairs is in `pair_curation`, how they are
looked through in `pair_browser`, how they are listed in `pair_lister`."""

from __future__ import annotations

from screens.commands import bindings
from screens.pair_curation import PairCuration
from screens.pair_files import PairFiles
from screens.pair_list import PairFilter
from screens.watcher import JobBoard
from workbench.errors import UserError


class PairsScreen(PairCuration):
    """The screen of the pairs, and what goes in and out of it."""

    SCOPE = "pairs"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "pairs.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._files = PairFiles(self, started=self._import_started)
        self._place_at_import: tuple[object, ...] = ()

    # Files

    def action_import_file(self) -> None:
        self._files.ask_file()

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
        self._files.show_last_report()

    def _import_started(self) -> None:
        self._place_at_import = self._place

    @property
    def _place(self) -> tuple[object, ...]:
        """Where the user is; the same again: nothing was touched meanwhile."""
        return self.listing.filter, self.focused, bool(self.table.mark_count), self.table.cursor

    def jobs_changed(self, board: JobBoard) -> None:
        untouched = self._place == self._place_at_import
        for job in self._files.ended(board):
            if job.status.state == "done" and untouched:
                self.leave_search(keep=False)
                self.set_filter(PairFilter(dataset=job.arguments["dataset"]))
                self.show_dataset(job.arguments["dataset"])
