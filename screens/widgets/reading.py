"""Something to read that answers to the keys of lists, and a page of lines made for its width."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from screens.commands import bindings


class ListKeys(Widget):
    """What the keys of lists do in a text: they scroll it. To be inherited after the class that scrolls."""

    def action_cursor_down(self) -> None:
        self.scroll_relative(y=1, animate=False)

    def action_cursor_up(self) -> None:
        self.scroll_relative(y=-1, animate=False)

    def action_first_row(self) -> None:
        self.scroll_home(animate=False)

    def action_last_row(self) -> None:
        self.scroll_end(animate=False)


class Reading(VerticalScroll, ListKeys):
    """Scrolls by j k g G ctrl+d ctrl+u as well as by the arrows."""

    BINDINGS = bindings("lists")
    DEFAULT_CSS = """
    Reading { scrollbar-size-vertical: 1; }
    """


class Page(Static):
    """Lines that are made anew for every width."""

    DEFAULT_CSS = """
    Page { text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._lines: Callable[[int], Sequence[Content]] = lambda room: []
        self._width = 0

    def show(self, lines: Callable[[int], Sequence[Content]]) -> None:
        """`lines` is given the cells that there are in a line."""
        self._lines = lines
        self._paint()

    def on_resize(self) -> None:
        if self.content_size.width != self._width:
            self.call_after_refresh(self._paint)  # Textual 8.2.8 keeps the old height where it is painted at once

    def _paint(self) -> None:
        self._width = self.content_size.width
        self.update(Content("\n").join(self._lines(max(8, self._width))))
