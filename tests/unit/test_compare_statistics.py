"""The statistics by textbook examples, by scipy on the same resamples, and by simulation of whole comparisons."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from workbench import files
from workbench.compare import resampling, statistics
from workbench.compare.recommend import Outcome, Recommendation, recommend
from workbench.compare.spec import MAIN
from workbench.compare.statistics import Difference, Estimate, differences, effects, estimate, noise
from workbench.compare.verdict import difference_row

DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
"""Crossed less self-fertilised maize, 1/8 inch; Fisher, The Design of Experiments (1935), chapter 3."""


def mixed(seed: int, n: int = 60, arms: Sequence[str] = MAIN) -> dict[str, list[float]]:
    scores = draw(1, n, (-0.8, -0.4, 0.2, 0.7)[: len(arms)], "f1", seed)[0]
    return dict(zip(arms, scores.tolist(), strict=True))


# Against textbooks and scipy


@pytest.mark.parametrize(("wins", "losses", "p"), [(8, 2, 112 / 1024), (10, 0, 2 / 1024), (0, 0, 1), (3, 3, 1)])
def test_mcnemar_is_the_exact_binomial_on_the_questions_that_differ(wins: int, losses: int, p: float) -> None:
    first = [1.0] * wins + [0.0] * losses + [1.0, 0.0]
    second = [0.0] * wins + [1.0] * losses + [1.0, 0.0]
    (found,) = differences({"a": first, "b": second})
    assert (found.test, found.wins, found.losses, found.ties) == ("McNemar", wins, losses, 2)
    assert found.p == found.p_holm == pytest.approx(p)


def test_mcnemar_on_a_survey() -> None:
    """Agresti, Categorical Data Analysis, table 10.1: 150 went from approval to disapproval, 86 the other way."""
    assert statistics.mcnemar(150, 86) == pytest.approx(
        2 * sum(math.comb(236, k) for k in range(87)) / 2**236, rel=1e-9
    )


def test_holm_steps_down() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.5]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_six_pairs_are_adjusted_together() -> None:
    found = differences(mixed(1))
    assert [(each.first, each.second) for each in found] == list(combinations(MAIN, 2))
    assert [each.p_holm for each in found] == statistics.holm([each.p for each in found])
    assert max(each.p_holm / each.p for each in found) == pytest.approx(6), "the smallest p"


def test_sign_flips_give_the_p_of_fishers_example() -> None:
    """1,726 of the 32,768 ways to set the signs are as far from 0."""
    exact = 1726 / 32768
    (p,) = resampling.sign_flips(np.array([DARWIN], dtype=float))
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / resampling.RESAMPLES))
    (other,) = resampling.sign_flips(-np.array([DARWIN], dtype=float))
    assert p == other


def test_sign_flips_agree_with_scipy_on_paired_f1() -> None:
    scores = draw(1, 80, (-0.2, 0.2), "f1", 3)[0]
    rows = (scores[1] - scores[0])[None]
    reference = stats.permutation_test(
        (scores[1], scores[0]), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=50_000, rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    assert 0.001 < reference < 0.5
    assert resampling.sign_flips(rows)[0] == pytest.approx(
        reference, abs=5 * math.sqrt(reference / resampling.RESAMPLES)
    )


@pytest.mark.parametrize("kind", ["f1", "binary"])
@pytest.mark.parametrize("n", [5, 30, 60])
def test_bca_is_scipys_on_the_same_resamples(kind: str, n: int) -> None:
    scores = draw(6, n, (-0.3, 0.5), kind, 7)
    rows = np.concatenate([scores[:, 1] - scores[:, 0], scores[:, 0], np.arange(n)[None] == 0])
    rows = (
        np.round(rows * 64) / 64
    )  # sums are then exact: scipy takes resampled means that differ by rounding for unequal
    low, high = resampling.bca(rows, seed=11)
    assert low[-1] == 0, "one value of n is not 0: the resamples without it are many"
    varied = rows.min(axis=1) < rows.max(axis=1)
    student = math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1)  # the expansion, as a level of confidence
    reference = stats.bootstrap(
        (rows[varied],), np.mean, axis=-1, n_resamples=resampling.RESAMPLES, method="BCa",
        confidence_level=1 - 2 * float(ndtr(-student)), rng=np.random.default_rng([11, 0]),
    ).confidence_interval  # fmt: skip
    np.testing.assert_allclose(low[varied], reference.low, atol=1e-9)
    np.testing.assert_allclose(high[varied], reference.high, atol=1e-9)


def test_large_rows_are_drawn_in_blocks() -> None:
    """At 3,000 values a block does not hold all resamples; the interval is then near the normal one."""
    values = np.random.default_rng(2).normal(0.4, 0.3, 3000)
    found = estimate(values.tolist())
    error = values.std(ddof=1) / math.sqrt(3000)
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


@pytest.mark.parametrize(("d", "questions"), [(0.2, 200), (0.5, 32), (0.8, 13)])
def test_needed_are_cohens_sample_sizes(d: float, questions: int) -> None:
    values = np.array([-1.0, 1.0] * 500)
    assert statistics.needed(values / values.std(ddof=1) + d) == questions


def test_needed_is_rounded_up_to_two_digits_and_none_where_no_number_would_do() -> None:
    values = np.array([-1.0, 1.0] * 500)
    assert statistics.needed(values + 0.1) == 790
    assert statistics.needed(values + 0.04) == 5000
    assert statistics.needed(values + 0.01) == 79_000
    assert statistics.needed(values + 0.001) is None
    assert statistics.needed(values) is None
    assert statistics.needed([0.3] * 40) is None
    assert statistics.needed([0.1]) is None
    assert statistics.needed([]) is None


def test_what_is_not_measurable_needs_more_questions_than_there_were() -> None:
    """7 to 0 of 60 is p = 0.016, too much for the first of Holm's six steps; flat 5 % would ask for 61."""
    scores = {name: [0.0] * 60 for name in MAIN}
    scores["hybrid"][:7] = [1.0] * 7
    assert statistics.needed(scores["hybrid"]) == 61
    first = next(each for each in differences(scores) if each.second == "hybrid")
    assert not first.measurable()
    assert first.needed == 94
    for wins in range(1, 60):
        for losses in range(min(wins, 60 - wins) + 1):
            values = np.repeat([1.0, -1.0, 0.0], [wins, losses, 60 - wins - losses])
            for step in (1, 3, 6):
                if _mcnemar(wins, losses) * step >= 0.05:
                    assert (statistics.needed(values, 0.05 / step) or 61) > 60, (wins, losses, step)


