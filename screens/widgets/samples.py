"""The samples of a run: prompts down, steps across, and the answer under the cursor in full."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Static

from screens.run_history import RunHistory
from screens.widgets.lists import Table

_PROMPT, _ANSWER = 18, 16  # cells


class _Grid(Table):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "cursor_left", "Left", show=False),
        Binding("l", "cursor_right", "Right", show=False),
    ]


class Samples(Vertical):
    """How the answers to fixed prompts change while the run learns."""

    def __init__(self) -> None:
        super().__init__()
        self._history = RunHistory()
        self._shown: tuple[int, ...] = ()

    def compose(self) -> ComposeResult:
        yield _Grid(cursor_type="cell", fixed_columns=1, show_row_labels=False)
        with VerticalScroll(classes="answer", can_focus=False):
            yield Static(markup=False)

    def show(self, history: RunHistory) -> None:
        """Bring the table up to date; the cursor stays on its cell."""
        shown = (id(history), *history.sample_steps, *(len(answers) for answers in history.samples.values()))
        same = history is self._history
        self._history = history
        if shown == self._shown:
            return
        self._shown = shown
        table = self.query_one(_Grid)
        at = table.cursor_coordinate
        at_newest = at.column in (0, len(table.columns) - 1)
        table.clear(columns=True)
        steps = history.sample_steps
        if steps:
            table.add_column("prompt", width=_PROMPT)
        for step in steps:
            table.add_column(f"step {step}", width=_ANSWER)
        for prompt, answers in history.samples.items():
            table.add_row(_cell(prompt, bold=True), *(_cell(answers.get(step, "")) for step in steps))
        if steps:
            # On the newest answers at first, and as long as the reader stays there.
            row = at.row if same else 0
            table.cursor_coordinate = Coordinate(row, len(steps) if at_newest or not same else at.column)
        self._read(table.cursor_coordinate)

    @on(DataTable.CellHighlighted)
    def highlighted(self, event: DataTable.CellHighlighted) -> None:
        self._read(event.coordinate)

    def _read(self, at: Coordinate) -> None:
        prompts, steps = list(self._history.samples), self._history.sample_steps
        reading = self.query_one(Static)
        if not prompts or at.row >= len(prompts):
            reading.update(
                Content.from_markup(
                    "[$foreground-muted]No samples yet: the run answers its fixed prompts at each evaluation.[/]"
                )
            )
            return
        prompt = prompts[at.row]
        step = steps[at.column - 1] if 0 < at.column <= len(steps) else None
        answer = self._history.samples[prompt].get(step, "") if step is not None else ""
        lines = [Content.from_markup("[b]$prompt[/]", prompt=prompt)]
        taken = "" if step is None else f"step {step}"
        for label, style, text in (
            (taken, "$foreground", answer),
            ("pair".ljust(len(taken)), "$text-success", self._history.references.get(prompt, "")),
        ):
            if label.strip() and text:
                form = f"[$foreground-muted]$label[/]  [{style}]$text[/]"
                lines.append(Content.from_markup(form, label=label, text=text))
        reading.update(Content("\n").join(lines))


def _cell(text: str, *, bold: bool = False) -> Text:
    return Text(" ".join(text.split()), style="bold" if bold else "", no_wrap=True, overflow="ellipsis")
