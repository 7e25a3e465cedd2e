"""Every key of a screen, from the registry."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from screens.commands import BY_ID, SCOPES


class Help(ModalScreen[None]):
    """The commands of one scope, of lists and of the app."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,question_mark", "leave", "Close"),
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
    ]

    def __init__(self, scope: str, keys: dict[str, str]) -> None:
        """`keys`: what to press for each command's id, as the user's keymap has it."""
        super().__init__()
        self._scope, self._keys = scope, keys

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static(Content("Keys"), classes="dialog-title")
            with VerticalScroll():
                here = BY_ID[f"app.{self._scope}"].title
                for scope, title in ((self._scope, here), ("lists", "In lists"), ("app", "Everywhere")):
                    yield Static(self._section(scope, title), classes="help-section")
            yield Static(Content.from_markup("[$foreground-muted]escape closes[/]"), classes="dialog-keys")

    def _section(self, scope: str, title: str) -> Content:
        lines = [Content.from_markup("[b $text-accent]$title[/]", title=title)]
        lines += [
            Content.from_markup(
                "  [b]$key[/]$title [$foreground-muted]$help[/]",
                key=self._keys.get(command.id, "").ljust(12),
                title=command.title.ljust(18),
                help=command.help,
            )
            for command in SCOPES[scope]
            if command.keys
        ]
        return Content("\n").join(lines)

    def action_move(self, rows: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_leave(self) -> None:
        self.dismiss(None)
