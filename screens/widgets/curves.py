"""The curves of a run, a chart at a time: smoothed over raw, by step or time, with other runs laid over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import cycle

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from screens.run_history import RunHistory
from screens.widgets import chart_choice
from screens.widgets.chart import Chart
from screens.widgets.chart_choice import OTHERS, ChartKind, Look
from workbench.text import for_terminal


class Curves(Vertical):
    """Give it a history with `show`; how it is looked at stays from run to run."""

    class Relooked(Message):
        """It is looked at in another way: `Curves.look` says how."""

    def __init__(self) -> None:
        super().__init__()
        self._history = RunHistory()
        self._others: Mapping[str, RunHistory] = {}
        self._title = chart_choice.KINDS[0].title
        self._texts: dict[str, Content] = {}
        self.look = Look()
        """How the chart is looked at."""

    def compose(self) -> ComposeResult:
        yield Static(Content.from_markup("[$foreground-muted]Nothing measured yet.[/]"), id="nothing")
        yield Static(id="kinds", markup=False)
        yield Static(id="legend", markup=False)
        yield Static(id="others", markup=False)
        yield Chart()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    @property
    def kind(self) -> ChartKind:
        """The chart that is drawn."""
        kinds = chart_choice.kinds_of(self._history)
        return next((kind for kind in kinds if kind.title == self._title), kinds[0])

    def show(self, history: RunHistory, others: Mapping[str, RunHistory]) -> None:
        """Draw these: a run, and by name those laid over it."""
        if history is not self._history:
            self.look = replace(self.look, zoom=0, held=None)
        self._history, self._others = history, others
        self._draw()

    def next_kind(self) -> None:
        """The next chart; the first after the last."""
        kinds = chart_choice.kinds_of(self._history)
        self._title = kinds[(kinds.index(self.kind) + 1) % len(kinds)].title
        self._draw()

    def turn_log(self) -> None:
        """From a linear y axis to a logarithmic one, and back."""
        self._look_at(replace(self.look, log=not self.look.log))

    def turn_time(self) -> None:
        """From steps to time, and back."""
        self._look_at(self.look.turned())

    def smooth(self) -> None:
        """Smooth more; after the most, not at all."""
        self._look_at(self.look.smoother())

    def zoom(self, by: int) -> None:
        """Closer (1) or further (-1); 0 shows all."""
        self._look_at(self.look.zoomed(by, self._history, self.kind) if by else replace(self.look, zoom=0, held=None))

    def pan(self, by: float) -> None:
        """The window on by so many of its widths."""
        self._look_at(self.look.moved(by, self._history, self.kind))

    def on_resize(self) -> None:
        self._say("kinds", _titles(chart_choice.kinds_of(self._history), self.kind, self.size.width))

    def _look_at(self, look: Look) -> None:
        self.look = look
        self._draw()
        self.post_message(self.Relooked())

    def _draw(self) -> None:
        history, kind, others, look = self._history, self.kind, self._others, self.look
        self.set_class(not any(history.series.values()), "-empty")
        self._say("kinds", _titles(chart_choice.kinds_of(history), kind, self.size.width))
        self._say("legend", _legend(kind, history))
        self._say("others", _names(others))
        self.query_one("#others").display = bool(others)
        self.query_one(Chart).show(partial(chart_choice.plot, kind, history, others, look))

    def _say(self, id: str, text: Content) -> None:
        if not text.is_same(self._texts.get(id, Content())):
            self._texts[id] = text
            self.query_one(f"#{id}", Static).update(text, layout=False)


def _titles(kinds: list[ChartKind], current: ChartKind, room: int) -> Content:
    """The charts there are; the first ones are left out where the current one would not fit."""
    at = kinds.index(current)
    first = 0
    while first < at and sum(len(kind.title) + 2 for kind in kinds[first : at + 1]) > room:
        first += 1
    parts = [
        Content.from_markup("[b $text-accent]$t[/]" if kind is current else "[$foreground-muted]$t[/]", t=kind.title)
        for kind in kinds[first:]
    ]
    return Content("  ").join(parts)


def _legend(kind: ChartKind, history: RunHistory) -> Content:
    parts = [
        Content.from_markup(f"[${color}]━━[/] $label [b]$value[/]", label=label, value=value)
        for color, label, value in chart_choice.legend(kind, history)
    ]
    return Content("   ").join(parts)


def _names(others: Mapping[str, RunHistory]) -> Content:
    parts = [
        Content.from_markup(f"[${color}]━━[/] $name", name=for_terminal(name, one_line=True))
        for name, color in zip(others, cycle(OTHERS), strict=False)
    ]
    return Content("   ").join(parts)
