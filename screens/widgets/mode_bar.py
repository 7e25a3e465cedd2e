"""The top line: the screens with their digits, and the name of the workspace."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from screens.commands import BY_ID
from workbench.text import for_terminal

MODES = ("home", "pairs", "training", "library", "chat", "compare")


class ModeTab(Static):
    """One screen's name; a click shows it."""

    def __init__(self, mode: str, *, active: bool) -> None:
        command = BY_ID[f"app.{mode}"]
        super().__init__(
            Content.from_markup("[$text-accent b]$key[/] $title", key=command.keys, title=command.title),
            classes="-active" if active else "",
        )
        self._mode = mode

    async def on_click(self) -> None:
        await self.app.run_action(f"app.show('{self._mode}')")


class ModeBar(Horizontal):
    """One line at the top of every screen."""

    def __init__(self, active: str) -> None:
        super().__init__()
        self._active = active

    def compose(self) -> ComposeResult:
        for mode in MODES:
            yield ModeTab(mode, active=mode == self._active)
        name = for_terminal(self.app.title, one_line=True)
        yield Static(Content(name), classes="workspace-name")
