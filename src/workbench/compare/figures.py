"""How figures are written, in a report and on a screen: one form for shares, intervals, p-values, seconds and sizes.

Light, and it knows nothing of what the figures mean. What is not known (None, NaN) is written as `MISSING`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, TypeGuard

MISSING = "-"
MINUS = "\u2212"
"""MINUS SIGN: as wide as the plus, and told apart from `MISSING`."""
_FORMS = {
    "share": (100, 1, "%"),
    "words": (1, 1, "words"),
    "seconds": (1, 2, "s"),
    "tokens": (1, 1, "tokens"),
    "joules": (1, 1, "J"),
}
"""By unit: what it is multiplied by, decimals, what it is called in a heading."""


def known(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def unit_name(unit: str, *, difference: bool = False) -> str:
    """What stands in a heading: `%`, `s`, `J`, `words`, `tokens`.

    Args:
        unit: of a metric; see `workbench.compare.metrics.Metric`.
        difference: of a difference; that of two shares is in points.
    """
    return "points" if difference and unit == "share" else _form(unit)[2]


def scaled(value: Any, unit: str = "share") -> float | None:
    """A figure as it is written: a share in percent, all else as it is; None where it is not known."""
    return float(value) * _form(unit)[0] if known(value) else None


def number(value: Any, unit: str = "share", *, signed: bool = False) -> str:
    """A figure in its unit, whose name is left to the heading: the share 0.1234 is `12.3`, 1.2 seconds are `1.20`.

    Args:
        value: the figure.
        unit: of the metric.
        signed: a difference: what is above zero has its plus.
    """
    value = scaled(value, unit)
    if value is None:
        return MISSING
    places = _form(unit)[1]
    value = round(value, places) or 0.0  # never "-0.0"
    return f"{value:{'+' if signed and value else ''},.{places}f}".replace("-", MINUS)


def share(value: Any) -> str:
    """A share of 0..1 as `12.3 %`."""
    return f"{number(value)} %" if known(value) else MISSING


def interval(estimate: Mapping[str, Any] | None, unit: str = "share", *, signed: bool = False) -> str:
    """`12.3 (8.1 to 16.4)`: a mean and its 95 % interval; the mean alone where there is no interval.

    Args:
        estimate: mean, low, high.
        unit: of the metric.
        signed: see `number`.
    """
    if not estimate or not known(estimate.get("mean")):
        return MISSING
    mean, low, high = (number(estimate.get(name), unit, signed=signed) for name in ("mean", "low", "high"))
    return mean if MISSING in (low, high) else f"{mean} ({low} to {high})"


def p_value(value: Any) -> str:
    """`< 0.001`, or three decimals."""
    if not known(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: Any) -> str:
    """`1.24 s`; from a minute on `6 min 52 s`, from an hour on `1 h 20 min`."""
    if not known(value):
        return MISSING
    if abs(value) < 59.995:
        return f"{value:.2f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(value: Any) -> str:
    """Bytes as `2.1 GB` (10^9 bytes); less than a tenth of one with a digit more."""
    if not known(value):
        return MISSING
    return f"{value / 1e9:.{1 if value >= 1e8 else 2}f} GB"


def count(value: Any) -> str:
    """A whole number with its thousands apart: `161,000`."""
    return f"{round(value):,}".replace("-", MINUS) if known(value) else MISSING


def moment(value: Any) -> str:
    """A time (seconds since the epoch) as `2025-10-09 08:53 UTC`."""
    if not known(value):
        return MISSING
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(value))
    except (OverflowError, OSError, ValueError):
        return MISSING


def _form(unit: str) -> tuple[int, int, str]:
    return _FORMS.get(unit, (1, 2, unit))
