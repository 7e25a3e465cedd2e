"""Curves as braille characters: a cell holds 2 x 4 dots, and the dots of one curve. Pure functions.

What is drawn later covers what was drawn before. A curve costs one look at each of its points in the window, and
otherwise as much as there are columns.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from screens.widgets.axis import Axis, say_with

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
FADED = "faded "
"""Before the name of a colour: little of it, for what lies behind."""
_FLAT_BEYOND = 4.0  # heights beyond the window at which a line is cut
Run = tuple[str, str]
"""Text, and the name of its colour."""


@dataclass(frozen=True)
class Curve:
    """Points with ascending `xs`."""

    xs: Sequence[float]
    ys: Sequence[float]
    color: str
    dotted: bool = False
    """Only every second column of dots: the same figure of a comparable kind."""


@dataclass(frozen=True)
class Mark:
    """A moment worth a line from top to bottom."""

    x: float
    label: str
    color: str


@dataclass(frozen=True)
class Plot:
    """What is to be drawn."""

    x: Axis
    y: Axis
    curves: Sequence[Curve] = ()
    marks: Sequence[Mark] = ()
    unit: str = ""
    """Of the x axis, as it is written."""
    x_scale: float = 1.0
    """What a value of the x axis is multiplied with to be written."""


def paint(plot: Plot, width: int, height: int) -> list[list[Run]]:
    """`height` lines of `width` cells: the curves, their axes and what stands beside these."""
    say = say_with(plot.y.ticks)
    labels = [say(tick) for tick in plot.y.ticks]
    margin = max((len(label) for label in labels), default=0) + 1
    columns, rows = width - margin - 1, height - 2
    if columns < 4 or rows < 2:
        return [[(" " * width, "")] for _ in range(height)]
    canvas = _Canvas(columns, rows)
    for mark in plot.marks:
        canvas.mark(mark, plot.x)
    for curve in plot.curves:
        canvas.draw(curve, plot.x, plot.y)
    beside: dict[int, str] = {}
    for tick, label in zip(plot.y.ticks, labels, strict=True):
        beside[_row(plot.y.place(tick), rows)] = label
    lines = []
    for row, cells in enumerate(canvas.lines()):
        label = beside.get(row)
        lines.append([((label or "").rjust(margin - 1) + " ", "tick"), ("┤" if label else "│", "axis"), *cells])
    return [*lines, *_below(plot, margin, columns)]


class _Canvas:
    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [bytearray(columns) for _ in range(rows)]
        self._texts = [[" "] * columns for _ in range(rows)]
        self._colors = [[""] * columns for _ in range(rows)]

    def mark(self, mark: Mark, axis: Axis) -> None:
        """A line down, and the label at its top, to the side where there is room."""
        place = axis.place(mark.x)
        if not 0 <= place <= 1:
            return
        column = min(self.columns - 1, int(place * self.columns))
        for row in range(self.rows):
            self._texts[row][column], self._colors[row][column] = "┊", mark.color
        right = column + 2 + len(mark.label) <= self.columns
        label = f" {mark.label}" if right else f"{mark.label} "
        start = column + 1 if right else column - len(label)
        if start < 0:
            return
        row = next((row for row in range(self.rows) if self._free(row, start, start + len(label))), 0)
        for at, character in enumerate(label, start):
            self._texts[row][at], self._colors[row][at] = character, mark.color

    def draw(self, curve: Curve, x: Axis, y: Axis) -> None:
        """Connect the points, those just outside the window included."""
        wide, high = 2 * self.columns - 1, 4 * self.rows - 1

        def height(value: float) -> int:
            return round((1 - min(_FLAT_BEYOND, max(-_FLAT_BEYOND, y.place(value)))) * high)

        spans: dict[int, tuple[int, int]] = {}
        before: tuple[int, int] | None = None
        for column, first, lowest, highest, last in _columns(curve, x, wide):
            if before is not None:
                _connect(spans, before, (column, height(first)), wide)
            _widen(spans, column, height(highest), height(lowest))
            before = column, height(last)
        for column, (top, bottom) in spans.items():
            if not 0 <= column <= wide or (curve.dotted and column % 4 >= 2):
                continue
            for dot in range(max(0, top), min(high, bottom) + 1):
                self._dot(column, dot, curve.color)

    def lines(self) -> list[list[Run]]:
        """Each row as runs of one colour."""
        drawn = []
        for dots, texts, colors in zip(self._dots, self._texts, self._colors, strict=True):
            cells = [chr(0x2800 + dot) if dot else text for dot, text in zip(dots, texts, strict=True)]
            runs, at = [], 0
            for color, same in groupby(colors):
                length = len(list(same))
                runs.append(("".join(cells[at : at + length]), color))
                at += length
            drawn.append(runs)
        return drawn

    def _dot(self, column: int, dot: int, color: str) -> None:
        row, cell = dot >> 2, column >> 1
        if self._colors[row][cell] != color:
            self._colors[row][cell], self._dots[row][cell] = color, 0
        self._dots[row][cell] |= _DOTS[column & 1][dot & 3]

    def _free(self, row: int, start: int, end: int) -> bool:
        return all(text == " " for text in self._texts[row][start:end])


def _columns(curve: Curve, axis: Axis, wide: int) -> Iterator[tuple[int, float, float, float, float]]:
    """(column, first, lowest, highest, last value) of each column of dots that has points, from left to right."""
    start = max(0, bisect_left(curve.xs, axis.low) - 1)
    end = min(len(curve.xs), bisect_right(curve.xs, axis.high) + 1)
    low, scale = axis.low, wide / (axis.high - axis.low)
    column: int | None = None
    first = lowest = highest = last = 0.0
    for x, y in zip(curve.xs[start:end], curve.ys[start:end], strict=True):
        at = round((x - low) * scale)
        if at == column:
            if y < lowest:
                lowest = y
            elif y > highest:
                highest = y
            last = y
            continue
        if column is not None:
            yield column, first, lowest, highest, last
        column, first, lowest, highest, last = at, y, y, y, y
    if column is not None:
        yield column, first, lowest, highest, last


def _widen(spans: dict[int, tuple[int, int]], column: int, top: int, bottom: int) -> None:
    if column in spans:
        top, bottom = min(top, spans[column][0]), max(bottom, spans[column][1])
    spans[column] = top, bottom


def _connect(spans: dict[int, tuple[int, int]], start: tuple[int, int], end: tuple[int, int], wide: int) -> None:
    """A line between two columns; only what the window shows of it."""
    slope = (end[1] - start[1]) / (end[0] - start[0])
    for column in range(max(start[0], -1), min(end[0], wide + 1) + 1):
        left = start[1] + slope * max(0.0, column - 0.5 - start[0])
        right = start[1] + slope * min(end[0] - start[0], column + 0.5 - start[0])
        _widen(spans, column, round(min(left, right)), round(max(left, right)))


def _row(place: float, rows: int) -> int:
    return min(rows - 1, max(0, round((1 - place) * (4 * rows - 1)) >> 2))


def _below(plot: Plot, margin: int, columns: int) -> list[list[Run]]:
    say = say_with(tuple(tick * plot.x_scale for tick in plot.x.ticks))
    line, labels = ["─"] * columns, [" "] * (margin + 1 + columns)
    unit = f" {plot.unit}"
    room = len(labels) - len(unit)
    free = 0
    for tick in plot.x.ticks:
        column = min(columns - 1, int(plot.x.place(tick) * columns))
        label = say(tick * plot.x_scale)
        start = max(0, min(margin + 1 + column - len(label) // 2, room - len(label)))
        if start < free:
            continue
        line[column] = "┬"
        labels[start : start + len(label)] = label
        free = start + len(label) + 2
    labels[room:] = unit
    return [[(" " * margin, ""), ("└" + "".join(line), "axis")], [("".join(labels), "tick")]]
