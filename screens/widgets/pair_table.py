"""A table over any number of pairs: it holds their ids, and reads only the rows that are on the screen.

It knows nothing of where pairs come from: it is given functions that read some of them by their ids.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size, Spacing
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from screens.commands import bindings
from screens.pair_list import kept_row
from screens.pair_marks import Marks
from screens.widgets.pair_cells import Columns, columns, fit, flags_in_short, strip
from workbench.pairs.pair import Pair
from workbench.pairs.reading import Flag

MARKS = {"pending": "◌", "accepted": "✓", "rejected": "✗"}
"""How a status is shown where there is no room for its name."""
SKIPPED = "»"
"""Shown for pending where the pair was skipped in this sitting."""

_WINDOW = 64  # rows read at once
_KEPT = 16  # windows kept


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
        "pair-table--flags",
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

    def __init__(
        self,
        read: Callable[[Sequence[int]], list[Pair]],
        read_flags: Callable[[Sequence[int]], Mapping[int, tuple[Flag, ...]]],
    ) -> None:
        """`read` gives those of some pairs that exist, `read_flags` what the checks found of them."""
        super().__init__()
        self._read, self._read_flags = read, read_flags
        self._ids: array[int] = array("q")
        self._windows: dict[int, tuple[dict[int, Pair], Mapping[int, tuple[Flag, ...]]]] = {}
        self._tagged = self._flagged = False  # a row was read that has some: the column is there from then on
        self._marks = Marks()
        self.skipped: set[int] = set()
        """Those of the pending pairs that are painted as skipped."""

    # What is shown

    @property
    def ids(self) -> array[int]:
        """The ids of all rows, in their order."""
        return self._ids

    @property
    def current(self) -> int | None:
        """The id under the cursor."""
        return self._ids[self.cursor] if self.cursor < len(self._ids) else None

    @property
    def pair(self) -> Pair | None:
        """The pair under the cursor."""
        return self._pair(self.cursor)

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What the checks found of the pair under the cursor."""
        return self._flags_at(self.cursor)

    def show(self, ids: array[int], *, top: bool = False, complete: bool = True) -> None:
        """List these pairs, and read them anew.

        Args:
            ids: in any order.
            top: go to the first row, which ends a range; else the cursor stays on its pair, or the one after where
                that is gone.
            complete: whether these are all; until they are, marks of others are kept.
        """
        before, self._ids = self._ids, ids
        self._windows.clear()
        self._tagged, self._flagged = self._tagged and not top, self._flagged and not top
        if top:
            self._marks.end()
        if ids != before or self._marks.unlisted:
            self._marks.carry(before, ids, complete=complete)
        self.virtual_size = Size(0, len(ids) + 1)  # and the header
        row = 0 if top else kept_row(before, self.cursor, ids)
        if row != self.cursor:
            self.cursor = row
        else:
            self._moved()
        self.refresh()

    def go_to(self, id: int) -> bool:
        """Have a pair under the cursor; False where it is not listed."""
        try:
            self._move(self._ids.index(id))
        except ValueError:
            return False
        return True

    def forget(self) -> None:
        """Read the rows anew: some have changed."""
        self._windows.clear()
        self.refresh()
        self.post_message(self.Highlighted(self))

    def validate_cursor(self, row: int) -> int:
        return max(0, min(row, len(self._ids) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        if self._marks.extending:
            self._marks.extend(new)
            self.refresh()
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
        return self._window(row)[0].get(self._ids[row])  # None: deleted by another process a moment ago

    def _flags_at(self, row: int) -> tuple[Flag, ...]:
        return self._window(row)[1].get(self._ids[row], ()) if 0 <= row < len(self._ids) else ()

    def _window(self, row: int) -> tuple[dict[int, Pair], Mapping[int, tuple[Flag, ...]]]:
        """The pairs around a row, and their flags."""
        start = row - row % _WINDOW
        window = self._windows.get(start)
        if window is None:
            while len(self._windows) >= _KEPT:
                del self._windows[next(iter(self._windows))]
            ids = self._ids[start : start + _WINDOW]
            window = self._windows[start] = {pair.id: pair for pair in self._read(ids)}, self._read_flags(ids)
            has = self._tagged or any(pair.tags for pair in window[0].values()), self._flagged or bool(window[1])
            if has != (self._tagged, self._flagged):
                self._tagged, self._flagged = has
                self.refresh()
        return window

    # Marks

    @property
    def marks(self) -> set[int]:
        """The ids of the marked rows."""
        return set(self.marked_ids)

    @property
    def marked_ids(self) -> array[int]:
        """The ids of the marked rows, in their order."""
        return self._marks.ids(self._ids)

    @property
    def mark_count(self) -> int:
        """How many pairs are marked."""
        return self._marks.count + self._marks.unlisted

    @property
    def marks_are_listed(self) -> bool:
        """Whether `marked_ids` are all of them; else the others come with the rest of the list."""
        return not self._marks.unlisted

    @property
    def extending(self) -> bool:
        """Whether every move of the cursor extends the range of marks."""
        return self._marks.extending

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go on to the next."""
        if self._ids:
            self._marks.toggle(self.cursor)
            self.refresh()
            self.cursor += 1

    def start_range(self) -> None:
        """From now on every move of the cursor marks the rows from here to there."""
        if self._ids:
            self._marks.extending = True
            self._marks.start(self.cursor)
            self.refresh()

    def end_range(self) -> None:
        """The marks stay."""
        self._marks.end()

    def extend(self, rows: int) -> None:
        """Move the cursor by so many rows, and mark all rows from where the first of such moves began."""
        if self._ids:
            self._marks.extend(self.cursor)
            self.cursor += rows
            self._marks.extend(self.cursor)
            self.refresh()

    def mark_all(self) -> None:
        """Mark every row, or none where all are marked."""
        self._marks.mark_all()
        self.refresh()

    def clear_marks(self) -> None:
        self._marks.clear()
        self.refresh()

    def _move(self, row: int) -> None:
        if not self._marks.extending:
            self._marks.end()
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
            self._marks.toggle(row)
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
        return self._row(pair, self._flags_at(row), width, cursor=row == self.cursor, marked=row in self._marks)

    def _columns(self, width: int) -> Columns:
        return columns(width, flagged=self._flagged, tagged=self._tagged)

    def _header(self, width: int) -> Strip:
        style = self.get_component_rich_style("pair-table--header")
        sizes = self._columns(width)
        return strip(
            [(" " * sizes.head, style)],
            [(fit(name, getattr(sizes, name)), style) for name in sizes._fields[1:]],
            style,
            width,
        )

    def _ink(self, name: str) -> Style:
        return Style(color=self.get_component_rich_style(f"pair-table--{name}").color)

    def _row(self, pair: Pair, flags: Sequence[Flag], width: int, *, cursor: bool, marked: bool) -> Strip:
        base = self.rich_style
        if marked:
            base += self.get_component_rich_style("pair-table--marked", partial=True)
        if cursor:
            base += self.get_component_rich_style("pair-table--cursor", partial=True)
        muted = base if cursor else base + self._ink("muted")
        status, warning = base + self._ink(pair.status), base + self._ink("flags")
        short = flags_in_short(flag.name for flag in flags)
        skipped = pair.status == "pending" and pair.id in self.skipped
        mark = SKIPPED if skipped else MARKS[pair.status]
        sizes = self._columns(width)
        return strip(
            [
                ("▌" if marked else " ", status if marked else base),
                (f" {mark}" + " " * (0 if short else sizes.head - 3), muted if skipped else status),
                ("! " if short else "", warning),
            ],
            [
                (fit(pair.prompt, sizes.prompt), base),
                (fit(pair.answer, sizes.completion), base),
                (fit(short, sizes.flags), warning),
                (fit(", ".join(pair.tags), sizes.tags), muted),
                (fit(pair.source, sizes.source, end=True), muted),
            ],
            base,
            width,
        )
