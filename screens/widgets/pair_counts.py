"""The line above the pairs: the dataset, and how many of its pairs have each status; a click filters."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from screens.pair_list import Listing
from screens.widgets.pair_reading import COLORS
from screens.widgets.pair_table import MARKS
from workbench.pairs.pair import STATUSES
from workbench.text import for_terminal


class _Dataset(Static):
    def on_click(self) -> None:
        self.post_message(PairCounts.DatasetClicked())


class _Count(Static):
    def __init__(self, status: str | None) -> None:
        super().__init__(classes="count")
        self.status = status

    def on_click(self) -> None:
        self.post_message(PairCounts.StatusClicked(self.status))


class _Proportions(Widget):
    """A line of which each status has its part."""

    counts: dict[str, int] | None = None

    def render(self) -> Content:
        width, counts = self.content_size.width, self.counts or {}
        total = counts.get("total", 0)
        if not total:
            return Content("")
        order = ("accepted", "rejected", "pending")
        ends, seen = [], 0
        for status in order:
            seen += counts[status]
            ends.append(round(width * seen / total))
        parts, start = [], 0
        for status, end in zip(order, ends, strict=True):
            color = "surface-lighten-2" if status == "pending" else COLORS[status]
            parts.append(Content.from_markup(f"[${color}]$bar[/]", bar="━" * (end - start)))
            start = end
        return Content("").join(parts)


class PairCounts(Vertical):
    """Shows a listing; says what was clicked."""

    class DatasetClicked(Message):
        """The dataset's name was clicked."""

    @dataclass
    class StatusClicked(Message):
        """The count of a status (None: of all) was clicked."""

        status: str | None

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield _Dataset(markup=False)
            for status in (None, *STATUSES):
                yield _Count(status)
        yield _Proportions()

    def show(self, listing: Listing) -> None:
        counts = listing.counts
        names = len(listing.datasets)
        name = listing.datasets[0].name if names == 1 else listing.filter.dataset
        self.query_one(_Dataset).update(
            Content.from_markup("[$text-accent b]$name[/]", name=for_terminal(name, one_line=True))
            if name
            else Content.from_markup(
                "[$text-accent b]$name[/]", name=f"all {names} datasets" if names else "no dataset"
            )
        )
        for count in self.query(_Count):
            status = count.status
            number = f"{counts[status or 'total']:,}"
            if status is None:
                count.update(Content.from_markup("[b]$number[/] pairs", number=number))
            else:
                form = f"[$text-{COLORS[status]}]$mark[/] [b]$number[/] $status"
                count.update(Content.from_markup(form, mark=MARKS[status], number=number, status=status))
            count.set_class(status == listing.filter.status, "-active")
        proportions = self.query_one(_Proportions)
        proportions.counts = counts
        proportions.refresh()
