"""Which arm to use, in one sentence: the rule, and how it is put into words.

It sees one metric's means and differences and knows nothing of questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.compare.figures import number, unit_name
from workbench.compare.settling import amount, points, settle
from workbench.compare.spec import FEWEST

SIMPLER = ("base", "rag", "tuned", "hybrid")
"""Simplest first. An index is made in seconds and brought up to date in seconds; a run is not."""
ALONE = {"base": "the base", "rag": "retrieval alone", "tuned": "tuning alone", "hybrid": "the hybrid"}
MARGIN = 0.05
"""Of a share: as long as a fuller arm may be better by more than this, the simpler one is enough only "so far"."""


@dataclass(frozen=True)
class Recommendation:
    """What to do, and whether an arm beat every other."""

    sentence: str
    recommended: str | None
    winner: str | None


@dataclass(frozen=True)
class Outcome:
    """The main arms on one metric."""

    title: str
    unit: str
    higher_is_better: bool | None
    means: Mapping[str, float]
    n: int
    """Questions that the metric says something of for every arm."""
    answered: int
    """Questions that every arm answered."""
    differences: Sequence[Mapping[str, Any]]
    """Rows of a verdict's `differences`."""
    floor: float = 0.0
    """The noise floor: by how much the same arm may differ from itself."""
    unsaid: Sequence[str] = ()
    """Arms that were asked and of which the metric says nothing."""
    silence: float | None = None
    """What a model that never answers would have; None where it would have nothing for it."""

    def gap(self, first: str, second: str) -> dict[str, Any]:
        """The difference first - second, whichever way round it was computed."""
        for row in self.differences:
            if (row["first"], row["second"]) == (first, second):
                return dict(row)
            if (row["first"], row["second"]) == (second, first):
                return {**row, "mean": -row["mean"], "low": -row["high"], "high": -row["low"]}
        raise KeyError((first, second))

    def beats(self, first: str, second: str) -> bool:
        """Whether the first arm is measurably better."""
        row = self.gap(first, second)
        return bool(row["measurable"]) and self.better(row["mean"]) > 0

    def no_better_than_silence(self, arm: str) -> bool:
        """Whether an arm, unlike another one, is not above a model that never answers."""
        if self.silence is None or max(self.means.values()) <= self.silence:
            return False
        return self.means[arm] <= self.silence

    def better(self, value: float) -> float:
        """The value with the sign that makes more of it better."""
        return value if self.higher_is_better else -value


def recommend(outcome: Outcome) -> Recommendation:
    """The simplest arm that nothing speaks against.

    Arms are taken simplest first: base, rag, tuned, hybrid. The first one is recommended that (1) no arm is measurably
    better than, and that (2) is measurably better than the simplest arm asked, or is that arm. So what is to be paid
    for has shown its worth against doing without, and beyond that nothing is paid for that has not. Measurably: the
    Holm-adjusted test and the 95 % interval both say so, and the difference is above the noise floor. (2) matters
    where the hybrid is measurably above the base and retrieval alone can be told from neither: then it is the hybrid.
    An arm that is not above a model that never answers is passed over where another one of these is: a model that was
    tuned to say each time that nothing tells the answer has not learned the task.

    The winner is the arm measurably better than every other one; there need be none, and a recommended arm need not
    be one. Below `FEWEST` questions, and for a metric of which neither more nor less is better, there is neither.
    """
    arms = [arm for arm in SIMPLER if arm in outcome.means]
    if refusal := _nothing(outcome, arms):
        return Recommendation(refusal, None, None)
    unbeaten = [arm for arm in arms if not any(outcome.beats(other, arm) for other in arms if other != arm)]
    worth = [arm for arm in unbeaten if arm == arms[0] or outcome.beats(arm, arms[0])]
    speaking = [arm for arm in worth if arm == arms[0] or not outcome.no_better_than_silence(arm)]
    chosen = (speaking or worth or unbeaten)[0]
    winner = chosen if all(outcome.beats(chosen, other) for other in arms if other != chosen) else None
    return Recommendation(_sentence(outcome, arms, chosen, winner), chosen, winner)


