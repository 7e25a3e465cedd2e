"""Two answers of a model to one prompt: which prompts, when two answers are two, and the pair of them.

Which of them is better nobody has said: the pair is undecided until a person chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.pairs.pair import UNDECIDED
from workbench.pairs.preferences import SAMPLED, nearly_same
from workbench.pairs.store import PairStore

MOST_ATTEMPTS = 4
"""Answers that are asked for until two differ in more than case, spaces and punctuation."""


def prompts(
    store: PairStore, dataset: str, ids: Sequence[int] | None, *, limit: int, again: bool
) -> dict[str, list[dict[str, str]]]:
    """The messages that are to be answered, by the half of a pair's key that stands for them; each prompt once.

    Args:
        store: with the dataset.
        dataset: whose prompts.
        ids: only of these pairs; None: of all, in their order.
        limit: at most.
        again: also prompts that have two answers already.
    """
    given = store.pairs(dataset) if ids is None else iter(store.get_many(ids))
    taken: set[str] = set()
    found: dict[str, int] = {}
    for pair in given:
        key = pair.key[:32]
        if pair.is_preference and not again:
            taken.add(key)
        found.setdefault(key, pair.id)
    wanted = [id for key, id in found.items() if key not in taken]
    return {pair.key[:32]: pair.messages for pair in store.get_many(wanted[:limit])}


def take(answers: list[str], text: str) -> str:
    """Add an answer if it is another one than those before; the outcome where nothing better follows."""
    if not text:
        return "same" if answers else "empty"
    if not any(nearly_same(text, other) for other in answers):
        answers.append(text)
    return "same"


def pair(messages: list[dict[str, str]], answers: Sequence[str], hybrid: str, temperature: float) -> dict[str, Any]:
    """The fields of an undecided pair; the first answer stands where a chosen one would, the second where a rejected
    one would."""
    first, second = answers
    return {
        "messages": messages,
        "chosen": first,
        "rejected": second,
        "tags": [SAMPLED, UNDECIDED],
        "source": f"two samples of {hybrid}, temperature {temperature:g}",
        "note": "",
    }
