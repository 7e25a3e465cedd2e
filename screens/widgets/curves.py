"""The curves of a run: loss and eval loss above, the learning rate below. Redrawn twice a second at most."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static
from textual_plot import HiResMode, NumericAxisFormatter, PlotWidget

from screens.run_history import Point, RunHistory, thin
from screens.widgets.colors import theme_color

_EVERY = 0.5  # seconds between two redraws


class _Exponents(NumericAxisFormatter):
    """Learning rates are read as 2e-04."""

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        return [f"{tick:.1e}" if tick else "0" for tick in ticks]


class _Plot(PlotWidget):
    """Not focusable: its keys would hide the screen's."""

    can_focus = False


class Curves(Vertical):
    """Give it a history with `show`; it thins the points to what its width can tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self._history: RunHistory | None = None
        self._drawn = 0.0
        self._waiting = False

    def compose(self) -> ComposeResult:
        yield Static(Content.from_markup("[$foreground-muted]Nothing measured yet.[/]"), id="nothing")
        yield Static(classes="curve-title", id="loss-title")
        yield _Plot(id="loss", allow_pan_and_zoom=False)
        yield Static(Content.from_markup("[$text-warning]━━[/] learning rate"), classes="curve-title", id="rate-title")
        yield _Plot(id="learning-rate", allow_pan_and_zoom=False)

    def on_mount(self) -> None:
        rate = self.query_one("#learning-rate", _Plot)
        rate.set_y_formatter(_Exponents())
        for plot in self.query(_Plot):
            plot.margin_top, plot.margin_bottom, plot.margin_left = 0, 1, 9
        rate.margin_bottom = 0
        rate.set_xticks([])
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def show(self, history: RunHistory) -> None:
        """Draw now, or when half a second has passed since the last time."""
        if history is not self._history:
            self._drawn = 0.0
        self._history = history
        wait = self._drawn + _EVERY - time.monotonic()
        if wait <= 0:
            self._draw()
        elif not self._waiting:
            self._waiting = True
            self.set_timer(wait, self._draw)

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self._waiting = False
        self._drawn = time.monotonic()
        if self._history is None:
            return
        theme, series = self.app.theme_variables, self._history.series
        loss, evaluation = (
            (series["loss"], theme_color(theme, "primary")),
            (series["eval_loss"], theme_color(theme, "accent")),
        )
        self._plot("loss", [loss, evaluation])
        self._plot("learning-rate", [(series["learning_rate"], theme_color(theme, "warning"))])
        self.set_class(not any(series.values()), "-empty")
        self.query_one("#loss-title", Static).update(
            Content.from_markup(
                "[$text-primary]━━[/] loss $loss   [$text-accent]━━[/] eval loss $eval",
                loss=_last(series["loss"]),
                eval=_last(series["eval_loss"]),
            )
        )

    def _plot(self, id: str, curves: list[tuple[list[Point], str]]) -> None:
        plot = self.query_one(f"#{id}", _Plot)
        plot.clear()
        most = max(40, 2 * self.size.width)
        steps = [point[0] for points, _ in curves for point in points]
        if not steps:
            return
        plot.set_xlimits(min(0, min(steps)), max(max(steps), 1))
        for points, color in curves:
            if not points:
                continue
            drawn = thin(points, most)
            x, y = [point[0] for point in drawn], [point[1] for point in drawn]
            if len(drawn) == 1:
                plot.scatter(x, y, marker="●", marker_style=color)
            else:
                plot.plot(x, y, line_style=color, hires_mode=HiResMode.BRAILLE)


def _last(points: list[Point]) -> str:
    return f"{points[-1][1]:.3f}" if points else "-"
