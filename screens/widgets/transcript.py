"""The turns of a chat, newest at the bottom; j and k go from turn to turn, and the sources follow.

Only the turns near what is in sight are widgets. Two blank spaces stand for those before and after, as high as those
turns were when they were last in sight, or as they are reckoned to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.geometry import Region, Size
from textual.message import Message
from textual.scrollbar import ScrollBar
from textual.strip import Strip
from textual.widget import Widget

from screens.commands import bindings
from screens.conversation import Turn
from screens.widgets.turn_view import TurnView

_AHEAD = 1.5  # screenfuls that are mounted above and below what is in sight
_LEAST = 0.5  # screenfuls that must be; less brings more


class _Space(Widget):
    """So many blank rows."""

    rows = 0

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.rows

    def render_lines(self, crop: Region) -> list[Strip]:
        return [Strip.blank(crop.width, self.rich_style)] * crop.height


class Transcript(VerticalScroll, inherit_bindings=False):
    """It stays at its end while an answer comes, unless the reader has scrolled up; then what is read stays where it
    is, whatever comes above and below."""

    BINDINGS = [  # noqa: RUF012
        *bindings("lists"),
        Binding("up", "scroll_up", show=False),
        Binding("down", "scroll_down", show=False),
        Binding("pageup", "screen.scroll_transcript(-1)", show=False),
        Binding("pagedown", "screen.scroll_transcript(1)", show=False),
        Binding("home", "first_row", show=False),
        Binding("end", "last_row", show=False),
    ]
    DEFAULT_CSS = """
    Transcript {
        height: 1fr;
        layout: stream;
        scrollbar-size-vertical: 1;
    }
    """

    @dataclass
    class TurnChosen(Message):
        """Another turn is the current one."""

        transcript: Transcript
        turn: Turn | None

    def __init__(self, pane: int = 0) -> None:
        """`pane`: its place among several, from 0."""
        super().__init__()
        self.pane = pane
        self.hybrid = ""
        """The hybrid that is named above it: answers of others say whose they are."""
        self._turns: list[Turn] = []
        self._current: Turn | None = None
        self._start = self._end = 0  # the turns that are mounted
        self._above, self._below = _Space(), _Space()
        self._heights: dict[Turn, tuple[int, int, int]] = {}  # (width, characters, rows with the margin)
        self._tops: list[tuple[TurnView, int, int]] = []  # (view, y, height) of the last layout
        self._held: tuple[Turn, int] | None = None  # a turn and the row of the window at which it is kept
        self._placing = asyncio.Lock()
        self._looking = False

    def compose(self) -> Any:
        yield self._above
        yield self._below

    def on_mount(self) -> None:
        self.anchor()

    # What it shows

    @property
    def current(self) -> Turn | None:
        """The turn whose sources are shown."""
        return self._current

    def view_of(self, turn: Turn) -> TurnView | None:
        """The widget of a turn, if it is near what is in sight."""
        return next((view for view in self.query_children(TurnView) if view.turn is turn), None)

    @property
    def current_view(self) -> TurnView | None:
        """The widget of the current turn, if it is near what is in sight."""
        return self.view_of(self._current) if self._current is not None else None

    def on_turn_view_sentence_chosen(self, event: TurnView.SentenceChosen) -> None:
        """A turn is the current one from the moment that something in it is clicked."""
        if event.turn is not self._current and event.turn in self._turns:
            self._choose(event.turn)

    async def show(self, turns: Sequence[Turn], at: int | None = None) -> None:
        """Show a chat from its end, or from the turn `at` on."""
        async with self._placing:
            self._turns, self._held, self._tops = list(turns), None, []
            self._start = self._end = 0
            self._heights.clear()
            await self.remove_children(TurnView)
        self._choose(self._turns[-1] if turns else None)
        self.anchor()
        await self._place(*self._range_at_end())
        if at is not None and at < len(turns) - 1:
            await self.go_to(at)

    async def add(self, turn: Turn) -> None:
        """Put a new turn at the end, and go there."""
        self._turns.append(turn)
        self._choose(turn)
        self._held = None
        self.anchor()
        await self._place(*self._range_at_end())

    async def replace(self, old: Turn, new: Turn) -> None:
        """Show another turn in the place of one."""
        if old not in self._turns:
            return
        at = self._turns.index(old)
        self._turns[at] = new
        async with self._placing:
            if (view := self.view_of(old)) is not None:
                fresh = self._fresh(new)
                await self.mount(fresh, before=view)
                await view.remove()
        if self._held is not None and self._held[0] is old:
            self._held = (new, self._held[1])
        if self._current is old:
            self._choose(new)

    async def update(self, turns: Sequence[Turn]) -> None:
        """Show the same chat again, in which some turns are others now, or have changed."""
        for old, new in zip(list(self._turns), turns, strict=False):
            if old is not new:
                await self.replace(old, new)
        for view in self.query_children(TurnView):
            if not view.turn.going:
                await view.finish()

    async def remove_turn(self, turn: Turn) -> None:
        """Take a turn away that came to nothing."""
        async with self._placing:
            if turn not in self._turns:
                return
            at = self._turns.index(turn)
            del self._turns[at]
            self._start -= at < self._start
            self._end -= at < self._end
            if (view := self.view_of(turn)) is not None:
                await view.remove()
        self._choose(self._turns[-1] if self._turns else None)
        await self._place(*self._range_at_end())

    async def go_to(self, at: int) -> None:
        """Make a turn the current one, with its beginning at the top if there is enough below it."""
        self._choose(self._turns[at])
        if at == len(self._turns) - 1:
            self._held = None
            self.anchor()
            await self._place(*self._range_at_end())
            return
        self.release_anchor()
        tops = self._reckoned()
        await self._place(*self._range(tops, tops[at]))
        self._held = (self._turns[at], 0)
        self.refresh(layout=True)

    async def show_current(self) -> None:
        """Bring the current turn into sight."""
        if self._current in self._turns:
            await self.go_to(self._turns.index(self._current))

    # Which turns are mounted

    def _reckoned(self) -> list[int]:
        """The row at which each turn begins, and at last the number of all rows."""
        width = self.scrollable_content_region.width or 80
        return [0, *accumulate(self._height(turn, width) for turn in self._turns)]

    def _height(self, turn: Turn, width: int) -> int:
        """Rows of a turn: as it was last laid out, else reckoned from its texts."""
        size = len(turn.answer)
        known = self._heights.get(turn)
        if known is not None and known[:2] == (width, size):
            return known[2]
        room = max(10, width - 6)
        rows = 3 + _rows(turn.question, room) + _rows(turn.answer, room)
        self._heights[turn] = (width, size, rows)
        return rows

    def _range(self, tops: list[int], y: float) -> tuple[int, int]:
        """The turns to mount when the row `y` is the first in sight."""
        screenful = max(10, self.size.height)
        first, last = y - _AHEAD * screenful, y + (1 + _AHEAD) * screenful
        mounted = [at for at in range(len(self._turns)) if tops[at + 1] > first and tops[at] < last]
        return (mounted[0], mounted[-1] + 1) if mounted else self._range_at_end()

    def _range_at_end(self) -> tuple[int, int]:
        tops, screenful = self._reckoned(), max(10, self.size.height)
        least = tops[-1] - (1 + _AHEAD) * screenful
        return next((at for at in range(len(self._turns)) if tops[at + 1] > least), 0), len(self._turns)

    async def _place(self, start: int, end: int) -> None:
        """Have exactly these turns as widgets."""
        async with self._placing:
            end = min(end, len(self._turns))  # some may have gone meanwhile
            start = min(start, end)
            views = {view.turn: view for view in self.query_children(TurnView)}
            wanted = self._turns[start:end]
            stay = [views[turn] for turn in wanted if turn in views]
            gone = [view for turn, view in views.items() if view not in stay]
            first = self._turns.index(stay[0].turn) if stay else end
            before = [self._fresh(turn) for turn in wanted if turn not in views and self._turns.index(turn) < first]
            after = [self._fresh(turn) for turn in self._turns[max(start, first) : end] if turn not in views]
            self._start, self._end = start, end
            tops = self._reckoned()
            self._above.rows, self._below.rows = tops[start], tops[-1] - tops[end]
            with self.app.batch_update():
                self._above.refresh(layout=True)
                self._below.refresh(layout=True)
                if before:
                    await self.mount_all(before, before=stay[0] if stay else self._below)
                if after:
                    await self.mount_all(after, before=self._below)
                if gone:
                    await self.remove_children(gone)

    def _fresh(self, turn: Turn) -> TurnView:
        view = TurnView(turn)
        view.set_class(turn is self._current and self.has_focus, "-current")
        view.set_class(turn.hybrid != self.hybrid, "-another")
        return view

    def arrange(self, size: Size, optimal: bool = False) -> Any:
        """As any container's; notes the heights, and holds what is read where it is (the compositor asks for the
        scroll position after this, so that nothing is painted at a wrong place first)."""
        arrangement = super().arrange(size, optimal)
        self._tops = []
        for placement in arrangement.placements:
            view, region = placement.widget, placement.region
            if isinstance(view, TurnView):
                self._tops.append((view, region.y, region.height))
                turn = view.turn
                self._heights[turn] = (size.width, len(turn.answer), region.height + 1)
                if self._held is not None and self._held[0] is turn and self._anchor_released:
                    self._hold_at(region.y - self._held[1], arrangement.total_region.bottom)
        return arrangement

    def _hold_at(self, y: int, rows: int) -> None:
        y = max(0, min(y, rows - self.size.height))
        if y != round(self.scroll_y):
            for name in ("scroll_y", "scroll_target_y"):
                self.set_reactive(getattr(Widget, name), float(y))
            self.vertical_scrollbar.set_reactive(ScrollBar.position, y)
            self._look_later()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        y = round(new_value)
        seen = next(((view.turn, top - y) for view, top, height in self._tops if top + height > y), None)
        self._held = seen if self._anchor_released else None
        self._look_later()

    def on_resize(self) -> None:
        self._look_later()

    def _look_later(self) -> None:
        """After the layout, see whether the turns in sight are mounted."""
        if not self._looking and self._turns:
            self._looking = True
            self.call_after_refresh(self._look)

    def _look(self) -> None:
        self._looking = False
        if self.is_attached:
            tops, screenful = self._reckoned(), max(10, self.size.height)
            y = self.scroll_y if self._anchor_released else tops[-1] - screenful
            least = max(0, y - _LEAST * screenful), min(tops[-1], y + (1 + _LEAST) * screenful)
            if not (tops[self._start] <= least[0] and least[1] <= tops[self._end]):
                wanted = self._range(tops, y) if self._anchor_released else self._range_at_end()
                self.run_worker(self._place(*wanted), group="transcript", exit_on_error=False)

    # The current turn

    def _choose(self, turn: Turn | None) -> None:
        self._current = turn
        self._mark()
        self.post_message(self.TurnChosen(self, turn))

    def _mark(self) -> None:
        for view in self.query_children(TurnView):
            view.set_class(view.turn is self._current and self.has_focus, "-current")

    def on_focus(self) -> None:
        self._choose(self._current)

    def on_blur(self) -> None:
        self._mark()

    # What the keys do

    async def _go(self, step: int) -> None:
        if self._turns:
            at = self._turns.index(self._current) if self._current in self._turns else len(self._turns) - 1
            await self.go_to(min(max(0, at + step), len(self._turns) - 1))

    async def action_cursor_down(self) -> None:
        await self._go(1)

    async def action_cursor_up(self) -> None:
        await self._go(-1)

    async def action_first_row(self) -> None:
        if self._turns:
            await self.go_to(0)

    async def action_last_row(self) -> None:
        if self._turns:
            await self.go_to(len(self._turns) - 1)


def _rows(text: str, width: int) -> int:
    """About how many rows a text takes."""
    return text.count("\n") + len(text) // width + 1
