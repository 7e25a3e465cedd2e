"""Undecided preference pairs from the answers of two arms. Which arm an answer is of stands nowhere in them: whoever
chooses is not to know."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.compare.store import CompareStore
from workbench.errors import UserError
from workbench.pairs.pair import UNDECIDED, NewPair, NotAPair
from workbench.pairs.preferences import nearly_same

TAG = "from-comparison"


@dataclass(frozen=True)
class Undecided:
    """What two arms answered."""

    pairs: list[NewPair]
    alike: int
    """Questions to which both said the same, or one said nothing."""


def undecided(store: CompareStore, comparison: str, one: str, other: str) -> Undecided:
    """A pair of what two arms answered to each question that both have answered.

    Args:
        store: with the comparison.
        comparison: its name.
        one: an arm.
        other: another one.

    Raises:
        UserError: there is no such comparison, or it has no such arm.
    """
    found = store.comparison(comparison)
    for arm in (one, other):
        if arm not in found.arms:
            raise UserError(f"{comparison} has no arm {arm!r}", do=f"It has: {', '.join(found.arms)}.")
    answers = {(answer.number, answer.arm): answer.text for answer in store.answers(found.id)}
    pairs, alike = [], 0
    for number, question in enumerate(store.asked(found.id)):
        texts = [answers[number, arm] for arm in (one, other) if (number, arm) in answers]
        if len(texts) < 2:
            continue
        if nearly_same(*texts):
            alike += 1
            continue
        try:
            pair = NewPair(
                messages=question.messages,
                chosen=texts[0],
                rejected=texts[1],
                tags=(TAG, UNDECIDED),
                source=f"comparison {comparison} question {number + 1}",
            )
        except NotAPair:  # one of them is empty
            alike += 1
        else:
            pairs.append(pair)
    return Undecided(pairs, alike)
