"""A new comparison: what is measured, on which questions, and how; and the start."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from screens.hybrid_choices import HybridChoices
from screens.hybrid_choices import read_choices as read_hybrid_choices
from screens.modals.dialog import Dialog
from screens.widgets.form import Option, Pick, Row
from workbench.compare.store import CompareStore, SetSummary
from workbench.errors import UserError, in_words
from workbench.text import for_terminal
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from textual.widget import Widget

_NONE = ""
_NUMBERS = {"count": "how many", "seed": "seed", "top_k": "passages (k)", "max_new_tokens": "tokens at most"}
_AT_LEAST_ONE = ("count", "top_k", "max_new_tokens")
_HOTTEST = 2.0  # as the command line and the settings have it


@dataclass(frozen=True)
class CompareChoices:
    """What a comparison can be put together from."""

    hybrids: HybridChoices
    sets: Sequence[SetSummary] = ()
    names: Collection[str] = ()
    """Of the comparisons that there are."""


def read_choices(workspace: Workspace, names: Collection[str]) -> CompareChoices:
    """What there is now. Reads files and the database: call it in a thread.

    Raises:
        UserError: the settings have faults, or there is nothing to compare with the base model.
    """
    hybrids = read_hybrid_choices(workspace)
    if not hybrids.adapters and not hybrids.indexes:
        raise UserError(
            "there is nothing to compare with the base model yet", do="Train an adapter (3) or index documents (4)."
        )
    sets: list[SetSummary] = []
    if workspace.database.exists():
        with CompareStore(workspace.database) as store:
            sets = store.sets()
    return CompareChoices(hybrids, sets, names)


class _Rows(VerticalScroll, inherit_bindings=False):
    """All fields; the arrows are the form's: they go from field to field."""


