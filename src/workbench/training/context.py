"""The passages a pair is trained with: those that retrieval finds, as chat will find them.

A share of the pairs is trained without the right passage and learns to say so (RAFT, arXiv 2403.10131).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from workbench.library.grounding import NOT_IN_LIBRARY
from workbench.training.data import FrozenPair
from workbench.training.recipe import ContextSettings

if TYPE_CHECKING:
    from workbench.library.search import Hit

_LOOK = 20  # hits among which the right passage is looked for


@dataclass
class ContextReport:
    """What was done to the pairs, for the run's messages."""

    found: int = 0
    """Pairs whose right passage retrieval found among the k."""
    added: int = 0
    """Pairs to which it was added, because retrieval had missed it."""
    withheld: int = 0
    """Pairs from which it was withheld, and whose completion became the refusal."""
    unknown: int = 0
    """Pairs whose right passage is not known; they keep what retrieval found."""


def with_passages(
    pairs: Sequence[FrozenPair],
    search: Callable[[Sequence[str], int], list[list[Hit]]],
    settings: ContextSettings,
    seed: int,
) -> tuple[list[FrozenPair], ContextReport]:
    """Give every pair its passages.

    The right passage of a pair is the best hit that holds the words of the completion and, where the pair's source is
    a document of the index, lies in it. Which pairs go without it depends on the pair's key and the seed alone.

    Args:
        pairs: without passages.
        search: (questions, k) -> the hits of each, best first.
        settings: the recipe's `context:`.
        seed: the recipe's.

    Returns:
        The pairs with passages, and what was done.
    """
    questions = [pair.messages[-1]["content"] for pair in pairs]
    report = ContextReport()
    given = [
        _give(pair, hits, settings, random.Random(f"{seed}:{pair.key}"), report)
        for pair, hits in zip(pairs, search(questions, max(_LOOK, settings.k)), strict=True)
    ]
    return given, report


def _give(
    pair: FrozenPair, hits: list[Hit], settings: ContextSettings, dice: random.Random, report: ContextReport
) -> FrozenPair:
    shown = hits[: settings.k]
    right = [hit for hit in hits if _holds(hit, pair)]
    if not right:
        report.unknown += 1
    elif dice.random() < settings.without:
        report.withheld += 1
        others = [hit for hit in hits if hit not in right][: settings.k]
        # Of a preference pair, what was better with the passage is worse without it: it would be invented.
        invented = pair.completion if pair.rejected is not None else None
        pair = replace(pair, completion=settings.refusal or NOT_IN_LIBRARY, rejected=invented)
        return replace(pair, passages=[asdict(hit.passage) for hit in others])
    else:
        there = next((hit for hit in right if hit in shown), None)
        if there:
            report.found += 1
        else:
            report.added += 1
            there = right[0]
            shown = shown[: settings.k - 1]
            shown.insert(dice.randrange(len(shown) + 1), there)
        pair = replace(pair, right=shown.index(there))
    return replace(pair, passages=[asdict(hit.passage) for hit in shown])


def _holds(hit: Hit, pair: FrozenPair) -> bool:
    source = PurePosixPath(pair.source).name
    if source and "." in source and ":" not in source and PurePosixPath(hit.document).name != source:
        return False
    words = _words(pair.completion)
    return bool(words) and f" {words} " in f" {_words(hit.text)} "


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
