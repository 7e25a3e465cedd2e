"""Means with their intervals, drawn as bars of characters on one scale. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.content import Content

_GAP = 2  # cells between the columns
_NARROWEST = 12  # cells of the scale
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Bar:
    """One row: what it is of, the mean, its interval."""

    label: Content
    mean: float
    low: float
    high: float
    color: str = "primary"
    """Of the theme."""
    certain: bool = True
    """Drawn full; else hollow: what lies inside the noise."""


@dataclass(frozen=True)
class Scale:
    """From which value to which the bars reach, on so many cells."""

    first: float
    last: float
    cells: int

    def cell(self, value: float) -> int:
        """The cell of a value, from 0; what lies outside is put at the edge."""
        span = (self.last - self.first) or 1.0
        return min(self.cells - 1, max(0, round((value - self.first) / span * (self.cells - 1))))


def forest(
    bars: Sequence[Bar], room: int, say: Callable[[float], str], *, zero: bool = False, most: float | None = None
) -> list[Content]:
    """A line a bar, with the figures at its end, over the axis.

    Args:
        bars: at least one.
        room: cells of a line.
        say: a value in words, e.g. `41.2 %`.
        zero: whether these are differences: the scale then holds a line at 0.
        most: no scale goes beyond this value (1 for shares).
    """
    figures = [Content.from_markup("[b]$mean[/]  $range", mean=say(bar.mean), range=_range(bar, say)) for bar in bars]
    labels = max(bar.label.cell_length for bar in bars)
    right = max(figure.cell_length for figure in figures)
    cells = max(_NARROWEST, room - labels - right - 2 * _GAP)
    scale = Scale(*_bounds(bars, most), cells)
    lines = []
    for bar, figure in zip(bars, figures, strict=True):
        lines.append(
            Content(" " * _GAP).join(
                [
                    bar.label.pad_right(labels - bar.label.cell_length),
                    _drawn(bar, scale, zero),
                    figure.pad_left(right - figure.cell_length),
                ]
            )
        )
    return [*lines, Content(" " * (labels + _GAP)) + _axis(scale, say, zero)]


def _range(bar: Bar, say: Callable[[float], str]) -> str:
    low, high = say(bar.low), say(bar.high)
    for unit in (" %", " s", " J"):  # said once
        low = low.removesuffix(unit) if high.endswith(unit) else low
    return f"{low} to {high}"


def _drawn(bar: Bar, scale: Scale, zero: bool) -> Content:
    low, mean, high = (scale.cell(value) for value in (bar.low, bar.mean, bar.high))
    origin = scale.cell(0.0) if zero else -1
    row = [" "] * scale.cells
    for cell in range(low, high + 1):
        row[cell] = "─"
    if low < mean:
        row[low] = "├"
    if high > mean:
        row[high] = "┤"
    if zero:
        row[origin] = "│" if row[origin] == " " else "┼"
    row[mean] = "●" if bar.certain else "○"
    before, after = "".join(row[:low]), "".join(row[high + 1 :])
    return Content.from_markup(
        f"[$foreground-muted]$before[/][${bar.color}]$bar[/][$foreground-muted]$after[/]",
        before=before,
        bar="".join(row[low : high + 1]),
        after=after,
    )


def _axis(scale: Scale, say: Callable[[float], str], zero: bool) -> Content:
    row = [" "] * scale.cells
    marks = [0.0, scale.first, scale.last] if zero else [scale.first, scale.last, (scale.first + scale.last) / 2]
    for value in marks:
        text = say(value)
        start = min(scale.cells - len(text), max(0, scale.cell(value) - len(text) // 2))
        around = row[max(0, start - 1) : start + len(text) + 1]
        if start >= 0 and not "".join(around).strip():
            row[start : start + len(text)] = text
    return Content.from_markup("[$foreground-muted]$axis[/]", axis="".join(row))


def _bounds(bars: Sequence[Bar], most: float | None) -> tuple[float, float]:
    """Round numbers around all intervals, and 0."""
    low = min(0.0, *(bar.low for bar in bars), *(bar.mean for bar in bars))
    high = max(0.0, *(bar.high for bar in bars), *(bar.mean for bar in bars))
    step = _round_up((high - low) / 4 or 0.25)
    first, last = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return (max(-most, first), min(most, last)) if most is not None else (first, last)


def _round_up(value: float) -> float:
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in _STEPS if step * size >= value * 0.999)
