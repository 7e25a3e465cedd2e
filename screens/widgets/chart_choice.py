"""Which charts a run has, and what each of them draws: lines, marks and axes from a history. It knows no widgets."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import NamedTuple

from screens.run_history import RunHistory
from screens.run_series import FACTORS, Series
from screens.widgets import axis
from screens.widgets.plotting import FADED, Curve, Mark, Plot

OTHERS = ("success", "error", "secondary")
"""The theme's colours of the runs laid over."""
_CLOSEST = 8  # how often the window may be halved
_UNITS = ((3600, "h"), (60, "min"), (1, "s"))


class Line(NamedTuple):
    """One figure of a chart."""

    series: str
    label: str
    color: str = "primary"
    smooth: bool = True
    """Whether steps are so noisy that a smoothed line is drawn over them."""
    scale: float = 1.0
    form: str = ".3f"


class ChartKind(NamedTuple):
    """One chart; it is offered where a run has one of its lines."""

    title: str
    lines: tuple[Line, ...]


def _both(series: str, label: str, form: str = ".3f") -> tuple[Line, Line]:
    """A figure of the training steps, and its twin of the evaluations."""
    return Line(series, label, form=form), Line(f"eval_{series}", f"eval {label}", "accent", smooth=False, form=form)


KINDS = (
    ChartKind("Loss", _both("loss", "loss")),
    ChartKind("Rate", (Line("learning_rate", "learning rate", "warning", smooth=False, form=".2e"),)),
    ChartKind("Gradient", (Line("grad_norm", "gradient norm", form=".2f"),)),
    ChartKind("Speed", (Line("tokens_per_second", "tokens/s", form=",.0f"),)),
    ChartKind("Memory", (Line("memory_bytes", "GB", smooth=False, scale=1e-9, form=".2f"),)),
    ChartKind("Load", (Line("cpu", "CPU cores", form=".1f"), Line("gpu", "GPU", "accent", form=".2f"))),
    ChartKind("Margin", (*_both("rewards/margins", "margin"), *_both("margin", "margin"))),
    ChartKind("Right", (*_both("rewards/accuracies", "accuracy", ".2f"), *_both("accuracy", "accuracy", ".2f"))),
    ChartKind("Reward", _both("reward", "reward")),
    ChartKind("KL", _both("kl", "KL", ".4f")),
    ChartKind("Length", _both("completions/mean_length", "tokens a completion", ".0f")),
)


@dataclass(frozen=True)
class Look:
    """How a chart is looked at."""

    log: bool = False
    by_time: bool = False
    factor: float = FACTORS[2]
    zoom: int = 0
    """How often the window was halved."""
    held: tuple[float, float] | None = None
    """The window that the reader has moved to; None: it goes with the newest point."""

    @property
    def words(self) -> str:
        """In words, for a border."""
        parts = [f"smoothed {self.factor:g}" if self.factor else "raw", "log" if self.log else "linear"]
        if self.zoom:
            parts.append(f"zoom 1:{2**self.zoom}")
        return " · ".join(parts)

    def smoother(self) -> Look:
        """The next factor; after the last, none."""
        return replace(self, factor=FACTORS[(FACTORS.index(self.factor) + 1) % len(FACTORS)])

    def turned(self) -> Look:
        """Steps for minutes, and back; the whole run."""
        return replace(self, by_time=not self.by_time, zoom=0, held=None)

    def zoomed(self, by: int, history: RunHistory, kind: ChartKind) -> Look:
        """Half or twice as much; around the middle, or with the newest at the right as before."""
        zoom = min(_CLOSEST, max(0, self.zoom + by))
        closer = replace(self, zoom=zoom, held=None)
        if self.held is None or zoom == 0:
            return closer
        low, high = self.held
        beyond = (high - low) * (2 ** (self.zoom - zoom) - 1) / 2
        return closer._holding(low - beyond, high + beyond, history, kind)

    def moved(self, by: float, history: RunHistory, kind: ChartKind) -> Look:
        """The window further by so many of its widths."""
        low, high = self.window(history, kind)
        by *= high - low
        return self._holding(low + by, high + by, history, kind) if self.zoom else self

    def window(self, history: RunHistory, kind: ChartKind) -> tuple[float, float]:
        """From where to where; round, so that it moves seldom."""
        if self.held is not None:
            return self.held
        newest = max((self.xs(history.series[line.series])[-1] for line in _drawn(kind, history)), default=0.0)
        whole = axis.linear(0, newest, 5).high if newest else 1.0
        if not self.zoom:
            return 0.0, whole
        span = whole / 2**self.zoom
        end = math.ceil(newest / (span / 8) - 1e-9) * span / 8
        return end - span, end

    def xs(self, series: Series) -> Sequence[float]:
        """Where the points of a series stand."""
        return series.seconds if self.by_time else series.steps

    def _holding(self, low: float, high: float, history: RunHistory, kind: ChartKind) -> Look:
        """Held there, but not before the first point; beyond the newest it goes with that again."""
        newest = replace(self, held=None)
        if high >= newest.window(history, kind)[1]:
            return newest
        return replace(self, held=(max(0.0, low), high - min(0.0, low)))


