"""What a comparison concludes, or its figures so far while it runs."""

from __future__ import annotations

from functools import partial

from textual.app import ComposeResult
from textual.content import Content

from screens.compare_state import ComparisonLine, Means
from screens.widgets.comparison_figures import describe_absence, live_lines
from screens.widgets.reading import Page, Reading
from screens.widgets.verdict_text import verdict_lines


class VerdictView(Reading):
    """Give it a comparison with `show`, again whenever it has changed."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: int | None = None

    def compose(self) -> ComposeResult:
        yield Page()

    def show(self, line: ComparisonLine | None, means: Means | None) -> None:
        """`means`: of the answers so far, shown while it runs."""
        page = self.query_one(Page)
        if line is None:
            page.show(lambda room: [])
        elif line.live or (line.comparison.verdict is None and line.comparison.answers):
            ended = [] if line.live else [Content(""), *describe_absence(line)]
            page.show(lambda room: [*live_lines(line, means, room), *ended])
        elif line.comparison.verdict is None:
            page.show(lambda room: describe_absence(line))
        else:
            page.show(partial(verdict_lines, line.comparison.verdict))
        if (id := line.comparison.id if line else None) != self._shown:
            self._shown = id
            self.scroll_home(animate=False)
