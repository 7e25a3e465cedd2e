"""Plots as SVG, built as text: nothing is imported for them, and they stand in a page without any script.

Lines and letters have the page's colour (`currentColor`). A page may colour the classes `one` (untuned) and `two`
(tuned), and grey `faint`; without it, shape and dashes tell them apart, as on paper. They know nothing of verdicts.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.compare.figures import MINUS, known
from workbench.text import for_terminal

_WIDTH = 720
_LETTER = 6.6  # pixels that a letter of 12 takes, about
_LONGEST = 34  # letters of a label
_ROW = 24
_TOP = 8
_NO_XML = re.compile("[\ufffe\uffff]")  # allowed in HTML, not in XML


@dataclass(frozen=True)
class Mark:
    """A figure in a plot, as it is written: shares in percent. What is not known is None."""

    label: str
    mean: float | None
    low: float | None = None
    high: float | None = None
    text: str = ""
    """The same in words, e.g. `12.3 (8.1 to 16.4)`."""
    filled: bool = True


@dataclass(frozen=True)
class _Axis:
    """Where a figure lies: `ticks` span it from `start` to `end`, in pixels."""

    ticks: tuple[float, ...]
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0]) * (self.end - self.start)


def escape(text: object, *, lines: bool = False) -> str:
    """Text that is nothing but text in SVG and HTML, between tags and in a quoted attribute; on one line unless
    `lines`."""
    return html.escape(_NO_XML.sub("\ufffd", for_terminal(str(text), one_line=not lines)))


def forest(key: str, title: str, about: str, groups: Sequence[Sequence[Mark]], axis: str) -> str:
    """A row a figure: a point with its interval, and the figure in words at the right; zero has its line.

    Args:
        key: an id that no other plot of the page has.
        title: its name, and `about`, a sentence on how to read it: for who does not see it.
        groups: the rows, some space between groups; not `filled` is a hollow point.
        axis: the name of the axis, with its unit.
    """
    marks = [mark for group in groups for mark in group]
    left = 16 + _LETTER * max((len(_short(mark.label)) for mark in marks), default=0)
    right = _WIDTH - 16 - _LETTER * max((len(mark.text) for mark in marks), default=0)
    at = _Axis(_ticks([0.0, *_ends(marks)]), left, right)
    bottom = _TOP + _ROW * len(marks) + 12 * max(0, len(groups) - 1)
    parts = [*_grid(at, bottom), _text((left + right) / 2, bottom + 36, axis, "middle")]
    y = _TOP + _ROW / 2
    for group in groups:
        for mark in group:
            parts += [_text(left - 10, y + 4, _short(mark.label), "end"), _text(right + 10, y + 4, mark.text)]
            if known(mark.low) and known(mark.high):
                parts.append(_bar(at(mark.low), y, at(mark.high), y))
            if known(mark.mean):
                parts.append(_point(at(mark.mean), y, mark.filled))
            y += _ROW
        y += 12
    return _svg(key, title, _in_words(about, marks), bottom + 44, parts)


def interaction(key: str, title: str, about: str, untuned: Sequence[Mark], tuned: Sequence[Mark], axis: str) -> str:
    """Two lines over without and with retrieval: where they are not parallel, the two work on each other.

    Args:
        key: an id that no other plot of the page has.
        title: its name, and `about`, a sentence on how to read it.
        untuned: the base and rag arms; a mean that is None is left out.
        tuned: the tuned and hybrid arms.
        axis: the name of the upright axis, with its unit.
    """
    bottom, left, right, columns = 268.0, 64.0, 600.0, (200.0, 460.0)
    at = _Axis(_ticks([0.0, *_ends([*untuned, *tuned])]), bottom, 32.0)
    parts = [_text(left - 44, 16, axis)]
    for tick in at.ticks:
        parts.append(f'<line class="faint" x1="{left}" x2="{right}" y1="{at(tick):.1f}" y2="{at(tick):.1f}" {_THIN}/>')
        parts.append(_text(left - 8, at(tick) + 4, _written(tick, at.ticks), "end"))
    for x, name in zip(columns, ("without retrieval", "with retrieval"), strict=True):
        parts.append(_text(x, bottom + 22, name, "middle"))
    ends: list[tuple[float, str]] = []
    for name, marks, shift in (("untuned", untuned, -5.0), ("tuned", tuned, 5.0)):
        shown = [(x + shift, mark) for x, mark in zip(columns, marks, strict=True) if known(mark.mean)]
        points = [(x, at(mark.mean or 0.0)) for x, mark in shown]
        parts.append(f'<g class="{"two" if name == "tuned" else "one"}">')
        if len(points) == 2:
            (x1, y1), (x2, y2) = points
            dashes = "" if name == "tuned" else ' stroke-dasharray="6 4"'
            parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {_THICK}{dashes}/>')
        for (x, y), (_, mark) in zip(points, shown, strict=True):
            if known(mark.low) and known(mark.high):
                parts.append(_bar(x, at(mark.low), x, at(mark.high)))
            parts.append(_point(x, y, name == "tuned"))
        parts.append("</g>")
        if points:
            ends.append((points[-1][1], name))
    ends.sort()
    if len(ends) == 2 and ends[1][0] - ends[0][0] < 16:  # the names of the lines do not cover each other
        middle = (ends[0][0] + ends[1][0]) / 2
        ends = [(middle - 8, ends[0][1]), (middle + 8, ends[1][1])]
    beside = columns[any(known(marks[1].mean) for marks in (untuned, tuned))] + 22
    parts += [_text(beside, y + 4, name, klass="two" if name == "tuned" else "one") for y, name in ends]
    return _svg(key, title, _in_words(about, [*untuned, *tuned]), 300, parts)


def bars(key: str, title: str, about: str, marks: Sequence[Mark], axis: str) -> str:
    """A bar a count, with its figure in words behind it; not `filled` is a hollow bar."""
    left = 16 + _LETTER * max((len(_short(mark.label)) for mark in marks), default=0)
    right = _WIDTH - 16 - _LETTER * max((len(mark.text) for mark in marks), default=0)
    at = _Axis(_ticks([0.0, *_ends(marks)], whole=True), left, right)
    bottom = _TOP + _ROW * len(marks)
    parts = [*_grid(at, bottom), _text((left + right) / 2, bottom + 36, axis, "middle")]
    for row, mark in enumerate(marks):
        y = _TOP + _ROW * row
        end = at(mark.mean) if known(mark.mean) else left
        parts.append(_text(left - 10, y + 16, _short(mark.label), "end"))
        if end > left:
            fill = 'fill="currentColor"' if mark.filled else 'class="hollow" fill="none"'
            size = f'x="{left:.1f}" y="{y + 5}" width="{end - left:.1f}" height="{_ROW - 10}"'
            parts.append(f'<rect {size} {fill} stroke="currentColor" stroke-width="1.2"/>')
        parts.append(_text(end + 8, y + 16, mark.text))
    return _svg(key, title, _in_words(about, marks), bottom + 44, parts)


_THIN = 'stroke="currentColor" stroke-width="0.6" stroke-opacity="0.3"'
_THICK = 'stroke="currentColor" stroke-width="1.8"'


def _svg(key: str, title: str, about: str, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" font-size="12" '
        f'font-family="system-ui, sans-serif" aria-labelledby="{key}-title {key}-about">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-about">{escape(about)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def _in_words(about: str, marks: Iterable[Mark]) -> str:
    """A description that holds all that is seen."""
    return f"{about} {'; '.join(f'{mark.label}: {mark.text}' for mark in marks)}."


def _grid(at: _Axis, bottom: float) -> list[str]:
    parts = []
    for tick in at.ticks:
        zero = tick == 0 and at.ticks[0] < 0
        style = 'class="zero" stroke="currentColor" stroke-width="1.2"' if zero else f'class="faint" {_THIN}'
        parts.append(f'<line {style} x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="{_TOP}" y2="{bottom:.1f}"/>')
        parts.append(_text(at(tick), bottom + 16, _written(tick, at.ticks), "middle"))
    return parts


def _text(x: float, y: float, text: str, anchor: str = "start", klass: str = "") -> str:
    named = f' class="{klass}"' if klass else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor"{named}>{escape(text)}</text>'


def _bar(x1: float, y1: float, x2: float, y2: float) -> str:
    """An interval, with its ends."""
    dx, dy = (0.0, 4.0) if y1 == y2 and x1 != x2 else (4.0, 0.0)
    lines = ((x1, y1, x2, y2), (x1 - dx, y1 - dy, x1 + dx, y1 + dy), (x2 - dx, y2 - dy, x2 + dx, y2 + dy))
    path = " ".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for a, b, c, d in lines)
    return f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.4"/>'


def _point(x: float, y: float, filled: bool) -> str:
    fill = 'fill="currentColor"' if filled else 'class="hollow" fill="white"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.2" {fill} stroke="currentColor" stroke-width="1.6"/>'


def _ends(marks: Iterable[Mark]) -> list[float]:
    return [value for mark in marks for value in (mark.mean, mark.low, mark.high) if known(value)]


def _ticks(values: Sequence[float], *, whole: bool = False) -> tuple[float, ...]:
    """Round figures about a fifth of the span apart that enclose the values."""
    low, high = min(values), max(values)
    rough = (high - low or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    step = max(1.0, round(step)) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(each * step for each in range(first, max(last, first + 1) + 1))


def _written(tick: float, ticks: Sequence[float]) -> str:
    places = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    return f"{tick:.{places}f}".replace("-", MINUS)


def _short(label: str) -> str:
    label = for_terminal(label, one_line=True)
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
