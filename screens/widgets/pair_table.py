"""A table over any number of pairs: it holds their ids, and reads only the rows that are on the screen.

It knows nothing of where pairs come from: `read` gives them for ids.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size, Spacing
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from screens.commands import bindings
from screens.pair_list import holds, position
from workbench.pairs.pair import Pair
from workbench.text import for_terminal

MARKS = {"pending": "◌", "accepted": "✓", "rejected": "✗"}
"""How a status is shown where there is no room for its name."""

_WINDOW = 64  # rows read at once
_KEPT = 16  # windows kept
_LOOK = 400  # characters of a text that a cell is made of
_GAP = 2


class PairTable(ScrollView, can_focus=True):
    """One row a pair. Marks are kept by id; a mark is lost when its pair is no longer listed."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "pair-table--header",
        "pair-table--cursor",
        "pair-table--marked",
        "pair-table--muted",
        "pair-table--pending",
        "pair-table--accepted",
        "pair-table--rejected",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("lists"),
        Binding("up", "cursor_up", show=False),
        Binding("down", "cursor_down", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("home", "first_row", show=False),
        Binding("end", "last_row", show=False),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)
    """The row, from 0."""

    @dataclass
    class Highlighted(Message):
        """The pair under the cursor is another one, or has changed."""

        table: PairTable

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, PairTable.Highlighted)

    @dataclass
    class Opened(Message):
        """A row was clicked twice."""

        id: int

    def __init__(self, read: Callable[[Sequence[int]], list[Pair]]) -> None:
        super().__init__()
        self._read = read
        self._ids: array[int] = array("q")
        self._windows: dict[int, dict[int, Pair]] = {}
        self._tagged = False  # a row was read that has tags: the column is there from then on
        self._anchor: int | None = None
        self._marked_before: set[int] = set()
        self.marks: set[int] = set()
        self.extending = False
        """Whether every move of the cursor extends the range of marks."""

    # What is shown

    @property
    def ids(self) -> array[int]:
        """The ids of all rows, ascending."""
        return self._ids

    @property
    def current(self) -> int | None:
        """The id under the cursor."""
        return self._ids[self.cursor] if self.cursor < len(self._ids) else None

    @property
    def pair(self) -> Pair | None:
        """The pair under the cursor."""
        return self._pair(self.cursor)

    def show(self, ids: array[int], *, top: bool = False) -> None:
        """List these pairs, and read them anew.

        Args:
            ids: ascending.
            top: go to the first row; else the cursor stays on its pair, or the one after where that is gone.
        """
        current = self.current
        self._ids = ids
        self._windows.clear()
        self._tagged = self._tagged and not top
        self.marks = {id for id in self.marks if holds(ids, id)}
        self._marked_before &= self.marks
        if self._anchor is not None and not holds(ids, self._anchor):
            self.end_range()
        self.virtual_size = Size(0, len(ids) + 1)  # and the header
        row = 0 if top or current is None else min(position(ids, current), len(ids) - 1)
        if row != self.cursor:
            self.cursor = max(0, row)
        else:
            self._moved()
        self.refresh()

    def forget(self) -> None:
        """Read the rows anew: some have changed."""
        self._windows.clear()
        self.refresh()
        self.post_message(self.Highlighted(self))

    def validate_cursor(self, row: int) -> int:
        return max(0, min(row, len(self._ids) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        if self.extending:
            self._extend()
        self.refresh_line(old + 1)
        self.refresh_line(new + 1)
        self._moved()

    def _moved(self) -> None:
        self.scroll_to_region(
            Region(0, self.cursor + 1, 1, 1), spacing=Spacing(1, 0, 0, 0), animate=False, force=True, immediate=True
        )
        self.post_message(self.Highlighted(self))

    def _pair(self, row: int) -> Pair | None:
        if not 0 <= row < len(self._ids):
            return None
        start = row - row % _WINDOW
        window = self._windows.get(start)
        if window is None:
            while len(self._windows) >= _KEPT:
                del self._windows[next(iter(self._windows))]
            window = {pair.id: pair for pair in self._read(self._ids[start : start + _WINDOW])}
            self._windows[start] = window
            if not self._tagged and any(pair.tags for pair in window.values()):
                self._tagged = True
                self.refresh()
        return window.get(self._ids[row])  # None: deleted by another process a moment ago

    # Marks

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go on to the next."""
        if (id := self.current) is not None:
            self.end_range()
            self.marks ^= {id}
            self.refresh()
            self.cursor += 1

    def start_range(self) -> None:
        """From now on every move of the cursor marks the rows from here to there."""
        if self.current is not None:
            self.extending = True
            self._set_anchor()
            self._extend()

    def end_range(self) -> None:
        """The marks stay."""
        self.extending = False
        self._anchor = None

    def extend(self, rows: int) -> None:
        """Move the cursor by so many rows, and mark all rows from where the first of such moves began."""
        if self._anchor is None:
            self._set_anchor()
        self.cursor += rows
        self._extend()

    def clear_marks(self) -> None:
        self.end_range()
        self.marks = set()
        self.refresh()

    def _set_anchor(self) -> None:
        self._anchor, self._marked_before = self.current, set(self.marks)

    def _extend(self) -> None:
        if self._anchor is not None:
            first, last = sorted((position(self._ids, self._anchor), self.cursor))
            self.marks = self._marked_before | set(self._ids[first : last + 1])
            self.refresh()

    def _move(self, row: int) -> None:
        if not self.extending:
            self._anchor = None
        self.cursor = row

    # What the keys and the mouse do

    def action_cursor_up(self) -> None:
        self._move(self.cursor - 1)

    def action_cursor_down(self) -> None:
        self._move(self.cursor + 1)

    def action_page_up(self) -> None:
        self._move(self.cursor - self._page)

    def action_page_down(self) -> None:
        self._move(self.cursor + self._page)

    def action_first_row(self) -> None:
        self._move(0)

    def action_last_row(self) -> None:
        self._move(len(self._ids) - 1)

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - 2)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        row = self.scroll_offset.y + offset.y - 1 if offset is not None and offset.y else -1
        if not 0 <= row < len(self._ids):
            return
        if event.shift:
            self.extend(row - self.cursor)
            return
        self._move(row)
        if event.ctrl:
            self.marks ^= {self._ids[row]}
            self.refresh()
        elif event.chain == 2:
            self.post_message(self.Opened(self._ids[row]))

    # Painting

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if y == 0:
            return self._header(width)
        row = self.scroll_offset.y + y - 1
        pair = self._pair(row)
        if pair is None:
            return Strip.blank(width, self.rich_style)
        return self._row(pair, width, cursor=row == self.cursor, marked=pair.id in self.marks)

    def _header(self, width: int) -> Strip:
        style = self.get_component_rich_style("pair-table--header")
        cells = zip(("prompt", "completion", "tags", "source"), _widths(width, tagged=self._tagged), strict=True)
        return _strip(
            [("    ", style), ("", style), *((_fit(name, size), style) for name, size in cells)], style, width
        )

    def _ink(self, name: str) -> Style:
        return Style(color=self.get_component_rich_style(f"pair-table--{name}").color)

    def _row(self, pair: Pair, width: int, *, cursor: bool, marked: bool) -> Strip:
        base = self.rich_style
        if marked:
            base += self.get_component_rich_style("pair-table--marked", partial=True)
        if cursor:
            base += self.get_component_rich_style("pair-table--cursor", partial=True)
        muted = base if cursor else base + self._ink("muted")
        status = base + self._ink(pair.status)
        prompt, answer, tags, source = _widths(width, tagged=self._tagged)
        return _strip(
            [
                ("▌" if marked else " ", status if marked else base),
                (f" {MARKS[pair.status]} ", status),
                (_fit(pair.prompt, prompt), base),
                (_fit(pair.answer, answer), base),
                (_fit(", ".join(pair.tags), tags), muted),
                (_fit(pair.source, source, end=True), muted),
            ],
            base,
            width,
        )


def _widths(width: int, *, tagged: bool) -> tuple[int, int, int, int]:
    """The cells of prompt, completion, tags and source; 0: no room for it."""
    tags, source = (18, 24) if width >= 120 else (12, 17) if width >= 90 else (9, 12) if width >= 64 else (0, 0)
    tags = tags if tagged else 0
    rest = width - 4 - sum(size + _GAP for size in (tags, source) if size) - _GAP
    prompt = max(8, rest // 2)
    return prompt, max(0, rest - prompt), tags, source


def _fit(text: str, width: int, *, end: bool = False) -> str:
    """One line of exactly `width` cells; `end`: where it is cut, its end is kept."""
    if not width:
        return ""
    text = text[-_LOOK:] if end else text[:_LOOK]
    line = " ".join(for_terminal(text, one_line=True).split())
    if cell_len(line) <= width:
        return set_cell_size(line, width)
    if not end:
        return set_cell_size(set_cell_size(line, width - 1).rstrip() + "…", width)
    while cell_len(line) > width - 1:
        line = line[1:]
    return set_cell_size("…" + line, width)


def _strip(cells: Iterable[tuple[str, Style]], style: Style, width: int) -> Strip:
    """The first two cells side by side, the others with a gap between them."""
    segments: list[Segment] = []
    for number, (text, own) in enumerate(cells):
        if text:
            if number > 2 and segments:
                segments.append(Segment(" " * _GAP, style))
            segments.append(Segment(text, own))
    return Strip(segments).adjust_cell_length(width, style)
