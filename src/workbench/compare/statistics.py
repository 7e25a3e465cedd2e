"""What can be said of arms that answered the same questions: intervals, differences, effects.

Everything is paired by question, seeded, and about one metric. It knows nothing of answers, and nothing of what the
numbers mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from workbench.compare.resampling import LEVEL, bca, sign_flips
from workbench.compare.spec import MAIN

if TYPE_CHECKING:
    import numpy as np

POWER = 0.8
"""The chance of finding a difference that is there, at the number of questions that `needed` names."""
_MOST = 1_000_000  # questions; a difference that needs more is none


@dataclass(frozen=True)
class Estimate:
    """A mean and its uncertainty, in the metric's own unit."""

    mean: float
    low: float
    """Lower end of the 95 % interval; see `resampling.bca`."""
    high: float
    n: int
    """Questions. At 0 the three numbers are NaN (null in JSON); at 1, and where all values are equal, the interval is
    the mean itself, which says nothing of its uncertainty."""


@dataclass(frozen=True)
class Difference:
    """Two arms on the same questions."""

    first: str
    second: str
    estimate: Estimate
    """Of the first's values less the second's."""
    p: float
    """Of no difference, two-sided. It holds also where so few questions differ that the interval is too narrow."""
    p_holm: float
    """The same, adjusted for all pairs of arms that were looked at (Holm 1979)."""
    test: str
    """McNemar (exact, where all values are 0 or 1) or permutation (sign flips of the paired differences)."""
    wins: int
    """Questions on which the first has the larger value."""
    losses: int
    ties: int
    needed: int | None
    """About how many questions would settle it; see `needed`."""

    def measurable(self) -> bool:
        """Whether there is a difference beyond the noise: both the test and the interval say so."""
        return self.p_holm < LEVEL and not self.estimate.low <= 0 <= self.estimate.high


@dataclass(frozen=True)
class Effect:
    """What tuning or retrieval does in the 2x2, or how far the one changes what the other does (interaction)."""

    name: str
    estimate: Estimate
    p: float
    """Of no effect, two-sided, by sign flips of each question's contrast; not adjusted."""
    needed: int | None


