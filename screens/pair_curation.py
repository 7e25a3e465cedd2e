"""Deciding about pairs and mending them: every change is one step that u takes back, and full stop makes again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import TypeVar

from textual import on

from screens import pair_dialogs
from screens.external_editor import edit_outside
from screens.pair_browser import PairBrowser
from screens.pair_list import next_pair
from screens.stand_ins import StandIns
from screens.store_thread import StoreThread
from screens.widgets.pair_table import PairTable
from workbench.errors import UserError
from workbench.pairs.pair import Pair
from workbench.pairs.query import Term
from workbench.pairs.selection import Selection
from workbench.pairs.store import PairStore

Result = TypeVar("Result")

_SLOW = 0.2  # seconds that a change may take before the screen says that it is being made


@dataclass(frozen=True)
class Targets:
    """The pairs that a change is for."""

    ids: Sequence[int]
    selection: Selection | None = None
    """What holds the same pairs while the store has this version: all that is listed."""
    version: int = -1

    def of(self, store: PairStore) -> Sequence[int] | Selection:
        """What to name them by. A million are not sent one by one, unless others have changed pairs meanwhile."""
        return self.selection if self.selection and store.version() == self.version else self.ids

    @property
    def count(self) -> int:
        return len(self.ids)


def _in_turn(action: Callable[[PairCuration], object]) -> Callable[[PairCuration], None]:
    """Have an action wait while the next pair of a kind is looked for: it is meant for that one."""

    @wraps(action)
    def in_turn(self: PairCuration) -> None:
        if self.looking:
            self.waiting.append(partial(in_turn, self))
        else:
            action(self)

    return in_turn


class PairCuration(PairBrowser):
    """Every change is made by one thread, in the order of the keys, and shown when it is committed."""

    def __init__(self) -> None:
        super().__init__()
        self._last_tags = ""
        self._last_change: Callable[[Targets], object] | None = None
        self.looking = False
        """Whether the next pair of a kind is being looked for."""
        self.waiting: list[Callable[[], None]] = []
        """What is to be done when it is found, in the order of the keys."""

    def on_mount(self) -> None:
        self._finder = StoreThread(PairStore, self.workspace.database, "pairs-finder")
        self._writer = StoreThread(PairStore, self.workspace.database, "pairs-writer")

    def on_unmount(self) -> None:
        self._finder.close()
        self._writer.close()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("accept", "reject", "edit"):
            return bool(self.listing.datasets)
        return True

    # Changing

    def _change(
        self,
        work: Callable[[PairStore], Result],
        done: Callable[[Result], object] | None = None,
        touched: Sequence[int] | None = None,
    ) -> None:
        """Have the store do something, in turn; then say so, and show what came of it.

        Args:
            work: what is done.
            done: gets what `work` returned.
            touched: the pairs that it changes, where it returns how many it changed; None: any.
        """
        self.run_worker(partial(self._do, work, done, touched), group="pairs-change", exit_on_error=False)

    async def _do(
        self,
        work: Callable[[PairStore], Result],
        done: Callable[[Result], object] | None = None,
        touched: Sequence[int] | None = None,
    ) -> Result:
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
        if result or touched is None:
            self.reload(touched=touched)
        return result

    @property
    def elsewhere(self) -> str:
        """What to do where no pair is listed."""
        return f"Press {self.key('status')} for another filter, or {self.key('import')} to import pairs."

    def _targets(self) -> Targets:
        """The marked pairs, else the one under the cursor."""
        table = self.table
        if not table.marks_are_listed:
            self.complete_listing()
        if count := table.mark_count:
            return self._all() if count == len(table.ids) else Targets(table.marked_ids)
        if table.current is None:
            raise UserError("there is no pair here", do=self.elsewhere)
        return Targets([table.current])

    def _all(self) -> Targets:
        """All that are listed."""
        listing = self.complete_listing()
        return Targets(self.table.ids, listing.filter.selection, listing.version)

    def _go_on(self) -> None:
        """Away from what was decided about."""
        self.table.clear_marks() if self.table.mark_count else self.table.action_cursor_down()

    def _repeatable(self, change: Callable[[Targets], object], targets: Targets) -> None:
        """Make a change that full stop makes again, of other pairs."""
        self._last_change = change
        change(targets)

    @_in_turn
    def action_repeat(self) -> None:
        if self._last_change is None:
            raise UserError(
                "there is no change to repeat", do="A decision, tags, a note and a deletion can be repeated."
            )
        targets = self._targets()
        if self._last_change == self._delete:  # many are asked about, as x does
            self._ask_delete(targets)
            return
        self._go_on()
        self._last_change(targets)

    # Deciding

    def _decide(self, status: str) -> None:
        targets = self._targets()
        self._go_on()
        self._repeatable(partial(self._set_status, status), targets)

    def _set_status(self, status: str, targets: Targets) -> None:
        def done(changed: int) -> None:
            if targets.count > 1:
                self.app.tell(
                    f"{changed:,} {'pair' if changed == 1 else 'pairs'} {status}. {self.key('undo')} takes it back."
                )

        self.table.skipped.difference_update(targets.ids)
        self._change(lambda store: store.set_status(targets.of(store), status), done, targets.ids)

    @_in_turn
    def action_accept(self) -> None:
        self._decide("accepted")

    @_in_turn
    def action_reject(self) -> None:
        self._decide("rejected")

    @_in_turn
    def action_pending(self) -> None:
        self._decide("pending")

    @_in_turn
    def action_skip(self) -> None:
        self.table.skipped.update(self._targets().ids)
        self._go_on()
        self.table.refresh()

    @_in_turn
    def action_next_of_kind(self) -> None:
        table = self.table
        if table.current is None:
            raise UserError("there is no pair here", do=self.elsewhere)
        terms = [Term("status", ("pending",))]
        if flags := table.flags:
            terms.append(Term("flag", tuple(flag.name for flag in flags)))
        work = partial(next_pair, filter=self.listing.filter, ids=table.ids, row=table.cursor, terms=terms)
        work = partial(work, passing=frozenset(table.skipped))
        kind = f"flagged {' or '.join(flag.name for flag in flags)} " if flags else ""
        self.looking = True
        work = partial(self._go_to_next, table.current, kind, work)
        self.run_worker(work, group="pairs-next", exit_on_error=False)

    async def _go_to_next(self, here: int, kind: str, find: Callable[[PairStore], int | None]) -> None:
        """Put the cursor on what is found, unless it was moved from `here`; then do what waited for it."""
        arrived = False
        try:
            found = await self._finder.do(find)
            if self.table.current == here:
                arrived = found is not None and self.table.go_to(found)
                if not arrived:
                    self.app.tell(f"No other pending pair {kind}is listed, but for those that were skipped.")
            elif self.waiting:
                self.app.tell("The cursor was moved before the next pair was found: nothing was done to it.")
        finally:
            self.looking = False
            waiting, self.waiting = self.waiting, []
        for act in waiting if arrived else ():
            if self.app.screen is not self:  # a dialog was opened: the keys were meant for that
                break
            with self.reporting():
                act()

    def action_accept_all(self) -> None:
        self._decide_all("Accept", "accepted")

    def action_reject_all(self) -> None:
        self._decide_all("Reject", "rejected")

    def _decide_all(self, verb: str, status: str) -> None:
        targets = self._all()
        if not targets.count:
            raise UserError("no pair is listed", do=self.elsewhere)
        question = pair_dialogs.confirm_all(verb, targets.count, self.listing.filter)
        self.app.push_screen(question, lambda yes: self._set_status(status, targets) if yes else None)

    @_in_turn
    def action_delete(self) -> None:
        self._ask_delete(self._targets())

    def _ask_delete(self, targets: Targets) -> None:
        if targets.count == 1:
            self._go_on()
            self._repeatable(self._delete, targets)
            return

        def confirmed(yes: bool | None) -> None:
            if yes:
                self.table.end_range()
                self._delete(targets)

        self.app.push_screen(pair_dialogs.confirm_delete(targets.count), confirmed)

    def _delete(self, targets: Targets) -> None:
        def done(count: int) -> None:
            named = f"pair {targets.ids[0]}" if count == 1 else f"{count:,} pairs"
            self.app.tell(f"Deleted {named}. {self.key('undo')} brings {'it' if count == 1 else 'them'} back.")

        self._change(lambda store: store.delete(targets.of(store)), done, targets.ids)

    def action_undo(self) -> None:
        def done(label: str | None) -> None:
            self.app.tell(f"Undone: {label}. {self.key('redo')} does it again." if label else "Nothing to undo.")

        self._change(lambda store: store.undo(), done)

    def action_redo(self) -> None:
        def done(label: str | None) -> None:
            self.app.tell(f"Done again: {label}." if label else "Nothing to redo.")

        self._change(lambda store: store.redo(), done)

    # Mending

    def _current_pair(self) -> Pair:
        if (pair := self.table.pair) is None:
            raise UserError("there is no pair here", do=self.elsewhere)
        return pair

    @_in_turn
    def action_edit(self) -> None:
        self.app.push_screen(pair_dialogs.edit(self._current_pair(), self._do))

    @on(PairTable.Opened)
    def _opened(self) -> None:
        with self.reporting():
            self.action_edit()

    @_in_turn
    def action_edit_outside(self) -> None:
        pair = self._current_pair()
        title, fields = f"Edit pair {pair.id} of {pair.dataset}", pair_dialogs.fields_of(pair)
        work = partial(edit_outside, self.app, title, fields, partial(pair_dialogs.save_edit, pair, self._do))
        self.run_worker(work, group="pairs-editor", exclusive=True, exit_on_error=False)

    @_in_turn
    def action_tags(self) -> None:
        targets, pairs = self._some_targets()

        def tagged(value: str | None) -> None:
            if value is not None and value != before.shown:
                self._last_tags = value
                self._repeatable(partial(self._tag, before.restored(value)), targets)

        before = StandIns(", ".join(pairs[0].tags) if all(pair.tags == pairs[0].tags for pair in pairs) else "")
        self.app.push_screen(pair_dialogs.ask_tags(targets.count, before.shown, self._last_tags), tagged)

    def _tag(self, text: str, targets: Targets) -> None:
        change = pair_dialogs.tag_change(text)
        self._change(lambda store: change(store, targets.of(store)), touched=targets.ids)

    @_in_turn
    def action_note(self) -> None:
        targets, pairs = self._some_targets()
        before = pairs[0].note if all(pair.note == pairs[0].note for pair in pairs) else ""

        async def save(note: str) -> None:
            await self._do(lambda store: store.set_note(targets.of(store), note))
            self._last_change = lambda others: self._change(lambda store: store.set_note(others.of(store), note))

        self.app.push_screen(pair_dialogs.ask_note(targets.ids, before, save))

    def _some_targets(self) -> tuple[Targets, list[Pair]]:
        """The pairs that are meant, and the first thousand of them."""
        targets = self._targets()
        pairs = self.read_rows(targets.ids[:1000])
        if not pairs:
            raise UserError("there is no pair here any more")
        return targets, pairs
