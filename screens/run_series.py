"""One curve of a run: its points by step and by time, smoothed as they come, in bounded memory. Knows no widgets."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

FACTORS = (0.0, 0.6, 0.9, 0.98)
"""How much of the smoothed value a new point keeps; 0 is not smoothed."""
MOST = 4096
"""Points of a curve that are kept: beyond it they are thinned to half."""
Point = tuple[float, float]


class Series(Sequence[Point]):
    """Points `(step, value)`, steps ascending, and beside each the time and the smoothed values.

    A run of any length is told by at most `MOST` points: of every four neighbours the lowest and the highest stay, so
    that a peak is seen however long ago it was. The smoothed values are those of all points, also of the ones left out.

    Smoothing is the exponential moving average of TensorBoard: m = f·m + (1 - f)·value, divided by 1 - fⁿ so that the
    first points are not drawn to 0 (the bias correction of Adam, arXiv 1412.6980, section 3).
    """

    def __init__(self) -> None:
        self.steps = array("d")
        self.seconds = array("d")
        """Since the run's first event, without the time it waited."""
        self.values = array("d")
        self._smooth = {factor: array("d") for factor in FACTORS[1:]}
        self._counts = array("Q")
        """How many points there were up to here, those left out included."""

    def add(self, step: float, seconds: float, value: float) -> None:
        """One point more, at or after the last."""
        count = self._counts[-1] + 1 if self._counts else 1
        for factor, smooth in self._smooth.items():
            weight = (1 - factor) / (1 - factor**count)
            smooth.append(smooth[-1] + weight * (value - smooth[-1]) if smooth else value)
        self.steps.append(step)
        self.seconds.append(seconds)
        self.values.append(value)
        self._counts.append(count)
        if len(self.steps) > MOST:
            self._thin()

    def smoothed(self, factor: float) -> Sequence[float]:
        """The values smoothed with one of `FACTORS`."""
        return self._smooth[factor] if factor else self.values

    def forget_after(self, step: float) -> None:
        """Drop the points of later steps."""
        keep = len(self.steps)
        while keep and self.steps[keep - 1] > step:
            keep -= 1
        for column in self._columns():
            del column[keep:]

    @overload
    def __getitem__(self, at: int) -> Point: ...
    @overload
    def __getitem__(self, at: slice) -> list[Point]: ...
    def __getitem__(self, at: int | slice) -> Point | list[Point]:
        if isinstance(at, slice):
            return list(zip(self.steps[at], self.values[at], strict=True))
        return self.steps[at], self.values[at]

    def __iter__(self) -> Iterator[Point]:
        return zip(self.steps, self.values, strict=True)

    def __len__(self) -> int:
        return len(self.steps)

    def _thin(self) -> None:
        values, keep = self.values, []
        last = len(values) - 1
        for start in range(0, last, 4):
            part = range(start, min(start + 4, last))
            keep += sorted({min(part, key=values.__getitem__), max(part, key=values.__getitem__)})
        keep.append(last)
        for column in self._columns():
            column[:] = array(column.typecode, [column[at] for at in keep])

    def _columns(self) -> list[array]:
        return [self.steps, self.seconds, self.values, self._counts, *self._smooth.values()]
