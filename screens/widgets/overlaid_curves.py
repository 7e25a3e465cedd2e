"""One metric of several runs in one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from screens.widgets import axis, plotting
from screens.widgets.chart import Chart
from workbench.text import for_terminal

_COLORS = ("primary", "accent", "success", "warning", "secondary", "error")
_FIRST = ("eval_loss", "loss")
_NOT_COMPARED = ("tokens", "eval_tokens", "memory_bytes", "cpu", "gpu")
Curve = Sequence[tuple[float, float]]


class OverlaidCurves(Vertical):
    """Give it the runs' curves with `show`; `next_metric` turns to another metric."""

    def __init__(self) -> None:
        super().__init__()
        self._curves: Sequence[Mapping[str, Curve]] = ()
        self._metrics: list[str] = []
        self._metric = 0
        self._in_front = 0

    def compose(self) -> ComposeResult:
        yield Static(classes="curve-title")
        yield Chart()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def show(self, curves: Sequence[Mapping[str, Curve]]) -> None:
        """The curves of each run, by the name of the metric."""
        shown = self._metrics[self._metric] if self._metrics else ""
        self._curves = curves
        names = dict.fromkeys(name for of_run in curves for name in of_run if name not in _NOT_COMPARED)
        # What most of them have comes first: those are the curves that lie over each other.
        shared = sorted(names, key=lambda name: -sum(name in of_run for of_run in curves))
        self._metrics = [name for name in _FIRST if name in names] + [n for n in shared if n not in _FIRST]
        self._metric = self._metrics.index(shown) if shown in self._metrics else 0
        self._draw()

    def next_metric(self) -> None:
        """The next of what was measured."""
        if self._metrics:
            self._metric = (self._metric + 1) % len(self._metrics)
            self._draw()

    def bring_to_front(self, run: int) -> None:
        """Draw this run's curve over the others."""
        if run != self._in_front:
            self._in_front = run
            self._draw()

    def _draw(self) -> None:
        title = self.query_one(Static)
        if not self._metrics:
            title.update(Content.from_markup("[$foreground-muted]Nothing measured yet.[/]"))
            self.query_one(Chart).show(lambda *_: None)
            return
        title.update(
            Content.from_markup(
                "[b]$name[/]  [$foreground-muted]$at of $all · by step[/]",
                name=for_terminal(self._metrics[self._metric], one_line=True),
                at=str(self._metric + 1), all=str(len(self._metrics)),
            )
        )  # fmt: skip
        self.query_one(Chart).show(self._plot)

    def _plot(self, width: int, height: int) -> plotting.Plot:
        name, count = self._metrics[self._metric], len(self._curves)
        curves = [(run, of_run[name]) for run, of_run in enumerate(self._curves) if of_run.get(name)]
        curves.sort(key=lambda curve: curve[0] == self._in_front)
        values = [value for _, points in curves for _, value in points]
        return plotting.Plot(
            axis.linear(0, max(1, *(points[-1][0] for _, points in curves)), max(2, (width - 8) // 10)),
            axis.linear(min(values), max(values), max(3, (height - 2) // 3)),
            [
                plotting.Curve(
                    [step for step, _ in points], [value for _, value in points],
                    color_of(run, count, in_front=run == self._in_front),
                )
                for run, points in curves
            ],
            unit="steps",
        )  # fmt: skip


def color_of(run: int, count: int, *, in_front: bool) -> str:
    """The theme's colour of a run's curve: its own where there are few, else only the one in front stands out."""
    if count <= len(_COLORS):
        return _COLORS[run]
    return "accent" if in_front else f"{plotting.FADED}primary"
