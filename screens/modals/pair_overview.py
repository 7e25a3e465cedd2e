"""What a dataset is made of, figure by figure as they are read: amount, lengths, what it has too much of, counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from screens.modals.dialog import Dialog
from screens.modals.hints import hints
from screens.store_thread import StoreThread
from screens.widgets.chart import Chart
from screens.widgets.columns import Column, columns
from screens.widgets.histogram import histogram
from screens.widgets.pair_reading import status_content
from screens.widgets.reading import Page, Reading
from screens.widgets.scores import flowed, indented, line, muted
from workbench.errors import UserError, in_words
from workbench.pairs import overview_words
from workbench.pairs.overview import FIGURES, Overview, OverviewReader
from workbench.pairs.variety import EMBEDDINGS, MOST, of
from workbench.workspace import Workspace

_TOP = 6  # rows of each kind of count
_BAR = 16  # cells of a whole bar
_READING = "… reading"


class PairOverview(Dialog[None]):
    """Opens at once; figures that take longer arrive while it is read.

    Args:
        workspace: whose.
        dataset: its name.
        recipe: whose limit is drawn; empty: the newest run's.
    """

    CSS_PATH = "pair_overview.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (28, "-high")]  # noqa: RUF012
    AUTO_FOCUS = "Reading"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,O", "leave", "Close")]

    def __init__(self, workspace: Workspace, dataset: str, recipe: str) -> None:
        super().__init__()
        self._workspace, self._recipe = workspace, recipe
        self._known = Overview(dataset)
        self._no_limit = ""
        self._reader = StoreThread(OverviewReader, workspace.database, "pairs-overview")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            title = Content.from_markup("Overview of [$text-accent]$name[/]", name=line(self._known.dataset))
            yield Static(title, classes="dialog-title")
            with Reading():
                yield Page(id="amount")
                yield Page(id="lengths")
                yield Chart(id="histogram")
                yield Page(id="counts")
            yield Static(hints(("escape", "leave", "close")), classes="dialog-keys")

    def on_mount(self) -> None:
        self._show()
        self.run_worker(self._read, group="overview", exit_on_error=False)

    def on_unmount(self) -> None:
        self._reader.close()

    async def _read(self) -> None:
        known, dataset = self._known, self._known.dataset
        await asyncio.to_thread(self._read_limit)
        for name, figure in FIGURES.items():
            setattr(known, name, await self._reader.do(lambda reader, figure=figure: figure(reader, dataset)))
            self._show()
        prompts = await self._reader.do(lambda reader: reader.prompts(dataset, MOST))
        known.variety = await asyncio.to_thread(of, self._workspace.private / EMBEDDINGS, prompts)
        known.variety_read = True
        self._show()

    def _read_limit(self) -> None:
        """The recipe's limit; a recipe with faults is no reason to show nothing."""
        from workbench.training.control import name_of
        from workbench.training.recipe import load
        from workbench.training.render_client import default_recipe

        try:
            path = self._workspace.recipe(self._recipe or default_recipe(self._workspace))
            self._known.max_length = load(path).max_length
            self._known.recipe = name_of(self._workspace, path)
        except (UserError, OSError) as error:
            self._no_limit = in_words(error)

    def _show(self) -> None:
        if not self.is_attached:
            return
        known = self._known
        self.query_one("#amount", Page).show(partial(_amount, known))
        self.query_one("#lengths", Page).show(partial(_lengths, known, self._no_limit))
        chart = self.query_one(Chart)
        chart.display = bool(known.lengths and known.lengths.pairs)
        if known.lengths:
            chart.show(partial(histogram, known.lengths, known.max_length))
        self.query_one("#counts", Page).show(partial(_counts, known))

    def action_leave(self) -> None:
        self.dismiss(None)


def _amount(known: Overview, room: int) -> list[Content]:
    """The counts by status, how far they are from what is wanted, and what there is too much of."""
    if known.statuses is None:
        return [muted(_READING)]
    counts = [Content.assemble(status_content(status), f" {number:,}") for status, number in known.statuses.items()]
    rows = flowed([Content.from_markup("[b]$n[/] pairs", n=f"{known.pairs:,}"), *counts], room, gap=3)
    for words in overview_words.amount(known.statuses):
        rows += indented(Content(words), room)
    for words in overview_words.too_much(known):
        rows += indented(Content(line(words)), room, Content.from_markup("[$text-warning]! [/]"))
    return [*rows, Content("")]


def _lengths(known: Overview, no_limit: str, room: int) -> list[Content]:
    rows = [_head("Lengths")]
    if known.lengths is None:
        return [*rows, muted(_READING)]
    for words in overview_words.length_lines(known):
        rows += indented(Content(line(words)), room)
    if no_limit:
        rows += indented(muted(line(f"No limit is drawn: {no_limit}")), room)
    return rows


def _counts(known: Overview, room: int) -> list[Content]:
    """What the prompts are like, then the counts of each kind."""
    rows = [Content(""), _head("Prompts")]
    if known.variety:
        rows += indented(Content(overview_words.described(known.variety)), room)
        alike = {group.prompt: group.prompts for group in known.variety.groups}
        rows += _table("like each other", alike, known.variety.prompts, room) if alike else []
    else:
        rows += indented(muted(overview_words.NO_VARIETY if known.variety_read else _READING), room)
    answers = known.openings.answers if known.openings else 0
    openings = dict(list(known.openings.counts.items())[:_TOP]) if known.openings else None
    for title, counts, total in (
        ("Flags", known.flags, known.pairs),
        ("Sources", known.sources, known.pairs),
        ("Tags", known.tags, known.pairs),
        ("Answers begin with", openings, answers),
    ):
        rows.append(Content(""))
        if counts is None:
            rows += [_head(title), muted(_READING)]
        elif not counts:
            rows += [_head(title), muted("none")]
        else:
            rows += _table(title, counts, total, room)
    return rows


def _table(title: str, counts: Mapping[str, int], total: int, room: int) -> list[Content]:
    """The most frequent, each with its number, its share and a bar."""
    shown = list(counts.items())[:_TOP]
    heads = (Column(title), Column("", ">"), Column("", ">"), Column(""))
    rows = [
        (Content(line(name)), f"{number:,}", f"{number / max(1, total):.0%}", _bar(number / max(1, total)))
        for name, number in shown
    ]
    more = len(counts) - len(shown)
    table = columns(heads, rows, room)
    table[0] = _head(title)
    return [*table, muted(f"and {more:,} others")] if more else table


def _bar(share: float) -> Content:
    cells = round(8 * _BAR * min(1.0, share))
    text = "█" * (cells // 8) + ("▏▎▍▌▋▊▉"[cells % 8 - 1] if cells % 8 else "")
    return Content.from_markup("[$primary]$bar[/]", bar=text or "▏")


def _head(title: str) -> Content:
    return Content.from_markup("[b $text-accent]$title[/]", title=title)
