"""Looking through comparisons: the list, the verdict, questions and answers. What is done to them is in `compare`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import ContentSwitcher, DataTable, Static

from screens.base import WorkbenchScreen
from screens.compare_state import (
    AnswersOf,
    ComparisonLine,
    Means,
    QuestionLine,
    Questions,
    comparison_lines,
    read_answers,
    read_means,
    read_questions,
)
from screens.store_thread import StoreThread
from screens.watcher import JobBoard
from screens.widgets.answers_view import AnswersView
from screens.widgets.comparison_figures import COLUMNS, WELCOME, cells, describe_comparison
from screens.widgets.lists import Table
from screens.widgets.questions_view import QuestionsView
from screens.widgets.scores import line as one_line
from screens.widgets.verdict_view import VerdictView
from screens.widgets.view_bar import ViewBar
from workbench.compare.store import CompareStore, Comparison

VIEWS = ("verdict", "questions", "answers")
_EVERY = 1.0  # seconds at least between two readings while a comparison runs


class CompareBrowser(WorkbenchScreen):
    """Comparisons on the left, newest first; of the one under the cursor its verdict, its questions, its answers."""

    SCOPE = "compare"
    AUTO_FOCUS = "#comparison-table"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[ComparisonLine] = []
        self._comparisons: list[Comparison] | None = None  # None until they were read
        self._selected: int | None = None
        self._means: Means | None = None
        self._questions_read: tuple[object, ...] | None = None  # what the questions shown depend on
        self._questions = Questions()
        self._jobs_seen: dict[str, tuple[str, int, float]] = {}
        self._read_at = 0.0
        self._reading_soon: Timer | None = None

    def body(self) -> ComposeResult:
        with Horizontal(id="panels"):
            with Vertical(id="comparisons", classes="panel") as comparisons:
                comparisons.border_title = "Comparisons"
                yield Table(id="comparison-table", cursor_type="row", cell_padding=1)
            with Vertical(id="comparison", classes="panel"):
                yield Static(id="facts", markup=False)
                yield ViewBar(VIEWS)
                with ContentSwitcher(initial=VIEWS[0]):
                    yield VerdictView(id="verdict")
                    yield QuestionsView(id="questions")
                    yield AnswersView(id="answers")
            yield Static(WELCOME, id="empty", classes="panel")

    def on_mount(self) -> None:
        self.store = StoreThread(CompareStore, self.workspace.database, "compare-reader")
        table = self.query_one("#comparison-table", Table)
        for label, width in COLUMNS:
            table.add_column(label, key=label, width=width)
        self.app.theme_changed_signal.subscribe(self, lambda _: self.show_comparisons())

    def on_unmount(self) -> None:
        self.store.close()

    # What changes

    def refresh_data(self) -> None:
        self._read_at = time.monotonic()
        self.run_worker(self._load, group="compare-load", exclusive=True, exit_on_error=False)

    def jobs_changed(self, board: JobBoard) -> None:
        """Read again what a comparison's job has changed, at most once a second while it only goes on."""
        jobs = {
            job.id: (job.status.state, job.events_size, job.status.progress.done)
            for job in board.jobs
            if job.kind in ("compare", "verdict")
        }
        before, self._jobs_seen = self._jobs_seen, jobs
        if not self.is_current or jobs == before:
            return
        if {id: seen[0] for id, seen in jobs.items()} != {id: seen[0] for id, seen in before.items()}:
            self.refresh_data()
        elif self._reading_soon is None:
            wait = max(0.01, self._read_at + _EVERY - time.monotonic())
            self._reading_soon = self.set_timer(wait, self._read_now)

    def _read_now(self) -> None:
        self._reading_soon = None
        self.refresh_data()

    async def _load(self) -> None:
        if not self.workspace.database.exists():
            self._comparisons = []
        else:
            self._comparisons = await self.store.do(lambda store: store.comparisons())
        self.show_comparisons()
        await self._load_selected()

    async def _load_selected(self) -> None:
        """What is shown of the selected one beyond its line."""
        line = self.line
        if line is not None and (line.live or line.comparison.verdict is None) and line.comparison.answers:
            self._means = await self.store.do(partial(read_means, line=line))
        if self.line is not None:
            self.query_one(VerdictView).show(self.line, self._means)
        if self.view != "verdict":
            await self.read_questions()

    @property
    def line(self) -> ComparisonLine | None:
        """The selected comparison."""
        return next((line for line in self.lines if line.comparison.id == self._selected), None)

    # The list

    def show_comparisons(self) -> None:
        """List what was read last."""
        if self._comparisons is None:
            return
        self.lines = comparison_lines(self._comparisons, self.app.board.jobs)
        table, theme = self.query_one("#comparison-table", Table), self.app.theme_variables
        ids = [line.comparison.id for line in self.lines]
        if [str(id) for id in ids] != [row.value for row in table.rows]:
            with self.prevent(DataTable.RowHighlighted):
                table.clear()
                for line in self.lines:
                    table.add_row(*cells(line, theme), key=str(line.comparison.id))
                if self._selected in ids:
                    table.move_cursor(row=ids.index(self._selected))
        else:
            for line in self.lines:
                for column, cell in zip(table.columns, cells(line, theme), strict=True):
                    if table.get_cell(str(line.comparison.id), column) != cell:
                        table.update_cell(str(line.comparison.id), column, cell, update_width=True)
        for part in ("#comparisons", "#comparison"):
            self.query_one(part).display = bool(ids)
        self.query_one("#comparisons").display = bool(ids) and self.view == "verdict"
        self.query_one("#empty").display = not ids
        if self._selected not in ids:
            self._select(ids[0] if ids else None)
        self._show_selected()

    @on(DataTable.RowHighlighted, "#comparison-table")
    def _highlighted(self, event: DataTable.RowHighlighted) -> None:
        if (id := int(event.row_key.value or 0)) != self._selected:
            self._select(id)
            self.run_worker(self._load_selected, group="compare-selected", exclusive=True, exit_on_error=False)

    @on(DataTable.RowSelected, "#comparison-table")
    def _chosen(self) -> None:
        self.query_one(VerdictView).focus()

    def _select(self, id: int | None) -> None:
        self._selected, self._means, self._questions_read = id, None, None
        self._questions = Questions()
        self._show_selected()

    def select_comparison(self, id: int) -> None:
        """Put the cursor on one that is listed."""
        ids = [line.comparison.id for line in self.lines]
        if id != self._selected and id in ids:
            self._select(id)
            with self.prevent(DataTable.RowHighlighted):
                self.query_one("#comparison-table", Table).move_cursor(row=ids.index(id))

    def go_to_comparison(self, id: int) -> None:
        """Show a comparison that was just started."""
        self._select(id)
        self.show_view("verdict")
        self.app.look_at_jobs()
        self.refresh_data()
        self.query_one("#comparison-table").focus()

    def _show_selected(self) -> None:
        line = self.line
        self.query_one("#comparison").border_title = Content(one_line(line.name)) if line else ""
        self.query_one("#facts", Static).update(describe_comparison(line) if line else "")
        self.query_one(VerdictView).show(line, self._means)
        self.refresh_bindings()

    # The views

    @property
    def view(self) -> str:
        """The one shown."""
        return self.query_one(ContentSwitcher).current or VIEWS[0]

    def show_view(self, view: str) -> None:
        """Show a view; the questions and answers have all the room."""
        if view != self.view and self.line is not None and self.line.live:
            self._questions_read = None  # what was answered meanwhile is read when the view is opened
        self.query_one(ContentSwitcher).current = view
        self.query_one(ViewBar).active = view
        self.set_class(view != "verdict", "-reading")
        self.query_one("#comparisons").display = view == "verdict" and bool(self.lines)
        self.query_one("#comparison").border_subtitle = ""
        if view != "verdict":
            self.run_worker(self.read_questions, group="compare-selected", exclusive=True, exit_on_error=False)
        focus = {"verdict": "#comparison-table", "questions": "#question-table", "answers": "#answers"}
        self.query_one(focus[view]).focus()
        self.refresh_bindings()

    @on(ViewBar.Chosen)
    def _view_chosen(self, event: ViewBar.Chosen) -> None:
        if self.line is not None:
            self.show_view(event.view)

    async def read_questions(self) -> None:
        """Read the questions of the selected comparison where that is needed; and the answers, where they are shown."""
        line = self.line
        if line is None:
            return
        verdict = line.comparison.verdict
        reading = (line.comparison.id, verdict and verdict.get("made_at"), line.live)
        if reading != self._questions_read:
            self._questions_read = reading
            questions = await self.store.do(partial(read_questions, comparison=line.comparison))
            if questions.comparison is None or questions.comparison.id != self._selected:
                return
            self._questions = questions
            self.query_one(QuestionsView).show(questions)
        if self.view == "answers":
            await self._load_answers()

    @on(QuestionsView.Chosen)
    def _question_chosen(self) -> None:
        self.show_view("answers")

    # The answers to one question

    @property
    def marked(self) -> Mapping[str, str]:
        """Words written on answers, by arm."""
        return {}

    def question_changed(self) -> None:
        """Another question is shown."""

    @property
    def shown_answers(self) -> AnswersOf | None:
        """The answers of the view."""
        return self.query_one(AnswersView).answers if self.view == "answers" else None

    def show_question(self, number: int) -> None:
        """Open the answers to a question."""
        self.query_one(QuestionsView).go_to(number)
        self.show_view("answers")

    async def _load_answers(self) -> None:
        chosen: QuestionLine | None = self.query_one(QuestionsView).current
        view = self.query_one(AnswersView)
        if chosen is None:
            await view.show(None, {})
            return
        answers = await self.store.do(partial(read_answers, questions=self._questions, line=chosen))
        before = view.answers
        if answers and (
            before is None or (before.comparison.id, before.line.number) != (self._selected, chosen.number)
        ):
            self.question_changed()
        await view.show(answers, dict(self.marked))
        self._tell_place()
        self.refresh_bindings()

    @on(AnswersView.Remarked)
    def _tell_place(self) -> None:
        """Which question of the list is shown, and what is marked in its answers."""
        if self.view != "answers":
            return
        questions, answers = self.query_one(QuestionsView), self.query_one(AnswersView)
        listed, chosen = questions.listed, questions.current
        place = f"{listed.index(chosen) + 1 if chosen in listed else 0:,} of {len(listed):,}"
        self.query_one("#comparison").border_subtitle = Content(f"marked (d): {answers.marking} · {place}")

    @on(AnswersView.Moved)
    def _moved(self, event: AnswersView.Moved) -> None:
        questions = self.query_one(QuestionsView)
        questions.move(event.by, first=event.first)
        self.run_worker(self._load_answers, group="compare-answers", exclusive=True, exit_on_error=False)
