"""Before an import: the form that was found, the file's columns, the first rows as they will be read, and where to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Select, Static

from screens.modals.dialog import show_fault
from screens.modals.hints import hints
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.pairs.forms import ALIASES, EXTRAS, FORMS
from workbench.pairs.importing import Preview, preview
from workbench.pairs.pair import STATUSES, NewPair
from workbench.text import for_terminal

_LOOK = 300  # characters of a text in the preview


@dataclass(frozen=True)
class ImportRequest:
    """What the user wants imported."""

    file: Path
    dataset: str
    columns: dict[str, str]
    status: str


class _Field(Horizontal):
    """A name and what stands for it."""

    def __init__(self, label: str, widget: Input | Select[str]) -> None:
        super().__init__(classes="field")
        self._label, self._widget = label, widget

    def compose(self) -> ComposeResult:
        yield Static(Content(self._label), classes="field-name")
        yield self._widget


class _Column(Select[str]):
    """Which column of the file is this one of the form."""

    def __init__(self, column: str, own: Sequence[str], value: str | None) -> None:
        options = [(Text(for_terminal(name, one_line=True)), name) for name in own]
        super().__init__(options, prompt="-", value=value or Select.NULL, compact=True)
        self.column = column


class ImportPairs(ModalScreen[ImportRequest | None]):
    """What to import; None when the user left with escape."""

    CSS_PATH = "import_pairs.tcss"
    AUTO_FOCUS = "#dataset"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (28, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Import", priority=True),
        Binding("escape", "leave", "Cancel"),
    ]

    def __init__(self, file: Path, first: Preview, datasets: Sequence[str]) -> None:
        """`first`: the file's preview with nothing mapped; `datasets`: those there are."""
        super().__init__()
        self._file, self._preview, self._datasets = file, first, list(datasets)
        self._form = first.detection.form if first.detection else "prompt/completion"
        self._columns = dict(first.detection.columns) if first.detection else {}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            title = "Import [$text-accent]$file[/]"
            yield Static(
                Content.from_markup(title, file=for_terminal(self._file.name, one_line=True)), classes="dialog-title"
            )
            with VerticalScroll(can_focus=False, id="fields"):
                suggester = SuggestFromList(self._datasets) if self._datasets else None
                yield _Field(
                    "into dataset", Input(_name_of(self._file), id="dataset", suggester=suggester, compact=True)
                )
                statuses = [(status, status) for status in STATUSES]
                yield _Field(
                    "with status", Select(statuses, value="pending", allow_blank=False, id="status", compact=True)
                )
                forms = [(form, form) for form in FORMS]
                yield _Field("read as", Select(forms, value=self._form, allow_blank=False, id="form", compact=True))
                yield Vertical(id="columns")
            yield Static(id="found")
            with VerticalScroll(can_focus=False, id="rows"):
                yield Static(id="row-texts")
            yield Static(classes="dialog-fault")
            yield Static(
                hints(
                    ("ctrl+s", "start", "import"),
                    ("tab", "app.focus_next", "next field"),
                    ("escape", "leave", "cancel"),
                ),
                classes="dialog-keys",
            )

    async def on_mount(self) -> None:
        await self._show_columns()
        self._show_preview()

    # What the user says

    @on(Select.Changed, "#form")
    async def _form_chosen(self, event: Select.Changed) -> None:
        if event.value != self._form:
            self._form = str(event.value)
            self._columns = guess(self._form, self._preview.columns)
            await self._show_columns()
            self._look()

    @on(Select.Changed, "_Column")
    def _column_chosen(self, event: Select.Changed) -> None:
        assert isinstance(event.select, _Column)
        value = "" if event.value is Select.NULL else str(event.value)
        if self._columns.get(event.select.column, "") != value:
            self._columns[event.select.column] = value
            self._look()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.focus_next()

    # Reading the file again

    def _look(self) -> None:
        self.run_worker(partial(self._read, dict(self._columns)), group="preview", exclusive=True, exit_on_error=False)

    async def _read(self, columns: dict[str, str]) -> None:
        try:
            self._preview = await asyncio.to_thread(preview, self._file, columns)
        except UserError as error:
            self._fault(str(error))
            return
        self._show_preview()

    async def _show_columns(self) -> None:
        form = FORMS[self._form]
        columns = self.query_one("#columns", Vertical)
        await columns.remove_children()
        await columns.mount_all(
            _Field(f"  {name}", _Column(name, self._preview.columns, self._columns.get(name)))
            for name in (*form.required, *form.optional, *EXTRAS)
        )

    def _show_preview(self) -> None:
        found = self._preview.detection
        names = ", ".join(self._preview.columns)
        self.query_one("#found", Static).update(
            Content.from_markup(
                "[b]$file_format[/], found [b]$form[/]   [$foreground-muted]columns: $names[/]",
                file_format=found.file_format,
                form=found.form,
                names=for_terminal(names, one_line=True),
            )
            if found
            else Content.from_markup("[$foreground-muted]columns:[/] $names", names=for_terminal(names, one_line=True))
        )
        self._fault(self._preview.problem)
        lines: list[Content] = []
        for number, row in enumerate(self._preview.rows, 1):
            if isinstance(row, NewPair):
                lines += _pair_lines(number, row)
            else:
                lines.append(_line(f"{number}  skipped", f"line {row.line} {row.reason}", "text-error"))
        self.query_one("#row-texts", Static).update(Content("\n").join(lines))

    def _fault(self, text: str) -> None:
        show_fault(self, text, one_line=True)

    # What the keys do

    def action_start(self) -> None:
        if self._preview.detection is None:
            return
        dataset = self.query_one("#dataset", Input).value.strip()
        try:
            check_name(dataset, "dataset")
        except UserError as error:
            self._fault(str(error))
            return
        status = str(self.query_one("#status", Select).value)
        self.dismiss(ImportRequest(self._file, dataset, dict(self._columns), status))

    def action_leave(self) -> None:
        self.dismiss(None)


def guess(form: str, own: Sequence[str]) -> dict[str, str]:
    """A column of the file for each one that the form requires: by its names, else the next that is free."""
    free = list(own)
    found: dict[str, str] = {}
    for name in FORMS[form].required:
        match = next((column for column in free if column.strip().lower() in ALIASES[name]), None)
        if match is not None:
            found[name] = match
            free.remove(match)
    for name in FORMS[form].required:
        if name not in found and free:
            found[name] = free.pop(0)
    return found


def _name_of(file: Path) -> str:
    """The file's name as a dataset may be called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("._-")[:64] or "pairs"


def _pair_lines(number: int, pair: NewPair) -> list[Content]:
    before = len(pair.messages) - 1
    turns = f" ({before} turn{'s' if before > 1 else ''} before)" if before else ""
    answers = (("completion", pair.completion), ("chosen", pair.chosen), ("rejected", pair.rejected))
    return [
        _line(f"{number}  prompt", pair.messages[-1]["content"][:_LOOK] + turns, "text-accent"),
        *(_line(name, text[:_LOOK], "text-primary") for name, text in answers if text is not None),
    ]


def _line(label: str, text: str, color: str) -> Content:
    return Content.from_markup(
        f"[${color}]$label[/]  $text", label=f"{label:>10}", text=for_terminal(text, one_line=True)
    )
