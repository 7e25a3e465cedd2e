"""Have a model propose pairs: drafts from an index's passages, or two answers to prompts. The form, and the start."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Static

from screens.hybrid_choices import REMOTE, HybridChoices
from screens.modals.dialog import Dialog
from screens.widgets.form import Option, Pick, Row
from workbench.drafting.control import HOTTEST, LIMIT, TEMPERATURE, start_draft, start_sample
from workbench.errors import UserError, in_words
from workbench.hybrid import Hybrid
from workbench.jobs.folder import JobFolder
from workbench.text import for_terminal
from workbench.workspace import Workspace

_NONE = ""


class _Rows(VerticalScroll, inherit_bindings=False):
    """All fields; the arrows are the form's: they go from field to field."""


class ProposePairs(Dialog[JobFolder | None]):
    """What both forms share. The result is the job that was started; None when the user left with escape."""

    CSS_PATH = "propose_pairs.tcss"
    AUTO_FOCUS = "Pick, Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,ctrl+s", "start", "Start", priority=True),
        Binding("down", "app.focus_next", "Next field", show=False, priority=True),
        Binding("up", "app.focus_previous", "Field before", show=False, priority=True),
        Binding("escape", "leave", "Cancel"),
    ]

    def __init__(self, workspace: Workspace, choices: HybridChoices, title: str) -> None:
        super().__init__()
        self._workspace, self._choices, self._title = workspace, choices, for_terminal(title, one_line=True)

    def rows(self) -> list[Row]:
        """The fields."""
        raise NotImplementedError

    def work(self) -> JobFolder:
        """Start the job; in a thread.

        Raises:
            UserError: something of it is at fault.
        """
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static(Content(self._title), classes="dialog-title")
            with _Rows(can_focus=False):
                yield from self.rows()
            yield Static(classes="form-hint", markup=False)
            yield Static(classes="dialog-fault", markup=False)
            yield Static(
                Content.from_markup("[b]enter[/] start   [b]↑ ↓[/] fields   [b]← →[/] choose   [b]escape[/] cancel"),
                classes="form-keys",
            )

    def on_descendant_focus(self) -> None:
        row = self._row_of(self.focused)
        self.query_one(".form-hint", Static).update(Content(row.hint) if row else "")

    def _row_of(self, widget: Widget | None) -> Row | None:
        return widget.parent if widget is not None and isinstance(widget.parent, Row) else None

    # Rows that both have

    def model_row(self) -> Row:
        """Which model: the base, one with an adapter, or a remote one."""
        choices = self._choices
        models = [Option(_NONE, choices.base, "the base model")]
        models += [Option(run.run, f"{run.base}+lora:{run.run}", "tuned") for run in choices.adapters]
        models += [Option(REMOTE + name, name, "on another server") for name in choices.remotes]
        first = REMOTE + choices.remotes[0] if choices.remotes else _NONE  # a larger one, most likely
        return Row("model", "model", Pick(models, first), "Which model is asked; larger ones are in settings.yaml.")

    def limit_row(self, what: str) -> Row:
        """How many."""
        return Row("limit", what, Input(placeholder=str(LIMIT), compact=True), f"How many {what} the model is given.")

    def temperature_row(self, value: float) -> Row:
        """How hot."""
        return Row(
            "temperature", "temperature", Input(placeholder=f"{value:g}", compact=True),
            f"0 is greedy, up to {HOTTEST:g} is more varied.",
        )  # fmt: skip

    def hybrid(self, index: str | None = None) -> str:
        """The name of the model that is picked, with an index."""
        choices, picked = self._choices, self.text("model")
        return str(replace(choices.with_adapter(Hybrid(choices.base), picked or None), rag=index or None))

    def text(self, key: str) -> str:
        """What is typed or picked in a row; what stands there in grey where nothing is typed."""
        row = self.query_one(f"#row-{key}", Row)
        return row.text or next((field.placeholder for field in row.query(Input)), "")

    def number(self, key: str) -> float:
        """The number in a row.

        Raises:
            UserError: it is none.
        """
        try:
            return float(self.text(key))
        except ValueError:
            raise UserError(f"{key}: {self.text(key)!r} is no number") from None

    def count(self, key: str) -> int:
        """The whole number in a row.

        Raises:
            UserError: it is none.
        """
        if not self.text(key).isdecimal():
            raise UserError(f"{key}: {self.text(key)!r} is no whole number")
        return int(self.text(key))

    # What the keys do

    def action_start(self) -> None:
        self.start(self._start)

    async def _start(self) -> None:
        try:
            job = await asyncio.to_thread(self.work)
        except (UserError, OSError) as error:
            fault = self.query_one(".dialog-fault", Static)
            fault.update(Content(for_terminal(in_words(error))))
            fault.display = True
            return
        self.dismiss(job)

    def action_leave(self) -> None:
        if not self.starting:
            self.dismiss(None)