def test_at_the_number_needed_four_in_five_are_settled() -> None:
    means = np.array([mean_of(-0.1, "f1"), mean_of(0.15, "f1")])
    large = draw(1, 100_000, (-0.1, 0.15), "f1", 21)[0]
    paired = large[1] - large[0]
    n = statistics.needed(paired - paired.mean() + means[1] - means[0])
    assert n is not None
    scores = draw(1000, n, (-0.1, 0.15), "f1", 22)
    settled = [all_differences[0].measurable() for all_differences in compare(scores, "f1", ("a", "b"))]
    assert 0.76 <= np.mean(settled) <= 0.85


# Effects and the winner


def test_effects_are_the_contrasts_of_the_2x2() -> None:
    scores = {"base": [0, 0, 1, 0], "tuned": [1, 0, 1, 0], "rag": [0, 0, 1, 1], "hybrid": [1, 1, 1, 1]}
    found = {each.name: each for each in effects(scores)}
    assert list(found) == ["tuning", "retrieval", "interaction"]
    assert found["tuning"].estimate.mean == pytest.approx((1 + 0.5) / 4)
    assert found["retrieval"].estimate.mean == pytest.approx((0.5 + 1) / 4)
    assert found["interaction"].estimate.mean == pytest.approx(1 / 4)
    assert all(each.estimate.n == 4 and each.p > 0.05 for each in found.values())
    assert effects({name: scores[name] for name in ("base", "rag")}) == []


def test_the_interaction_is_found_where_only_both_together_help() -> None:
    alone = [0.0] * 50
    found = {
        each.name: each
        for each in effects({"base": alone, "tuned": alone, "rag": alone, "hybrid": [1.0] * 25 + alone[25:]})
    }
    assert found["interaction"].estimate.low > 0
    assert found["interaction"].p < 0.001
    assert found["interaction"].needed is not None


def test_measurable_needs_the_test_and_the_interval() -> None:
    def difference(low: float, high: float, p: float) -> Difference:
        return Difference("a", "b", Estimate((low + high) / 2, low, high, 60), p, p, "permutation", 9, 2, 49, None)

    assert difference(0.1, 0.3, 0.01).measurable()
    assert difference(-0.3, -0.1, 0.01).measurable()
    assert not difference(0.1, 0.3, 0.05).measurable()
    assert not difference(-0.01, 0.3, 0.01).measurable()
    assert not difference(0.0, 0.3, 0.01).measurable()


def test_noise_is_of_the_differences() -> None:
    assert noise([0.2, 0.4, 1.0], [0.2, 0.4, 1.0]) == Estimate(0.0, 0.0, 0.0, 3)
    found = noise([0.0, 1.0, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5])
    assert found.mean == 0
    assert found.low < 0 < found.high


# What can go wrong with few or equal values


