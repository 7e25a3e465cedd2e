"""Preferences: two answers side by side, and one key says which is the better one. Pushed over the Pairs screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.base import WorkbenchScreen
from screens.commands import PREFER, bindings
from screens.preference_queue import PreferenceQueue
from screens.preference_words import heading, leaning_words, pair_title, prompt_content, remarks
from screens.store_thread import StoreThread
from screens.widgets.preference_side import PreferenceSide
from workbench.errors import UserError
from workbench.pairs.pair import Pair
from workbench.pairs.preferences import Neither, PreferenceStore, Side, Sides, sides_of
from workbench.pairs.selection import Selection

_EDITING = ("save", "leave")  # the commands that are there while an answer is edited
_IDS = tuple(command.id for command in PREFER)
_SIDES: tuple[Side, Side] = ("left", "right")


async def read_preferences(database: Path, pairs: Sequence[int] | Selection) -> tuple[Sequence[int], Sequence[int]]:
    """Those of these pairs that have two answers, in their order, and which of them are pending."""

    def read() -> tuple[Sequence[int], Sequence[int]]:
        with PreferenceStore(database) as store:
            return store.preferences(pairs)

    return await asyncio.to_thread(read)


class PreferencesScreen(WorkbenchScreen):
    """Goes through preference pairs. Every judgement is one step, made by one thread in the order of the keys; the next
    pair is shown at once, and a judgement that cannot be kept comes back."""

    SCOPE = "prefer"
    MODE = "pairs"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "preferences.tcss"
    AUTO_FOCUS = ""  # nothing: the keys are the screen's, and a hidden editor must not take them
    VERTICAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-low"), (28, "-high")]

    def __init__(self, ids: Sequence[int], pending: Sequence[int], start: int | None) -> None:
        """`ids`: of preference pairs, in their order; `pending`: those that are to be judged; `start`: where to
        begin, default: at the first that is pending."""
        super().__init__()
        self._queue = PreferenceQueue(ids, pending, start)
        self._pair: Pair | None = None
        self._sides: Sides | None = None
        self._editing: Side | None = None
        self._choosing_edit = self._saving = False
        self._judged: list[tuple[int, str]] = []  # the id and the label of every judgement of this sitting
        self._leaning_wanted = self._leaning_going = False

    def body(self) -> ComposeResult:
        yield Static(id="progress", markup=False)
        with VerticalScroll(id="prompt", classes="panel", can_focus=False):
            yield Static(markup=False)
        with Horizontal(id="answers"):
            for side in _SIDES:
                yield PreferenceSide(side)
        yield Static(id="remarks", markup=False)
        yield Static(id="leaning", markup=False)
        yield Static(id="hint", markup=False)

    def on_mount(self) -> None:
        self._store = PreferenceStore(self.workspace.database)  # for quick reads on the event loop
        self._writer = StoreThread(PreferenceStore, self.workspace.database, "preferences")
        # Of its own: it reads every judgement of the dataset, and no judgement may wait behind it.
        self._reader = StoreThread(PreferenceStore, self.workspace.database, "preferences-leaning")
        self._show()
        self._read_leaning()

    def on_unmount(self) -> None:
        self._writer.close()
        self._reader.close()
        self._store.close()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "save":
            return self._editing is not None
        return self._editing is None or action in _EDITING or action not in _OWN_ACTIONS

    # What is shown

    def _show(self) -> None:
        """The current pair; one that is gone by now is passed over."""
        self._stop_editing()
        pair = None
        while (id := self._queue.current) is not None and pair is None:
            found = self._store.get_many([id])
            if found and found[0].is_preference:
                pair = found[0]
            else:
                self._queue.drop(id)
        other = pair is None or self._pair is None or pair.id != self._pair.id
        self._pair, self._sides = pair, sides_of(pair) if pair else None
        prompt = self.query_one("#prompt", VerticalScroll)
        prompt.border_title = pair_title(pair) if pair else "Pair"
        prompt.query_one(Static).update(prompt_content(pair) if pair else Content("No pair is left here."))
        for side in self.query(PreferenceSide):
            side.show(self._sides)
        flags = self._store.flags_of([pair.id]).get(pair.id, ()) if pair else ()
        self.query_one("#remarks", Static).update(remarks(self._sides, flags) if self._sides else "")
        self._show_progress()
        if other:
            prompt.scroll_home(animate=False)
            for side in self.query(PreferenceSide):
                side.scroll_home(animate=False)

    def _show_again(self) -> None:
        """Show what came of a change; an answer that is being edited by now stays open, with what is written in it."""
        if self._editing is None and not self._choosing_edit:
            self._show()
        else:
            self._show_progress()

    def _show_progress(self) -> None:
        self.query_one("#progress", Static).update(heading(self._queue, self._pair.dataset if self._pair else ""))
        text = (
            "[b]$equal[/] equal   [b]$skip[/] skips   [b]$undo[/] takes back   [b]$next $previous[/] go through"
            "   [b]$leave[/] back"
        )
        if self._editing:
            text = "[b]$save[/] keeps it as the better answer   [b]$leave[/] leaves it as it was"
        elif self._choosing_edit:
            text = (
                "[$text-warning]Which is the better one?[/]   [b]$left[/] left   [b]$right[/] right"
                "   [b]$leave[/] neither"
            )
        keys = {id.removeprefix("prefer."): self.app.key_of(id) for id in _IDS}
        self.query_one("#hint", Static).update(Content.from_markup(text, **keys))

    def _read_leaning(self) -> None:
        """Say what the judgements lean to; what is wanted while it is being read is read once, afterwards."""
        self._leaning_wanted = True
        if not self._leaning_going:
            self._leaning_going = True
            self.run_worker(self._load_leaning, group="leaning", exit_on_error=False)

    async def _load_leaning(self) -> None:
        try:
            while self._leaning_wanted and self._pair is not None:
                self._leaning_wanted = False
                dataset = self._pair.dataset
                leaning = await self._reader.do(lambda store, name=dataset: store.leaning(name))
                self.query_one("#leaning", Static).update(leaning_words(leaning))
        finally:
            self._leaning_going = False

    # Judging

    def action_judge(self, side: Side) -> None:
        pair = self._current()
        if self._choosing_edit:
            self._edit(side)
            return
        self._make(pair, lambda store: store.judge(pair.id, side))

    def action_neither(self, which: Neither) -> None:
        pair = self._current()
        self._make(pair, lambda store: store.judge_neither(pair.id, which))

    def action_skip(self) -> None:
        self._current()
        self._choosing_edit = False
        self._queue.skip()
        self._show()

    def _make(self, pair: Pair, work: Callable[[PreferenceStore], str]) -> None:
        """Have a judgement made, and go on to the next pair meanwhile."""
        self._choosing_edit = False
        self._queue.judged(pair.id)
        self.run_worker(partial(self._judge, pair, work), group="judge", exit_on_error=False)
        self._go_on()

    def _go_on(self) -> None:
        self._queue.advance()
        self._show()
        if not self._queue.pending:
            self.app.tell(f"All {len(self._queue.ids):,} are decided. {self.app.key_of('prefer.leave')} goes back.")

    async def _judge(self, pair: Pair, work: Callable[[PreferenceStore], str]) -> None:
        try:
            label = await self._writer.do(work)
        except UserError:
            if self._editing is None and not self._choosing_edit:
                self._queue.reopen(pair.id)
                self._show()
            else:
                self._queue.pending.add(pair.id)  # it comes again; what is edited now stays current
                self._show_progress()
            raise
        self._judged.append((pair.id, label))
        if self._pair is not None and self._pair.id == pair.id:  # the last one: it stays on the screen
            self._show_again()
        self._read_leaning()

    def _current(self) -> Pair:
        if self._pair is None:
            raise UserError("no pair is left here", do=f"{self.app.key_of('prefer.leave')} goes back to the pairs.")
        return self._pair

    # Editing

    def action_edit(self) -> None:
        self._current()
        assert self._sides is not None
        if self._sides.chosen is None:
            self._choosing_edit = True
            self._show_progress()
        else:
            self._edit(self._sides.chosen)

    def _edit(self, side: Side) -> None:
        self._choosing_edit, self._editing = False, side
        self._side(side).begin_edit()
        self._show_progress()
        self.refresh_bindings()

    def action_save(self) -> None:
        pair, side = self._current(), self._editing
        assert side is not None
        if not self._saving:
            self._saving = True
            work = partial(self._save, pair, side, self._side(side).edited)
            self.run_worker(work, group="save", exit_on_error=False)

    async def _save(self, pair: Pair, side: Side, edited: str | None) -> None:
        try:
            label = await self._writer.do(lambda store: store.judge(pair.id, side, edited=edited))
        finally:
            self._saving = False
        self._judged.append((pair.id, label))
        self._queue.judged(pair.id)
        if self._pair is pair and self._editing == side:
            self._go_on()
        else:  # the user has left it, and gone elsewhere
            self._show_again()
        self._read_leaning()

    def _stop_editing(self) -> None:
        if self._editing is not None:
            self._side(self._editing).end_edit()
            self._editing = None
            self.refresh_bindings()
        self._choosing_edit = False

    def _side(self, side: Side) -> PreferenceSide:
        return self.query_one(f"#{side}", PreferenceSide)

    # Back and forth

    def action_undo(self) -> None:
        self.run_worker(partial(self._take_back, redo=False), group="judge", exit_on_error=False)

    def action_redo(self) -> None:
        self.run_worker(partial(self._take_back, redo=True), group="judge", exit_on_error=False)

    async def _take_back(self, *, redo: bool) -> None:
        """Undo or redo the latest change, whatever it was; where it was a judgement of this sitting, go to its pair."""
        label = await self._writer.do(lambda store: store.redo() if redo else store.undo())
        done, again = ("Done again", "") if redo else ("Undone", f" {self.app.key_of('prefer.redo')} does it again.")
        self.app.tell(f"{done}: {label}.{again}" if label else f"Nothing to {'redo' if redo else 'undo'}.")
        id = next((id for id, judged in reversed(self._judged) if judged == label), None)
        ids = self._queue.ids
        pending = await self._writer.do(lambda store: store.preferences(ids)[1])
        self._queue.refresh(pending, id if self._editing is None and not self._choosing_edit else None)
        self._show_again()
        self._read_leaning()

    def action_step(self, by: int) -> None:
        self._queue.step(by)
        self._show()

    def action_scroll_answers(self, by: int) -> None:
        for side in self.query(PreferenceSide):
            side.scroll_relative(y=by * max(1, side.size.height // 2), animate=False)

    def action_leave(self) -> None:
        if self._editing is not None or self._choosing_edit:
            self._stop_editing()
            self._show_progress()
        else:
            self.dismiss()


_OWN_ACTIONS = {binding.action.partition("(")[0] for binding in PreferencesScreen.BINDINGS}  # pyright: ignore