def _drawn(kind: ChartKind, history: RunHistory) -> list[Line]:
    return [line for line in kind.lines if history.series.get(line.series)]


def kinds_of(history: RunHistory) -> list[ChartKind]:
    """The charts of a run; the first one always."""
    return [kind for kind in KINDS if _drawn(kind, history)] or [KINDS[0]]


def legend(kind: ChartKind, history: RunHistory) -> list[tuple[str, str, str]]:
    """(colour, label, latest value) of each line."""
    said = []
    for line in _drawn(kind, history):
        said.append((line.color, line.label, format(history.series[line.series].values[-1] * line.scale, line.form)))
    return said


def plot(
    kind: ChartKind, history: RunHistory, others: Mapping[str, RunHistory], look: Look, width: int, height: int
) -> Plot | None:
    """The chart of a run, other runs behind it; None where there is nothing to draw.

    Args:
        kind: one of `kinds_of(history)`.
        history: the run's.
        others: the runs laid over, in the order of their colours.
        look: how it is looked at.
        width: cells of the chart, for the number of ticks.
        height: likewise.
    """
    low, high = look.window(history, kind)
    behind: list[Curve] = []
    curves: list[Curve] = []
    for other, color in zip(others.values(), cycle(OTHERS), strict=False):
        curves += [_curve(line, other, look, color, dotted=line.color == "accent") for line in _drawn(kind, other)]
    for line in _drawn(kind, history):
        if line.smooth and look.factor:
            behind.append(_curve(line, history, replace(look, factor=0.0), f"{FADED}{line.color}"))
        curves.append(_curve(line, history, look, line.color))
    curves = [*behind, *curves]
    y = _y_axis(curves, low, high, max(3, (height - 2) // 3), log=look.log)
    if y is None:
        return None
    x, scale, unit = _x_axis(low, high, max(2, (width - 8) // 10), by_time=look.by_time)
    return Plot(x, y, curves, _marks(kind, history, look), unit, scale)


def _curve(line: Line, history: RunHistory, look: Look, color: str, *, dotted: bool = False) -> Curve:
    series = history.series[line.series]
    ys = series.smoothed(look.factor if line.smooth else 0.0)
    if line.scale != 1.0:
        ys = [value * line.scale for value in ys]
    return Curve(look.xs(series), ys, color, dotted)


def _y_axis(curves: Sequence[Curve], low: float, high: float, ticks: int, *, log: bool) -> axis.Axis | None:
    """Holds what the window shows; a log axis only what is above 0."""
    values = [curve.ys[bisect_left(curve.xs, low) : bisect_right(curve.xs, high)] for curve in curves]
    if log and (positive := [value for part in values for value in part if value > 0]):
        return axis.logarithmic(min(positive), max(positive), ticks)
    values = [part for part in values if part]
    return axis.linear(min(map(min, values)), max(map(max, values)), ticks) if values else None


def _x_axis(low: float, high: float, ticks: int, *, by_time: bool) -> tuple[axis.Axis, float, str]:
    scale, unit = 1.0, "steps"
    if by_time:
        size, unit = next(unit for unit in _UNITS if high >= 3 * unit[0] or unit[0] == 1)
        scale = 1 / size
    round_ones = axis.window(low * scale, high * scale, ticks).ticks
    return axis.Axis(low, high, tuple(tick / scale for tick in round_ones)), scale, unit


def _marks(kind: ChartKind, history: RunHistory, look: Look) -> list[Mark]:
    """Moments: the best step over what it is the best of, overfitting over the losses, changes of the rate over it."""
    marks: list[tuple[float, str, str]] = []
    judged = any(line.series == history.best_of for line in kind.lines)
    if judged and history.best and len(history.series.get(history.best_of, ())) > 1:
        marks.append((history.best[0], f"best {history.best[0]:,.0f}", "accent"))
    if kind.title == "Loss":
        if overfitting := history.overfitting:
            marks.append((overfitting.step, "overfits", "warning"))
    elif kind.title == "Rate":
        marks = [(change.step, "changed", "accent") for change in history.rate_changes]
    return [Mark(_when(step, kind, history, look), label, color) for step, label, color in marks]


def _when(step: float, kind: ChartKind, history: RunHistory, look: Look) -> float:
    if not look.by_time:
        return step
    longest = max((history.series[line.series] for line in _drawn(kind, history)), key=len)
    return longest.seconds[min(bisect_left(longest.steps, step), len(longest) - 1)]