@pytest.mark.parametrize(
    "values",
    [
        [], [0.3], [0.0, 1.0], [0.2, 0.2], [0.0, 0.0, 1.0], [0.1 + 0.2, 0.3, 0.3], [0.0] * 200, [1.0] * 200,
        [0.0] * 199 + [1.0], [1.0] * 199 + [0.0], [1e-300, 0.0, 0.0], [1e6, 0.0, 0.0, 1e6 + 1],
        [0.1] * 59 + [0.1 + 1e-17],
    ],
)  # fmt: skip
def test_few_or_equal_values_neither_warn_nor_give_nan(values: list[float]) -> None:
    zeros = [0.0] * len(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = estimate(values)
        noise(values, zeros)
        pairs = differences({"base": values, "tuned": zeros, "rag": zeros, "hybrid": values})
        contrasts = effects({"base": values, "tuned": zeros, "rag": zeros, "hybrid": values})
    assert one.n == len(values)
    if values:
        assert min(values) - 1e-9 <= one.low <= one.mean <= one.high <= max(values) + 1e-9
        figures = [
            n for each in (*pairs, *contrasts) for n in (each.estimate.mean, each.estimate.low, each.estimate.high)
        ]
        assert all(math.isfinite(each) for each in figures)
    else:
        assert json.loads(files.strict_json(one.mean)) is None
        assert not any(each.measurable() for each in pairs)
    assert all(0 < each.p <= each.p_holm <= 1 for each in pairs)
    assert all(0 < each.p <= 1 for each in contrasts)
    equal = next(each for each in pairs if (each.first, each.second) == ("base", "hybrid"))
    assert (equal.p, equal.wins, equal.losses, equal.ties, equal.needed) == (1, 0, 0, len(values), None)


def test_rounding_is_a_tie() -> None:
    (found,) = differences({"a": [0.1 + 0.2, 0.7, 0.5], "b": [0.3, 0.1 + 0.6, 0.2]})
    assert (found.wins, found.losses, found.ties) == (1, 0, 2)


def test_the_same_scores_give_the_same_table() -> None:
    scores = mixed(4)
    first = differences(scores), effects(scores)
    resampling._block.cache_clear()
    estimate([0.5, 0.1, 0.7], seed=3)
    assert (differences(scores), effects(scores)) == first
    assert differences(scores, seed=1) != first[0]


def test_numpy_and_scipy_are_not_loaded_before_they_are_needed() -> None:
    code = "import sys, workbench.compare.statistics; print([m for m in ('numpy', 'scipy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


# Simulation: whole comparisons whose truth is known

F1 = np.array([0, 2 / 9, 2 / 7, 1 / 3, 0.4, 0.5, 4 / 7, 2 / 3, 0.8, 1])
CUTS = np.array([0, 0.04, 0.08, 0.13, 0.19, 0.27, 0.32, 0.40, 0.45])
"""A question's worth between these gives that F1; half are 0 and a third 1 in an arm of ability 0."""


def _scores(worth: np.ndarray, kind: str) -> np.ndarray:
    return F1[np.searchsorted(CUTS, worth)] if kind == "f1" else (worth > 0).astype(float)


def draw(comparisons: int, n: int, abilities: Sequence[float], kind: str, seed: int) -> np.ndarray:
    """[comparisons, arms, n]: an arm's worth on a question is its ability, the question's ease (0.6 of the variance,
    shared by the arms) and chance."""
    random = np.random.default_rng(seed)
    ease = math.sqrt(0.6) * random.standard_normal((comparisons, 1, n))
    chance = math.sqrt(0.4) * random.standard_normal((comparisons, len(abilities), n))
    return _scores(np.array(abilities)[None, :, None] + ease + chance, kind)


def mean_of(ability: float, kind: str) -> float:
    """The true mean of such an arm."""
    if kind == "binary":
        return float(ndtr(ability))
    return float(np.diff(np.concatenate([[0], ndtr(CUTS - ability), [1]])) @ F1)


_mcnemar = lru_cache(statistics.mcnemar)


def compare(scores: np.ndarray, kind: str, arms: Sequence[str] = MAIN) -> list[list[Difference]]:
    """`differences` of many comparisons, in one batch so that it takes seconds; the first few are compared with it.

    Where p alone says that there is nothing, the interval decides nothing and is not computed.
    """
    pairs = list(combinations(range(len(arms)), 2))
    rows = np.stack([scores[:, i] - scores[:, j] for i, j in pairs], axis=1)  # [comparisons, pairs, n]
    flat = rows.reshape(-1, rows.shape[-1])
    wins, losses = (rows > 0).sum(axis=2), (rows < 0).sum(axis=2)
    ps = resampling.sign_flips(flat).reshape(rows.shape[:2])
    if kind == "binary":
        ps = np.vectorize(lambda won, lost: _mcnemar(int(won), int(lost)))(wins, losses)
    low, high = np.full((2, *ps.shape), math.nan)
    low[ps < 0.05], high[ps < 0.05] = resampling.bca(rows[ps < 0.05])
    made = []
    for at, each in enumerate(rows):
        adjusted = statistics.holm(ps[at])
        made.append([])
        for k, (i, j) in enumerate(pairs):
            interval = Estimate(float(each[k].mean()), low[at, k], high[at, k], each.shape[1])
            counts = int(wins[at, k]), int(losses[at, k]), 0
            made[-1].append(Difference(arms[i], arms[j], interval, ps[at, k], adjusted[k], "", *counts, None))
    for at in range(3):
        for batch, single in zip(made[at], differences(dict(zip(arms, scores[at], strict=True))), strict=True):
            assert (batch.first, batch.second, batch.wins) == (single.first, single.second, single.wins)
            assert batch.p_holm == pytest.approx(single.p_holm)
            assert batch.measurable() == single.measurable()
            if batch.p < 0.05:
                assert batch.estimate.low == pytest.approx(single.estimate.low)
                assert batch.estimate.high == pytest.approx(single.estimate.high)
    return made


def concluded(scores: np.ndarray, kind: str) -> tuple[list[Recommendation], list[bool]]:
    """What the product says of each comparison, by `verdict`'s rows and `recommend`, and whether any of its
    differences is measurable."""
    found, measurable = [], []
    for values, pairs in zip(scores.mean(axis=2), compare(scores, kind), strict=True):
        rows = [difference_row(each, 0.0) for each in pairs]
        n = scores.shape[2]
        means: dict[str, float] = dict(zip(MAIN, values.tolist(), strict=True))
        found.append(recommend(Outcome("token F1", "share", True, means, n, n, rows)))
        measurable.append(any(row["measurable"] for row in rows))
    return found, measurable


@pytest.mark.parametrize(("kind", "ability"), [("f1", 0.0), ("binary", 0.0), ("binary", -1.2)])
def test_without_a_difference_nobody_wins_and_nothing_is_paid_for_in_95_percent(kind: str, ability: float) -> None:
    scores = draw(1000, 60, [ability] * 4, kind, 31)
    assert scores.std() > 0
    found, measurable = concluded(scores, kind)
    assert np.mean([each.winner is not None for each in found]) <= 0.05
    assert np.mean([each.recommended != "base" for each in found]) <= 0.05, "more than the simplest arm"
    assert all(each.recommended is not None for each in found)
    assert np.mean(measurable) <= 0.05, "any pair at all"


@pytest.mark.parametrize("kind", ["f1", "binary"])
def test_two_arms_that_share_the_top_are_told_apart_in_about_5_percent(kind: str) -> None:
    """The hardest case: only one pair is without a difference, so Holm's last step is all that guards it."""
    found, _ = concluded(draw(1000, 60, (-1.5, -1.2, 0.8, 0.8), kind, 32), kind)
    most = 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)
    assert np.mean([each.winner is not None for each in found]) <= most
    assert np.mean([each.recommended != "rag" for each in found]) <= most, "the fuller of the two"


