"""Before a Hugging Face dataset is imported: which, how much of it, and where to. Its columns are seen by the job."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Select, Static

from screens.modals.dialog import show_fault
from screens.modals.hints import hints
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.pairs.forms import ALIASES
from workbench.pairs.hub import DatasetName, parse
from workbench.pairs.pair import STATUSES

_LIMIT = 10_000  # rows, as offered: of an unknown dataset nobody wants all


@dataclass(frozen=True)
class DatasetRequest:
    """What the user wants imported."""

    named: DatasetName
    dataset: str
    columns: dict[str, str]
    status: str
    limit: int | None


class ImportDataset(ModalScreen[DatasetRequest | None]):
    """What to import; None when the user left with escape."""

    CSS_PATH = "import_pairs.tcss"
    AUTO_FOCUS = "#name"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Import", priority=True),
        Binding("escape", "leave", "Cancel"),
    ]

    def __init__(self, root: Path, datasets: Sequence[str]) -> None:
        """`root`: where a relative folder lies; `datasets`: those there are."""
        super().__init__()
        self._root, self._datasets = root, list(datasets)
        self._named_after = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static("Import a Hugging Face dataset", classes="dialog-title")
            yield from self._field("from", Input(placeholder="hub:OWNER/NAME, or a folder", id="name", compact=True))
            yield from self._field("rows at most", Input(f"{_LIMIT:,}", id="limit", compact=True))
            suggester = SuggestFromList(self._datasets) if self._datasets else None
            yield from self._field("into dataset", Input(id="dataset", suggester=suggester, compact=True))
            statuses = [(status, status) for status in STATUSES]
            yield from self._field(
                "with status", Select(statuses, value="pending", allow_blank=False, id="status", compact=True)
            )
            columns = Input(placeholder="prompt=COLUMN, completion=COLUMN", id="columns-named", compact=True)
            yield from self._field("columns", columns)
            yield Static(classes="dialog-fault")
            yield Static(
                Content.from_markup(
                    "[$foreground-muted]Behind the name, :CONFIG and @SPLIT choose a part of it: "
                    "hub:openai/gsm8k:main@train.\nColumns need be named only where they are not called as usual. "
                    "Without rows at most, all are read.[/]"
                ),
                classes="dialog-keys",
            )
            yield Static(
                hints(
                    ("ctrl+s", "start", "import"),
                    ("tab", "app.focus_next", "next field"),
                    ("escape", "leave", "cancel"),
                ),
                classes="dialog-keys",
            )

    def _field(self, label: str, widget: Input | Select[str]) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Static(label, classes="field-name")
            yield widget

    @on(Input.Changed, "#name")
    def _named(self, event: Input.Changed) -> None:
        """Offer the name of what is imported for the dataset, until the user gives another."""
        dataset = self.query_one("#dataset", Input)
        if dataset.value == self._named_after:
            last = re.split(r"[:@]", event.value.removeprefix("hub:"))[0].rstrip("/").rsplit("/", 1)[-1]
            self._named_after = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("._-")[:64]
            dataset.value = self._named_after

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.focus_next()

    def action_start(self) -> None:
        try:
            request = self._request()
        except UserError as error:
            show_fault(self, str(error), one_line=True)
            return
        self.dismiss(request)

    def _request(self) -> DatasetRequest:
        text = self.query_one("#name", Input).value.strip()
        if text.startswith("~"):
            try:
                text = str(Path(text).expanduser())
            except RuntimeError:
                raise UserError("there is no such home folder", where=text) from None
        named = parse(text, self._root) if text else None
        if named is None:
            raise UserError("names neither a dataset of the hub nor a folder", where=text, do="Write hub:OWNER/NAME.")
        dataset = self.query_one("#dataset", Input).value.strip()
        check_name(dataset, "dataset")
        limit = self.query_one("#limit", Input).value.replace(",", "").strip()
        if limit and not (limit.isascii() and limit.isdigit() and int(limit[:19]) > 0 and len(limit) < 19):
            raise UserError("rows at most is a whole number, or nothing for all")
        columns = dict(
            _column(part) for part in self.query_one("#columns-named", Input).value.split(",") if part.strip()
        )
        status = str(self.query_one("#status", Select).value)
        return DatasetRequest(named, dataset, columns, status, int(limit) if limit else None)

    def action_leave(self) -> None:
        self.dismiss(None)


def _column(text: str) -> tuple[str, str]:
    name, equals, column = (part.strip() for part in text.partition("="))
    if not equals or not column or name not in ALIASES:
        raise UserError(f"{text.strip()!r} names no column", do=f"Write NAME=COLUMN; NAME is {', '.join(ALIASES)}.")
    return name, column