def estimate(values: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of a metric over questions, with its 95 % interval."""
    return _estimates(_rows([values]), seed)[0]


def noise(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """The mean difference between an arm and its repetition, question by question: what means nothing."""
    values = _rows([first, second])
    return _estimates(_contrasts([values[0] - values[1]], values), 0)[0]


def differences(scores: Mapping[str, Sequence[float]], seed: int = 0) -> list[Difference]:
    """Every pair of arms, in their order, adjusted for all of them.

    Args:
        scores: by arm, its value on each question; the same questions in the same order.
        seed: of the resamples; the same scores and seed give the same numbers.
    """
    pairs = list(combinations(scores, 2))
    if not pairs:
        return []
    values = dict(zip(scores, _rows(list(scores.values())), strict=True))
    rows = _contrasts([values[first] - values[second] for first, second in pairs], list(values.values()))
    counts = [(int((row > 0).sum()), int((row < 0).sum()), int((row == 0).sum())) for row in rows]
    zero_or_one = {arm: bool(((row == 0) | (row == 1)).all()) for arm, row in values.items()}
    binary = [zero_or_one[first] and zero_or_one[second] for first, second in pairs]
    flipped = sign_flips(rows, seed)
    ps = [
        mcnemar(wins, losses) if exact else float(p)
        for p, exact, (wins, losses, _) in zip(flipped, binary, counts, strict=True)
    ]
    adjusted, steps = _holm(ps)
    estimates = _estimates(rows, seed)
    found = []
    for at, (first, second) in enumerate(pairs):
        test = "McNemar" if binary[at] else "permutation"
        enough = needed(rows[at], LEVEL / steps[at])
        found.append(Difference(first, second, estimates[at], ps[at], adjusted[at], test, *counts[at], enough))
    return found


def effects(scores: Mapping[str, Sequence[float]], seed: int = 0) -> list[Effect]:
    """The main effects of the 2x2 and their interaction, from the arms base, tuned, rag and hybrid.

    tuning is the mean of tuned - base and hybrid - rag; retrieval the mean of rag - base and hybrid - tuned;
    interaction is (hybrid - rag) - (tuned - base): above 0, the two together bring more than the sum of both. Each is
    taken question by question. There is none where one of the four arms is missing.
    """
    if not all(arm in scores for arm in MAIN):
        return []
    values = _rows([scores[arm] for arm in MAIN])
    base, tuned, rag, hybrid = values
    contrasts = {
        "tuning": ((tuned - base) + (hybrid - rag)) / 2,
        "retrieval": ((rag - base) + (hybrid - tuned)) / 2,
        "interaction": (hybrid - rag) - (tuned - base),
    }
    rows = _contrasts(list(contrasts.values()), values)
    return [
        Effect(name, each, float(p), needed(row))
        for name, each, p, row in zip(contrasts, _estimates(rows, seed), sign_flips(rows, seed), rows, strict=True)
    ]


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided p of McNemar's exact test: wins among wins + losses as heads among tosses of a fair coin."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def holm(ps: Sequence[float]) -> list[float]:
    """p values adjusted by Holm's step-down (1979), in the order given: whichever of them are below 5 %, the chance
    that one of those is so by accident is at most 5 %."""
    return _holm(ps)[0]


def needed(paired: Sequence[float] | np.ndarray, level: float = LEVEL) -> int | None:
    """About how many questions would settle a difference, if it is as large as it looks here.

    n = ((z(1 - level/2) + z(0.8)) sd / mean)^2, for 80 % power: the paired test of Cohen (1988, chapter 2), by the
    normal approximation. Rounded up to two digits, as the mean that it goes by is itself uncertain.

    Args:
        paired: differences, one a question.
        level: two-sided. `differences` gives 5 % divided as Holm's step divides it for that pair; at 5 % flat the
            number would often be one at which the adjusted test still says nothing.

    Returns:
        None if no number would: the mean is 0, the values do not vary, or it would take more than a million.
    """
    import numpy as np
    from scipy.special import ndtri

    values = np.asarray(paired, dtype=float)
    if len(values) < 2 or math.isclose(values.min(), values.max(), rel_tol=1e-12):
        return None
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    if abs(mean) < 1e-9 * sd:
        return None
    exact = ((ndtri(1 - level / 2) + ndtri(POWER)) * sd / mean) ** 2
    if exact > _MOST:
        return None
    unit = 10 ** max(0, math.floor(math.log10(max(exact, 1))) - 1)
    return max(2, math.ceil(exact / unit) * unit)


def _holm(ps: Sequence[float]) -> tuple[list[float], list[int]]:
    """The adjusted p, and by how much each was multiplied for its step."""
    order = sorted(range(len(ps)), key=lambda place: ps[place])
    adjusted, steps, largest = [0.0] * len(ps), [1] * len(ps), 0.0
    for rank, place in enumerate(order):
        steps[place] = len(ps) - rank
        largest = max(largest, min(1.0, ps[place] * steps[place]))
        adjusted[place] = largest
    return adjusted, steps


def _rows(values: Sequence[Sequence[float]]) -> np.ndarray:
    import numpy as np

    return np.asarray(values, dtype=float)


def _contrasts(rows: Sequence[np.ndarray], values: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """`rows`, made of the scores `values`, with 0 where only rounding keeps them from it: a tie is no win."""
    import numpy as np

    made = np.stack(rows)
    return np.where(np.abs(made) > 1e-9 * np.max(np.abs(values), initial=0), made, 0.0)


def _estimates(rows: np.ndarray, seed: int) -> list[Estimate]:
    n = rows.shape[1]
    if not n:
        return [Estimate(math.nan, math.nan, math.nan, 0)] * len(rows)
    ends = zip(rows.mean(axis=1), *bca(rows, seed), strict=True)
    return [Estimate(float(mean), float(low), float(high), n) for mean, low, high in ends]
