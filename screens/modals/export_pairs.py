"""Before an export: which pairs, in which form, to which file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Select, Static

from screens.modals.dialog import show_fault
from screens.modals.hints import hints
from workbench.pairs.exporting import TEST_SIZE
from workbench.pairs.forms import FORMS
from workbench.pairs.pair import STATUSES
from workbench.pairs.readers import FORMATS
from workbench.text import for_terminal

_ANY = "any"


@dataclass(frozen=True)
class ExportRequest:
    """What the user wants exported."""

    dataset: str
    file: Path
    form: str
    status: str | None
    """None: all."""
    test_size: float
    """Share of a folder's eval split."""


class ExportPairs(ModalScreen[ExportRequest | None]):
    """What to export; None when the user left with escape."""

    CSS_PATH = "import_pairs.tcss"
    AUTO_FOCUS = "#file"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Export", priority=True),
        Binding("escape", "leave", "Cancel"),
    ]

    def __init__(self, dataset: str, folder: Path, form: str) -> None:
        """`folder`: where a relative path lies; `form`: what is offered first."""
        super().__init__()
        self._dataset, self._folder, self._form = dataset, folder, form

    def compose(self) -> ComposeResult:
        name = for_terminal(self._dataset, one_line=True)
        with Vertical(classes="dialog dialog-wide"):
            yield Static(Content.from_markup("Export [$text-accent]$name[/]", name=name), classes="dialog-title")
            with Horizontal(classes="field"):
                yield Static("to the file", classes="field-name")
                yield Input(f"datasets/{name}.jsonl", id="file", compact=True)
            with Horizontal(classes="field"):
                yield Static("written as", classes="field-name")
                yield Select(
                    [(form, form) for form in FORMS], value=self._form, allow_blank=False, id="form", compact=True
                )
            with Horizontal(classes="field"):
                yield Static("pairs that are", classes="field-name")
                yield Select(
                    [(status, status) for status in (*STATUSES, _ANY)],
                    value="accepted",
                    allow_blank=False,
                    id="status",
                    compact=True,
                )
            with Horizontal(classes="field"):
                yield Static("eval split", classes="field-name")
                yield Input(f"{TEST_SIZE:g}", id="test-size", compact=True)
            yield Static(classes="dialog-fault")
            yield Static(
                Content.from_markup(
                    "[$foreground-muted]The name's ending says the format: $endings.\n"
                    "Without an ending it is a Hugging Face dataset folder, whose eval split is that share.[/]",
                    endings=_endings(),
                ),
                classes="dialog-keys",
            )
            yield Static(
                hints(
                    ("ctrl+s", "start", "export"),
                    ("tab", "app.focus_next", "next field"),
                    ("escape", "leave", "cancel"),
                ),
                classes="dialog-keys",
            )

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.focus_next()

    def action_start(self) -> None:
        path = Path(self.query_one("#file", Input).value.strip())
        if path.parts[:1] == ("~",):
            path = path.expanduser()
        if not path.name:
            return self._fault("Name a file or a folder.")
        if path.suffix and path.suffix.lower() not in FORMATS:
            return self._fault(f"End the file's name in {_endings()}, or in nothing.")
        try:
            test_size = float(self.query_one("#test-size", Input).value)
        except ValueError:
            test_size = -1
        if not 0 <= test_size < 1:
            return self._fault("The share of the eval split is 0 or more, and less than 1.")
        status = str(self.query_one("#status", Select).value)
        form = str(self.query_one("#form", Select).value)
        only = None if status == _ANY else status
        self.dismiss(ExportRequest(self._dataset, self._folder / path, form, only, test_size))

    def _fault(self, text: str) -> None:
        show_fault(self, text)

    def action_leave(self) -> None:
        self.dismiss(None)


def _endings() -> str:
    return ", ".join(dict.fromkeys(FORMATS))
