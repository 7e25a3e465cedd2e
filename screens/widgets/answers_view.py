"""One question and what every arm answered to it, side by side, over the passages that it was drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from textual.app import ComposeResult
from textual.containers import Grid
from textual.content import Content
from textual.message import Message

from screens.compare_state import AnswersOf
from screens.widgets.answer_text import answer_lines, question_lines, source_lines
from screens.widgets.reading import Page, Reading
from screens.widgets.scores import line, right_mark

_FOUR = 88  # cells from which on four answers stand side by side, else two


class AnswersView(Reading):
    """Give it answers with `show`. j k g G go through the questions, h l and the arrows from answer to answer.

    Marked are the words of the references; or, after `turn_marking`, what the other answers say and the current one
    does not.
    """

    DEFAULT_CSS = """
    AnswersView {
        & > Grid {
            grid-size: 4; grid-gutter: 0; grid-rows: auto; height: auto; margin-top: 1;
            & > .answer {
                height: auto; min-height: 4; padding: 0 1; border: round $surface-lighten-2;
                border-title-color: $text; border-title-style: bold; border-subtitle-color: $text-accent;
                &.-current { border: round $primary; }
            }
        }
        &.-two > Grid { grid-size: 2; }
        & > #question { height: auto; }
        & > #sources-read { height: auto; margin-top: 1; }
    }
    """

    @dataclass
    class Moved(Message):
        """Another question is to be shown: so many further on; None: the last one, or the first."""

        by: int | None
        first: bool = False

    class Remarked(Message):
        """Other words are marked than before; `marking` says which."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._answers: AnswersOf | None = None
        self._differences = False
        self._arm: str | None = None
        self._marked: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        yield Page(id="question")
        yield Grid()
        yield Page(id="sources-read")

    @property
    def answers(self) -> AnswersOf | None:
        """What is shown."""
        return self._answers

    @property
    def arm(self) -> str | None:
        """The arm of the current answer."""
        return self._arm

    @property
    def marking(self) -> str:
        """Which words are marked."""
        return f"what {line(self._arm or '')} does not say" if self._differences else "words of a reference"

    def turn_marking(self) -> None:
        """Mark what differs from the current answer, or the words of the references again."""
        self._differences = not self._differences
        self._fill()

    async def show(self, answers: AnswersOf | None, marked: dict[str, str]) -> None:
        """Show another question, or the same one anew; the current answer stays that of the same arm.

        Args:
            answers: None shows nothing.
            marked: a word by the arm that it is written on (`better`).
        """
        another = answers is None or self._answers is None or answers.line.number != self._answers.line.number
        self._answers, self._marked = answers, marked
        arms = answers.comparison.arms if answers else []
        if self._arm not in arms:
            self._arm = arms[0] if arms else None
        grid = self.query_one(Grid)
        panels = list(grid.query(Page))
        if [panel.name for panel in panels] != arms:
            await grid.remove_children()
            await grid.mount_all(_Answer(arm) for arm in arms)
        if answers is not None:
            self.query_one("#question", Page).show(partial(question_lines, answers))
            self.query_one("#sources-read", Page).show(partial(source_lines, answers))
        self._fill()
        self._mark_current()
        if another:
            self.scroll_home(animate=False)

    def step_arm(self, by: int) -> None:
        """Go to the answer beside the current one."""
        arms = self._answers.comparison.arms if self._answers else []
        if self._arm in arms:
            self.choose_arm(arms[(arms.index(self._arm) + by) % len(arms)])

    def choose_arm(self, arm: str) -> None:
        """Make the answer of an arm the current one."""
        self._arm = arm
        self._mark_current()
        if self._differences:
            self._fill()
        for panel in self.query(_Answer):
            if panel.arm == arm:
                panel.scroll_visible(animate=False)

    def _fill(self) -> None:
        """The answers anew, with the words marked that are to be."""
        if self._answers is None:
            return
        against = self._arm if self._differences else None
        for panel in self.query(_Answer):
            panel.fill(self._answers, self._marked.get(panel.arm, ""), against)
        self.post_message(self.Remarked())

    def _mark_current(self) -> None:
        for panel in self.query(_Answer):
            panel.set_class(panel.arm == self._arm, "-current")

    def on_resize(self) -> None:
        self.set_class(self.content_size.width < _FOUR, "-two")

    # What the keys do

    def action_cursor_down(self) -> None:
        self.post_message(self.Moved(1))

    def action_cursor_up(self) -> None:
        self.post_message(self.Moved(-1))

    def action_first_row(self) -> None:
        self.post_message(self.Moved(None, first=True))

    def action_last_row(self) -> None:
        self.post_message(self.Moved(None))

    def action_scroll_left(self) -> None:
        self.step_arm(-1)

    def action_scroll_right(self) -> None:
        self.step_arm(1)


class _Answer(Page):
    """The answer of one arm; a click makes it the current one."""

    def __init__(self, arm: str) -> None:
        super().__init__(classes="answer")
        self.arm = arm

    def fill(self, answers: AnswersOf, mark: str, against: str | None) -> None:
        """Show what the arm answered; `against`: the arm whose answer it differs from where words are marked."""
        answer = answers.answers.get(self.arm)
        sign, color = right_mark(answer.scores.get("right") if answer else None)
        self.border_title = Content.from_markup(f"[${color}]$sign[/] $arm", sign=sign, arm=line(self.arm))
        self.border_subtitle = mark
        other = answers.answers.get(against) if against else None
        text = None if against is None else other.text if other else ""
        self.show(partial(answer_lines, answers.line.question, answer, against=text))

    def on_click(self) -> None:
        if isinstance(view := self.parent.parent if self.parent else None, AnswersView):
            view.choose_arm(self.arm)
