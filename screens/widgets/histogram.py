"""The lengths of pairs as a histogram in braille, with the limit of a recipe as a line. Pure functions."""

from __future__ import annotations

import math

from screens.widgets.axis import linear, window
from screens.widgets.plotting import Curve, Mark, Plot
from workbench.pairs.overview import Lengths

_MOST = 0.995  # share of the pairs that the axis holds at least; the last bar has the others, too
_FAR = 3  # times as long as these: a limit that is further off is not drawn
_FEW = 12  # bars of a handful of pairs
_ABOVE = 1.25  # room above the highest bar, where the limit is written
_TICKS = 12  # cells for a tick


def histogram(lengths: Lengths, limit: int | None, width: int, height: int) -> Plot | None:
    """Bars from 0 to little more than most lengths, and to the limit where it is not far beyond them.

    Args:
        lengths: in tokens or characters.
        limit: in tokens; None draws none.
        width: cells.
        height: rows.
    """
    dots = 2 * max(4, width - 10)  # columns of dots
    end = max(4, lengths.quantile(_MOST))
    drawn = limit if lengths.unit == "tokens" and limit and limit <= _FAR * end else None
    end = round(1.1 * max(end, drawn or 0))
    # Bars of whole tokens, or every other one would stand for more lengths than its neighbour; few for few pairs.
    step = math.ceil(end / min(dots, max(_FEW, 4 * math.isqrt(lengths.pairs))))
    bars = lengths.histogram(step, math.ceil(end / step))
    ends = [(dot + 0.5) * end / dots for dot in range(dots)]
    curves = []
    for color, xs in _split(ends, drawn):
        ys = [float(y) for x in xs for y in (0, bars[int(x / step)])]
        curves.append(Curve([x for x in xs for _ in (0, 1)], ys, color))
    marks = [] if drawn is None else [Mark(drawn, f"max_length {drawn:,}", "text-error")]
    return Plot(
        x=window(0, end, max(2, width // _TICKS)),
        y=linear(0, _ABOVE * max(bars), max(2, height // 3)),
        curves=curves,
        marks=marks,
        unit=lengths.unit,
    )


def _split(xs: list[float], limit: int | None) -> list[tuple[str, list[float]]]:
    """What lies within the limit and what beyond it, each with its colour."""
    if limit is None:
        return [("primary", xs)]
    return [("primary", [x for x in xs if x <= limit]), ("error", [x for x in xs if x > limit])]