def test_a_true_winner_is_found() -> None:
    found, _ = concluded(draw(300, 60, (-1.0, -0.6, -0.4, 0.8), "f1", 33), "f1")
    assert np.mean([each.winner == "hybrid" for each in found]) > 0.95
    assert {each.winner for each in found} <= {"hybrid", None}
    assert {each.recommended for each in found} == {"hybrid"}


@pytest.mark.parametrize("n", [60, 200])
@pytest.mark.parametrize("kind", ["f1", "binary"])
def test_the_interval_covers_a_true_difference_in_93_to_97_percent(kind: str, n: int) -> None:
    abilities = (-0.8, -0.4, 0.0, 0.4)
    base, tuned, rag, hybrid = np.moveaxis(draw(1000, n, abilities, kind, 34), 1, 0)
    b, t, r, h = (mean_of(ability, kind) for ability in abilities)
    contrasts = {
        "hybrid - rag": (hybrid - rag, h - r),
        "hybrid - base": (hybrid - base, h - b),
        "tuned - base": (tuned - base, t - b),
        "tuning": ((tuned - base + hybrid - rag) / 2, (t - b + h - r) / 2),
        "retrieval": ((rag - base + hybrid - tuned) / 2, (r - b + h - t) / 2),
        "interaction": (hybrid - rag - tuned + base, h - r - t + b),
        "mean": (hybrid, h),
    }
    covered = {}
    for name, (rows, truth) in contrasts.items():
        low, high = resampling.bca(rows)
        covered[name] = float(((low <= truth) & (truth <= high)).mean())
    assert all(0.93 <= share <= 0.97 for share in covered.values()), covered
