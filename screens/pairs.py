"""Pairs: decide which are learned, mend them, bring in more. How they are looked through is in `pair_browser`."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from textual import on

from screens import pair_dialogs
from screens.commands import bindings
from screens.pair_files import PairFiles
from screens.pair_list import PairFilter
from screens.pair_seen import SeenPairs
from screens.stand_ins import StandIns
from screens.store_thread import StoreThread
from screens.watcher import JobBoard
from screens.widgets.pair_table import PairTable
from workbench.errors import UserError
from workbench.pairs.pair import Pair
from workbench.pairs.store import PairStore

Result = TypeVar("Result")

_SLOW = 0.2  # seconds that a change may take before the screen says that it is being made


class PairsScreen(SeenPairs):
    """Every change is made by one thread, in the order of the keys, and shown when it is committed."""

    SCOPE = "pairs"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "pairs.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._last_tags = ""
        self._files = PairFiles(self, started=self._import_started)
        self._place_at_import: tuple[object, ...] = ()

    def on_mount(self) -> None:
        self._writer = StoreThread(PairStore, self.workspace.database, "pairs-writer")

    def on_unmount(self) -> None:
        self._writer.close()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("accept", "reject", "edit"):
            return bool(self.listing.datasets)
        return True

    # Changing

    def _change(self, work: Callable[[PairStore], Result], done: Callable[[Result], object] | None = None) -> None:
        """Have the store do something, in turn; then say so, and show what came of it."""
        self.run_worker(partial(self._do, work, done), group="pairs-change", exit_on_error=False)

    async def _do(self, work: Callable[[PairStore], Result], done: Callable[[Result], object] | None = None) -> Result:
        slow = False

        def say_so() -> None:  # many pairs are changed, or another process holds the database
            nonlocal slow
            slow = True
            self.working += 1
            self.show_titles()

        timer = self.set_timer(_SLOW, say_so)
        try:
            result = await self._writer.do(work)
        finally:
            timer.stop()
            if slow:
                self.working -= 1
                self.show_titles()
        if done is not None:
            done(result)
        self.table.forget()
        self.reload()
        return result

    def _targets(self) -> list[int]:
        """The marked pairs, else the one under the cursor."""
        table = self.table
        if table.marks:
            return sorted(table.marks)
        if table.current is None:
            raise UserError("there is no pair here", do="Press f for another filter, or i to import pairs.")
        return [table.current]

    def _set_status(self, status: str) -> None:
        table, ids = self.table, self._targets()
        if table.marks:
            table.clear_marks()
            self._set_status_of(ids, status)
        else:
            table.action_cursor_down()
            self._change(lambda store: store.set_status(ids, status))

    def _set_status_of(self, ids: Sequence[int], status: str) -> None:
        def done(changed: int) -> None:
            self.app.tell(f"{changed:,} {'pair' if changed == 1 else 'pairs'} {status}. u takes it back.")

        self._change(lambda store: store.set_status(ids, status), done)

    def action_accept(self) -> None:
        self._set_status("accepted")

    def action_reject(self) -> None:
        self._set_status("rejected")

    def action_pending(self) -> None:
        self._set_status("pending")

    def action_accept_all(self) -> None:
        self._all("Accept", "accepted")

    def action_reject_all(self) -> None:
        self._all("Reject", "rejected")

    def _all(self, verb: str, status: str) -> None:
        ids = array("q", self.table.ids)
        if not ids:
            raise UserError("no pair is listed", do="Press f for another filter.")
        question = pair_dialogs.confirm_all(verb, len(ids), self.listing.filter)
        self.app.push_screen(question, lambda yes: self._set_status_of(ids, status) if yes else None)

    def action_delete(self) -> None:
        ids = self._targets()

        def delete(yes: bool | None) -> None:
            if yes:
                self.table.end_range()
                self._change(lambda store: store.delete(ids), deleted)

        def deleted(count: int) -> None:
            self.app.tell(f"Deleted {f'pair {ids[0]}' if count == 1 else f'{count:,} pairs'}. u brings it back.")

        if len(ids) == 1:
            self.table.action_cursor_down()
            delete(True)
        else:
            self.app.push_screen(pair_dialogs.confirm_delete(len(ids)), delete)

    def action_undo(self) -> None:
        def done(label: str | None) -> None:
            self.app.tell(f"Undone: {label}. U does it again." if label else "Nothing to undo.")

        self._change(lambda store: store.undo(), done)

    def action_redo(self) -> None:
        def done(label: str | None) -> None:
            self.app.tell(f"Done again: {label}." if label else "Nothing to redo.")

        self._change(lambda store: store.redo(), done)

    def action_edit(self) -> None:
        pair = self.table.pair
        if pair is None:
            raise UserError("there is no pair here", do="Press i to import pairs.")
        self.app.push_screen(pair_dialogs.edit(pair, self._do))

    @on(PairTable.Opened)
    def _opened(self) -> None:
        with self.reporting():
            self.action_edit()

    def action_tags(self) -> None:
        ids, pairs = self._some_targets()

        def tagged(value: str | None) -> None:
            if value is not None and value != before.shown:
                self._last_tags = value
                self._change(lambda store: store.set_tags(ids, pair_dialogs.parse_tags(before.restored(value))))

        before = StandIns(", ".join(pairs[0].tags) if all(pair.tags == pairs[0].tags for pair in pairs) else "")
        self.app.push_screen(pair_dialogs.ask_tags(len(ids), before.shown, self._last_tags), tagged)

    def action_note(self) -> None:
        ids, pairs = self._some_targets()
        before = pairs[0].note if all(pair.note == pairs[0].note for pair in pairs) else ""
        self.app.push_screen(pair_dialogs.ask_note(ids, before, self._do))

    def _some_targets(self) -> tuple[list[int], list[Pair]]:
        """The ids that are meant, and the first thousand of the pairs."""
        ids = self._targets()
        pairs = self.read_rows(ids[:1000])
        if not pairs:
            raise UserError("there is no pair here any more")
        return ids, pairs

    # Files

    def action_import_file(self) -> None:
        self._files.ask_file()

    def action_export_file(self) -> None:
        names = [dataset.name for dataset in self.listing.datasets]
        name = self.listing.filter.dataset or (names[0] if len(names) == 1 else None)
        if name is None:
            raise UserError(
                "which dataset is to be exported?" if names else "there are no pairs to export",
                do="Press d to choose one." if names else "Press i to import some.",
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
        return self.listing.filter, self.focused, bool(self.table.marks), self.table.cursor

    def jobs_changed(self, board: JobBoard) -> None:
        untouched = self._place == self._place_at_import
        for job in self._files.ended(board):
            if job.status.state == "done" and untouched:
                self.leave_search(keep=False)
                self.set_filter(PairFilter(dataset=job.arguments["dataset"]))
                self.show_dataset(job.arguments["dataset"])
