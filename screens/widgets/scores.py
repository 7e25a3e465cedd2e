"""The figures of a comparison in words: shares as percent, seconds, words, tokens, joules. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.content import Content

from workbench.compare import figures
from workbench.text import for_terminal

_MARKS = {1.0: ("✓", "text-success"), 0.0: ("✗", "text-error")}
_SUFFIXES = {"share": " %", "seconds": " s", "joules": " J"}


def unit_of(metric: str) -> str:
    """`share`, `words`, `seconds`, `tokens` or `joules`."""
    from workbench.compare.metrics import METRICS

    return METRICS[metric].unit if metric in METRICS else "share"


def title_of(metric: str) -> str:
    """What a metric is called."""
    from workbench.compare.metrics import METRICS

    return METRICS[metric].title if metric in METRICS else metric


def said(value: float | None, unit: str, *, sign: bool = False, short: bool = False) -> str:
    """A value with its unit: `41.2 %`, `2.10 s`, `12.0`; a minus where there is none.

    Args:
        value: shares are 0 to 1.
        unit: see `unit_of`.
        sign: a difference: positive values have their sign, and shares are in points.
        short: shares and tokens without decimals.
    """
    text = figures.number(value, unit, signed=sign)
    if short and text != figures.MISSING and unit in ("share", "tokens"):
        text = text.rpartition(".")[0] if unit == "tokens" else f"{100 * float(value or 0.0):.0f}"
    if text == figures.MISSING or (sign and unit == "share"):
        return text
    return text + _SUFFIXES.get(unit, "")


def direction(metric: str, difference: float) -> tuple[str, str]:
    """What a difference that is certain means, in a word, and the theme's colour of it.

    Args:
        metric: a key of `metrics.METRICS`.
        difference: not 0.

    Returns:
        better or worse; of a metric of which neither more nor less is better: more or less.
    """
    from workbench.compare.metrics import METRICS

    more_is_better = METRICS[metric].higher_is_better if metric in METRICS else True
    if more_is_better is None:
        return ("more" if difference > 0 else "less"), "primary"
    return ("better", "text-success") if (difference > 0) == more_is_better else ("worse", "text-error")


def right_mark(right: float | None) -> tuple[str, str]:
    """The mark of an answer, and the theme's colour of it."""
    return _MARKS.get(-1.0 if right is None else right, ("·", "foreground-muted"))


def muted(text: str) -> Content:
    """Words that matter less."""
    return Content.from_markup("[$foreground-muted]$text[/]", text=text)


def line(text: Any) -> str:
    """Text of any origin on one line, safe to paint."""
    return for_terminal(str(text), one_line=True)


def flowed(parts: Sequence[Content], room: int, gap: int = 2) -> list[Content]:
    """As many parts on a row as have room; none is broken."""
    rows: list[Content] = []
    for part in parts:
        if rows and rows[-1].cell_length + gap + part.cell_length <= room:
            rows[-1] = rows[-1] + " " * gap + part
        else:
            rows.append(part)
    return rows


def indented(content: Content, room: int, first: Content | str = "", rest: str | None = None) -> list[Content]:
    """A paragraph wrapped to `room` cells; `first` stands before its first row, `rest` (or as many spaces) before the
    others."""
    head = first if isinstance(first, Content) else Content(first)
    tail = " " * head.cell_length if rest is None else rest
    rows = content.wrap(max(10, room - head.cell_length))
    return [(Content(tail) if number else head) + row for number, row in enumerate(rows)]
