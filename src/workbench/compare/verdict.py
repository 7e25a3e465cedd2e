"""What a comparison concludes, with its uncertainty: everything that the screen and the report show of it.

It brings together what attribution, statistics, recommendation, cautions, advice and decision table say. Heavy modules
are imported where they are called: a job makes the verdict, the app only shows it.
"""

from __future__ import annotations

import statistics as plain
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from workbench.compare import advice, attribution, cautions, decision
from workbench.compare.evidence import Evidence
from workbench.compare.question import Question
from workbench.compare.recommend import Outcome, recommend
from workbench.compare.resampling import LEVEL
from workbench.compare.settling import floor_of
from workbench.compare.store import Answered, Comparison, Ranking

if TYPE_CHECKING:
    from workbench.compare.statistics import Difference, Effect

_ALWAYS = ("f1", "exact_match", "right")
"""Metrics whose differences every verdict has, besides its own metric."""
_MEDIANS = ("words", "seconds", "seconds_to_first_token", "prompt_tokens", "completion_tokens", "joules")


def build(
    comparison: Comparison,
    questions: Sequence[Question],
    answers: Sequence[Answered],
    rankings: Mapping[int, Ranking],
) -> dict[str, Any]:
    """The verdict on what is answered so far; plain values, ready for JSON.

    Means, intervals and differences are over the questions that all main arms (base, tuned, rag, hybrid; those that
    were asked) answered and of which the metric says something for each. Arms of which it never says anything (support,
    without passages) are left out of its differences. Other arms have their row, over the same questions as far as
    they answered them; they are not among the pairs that Holm adjusts for, and never recommended.

    Args:
        comparison: what was asked for, with its costs.
        questions: by number.
        answers: of every arm, in any order.
        rankings: by question number.

    Returns:
        comparison, created_at, made_at, asked, costs, spec: what it is of. metric, metric_title, n: what it is about,
        and on how many questions. recommendation (one sentence), recommended, winner: see `recommend`. cautions:
        sentences. arms: by arm its metrics (mean, low, high, n), medians, abstention, f1_answerable. retrieval: hit,
        mrr, ndcg at k, or None. differences, effects: rows by metric, with the noise floor that each is held against
        and whether it is measurable. noise: what the same arm asked twice differs by, or None. attribution: every
        category with its questions. decision: the table's rows. next: advice.
    """
    from workbench.compare.metrics import METRICS

    evidence = Evidence.of(comparison, questions, answers, rankings)
    metric = METRICS[evidence.spec.metric]
    families = {name: _family(evidence, name) for name in dict.fromkeys((metric.name, *_ALWAYS))}
    means, n = families[metric.name].means, families[metric.name].n
    recommendation = recommend(
        Outcome(
            metric.title, metric.unit, metric.higher_is_better, means, n, len(evidence.paired),
            families[metric.name].rows, families[metric.name].floor,
            [arm for arm in evidence.main if arm not in means], evidence.silence(metric.name),
        )
    )  # fmt: skip
    attributed = attribution.of_evidence(evidence)
    return {
        "comparison": comparison.name,
        "created_at": comparison.created_at,
        "made_at": time.time(),
        "metric": metric.name,
        "metric_title": metric.title,
        "asked": len(questions),
        "n": n,
        "recommendation": recommendation.sentence,
        "recommended": recommendation.recommended,
        "winner": recommendation.winner,
        "cautions": cautions.cautions(evidence, metric.name, metric.title, n, means),
        "arms": [_arm(evidence, arm.name, arm.hybrid) for arm in evidence.spec.arms],
        "retrieval": _retrieval(evidence),
        "differences": {name: family.rows for name, family in families.items() if family.rows},
        "effects": {name: effects for name in families if (effects := _effects(evidence, families[name]))},
        "noise": families[metric.name].noise,
        "attribution": attribution.counted(attributed),
        "decision": decision.table(evidence),
        "next": advice.advise(evidence, attributed),
        "costs": comparison.costs,
        "spec": comparison.spec,
    }


@dataclass(frozen=True)
class _Family:
    """The main arms on one metric: the pairs that Holm adjusts for together."""

    scores: Mapping[str, Sequence[float]]
    rows: list[dict[str, Any]]
    noise: dict[str, Any] | None
    floor: float

    @property
    def n(self) -> int:
        return min(map(len, self.scores.values()), default=0)

    @property
    def means(self) -> dict[str, float]:
        return {arm: plain.fmean(values) for arm, values in self.scores.items() if values}


