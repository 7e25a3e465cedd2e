"""One metric of several runs in one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static
from textual_plot import HiResMode, PlotWidget

from screens.run_history import thin
from screens.widgets.colors import theme_color
from workbench.text import for_terminal

_COLORS = ("primary", "accent", "success", "warning", "secondary", "error")
_FIRST = ("eval_loss", "loss")
_NOT_COMPARED = ("tokens", "eval_tokens", "memory_bytes", "cpu", "gpu")
Curve = Sequence[tuple[float, float]]


class _Plot(PlotWidget):
    """Not focusable: its keys would hide the dialog's."""

    can_focus = False


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
        yield _Plot(allow_pan_and_zoom=False)

    def on_mount(self) -> None:
        plot = self.query_one(_Plot)
        plot.margin_top, plot.margin_bottom, plot.margin_left = 0, 1, 9
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

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        plot, title = self.query_one(_Plot), self.query_one(Static)
        plot.clear()
        if not self._metrics:
            title.update(Content.from_markup("[$foreground-muted]Nothing measured yet.[/]"))
            return
        name = self._metrics[self._metric]
        title.update(
            Content.from_markup(
                "[b]$name[/]  [$foreground-muted]$at of $all · by step[/]",
                name=for_terminal(name, one_line=True), at=str(self._metric + 1), all=str(len(self._metrics)),
            )
        )  # fmt: skip
        curves = [(run, of_run[name]) for run, of_run in enumerate(self._curves) if of_run.get(name)]
        steps = [step for _, points in curves for step, _ in points]
        plot.set_xlimits(min(0, *steps), max(*steps, 1))
        most = max(40, 2 * self.size.width)
        theme = self.app.theme_variables
        for run, points in sorted(curves, key=lambda curve: curve[0] == self._in_front):
            color = theme_color(theme, color_of(run, len(self._curves), in_front=run == self._in_front))
            drawn = thin(list(points), most)
            x, y = [step for step, _ in drawn], [value for _, value in drawn]
            if len(drawn) == 1:
                plot.scatter(x, y, marker="●", marker_style=color)
            else:
                plot.plot(x, y, line_style=color, hires_mode=HiResMode.BRAILLE)


def color_of(run: int, count: int, *, in_front: bool) -> str:
    """The theme's colour of a run's curve: its own where there are few, else only the one in front stands out."""
    if count <= len(_COLORS):
        return _COLORS[run]
    return "accent" if in_front else "surface-lighten-3"
