"""A long text to read: wrapped, its lines numbered, a passage of it marked, the words of a question emphasised."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from screens.commands import bindings
from screens.query_words import Span, word_spans
from screens.widgets.reading import ListKeys
from screens.wrapping import Row, row_at, wrap
from workbench.text import for_terminal

_LONG = 500_000  # characters: a longer text is wrapped in a thread
_MARGIN = 3  # rows kept above a passage


class TextPane(ScrollView, ListKeys, can_focus=True):
    """Only the rows in sight are rendered, so a book is as quick as a page."""

    BINDINGS = bindings("lists")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "text-pane--number",
        "text-pane--passage",
        "text-pane--bar",
        "text-pane--word",
        "text-pane--heading",
    }
    DEFAULT_CSS = """
    TextPane {
        height: 1fr;
        background: transparent;
        scrollbar-size-vertical: 1;
        & > .text-pane--number { color: $foreground 35%; }
        & > .text-pane--passage { background: $primary 18%; }
        & > .text-pane--bar { color: $primary; }
        & > .text-pane--word { color: $text-accent; text-style: bold; }
        & > .text-pane--heading { text-style: bold; }
    }
    """

    def __init__(self, *, id: str | None = None, numbers: bool = False) -> None:
        super().__init__(id=id)
        self._text = ""
        self._rows: list[Row] = []
        self._numbers = numbers
        self._passage: Span | None = None
        self._words: list[Span] = []
        self._width = 0

    @property
    def text(self) -> str:
        """What is shown."""
        return self._text

    @property
    def passage(self) -> Span | None:
        """The offsets of what is marked."""
        return self._passage

    def show(
        self,
        text: str,
        *,
        passage: Span | None = None,
        question: str = "",
        words: Sequence[Span] = (),
        numbers: bool | None = None,
    ) -> None:
        """Show a text, from its beginning or from a passage of it.

        Args:
            text: of any origin, with "\\n" as its only newline; it is made safe here.
            passage: offsets of what is marked and scrolled to.
            question: its words are emphasised inside the passage, or everywhere where there is none.
            words: offsets in the passage of what is emphasised instead of the question's words.
            numbers: whether lines are numbered; None leaves it as it is.
        """
        # Tabs count as one cell, and nothing changes its place: offsets stay true.
        self._text = for_terminal(text).replace("\t", " ")
        self._numbers = self._numbers if numbers is None else numbers
        self.mark(passage, question, words)
        self._wrap()

    def mark(self, passage: Span | None, question: str = "", words: Sequence[Span] = ()) -> None:
        """Mark another passage of the same text, and scroll to it."""
        self._passage = passage
        start, end = passage or (0, len(self._text))
        self._words = []
        if passage and words:
            self._words = [(start + a, start + b) for a, b in words]
        elif question and end - start < _LONG:
            self._words = [(start + a, start + b) for a, b in word_spans(self._text[start:end], question)]
        self._go_to_passage()
        self.refresh()

    # Wrapping

    def on_resize(self, event: Resize) -> None:
        if self._text_width != self._width:
            self._wrap()

    @property
    def _gutter(self) -> int:
        return len(str(self._text.count("\n") + 1)) + 2 if self._numbers else 2

    @property
    def _text_width(self) -> int:
        return max(10, self.scrollable_content_region.width - self._gutter - 1)

    def _wrap(self) -> None:
        if not self.size.width:
            return  # not laid out yet: `on_resize` comes
        width = self._width = self._text_width
        if len(self._text) <= _LONG:
            self._set_rows(wrap(self._text, width))
        else:
            self.run_worker(partial(self._wrap_aside, self._text, width), group="wrap", exclusive=True)

    async def _wrap_aside(self, text: str, width: int) -> None:
        rows = await asyncio.to_thread(wrap, text, width)
        if text is self._text and width == self._width:
            self._set_rows(rows)

    def _set_rows(self, rows: list[Row]) -> None:
        self._rows = rows
        self.virtual_size = Size(self._gutter + self._width, len(rows))
        self._go_to_passage()
        self.refresh()

    def _go_to_passage(self) -> None:
        if not self._rows:
            return
        row = row_at(self._rows, self._passage[0]) if self._passage else 0
        self.scroll_to(y=max(0, row - _MARGIN), animate=False, immediate=True, force=True)

    # Rendering

    def render_line(self, y: int) -> Strip:
        width, at = self.size.width, self.scroll_offset.y + y
        base = self.rich_style
        if at >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[at]
        gutter = self._gutter
        number = str(row.line) if self._numbers and row.line else ""
        first, last = self._passage or (0, 0)
        inside = first < max(row.end, row.start + 1) and row.start < last
        segments = [
            Segment(number.rjust(gutter - 2) + " ", self._style("number")),
            Segment("▌" if inside else " ", self._style("bar")),
        ]
        segments += self._segments(row, base, at)
        return Strip(segments).extend_cell_length(width, base).crop(0, width).apply_offsets(-gutter, at)

    def _segments(self, row: Row, base: Style, at: int) -> list[Segment]:
        """The row's text, cut where a style begins or ends."""
        text = self._text
        layers: list[tuple[int, int, Style]] = []
        if self._passage:
            layers.append((*self._passage, self._style("passage")))
        if text.startswith("#", row.start) and row.line:
            layers.append((row.start, row.end, self._style("heading", partial=True)))
        word = self._style("word", partial=True)
        layers += [(start, end, word) for start, end in self._words if start < row.end and end > row.start]
        if (selection := self.text_selection) is not None and (span := selection.get_span(at)) is not None:
            end = row.end if span[1] == -1 else row.start + span[1]
            layers.append((row.start + span[0], end, self.screen.get_component_rich_style("screen--selection")))
        cuts = {row.start, row.end}
        for start, end, _ in layers:
            cuts.update((min(max(start, row.start), row.end), min(max(end, row.start), row.end)))
        segments = []
        for begin, until in itertools.pairwise(sorted(cuts)):
            style = base
            for start, end, layer in layers:
                if start <= begin and until <= end:
                    style += layer
            segments.append(Segment(text[begin:until], style))
        return segments

    def _style(self, part: str, *, partial: bool = False) -> Style:
        return self.get_component_rich_style(f"text-pane--{part}", partial=partial)

    # Selecting with the mouse

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        rows = "\n".join(self._text[row.start : row.end] for row in self._rows)
        return selection.extract(rows), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
