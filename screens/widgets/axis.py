"""The scale of one side of a chart: which part of it a value is, and the round values to write beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, both round, so that new points seldom move the old ones."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """0 at `low`, 1 at `high`; values that a log axis has no place for are below 0."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        if value <= 0:
            return -math.inf
        return math.log(value / self.low) / math.log(self.high / self.low)


def linear(low: float, high: float, most: int) -> Axis:
    """An axis that holds `low` and `high` and little more, with at most about `most` ticks."""
    low, high = _apart(low, high)
    step = _round_step((high - low) / max(1, most - 1))
    fine = step / 5
    low, high = math.floor(low / fine + 1e-9) * fine, math.ceil(high / fine - 1e-9) * fine
    return Axis(low, high, _multiples(step, low, high))


def window(low: float, high: float, most: int) -> Axis:
    """An axis from exactly `low` to exactly `high`."""
    low, high = _apart(low, high)
    step = _round_step((high - low) / max(1, most - 1))
    return Axis(low, high, _multiples(step, low, high))


def logarithmic(low: float, high: float, most: int) -> Axis:
    """A log axis that holds `low` and `high`, both above 0: decades, and 2 and 5 between them where there is room."""
    if high / low < 3:  # as good as linear
        axis = linear(low, high, most)
        return Axis(axis.low or low, axis.high, tuple(tick for tick in axis.ticks if tick > 0), log=True)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [factor * 10.0**decade for decade in decades for factor in (1.0, 2.0, 5.0)]
    first = max((mark for mark in marks if mark <= low * (1 + 1e-9)), default=low)
    last = min((mark for mark in marks if mark >= high * (1 - 1e-9)), default=high)
    ticks = [mark for mark in marks if first <= mark <= last]
    if len(ticks) > most + 1:
        ticks = [tick for tick in ticks if tick in marks[::3]]  # decades only
    return Axis(first, last, tuple(ticks[:: math.ceil(len(ticks) / max(1, most))]), log=True)


def say_with(ticks: tuple[float, ...]) -> Callable[[float], str]:
    """How to write the values beside an axis: all with as many decimals as tell them apart."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    gap = min((after - before for before, after in pairwise(ticks)), default=largest) or 1.0
    if largest and (largest < 1e-3 or largest >= 1e7):
        return lambda value: f"{value:.{1 if gap < 10 ** math.floor(math.log10(largest)) else 0}e}" if value else "0"
    decimals = max(0, -math.floor(math.log10(gap) + 1e-9))
    return lambda value: f"{value:,.{decimals}f}"


def _multiples(step: float, low: float, high: float) -> tuple[float, ...]:
    return tuple(n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1))


def _round_step(step: float) -> float:
    scale = 10.0 ** math.floor(math.log10(step))
    return scale * next(factor for factor in _STEPS if factor * scale >= step * (1 - 1e-9))


def _apart(low: float, high: float) -> tuple[float, float]:
    if high - low > 1e-9 * max(abs(low), abs(high), 1e-30):
        return low, high
    margin = abs(high) / 2 or 0.5
    return low - margin if low < 0 else max(0.0, low - margin), high + margin
