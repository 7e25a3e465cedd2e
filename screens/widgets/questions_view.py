"""The questions of a comparison: what came of each, and the marks of all arms; by category, or by words."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from screens.compare_state import QuestionLine, Questions
from screens.widgets.colors import theme_color
from screens.widgets.lists import Table
from screens.widgets.scores import flowed, line, muted, right_mark

_PADDING = 2  # cells of a column that are its padding


class QuestionsView(Vertical):
    """Give it questions with `show`; enter asks for the answers to one."""

    DEFAULT_CSS = """
    QuestionsView {
        & > #categories { height: auto; max-height: 4; }
        & > #legend { height: auto; margin-bottom: 1; }
        & > Table { height: 1fr; overflow-x: hidden; }
        & > Input { display: none; background: $boost; margin-bottom: 1; }
        &.-searching > Input { display: block; }
    }
    """

    @dataclass
    class Chosen(Message):
        """The answers to a question are to be shown."""

        line: QuestionLine

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._questions = Questions()
        self._listed: list[QuestionLine] = []
        self._category: str | None = None
        self._width = 0

    def compose(self) -> ComposeResult:
        yield Static(id="categories", markup=False)
        yield Static(id="legend", markup=False)
        yield Input(placeholder="words of a question, its answer or its document", id="question-search", compact=True)
        yield Table(id="question-table", cursor_type="row", cell_padding=1)

    # What is listed

    def show(self, questions: Questions) -> None:
        """List the questions of a comparison; of the same one the filter and the cursor stay."""
        before = self._questions.comparison
        at = self.current
        same = before is not None and questions.comparison is not None and before.id == questions.comparison.id
        self._questions = questions
        if not same:
            at = None
            self.leave_search()
        if not same or (self._category and questions.category(self._category) is None):
            self._category = None
        self._fill(at.number if at else None)

    @property
    def listed(self) -> list[QuestionLine]:
        """Those that pass the filter, in the order of the list."""
        return self._listed

    @property
    def current(self) -> QuestionLine | None:
        """The one under the cursor."""
        row = self.query_one(Table).cursor_row
        return self._listed[row] if 0 <= row < len(self._listed) else None

    def go_to(self, number: int) -> None:
        """Put the cursor on a question; the filter gives way where it hides it."""
        if all(each.number != number for each in self._listed):
            self._category = None
            self.leave_search()
            self._fill(number)
        for row, each in enumerate(self._listed):
            if each.number == number:
                self.query_one(Table).move_cursor(row=row)

    def move(self, by: int | None, *, first: bool = False) -> None:
        """Move the cursor by so many questions; None: to the last one, or to the first."""
        table = self.query_one(Table)
        last = max(0, len(self._listed) - 1)
        row = (0 if first else last) if by is None else table.cursor_row + by
        table.move_cursor(row=min(last, max(0, row)))

    def step_category(self, by: int) -> None:
        """All questions, then those of each category that occurs, then all again; -1 goes back."""
        names = [None, *(category.name for category in self._questions.categories)]
        at = names.index(self._category) if self._category in names else 0
        self._category = names[(at + by) % len(names)]
        self._fill(None)

    # Searching

    @property
    def searching(self) -> bool:
        """Whether the search narrows the list, or is being typed."""
        return self.has_class("-searching")

    def search(self) -> None:
        """Go to the field."""
        self.add_class("-searching")
        self.query_one(Input).focus()

    def leave_search(self) -> None:
        """Show all questions of the category again."""
        self.remove_class("-searching")
        self.query_one(Input).value = ""

    @on(Input.Changed)
    def _typed(self) -> None:
        self._fill(None)

    @on(Input.Submitted)
    def _searched(self) -> None:
        self.query_one(Table).focus()

    # Showing

    def on_resize(self) -> None:
        if self.content_size.width != self._width and self._questions.comparison is not None:
            self._fill(self.current.number if self.current else None)

    def _fill(self, at: int | None) -> None:
        """List what passes the filter, with the cursor on question number `at`."""
        questions = self._questions
        self._width = self.content_size.width
        self._listed = questions.listed(self._category, self.query_one(Input).value)
        self.query_one("#categories", Static).update(self._categories())
        self.query_one("#legend", Static).update(self._legend())
        table = self.query_one(Table)
        titles = {category.name: category.title for category in questions.categories}
        marks = 2 * len(questions.arms) - 1
        number = len(str(len(questions.lines)))
        why = max((len(title) for title in titles.values()), default=0)
        widths = [number, max(1, marks)] + ([why] if why else [])
        rest = max(10, self._width - sum(widths) - _PADDING * (len(widths) + 1) - 1)
        table.clear(columns=True)
        heads = [("#".rjust(number), number), (" ".join(arm[0] for arm in questions.arms), max(1, marks))]
        heads += [("why", why)] if why else []
        for label, width in [*heads, ("question", rest)]:
            table.add_column(Text(label), width=width)
        theme = self.app.theme_variables
        colors = {name: theme_color(theme, name) for name in ("text-success", "text-error", "foreground-muted")}
        for each in self._listed:
            cells = [Text(str(each.shown), justify="right", style="dim"), _marks(each, questions.arms, colors)]
            cells += [Text(titles.get(each.category, ""), style="dim")] if why else []
            table.add_row(*cells, Text(line(each.question.text), no_wrap=True, overflow="ellipsis"))
        rows = [each.number for each in self._listed]
        if at in rows:
            table.move_cursor(row=rows.index(at))

    def _categories(self) -> Content:
        """All that occur with their counts, the chosen one marked."""
        parts = [("all", len(self._questions.lines), None)]
        parts += [(category.title, category.count, category.name) for category in self._questions.categories]
        chosen = "[b underline]$title[/] [b]$count[/]"
        other = "[$foreground-muted]$title[/] $count"
        shown = [
            Content.from_markup(chosen if name == self._category else other, title=title, count=f"{count:,}")
            for title, count, name in parts
        ]
        return Content("\n").join(flowed(shown, self._width, 3))

    def _legend(self) -> Content:
        category = self._questions.category(self._category) if self._category else None
        if category is not None and category.about:
            return muted(line(category.about))
        arms = " ".join(f"{line(arm)[0]} {line(arm)}," for arm in self._questions.arms)
        return Content.from_markup(
            "[$foreground-muted]$arms[/] [$text-success]✓[/][$foreground-muted] right[/] "
            "[$text-error]✗[/][$foreground-muted] wrong  · not scored[/]",
            arms=arms,
        )

    @on(DataTable.RowSelected)
    def _chosen(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self.current))


def _marks(each: QuestionLine, arms: list[str], colors: dict[str, str]) -> Text:
    marks = [right_mark(each.right.get(arm)) for arm in arms]
    return Text(" ").join(Text(mark, style=colors[color]) for mark, color in marks)