def _nothing(outcome: Outcome, arms: Sequence[str]) -> str | None:
    """Why nobody is recommended, and what can be said all the same; None where somebody can be."""
    title, n = outcome.title, outcome.n
    if not n:
        if not outcome.answered:
            return "Nothing can be concluded yet: no question was answered by every arm."
        return (
            f"No arm can be recommended: {title} says nothing of these {outcome.answered} questions, as for want of "
            "reference answers; format, abstention, support, length and costs are still measured."
        )
    if len(arms) == 1:
        level = _level(outcome, arms[0])
        if outcome.unsaid:
            return f"There is nothing to compare: {title} says something of {ALONE[arms[0]]} only; there it is {level}."
        return f"There is nothing to compare: only {ALONE[arms[0]]} was asked; its {title} is {level}."
    ordered = sorted(arms, key=lambda arm: -outcome.better(outcome.means[arm]))
    ranked = ", ".join(f"{_level(outcome, arm)} with {ALONE[arm]}" for arm in ordered)
    if outcome.higher_is_better is None:
        return f"No arm can be recommended by {title}, of which neither more nor less is better; it is {ranked}."
    if n < FEWEST:
        gap = outcome.gap(ordered[0], ordered[-1])
        apart = "measurably" if gap["measurable"] else "not measurably"
        return (
            f"Too few questions to recommend an arm: {n} could be scored for all arms, and at least "
            f"{FEWEST} are needed; so far {title} is {ranked}, and the first is {apart} {_side(gap['mean'])} the last "
            f"({_interval(outcome, gap, first=True)})."
        )
    return None


def _sentence(outcome: Outcome, arms: Sequence[str], chosen: str, winner: str | None) -> str:
    others = sorted((arm for arm in arms if arm != chosen), key=lambda arm: -outcome.better(outcome.means[arm]))
    level = f"{outcome.title} is {_level(outcome, chosen)} with {ALONE[chosen]}"
    open_arms = [arm for arm in others if not outcome.beats(chosen, arm)]
    head = _head(outcome, arms, chosen, winner, open_arms)
    if all(row["wins"] == row["losses"] == 0 for row in outcome.differences):
        same = f"{outcome.title} is {_level(outcome, chosen)} with every arm"
        return f"{head}: {same}, the same on each of the {outcome.n} questions."
    hurts = _hurts(outcome, arms, chosen)
    told = [arm for arm in others if outcome.beats(chosen, arm) and (arm, chosen) not in hurts]
    parts = [", ".join([level, *_list(_apart(outcome, chosen, arm, first=not at) for at, arm in enumerate(told))])]
    for (fuller, simpler), words in hurts.items():
        than = "it" if simpler == chosen else ALONE[simpler]
        gap = outcome.gap(fuller, simpler)
        far = f"{_size(outcome, gap)} {_side(gap['mean'])} {than} ({_interval(outcome, gap, first=not told)})"
        parts.append(f"{words}: {ALONE[fuller]} is {far}")
    if open_arms:
        nearest = max(open_arms, key=lambda arm: _chance(outcome, arm, chosen))
        parts.append(_open(outcome, nearest, chosen, first=not told and not hurts))
    if passed := [
        arm for arm in open_arms if outcome.no_better_than_silence(arm) and SIMPLER.index(arm) < SIMPLER.index(chosen)
    ]:
        has = "has" if len(passed) == 1 else "have"
        names = " and ".join(ALONE[arm] for arm in passed)
        parts.append(f"{names} {has} no more than a model that never answers ({100 * (outcome.silence or 0):.0f} %)")
    return f"{head}: {'; '.join(parts)}."


def _head(outcome: Outcome, arms: Sequence[str], chosen: str, winner: str | None, open_arms: Sequence[str]) -> str:
    if chosen == "base":
        if len(open_arms) < len(arms) - 1:
            return "Stay with the base"
        helper = "Neither" if len(arms) > 2 else {"rag": "Retrieval", "tuned": "Tuning"}.get(arms[1], "The hybrid")
        never = all(row["wins"] == row["losses"] == 0 for row in outcome.differences)
        if never:
            return f"{helper} helped" if helper == "Neither" else f"{helper} did not help"
        return f"{helper} helped measurably" if helper == "Neither" else f"{helper} did not help measurably"
    margin = MARGIN if outcome.unit == "share" else 0.0
    may_be_better = any(_chance(outcome, arm, chosen)[1] > margin for arm in open_arms)
    if chosen == "hybrid":
        return "Use both" if winner else "Use both so far"
    noun = {"rag": "retrieval", "tuned": "tuning"}[chosen]
    if winner:
        return f"Use {noun} alone" if "hybrid" in arms else f"Use {noun}"
    return f"{noun.capitalize()} is enough{' so far' if may_be_better else ''}"


