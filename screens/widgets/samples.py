"""The samples of a run: a fixed prompt, and what the model answered to it step after step, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from screens.query_words import differing_spans
from screens.run_history import RunHistory
from screens.widgets.lists import Table

_COMFORTABLE, _NARROWEST = 26, 14  # cells of a column with its gap
_AT_LEAST = 4  # columns, where they can be as wide as the narrowest: the first, the best, the latest, the reference


class _Prompts(Table):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "earlier", "Earlier", show=False),
        Binding("l,right", "later", "Later", show=False),
    ]

    def action_earlier(self) -> None:
        self.query_ancestor(Samples).move(-1)

    def action_later(self) -> None:
        self.query_ancestor(Samples).move(1)


class Samples(Vertical):
    """How the answers to fixed prompts change while the run learns. j k go through the prompts, h l the steps.

    Where there is no room for all steps these are shown: the first, the best, the latest; after h or l the one moved to
    and those before it. Marked are the words that the answer to the left has not.
    """

    DEFAULT_CSS = """
    Samples {
        & > .answers { height: 1fr; border-top: solid $surface-lighten-2; scrollbar-size-vertical: 1; }
        & > .answers > Horizontal { height: auto; }
        & > .answers > Horizontal > Static { width: 1fr; height: auto; margin-right: 2; }
        & > .answers > Horizontal > Static:last-child { margin-right: 0; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._history = RunHistory()
        self._taken: tuple[object, ...] = ()
        self._step: int | None = None
        """The step moved to; None: the latest, as they come."""
        self._shown: list[Content] = []

    def compose(self) -> ComposeResult:
        yield _Prompts(cursor_type="row", show_header=False, show_row_labels=False)
        with VerticalScroll(classes="answers"):
            yield Static(
                Content.from_markup(
                    "[$foreground-muted]No samples yet: the run answers its fixed prompts at each evaluation.[/]"
                ),
                id="no-samples",
            )
            yield Horizontal()

    def on_mount(self) -> None:
        self.query_one(_Prompts).add_column("prompt")

    def show(self, history: RunHistory) -> None:
        """Bring prompts and answers up to date; the cursor stays on its prompt, and on its step unless the latest."""
        taken = (id(history), *history.sample_steps, *(len(answers) for answers in history.samples.values()))
        if taken == self._taken:
            return
        self._taken = taken
        if history is not self._history:
            self._step = None
        self._history = history
        table = self.query_one(_Prompts)
        at = table.cursor_row
        if [row.value for row in table.rows] != list(history.samples):
            with self.prevent(DataTable.RowHighlighted):
                table.clear()
                for prompt in history.samples:
                    cell = Text(" ".join(prompt.split()), no_wrap=True, overflow="ellipsis")
                    table.add_row(cell, key=prompt)
                table.move_cursor(row=at)
        self._answers()

    def move(self, by: int) -> None:
        """To the answers of an earlier (-1) or later (1) evaluation."""
        steps = self._history.sample_steps
        if not steps:
            return
        at = steps.index(self._step) if self._step in steps else len(steps) - 1
        at = min(len(steps) - 1, max(0, at + by))
        self._step = steps[at] if at < len(steps) - 1 else None
        self._answers()

    def on_resize(self) -> None:
        self._answers()

    @on(DataTable.RowHighlighted)
    def _highlighted(self) -> None:
        self._answers()

    def _answers(self) -> None:
        """The columns: answers step by step, and the reference beside them."""
        prompts, columns = list(self._history.samples), self.query_one(".answers > Horizontal")
        self.query_one("#no-samples").display = not prompts
        table = self.query_one(_Prompts)
        table.display = bool(prompts)
        row = table.cursor_row
        shown = self._columns(prompts[row]) if 0 <= row < len(prompts) else []
        if len(shown) == len(self._shown) and all(
            new.is_same(old) for new, old in zip(shown, self._shown, strict=True)
        ):
            return
        if len(shown) == len(self._shown):
            for column, text in zip(columns.query(Static), shown, strict=True):
                column.update(text)
        else:
            columns.remove_children()
            columns.mount(*(Static(text) for text in shown))
        self._shown = shown

    def _columns(self, prompt: str) -> list[Content]:
        answers, reference = self._history.samples[prompt], self._history.references.get(prompt)
        width = self.size.width + 2
        room = max(1, max(width // _COMFORTABLE, min(_AT_LEAST, width // _NARROWEST)) - bool(reference))
        best = int(self._history.best[0]) if self._history.best else None
        steps = chosen_steps(sorted(answers), room, self._step, best)
        columns, before = [], None
        for step in steps:
            title = f"step {step:,}" + (" best" if step == best else "")
            head = Content.from_markup("[b $text-accent]$t[/]" if step == self._step else "[b]$t[/]", t=title)
            text = Content(answers[step])
            for span in differing_spans(answers[step], before) if before is not None else ():
                text = text.stylize("$text-accent bold", *span)
            columns.append(head + Content("\n") + text)
            before = answers[step]
        if reference:
            form = "[b $text-success]pair[/]\n[$text-success]$text[/]"
            columns.append(Content.from_markup(form, text=reference))
        return columns


def chosen_steps(steps: Sequence[int], room: int, at: int | None, best: int | None) -> list[int]:
    """Which steps are shown where there is room for so many.

    Args:
        steps: at which there are answers, ascending.
        room: at least 1.
        at: the step that the reader has moved to; it is the last one shown. None: the first, the best and the latest,
            then those before the latest.
        best: the step of the best evaluation.
    """
    if len(steps) <= room:
        return list(steps)
    if at is not None and at in steps:
        end = max(room, steps.index(at) + 1)
        return list(steps[end - room : end])
    wanted = [steps[-1], *([best] if best in steps and best is not None else []), steps[0], *reversed(steps[:-1])]
    return sorted(list(dict.fromkeys(wanted))[:room])
