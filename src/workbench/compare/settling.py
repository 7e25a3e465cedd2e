"""What is said of a difference that is not measurable, and what would settle it. Light: the app calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.compare.figures import MINUS, MISSING, count, known, number, p_value, unit_name
from workbench.compare.resampling import LEVEL

MOST = 10_000
"""Questions that somebody might still ask."""

Row = Mapping[str, Any]


def settle(row: Row, n: int, floor: float = 0.0, unit: str = "share") -> str:
    """Why a difference or an effect is not measurable at n questions, and what would settle it.

    For example "no measurable difference at n = 60; about 240 questions would settle it". It never names a number of
    questions that were asked already.

    Args:
        row: of a verdict's `differences` or `effects` that is not `measurable`.
        n: questions that it rests on, the row's `n`.
        floor: the noise floor that it was held against, the row's `floor` (0 where it has none).
        unit: of the metric; see `workbench.compare.metrics.Metric`.

    Returns:
        A clause without a full stop; no text of others is in it.
    """
    if row.get("wins") == row.get("losses") == 0:
        return f"no difference on any of the {n:,} questions" if n else "no difference was measured"
    text = f"no measurable difference at n = {n:,}"
    p = _p(row)
    if known(p) and p >= LEVEL and _excludes_zero(row):  # the interval is of this pair by itself
        text = f"{text} (adjusted p {p_value(p)})" if "p_holm" in row else f"{text} (p {p_value(p)})"
    if _is_noise(row, n, floor):
        return f"{text}, as the same arm asked twice may differ by {amount(floor, unit)}"
    needed = row.get("needed")
    if not needed:
        return f"{text}, and more questions would not settle it"
    if needed <= n:
        return f"{text}; a few more questions may settle it"
    if needed > MOST:
        return f"{text}; more than {MOST:,} questions would be needed to settle it"
    return f"{text}; about {needed:,} questions would settle it"


def questions_needed(row: Row, n: int, floor: float = 0.0) -> str:
    """The same in a cell of a table: a number, `a few more`, or `MISSING` where no number would settle it.

    Of a measurable difference it is the number that would have been enough; arguments as those of `settle`.
    """
    needed = row.get("needed")
    if not needed:
        return MISSING
    if row.get("measurable"):
        return count(needed)
    if _is_noise(row, n, floor):
        return MISSING
    return "a few more" if needed <= n else f"> {MOST:,}" if needed > MOST else count(needed)


def floor_of(noise: Row | None) -> float:
    """The noise floor: by how much the same arm may differ from itself, the farther end of a verdict's `noise`; 0 where
    no arm was asked twice."""
    ends = [abs(noise[end]) for end in ("low", "high") if known(noise.get(end))] if noise else []
    return max(ends, default=0.0)


def amount(value: float, unit: str) -> str:
    """A size with its unit, e.g. `8 points`, `1 point`, `0.50 s`."""
    if unit != "share":
        return f"{number(value, unit)} {unit_name(unit)}"
    told = points(value, 0 if value >= 0.01 else 1)
    return f"{told} {'point' if told == '1' else 'points'}"


def points(value: float, digits: int) -> str:
    """A difference of shares in points, without the word."""
    rounded = round(100 * value, digits) or 0.0  # never "-0"
    return f"{rounded:.{digits}f}".replace("-", MINUS)


def _is_noise(row: Row, n: int, floor: float) -> bool:
    """Whether it is the floor that keeps it from being measurable, and not want of questions."""
    mean, p, needed = row.get("mean"), _p(row), row.get("needed")
    if not known(mean) or abs(mean) > floor:
        return False
    enough = bool(needed) and needed <= n
    return enough or (known(p) and p < LEVEL and _excludes_zero(row))


def _p(row: Row) -> Any:
    """Adjusted for all pairs, where there are several."""
    return row.get("p_holm", row.get("p"))


def _excludes_zero(row: Row) -> bool:
    low, high = row.get("low"), row.get("high")
    return known(low) and known(high) and not low <= 0 <= high
