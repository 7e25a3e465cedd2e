"""A line of names of which one is shown: the views of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static


class _View(Static):
    def __init__(self, view: str) -> None:
        super().__init__(Content(view.capitalize()))
        self.view = view

    def on_click(self) -> None:
        self.post_message(ViewBar.Chosen(self.view))


class ViewBar(Horizontal):
    """A click chooses; keys are the screen's business."""

    active: reactive[str] = reactive("")

    @dataclass
    class Chosen(Message):
        """A view was clicked."""

        view: str

    def __init__(self, views: Sequence[str]) -> None:
        super().__init__()
        self._views = tuple(views)
        self.set_reactive(ViewBar.active, self._views[0])

    def compose(self) -> ComposeResult:
        yield from (_View(view) for view in self._views)

    def on_mount(self) -> None:
        self.watch_active(self.active)

    def watch_active(self, active: str) -> None:
        for view in self.query(_View):
            view.set_class(view.view == active, "-active")