class NewComparison(Dialog[int | None]):
    """The id of the comparison that was started; None when the user left with escape."""

    CSS_PATH = "new_comparison.tcss"
    AUTO_FOCUS = "Pick"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,ctrl+s", "start", "Start", priority=True),
        Binding("down", "app.focus_next", "Next field", show=False, priority=True),
        Binding("up", "app.focus_previous", "Field before", show=False, priority=True),
        Binding("escape", "leave", "Cancel"),
    ]

    def __init__(self, workspace: Workspace, choices: CompareChoices) -> None:
        super().__init__()
        self._workspace, self._choices = workspace, choices

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static(Content("New comparison"), classes="dialog-title")
            with _Rows(can_focus=False):
                for key, name, field, hint in self._fields():
                    yield Row(key, name, field, hint)
            yield Static(classes="form-hint", markup=False)
            with VerticalScroll(id="fault", can_focus=False):
                yield Static(classes="dialog-fault", markup=False)
            yield Static(
                Content.from_markup("[b]enter[/] start   [b]↑ ↓[/] fields   [b]← →[/] choose   [b]escape[/] cancel"),
                classes="form-keys",
            )

    def _fields(self) -> list[tuple[str, str, Pick | Input, str]]:
        from workbench.compare.metrics import METRICS

        hybrids = self._choices.hybrids
        runs = [Option(run.run, run.run, f"{run.base}  {run.dataset}") for run in hybrids.adapters]
        indexes = [
            Option(index.name, index.name, f"{index.documents:,} documents, {index.chunks:,} chunks")
            for index in hybrids.indexes
        ]
        newest = max(hybrids.indexes, key=lambda index: index.updated_at or 0.0, default=None)
        sets = [Option(each.name, each.name, _described(each)) for each in self._choices.sets]
        metrics = [
            Option(name, metric.title, metric.about)
            for name, metric in METRICS.items()
            if metric.unit == "share" and metric.higher_is_better
        ]
        return [
            ("run", "run", Pick([*runs, Option(_NONE, "none", "no tuning is measured")]),
             "The run whose adapter is measured."),
            ("index", "index", Pick([*indexes, Option(_NONE, "none", "no retrieval is measured")],
             newest.name if newest else _NONE), "The index that is retrieved from."),
            ("question_set", "questions", Pick([*sets, Option(_NONE, "the run's eval split", "never trained on")]),
             "A set that was imported (i on the screen brings one in), or the run's own eval split."),
            ("count", _NUMBERS["count"], _number("all"), "Questions drawn; below 30 no arm is recommended."),
            ("metric", "metric", Pick(metrics, "f1"), "What the verdict is about; all others are measured too."),
            ("seed", _NUMBERS["seed"], _number("0"), "Of drawing the questions, and of sampled answers."),
            ("top_k", _NUMBERS["top_k"], _number("as the run was trained"), "Passages given to the model."),
            ("max_new_tokens", _NUMBERS["max_new_tokens"], _number("as in the settings, 128 at most"),
             "Tokens at most in an answer."),
            ("temperature", "temperature", _number("0"), "0 is greedy; above it answers are sampled."),
            ("oracle", "oracle", Pick([Option("no", "no"), Option("yes", "yes")]),
             "Also ask with the right passage given, where it is known: what better retrieval could bring."),
            ("again", "noise", Pick([Option(_NONE, "where answers differ"), Option("yes", "yes"), Option("no", "no")]),
             "Ask the fullest arm twice, to see what chance alone changes."),
            ("known", "trained on", Pick([Option("refuse", "refuse"), Option("leave", "leave out")]),
             "Questions that the run's own pairs contain: refuse to start, or leave them out."),
            ("name", "name", Input(placeholder=self._free_name(None, None), compact=True), "What to call it."),
        ]  # fmt: skip

    # While it is filled in

    def on_descendant_focus(self) -> None:
        row = self._row_of(self.focused)
        self.query_one(".form-hint", Static).update(Content(row.hint) if row else "")

    def _row_of(self, widget: Widget | None) -> Row | None:
        return widget.parent if widget is not None and isinstance(widget.parent, Row) else None

    @on(Pick.Changed)
    def _picked(self) -> None:
        values = self._values()
        self.query_one("#row-name Input", Input).placeholder = self._free_name(values["run"], values["index"])

    def _values(self) -> dict[str, str]:
        return {row.key: row.text for row in self.query(Row)}

    def _free_name(self, run: str | None, index: str | None) -> str:
        if run is None:
            hybrids = self._choices.hybrids
            run = hybrids.adapters[0].run if hybrids.adapters else ""
        stem = (run or index or (self._choices.hybrids.indexes[0].name if index is None else "base"))[:60]
        names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
        return next((name for name in names if name not in self._choices.names), stem)

    # What the keys do

    def action_start(self) -> None:
        faults, numbers = [], {}
        for row in self.query(Row):
            row.set_class(False, "-wrong")
            if row.key not in _NUMBERS:
                continue
            try:
                numbers[row.key] = row.number
                if numbers[row.key] == 0 and row.key in _AT_LEAST_ONE:
                    raise ValueError
            except ValueError:
                row.set_class(True, "-wrong")
                least = 1 if row.key in _AT_LEAST_ONE else 0
                faults.append(f"{_NUMBERS[row.key]}: {row.text!r} is not a whole number from {least}")
        row = self.query_one("#row-temperature", Row)
        temperature = _temperature(row.text)
        if temperature is None:
            row.set_class(True, "-wrong")
            faults.append(f"temperature: {row.text!r} is not a number from 0 to {_HOTTEST:g}")
        self._show_fault(" · ".join(faults))
        if not faults:
            self.start(partial(self._start, numbers, temperature or 0.0))

    async def _start(self, numbers: dict[str, int | None], temperature: float) -> None:
        from workbench.compare.control import start_comparison

        values = self._values()
        name = values["name"] or self.query_one("#row-name Input", Input).placeholder
        asked: dict[str, Any] = {
            "run": values["run"] or None,
            "index": values["index"],
            "question_set": values["question_set"],
            **numbers,
            "seed": numbers["seed"] or 0,
            "temperature": temperature,
            "metric": values["metric"],
            "oracle": values["oracle"] == "yes",
            "again": {"yes": True, "no": False}.get(values["again"]),
            "leave_out_known": values["known"] == "leave",
        }
        self.query_one(".form-hint", Static).update(Content("Checking the run, the index and the questions"))
        try:
            # In a thread: it checks the weights and looks for questions among the run's pairs.
            job = await asyncio.to_thread(start_comparison, self._workspace, name, **asked)
        except (UserError, OSError) as error:
            self._show_fault(in_words(error))
            return
        finally:
            self.on_descendant_focus()
        self.dismiss(job.spec["arguments"]["comparison"])

    def _show_fault(self, text: str) -> None:
        fault = self.query_one(".dialog-fault", Static)
        # The command line's options are rows here.
        fault.update(Content(for_terminal(text).replace("with --leave-out-known", "(the row `trained on`)")))
        fault.display = self.query_one("#fault").display = bool(text)

    def action_leave(self) -> None:
        if not self.starting:
            self.dismiss(None)


def _number(placeholder: str) -> Input:
    return Input(placeholder=placeholder, compact=True)


def _temperature(text: str) -> float | None:
    """What is typed; None where it is none."""
    try:
        value = float(text or 0)
    except ValueError:
        return None
    return value if 0 <= value <= _HOTTEST else None


def _described(each: SetSummary) -> str:
    parts = [f"{each.questions:,} questions"]
    if each.unanswerable:
        parts.append(f"{each.unanswerable:,} not answerable")
    if each.with_place < each.questions:
        parts.append(f"{each.with_place:,} with their place")
    return ", ".join(parts)
