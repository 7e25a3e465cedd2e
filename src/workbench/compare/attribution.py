"""What each question owes its outcome to: the weights, retrieval, tuning, both, or what went wrong.

It goes by which arms are right (`scores["right"]`), by whether the model was given the right passage, and by
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.compare.evidence import Evidence
from workbench.compare.question import Question
from workbench.compare.store import Answered, Comparison, Ranking


@dataclass(frozen=True)
class Category:
    """One of the things that a question's outcome is put down to."""

    name: str
    title: str
    about: str
    """One sentence; "the fullest arm" is the hybrid, or the one with the most in it that was asked."""


CATEGORIES: dict[str, Category] = {
    category.name: category
    for category in (
        Category("weights_knew", "the weights knew it", "The base model alone is right, and so is the fullest arm."),
        Category(
            "retrieval_brought", "retrieval brought it", "The base is wrong, with retrieval it is right without tuning."
        ),
        Category(
            "tuning_taught", "tuning taught it", "The tuned model is right without passages; base and rag are wrong."
        ),
        Category("took_both", "it took both", "Only the hybrid is right: neither retrieval nor tuning was enough."),
        Category(
            "tuning_broke", "tuning broke it", "It is right before tuning and wrong after it, with the same passages."
        ),
        Category(
            "passages_misled",
            "the passages misled",
            "It is right without passages and wrong with them, in the fullest arm and in the rag arm.",
        ),
        Category(
            "retrieval_missed",
            "retrieval missed",
            "No arm is right, and the right passage is not among those that the model was given.",
        ),
        Category(
            "not_used", "passage there, not used", "No arm is right, though the model was given the right passage."
        ),
        Category(
            "unexplained",
            "unexplained",
            "No arm is right, and it is not known where the answer stands, or nothing was retrieved.",
        ),
        Category("abstained_rightly", "abstained rightly", "Nothing tells the answer, and the fullest arm says so."),
        Category(
            "should_have_abstained",
            "should have abstained",
            "Nothing tells the answer, and the fullest arm gives one all the same.",
        ),
    )
}
"""By name, in the order in which they are shown."""


def attribute(
    comparison: Comparison,
    questions: Sequence[Question],
    answers: Sequence[Answered],
    rankings: Mapping[int, Ranking],
) -> dict[int, str]:
    """The category of each question that all main arms answered, by its number.

    A question without a reference answer is not scored and has none. An arm that was not asked counts as wrong; without
    an index "before tuning" is the base, so that what tuning broke is seen there too.
    """
    return of_evidence(Evidence.of(comparison, questions, answers, rankings))


def of_evidence(evidence: Evidence) -> dict[int, str]:
    """As `attribute`, of answers that are lined up already."""
    found = {number: _category(evidence, number) for number in evidence.paired}
    return {number: category for number, category in found.items() if category}


def counted(attributed: Mapping[int, str]) -> list[dict[str, Any]]:
    """Every category with its title, its count and its questions' numbers; also those that do not occur."""
    rows = []
    for category in CATEGORIES.values():
        numbers = sorted(number for number, name in attributed.items() if name == category.name)
        rows.append(
            {
                "category": category.name,
                "title": category.title,
                "about": category.about,
                "count": len(numbers),
                "numbers": numbers,
            }
        )
    return rows


def _category(evidence: Evidence, number: int) -> str | None:
    fullest = evidence.fullest
    if evidence.score(number, fullest, "right") is None:
        return None
    if evidence.questions[number].answerable is False:
        return "abstained_rightly" if evidence.score(number, fullest, "abstained") else "should_have_abstained"
    right = {arm: evidence.is_right(number, arm) for arm in ("base", "tuned", "rag", "hybrid")}
    if right[fullest]:
        if right["base"]:
            return "weights_knew"
        return "retrieval_brought" if right["rag"] else "tuning_taught" if right["tuned"] else "took_both"
    if right["rag"] or (right["base"] and not evidence.has_index):
        return "tuning_broke"
    if right["base"] or right["tuned"]:
        return "passages_misled"
    shown = evidence.was_shown(number) if evidence.has_index else None
    return {None: "unexplained", False: "retrieval_missed", True: "not_used"}[shown]