def _chance(outcome: Outcome, arm: str, chosen: str) -> tuple[float, float]:
    """How much better than the chosen arm an arm looks, and how much better it may be."""
    gap = outcome.gap(arm, chosen)
    return round(outcome.better(gap["mean"]), 9), gap["high"] if outcome.higher_is_better else -gap["low"]


def _hurts(outcome: Outcome, arms: Sequence[str], chosen: str) -> dict[tuple[str, str], str]:
    """Which arms are measurably worse than the same with less in it, and what that says; of tuning and of retrieval
    one each, that against the chosen arm first."""
    found: dict[tuple[str, str], str] = {}
    for noun, other, pairs in (
        ("tuning", "retrieval", (("hybrid", "rag"), ("tuned", "base"))),
        ("retrieval", "tuning", (("hybrid", "tuned"), ("rag", "base"))),
    ):
        worse = [pair for pair in pairs if set(pair) <= set(arms) and outcome.beats(pair[1], pair[0])]
        worse.sort(key=lambda pair: pair[1] != chosen)
        for fuller, simpler in worse[:1]:
            without = f" without {other}" if simpler == "base" != chosen else ""
            found[fuller, simpler] = f"{noun}{without} hurts"
    return found


def _apart(outcome: Outcome, arm: str, than: str, *, first: bool) -> str:
    gap = outcome.gap(arm, than)
    return f"{_size(outcome, gap)} {_side(gap['mean'])} {ALONE[than]} ({_interval(outcome, gap, first=first)})"


def _open(outcome: Outcome, arm: str, chosen: str, *, first: bool) -> str:
    """The arm that may be as good or better: how it stands, and what would settle it."""
    gap = outcome.gap(arm, chosen)
    if gap["wins"] == gap["losses"] == 0:
        return f"{ALONE[arm]} does as well on each of the {outcome.n} questions"
    size = _size(outcome, gap)
    stands = f"{size} {_side(gap['mean'])} it" if any(digit in size for digit in "123456789") else "level with it"
    interval = _interval(outcome, gap, first=first)
    return f"{ALONE[arm]} is {stands} ({interval}), {settle(gap, outcome.n, outcome.floor, outcome.unit)}"


def _level(outcome: Outcome, arm: str) -> str:
    mean = outcome.means[arm]
    if outcome.unit == "share":
        return f"{100 * mean:.{0 if mean == 0 or mean >= 0.01 else 1}f} %"
    return f"{number(mean, outcome.unit)} {unit_name(outcome.unit)}".removesuffix(outcome.title).strip()


def _size(outcome: Outcome, gap: Mapping[str, Any]) -> str:
    return amount(abs(gap["mean"]), outcome.unit)


def _interval(outcome: Outcome, gap: Mapping[str, Any], *, first: bool) -> str:
    """The ends, in the direction in which the difference is told ("above" or "below")."""
    low, high = (gap["low"], gap["high"]) if gap["mean"] >= 0 else (-gap["high"], -gap["low"])
    if outcome.unit == "share":
        digits = int(any(0 < abs(each) < 0.01 for each in (low, high, gap["mean"])))  # never 0 for what is not
        ends = f"{points(low, digits)} to {points(high, digits)}"
    else:
        ends = f"{number(low, outcome.unit)} to {number(high, outcome.unit)}"
    return f"95 % interval {ends}" if first else ends


def _side(mean: float) -> str:
    return "above" if mean >= 0 else "below"


def _list(items: Any) -> list[str]:
    """The last two of a list joined by "and"."""
    found = list(items)
    return found if len(found) < 2 else [*found[:-2], f"{found[-2]} and {found[-1]}"]
