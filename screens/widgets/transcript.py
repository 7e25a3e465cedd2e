"""The turns of a chat, newest at the bottom; j and k go from turn to turn, and the sources follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from screens.commands import bindings
from screens.conversation import Turn
from screens.widgets.turn_view import TurnView

_MOUNTED = 30  # turns of a long chat at first; going up brings those before


class Transcript(VerticalScroll):
    """It stays at its end while an answer comes, unless the reader has scrolled up."""

    BINDINGS = bindings("lists")
    DEFAULT_CSS = """
    Transcript {
        height: 1fr;
        layout: stream;
        scrollbar-size-vertical: 1;
        & > .earlier { padding: 0 2; margin-bottom: 1; color: $text-muted; }
    }
    """

    @dataclass
    class TurnChosen(Message):
        """Another turn is the current one."""

        turn: Turn | None

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._turns: Sequence[Turn] = ()
        self._current: TurnView | None = None

    def on_mount(self) -> None:
        self.anchor()

    @property
    def current(self) -> Turn | None:
        """The turn whose sources are shown."""
        return self._current.turn if self._current else None

    @property
    def current_view(self) -> TurnView | None:
        """The view of that turn."""
        return self._current

    def on_turn_view_sentence_chosen(self, event: TurnView.SentenceChosen) -> None:
        """A turn is the current one from the moment that something in it is clicked."""
        for view in self._views:
            if view.turn is event.turn and view is not self._current:
                self._choose(view)

    @property
    def _views(self) -> list[TurnView]:
        return list(self.query(TurnView))

    async def show(self, turns: Sequence[Turn]) -> None:
        """Show a chat from its end."""
        self._turns = turns
        with self.app.batch_update():
            await self.remove_children()
            await self.mount_all(self._with_word(turns[-_MOUNTED:], max(0, len(turns) - _MOUNTED)))
        self._choose(self._views[-1] if turns else None)
        self.anchor()

    async def add(self, view: TurnView) -> None:
        """Put a new turn at the end, and go there."""
        await self.mount(view)
        self._choose(view)
        self.anchor()

    async def remove_turn(self, view: TurnView) -> None:
        """Take a turn away that came to nothing."""
        if view.is_attached:
            await view.remove()
        self._choose(self._views[-1] if self._views else None)

    def _with_word(self, turns: Sequence[Turn], hidden: int) -> list[Static | TurnView]:
        """Views of turns, and above them a word about those that are not mounted."""
        views: list[Static | TurnView] = [TurnView(turn) for turn in turns]
        if hidden:
            words = f"{hidden} earlier turn{'' if hidden == 1 else 's'}: k at the top shows them"
            views.insert(0, Static(Content(words), classes="earlier"))
        return views

    async def _show_earlier(self) -> None:
        """Mount the turns before the first one mounted."""
        views = self._views
        hidden = self._turns[: max(0, len(self._turns) - len(views))]
        if hidden:
            await self.query(".earlier").remove()
            earlier = hidden[-_MOUNTED:]
            await self.mount_all(self._with_word(earlier, len(hidden) - len(earlier)), before=views[0])

    def _choose(self, view: TurnView | None) -> None:
        for other in self._views:
            other.set_class(other is view and self.has_focus, "-current")
        self._current = view
        self.post_message(self.TurnChosen(view.turn if view else None))

    def on_focus(self) -> None:
        self._choose(self._current)

    def on_blur(self) -> None:
        if self._current is not None:
            self._current.remove_class("-current")

    # What the keys do

    async def _go(self, step: int) -> None:
        views = self._views
        if not views:
            return
        at = views.index(self._current) if self._current in views else len(views) - 1
        if at + step < 0:
            await self._show_earlier()
            views = self._views
            at = views.index(self._current) if self._current in views else 0
        at = min(max(0, at + step), len(views) - 1)
        self._choose(views[at])
        if at == len(views) - 1:
            self.anchor()
        else:
            self.release_anchor()
            # After the layout: the turn may have just been mounted.
            self.call_after_refresh(self.scroll_to_widget, views[at], top=True, animate=False)

    async def action_cursor_down(self) -> None:
        await self._go(1)

    async def action_cursor_up(self) -> None:
        await self._go(-1)

    def action_first_row(self) -> None:
        if views := self._views:
            self._choose(views[0])
            self.release_anchor()
            self.scroll_home(animate=False)

    def action_last_row(self) -> None:
        if views := self._views:
            self._choose(views[-1])
            self.anchor()