def _family(evidence: Evidence, metric: str) -> _Family:
    from workbench.compare import statistics

    said = [arm for arm in evidence.main if evidence.scored(metric, [arm])]
    scores = evidence.scores(metric, said) if said else {}
    noise = _noise(evidence, metric)
    floor = floor_of(noise)
    rows = []
    if len(said) > 1 and scores[said[0]]:
        rows = [difference_row(each, floor) for each in statistics.differences(scores)]
    return _Family(scores, rows, noise, floor)


def difference_row(difference: Difference, floor: float) -> dict[str, Any]:
    """A row of `differences`: it is measurable where the statistics say so and the same arm asked twice does not
    differ as much."""
    row = {**asdict(difference), **asdict(difference.estimate), "floor": floor}
    del row["estimate"]
    return {**row, "measurable": bool(difference.measurable() and abs(difference.estimate.mean) > floor)}


def effect_row(effect: Effect, floor: float) -> dict[str, Any]:
    """A row of `effects`: it is measurable where p and the interval say so and it is above the noise floor.

    The floor is of one difference between two arms. A main effect is the mean of two such differences, so it can be
    off by no more than one of them; the interaction is one difference less another, so it can be off by both: its
    floor is twice as high. p is of this effect alone, not adjusted: an effect is looked at for itself.
    """
    held = 2 * floor if effect.name == "interaction" else floor
    mean, low, high = effect.estimate.mean, effect.estimate.low, effect.estimate.high
    measurable = effect.p < LEVEL and not low <= 0 <= high and abs(mean) > held
    row = {"name": effect.name, **asdict(effect.estimate), "p": effect.p, "needed": effect.needed, "floor": held}
    return {**row, "measurable": bool(measurable)}


def _noise(evidence: Evidence, metric: str) -> dict[str, Any] | None:
    """Between an arm and its repetition; the first one, should there be several."""
    from workbench.compare import statistics

    for arm in evidence.spec.arms:
        if arm.repeats:
            scores = evidence.scores(metric, (arm.repeats, arm.name))
            if scores[arm.name]:
                return {"arm": arm.repeats, **asdict(statistics.noise(scores[arm.repeats], scores[arm.name]))}
    return None


def _effects(evidence: Evidence, family: _Family) -> list[dict[str, Any]]:
    """Of the 2x2; where only one of the two was measured, its one difference is its effect."""
    from workbench.compare import statistics

    found = statistics.effects(family.scores) if family.n else []
    if found:
        return [effect_row(each, family.floor) for each in found]
    for name, first, second in (("tuning", "tuned", "base"), ("retrieval", "rag", "base")):
        if set(family.scores) == {first, second} and family.rows:
            (row,) = family.rows
            sign = 1 if row["first"] == first else -1
            ends = sorted((sign * row["low"], sign * row["high"]))
            effect = {"name": name, "mean": sign * row["mean"], "low": ends[0], "high": ends[1], "n": row["n"]}
            return [{**effect, **{key: row[key] for key in ("p", "needed", "floor", "measurable")}}]
    return []


def _arm(evidence: Evidence, name: str, hybrid: str) -> dict[str, Any]:
    from workbench.compare.metrics import METRICS, abstention
    from workbench.compare.statistics import estimate

    given = [number for number in evidence.paired if (number, name) in evidence.answers]
    values = {metric: _said(evidence, given, name, metric) for metric in METRICS}
    answerable = [number for number in given if evidence.questions[number].answerable is not False]
    f1 = _said(evidence, answerable, name, "f1")
    return {
        "arm": name,
        "hybrid": hybrid,
        "n": len(given),
        "metrics": {metric: asdict(estimate(each)) for metric, each in values.items() if each},
        "medians": {metric: plain.median(values[metric]) for metric in _MEDIANS if values.get(metric)},
        "abstention": abstention([(evidence.questions[each], evidence.answers[each, name]) for each in given]),
        "f1_answerable": asdict(estimate(f1)) if f1 else None,
    }


def _said(evidence: Evidence, numbers: Sequence[int], arm: str, metric: str) -> list[float]:
    return [float(value) for number in numbers if (value := evidence.score(number, arm, metric)) is not None]


def _retrieval(evidence: Evidence) -> dict[str, Any] | None:
    """Over the paired questions whose place is known."""
    known = [evidence.rankings[number] for number in evidence.paired if number in evidence.rankings]
    if not evidence.has_index or not any(ranking.right is not None for ranking in known):
        return None
    from workbench.compare import ranking

    return ranking.figures(known, evidence.spec.top_k)