class DraftPairs(ProposePairs):
    """Drafts from an index's passages."""

    def __init__(self, workspace: Workspace, choices: HybridChoices, datasets: Sequence[str], dataset: str) -> None:
        """`datasets`: that there are; `dataset`: the one that is listed, empty for all.

        Raises:
            UserError: there is no index.
        """
        super().__init__(workspace, choices, "Draft pairs from a library")
        if not choices.indexes:
            raise UserError("there is no index to draft from", do="Index documents on the Library screen.")
        self._datasets, self._dataset = list(datasets), dataset

    def rows(self) -> list[Row]:
        indexes = [
            Option(index.name, index.name, f"{index.documents:,} documents, {index.chunks:,} chunks")
            for index in self._choices.indexes
        ]
        dataset = Input(
            self._dataset, placeholder=f"{indexes[0].value}-drafts", compact=True,
            suggester=SuggestFromList(self._datasets) if self._datasets else None,
        )  # fmt: skip
        again = Pick([Option("no", "no", "each passage once"), Option("yes", "yes", "also passages that were drafted")])
        return [
            Row("index", "index", Pick(indexes), "Its passages are drafted from, one of each document in turn."),
            Row("dataset", "dataset", dataset, "Where the drafts go, as pending; a new one is made."),
            self.model_row(),
            self.limit_row("passages"),
            self.temperature_row(0.0),
            Row("again", "again", again, "Whether passages are drafted from that this dataset has drafts of."),
        ]

    def work(self) -> JobFolder:
        return start_draft(
            self._workspace, self.text("index"), self.text("dataset"), hybrid=self.hybrid(),
            limit=self.count("limit"), temperature=self.number("temperature"), again=self.text("again") == "yes",
        )  # fmt: skip


class SamplePairs(ProposePairs):
    """Two answers to prompts."""

    def __init__(self, workspace: Workspace, choices: HybridChoices, dataset: str, ids: Sequence[int]) -> None:
        """`ids`: the pairs of the dataset whose prompts are answered."""
        many = f"{len(ids):,} prompt{'' if len(ids) == 1 else 's'}"
        super().__init__(workspace, choices, f"Two answers to {many} of {dataset}")
        self._dataset, self._ids = dataset, list(ids)

    def rows(self) -> list[Row]:
        indexes = [Option(_NONE, "none", "without a library")]
        indexes += [Option(index.name, index.name, f"{index.documents:,} documents") for index in self._choices.indexes]
        return [
            self.model_row(),
            Row("index", "index", Pick(indexes), "The library that it answers from."),
            self.temperature_row(TEMPERATURE),
        ]

    def work(self) -> JobFolder:
        return start_sample(
            self._workspace, self._dataset, ids=self._ids, hybrid=self.hybrid(self.text("index")),
            limit=len(self._ids), temperature=self.number("temperature"), again=True,
        )  # fmt: skip
