"""One ranking from the scores of two: a convex combination, then how close together the words of the question stand.

Pure functions over numbers and words: it knows nothing of indexes, models or storage. The weights were chosen on one
half of the questions of SQuAD and Cranfield and measured on the other: tests/benchmarks/retrieval.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

WINDOW = 20
"""Words in a row in which as many words of the question as possible are looked for."""
CLOSE_AMONG = 30
"""How many of the best are ranked anew by closeness; their texts must be read for it."""


@dataclass(frozen=True)
class Weights:
    """How much each kind of evidence counts; dense and lexical scores lie between 0 and 1, and so do the others."""

    dense: float = 0.5
    lexical: float = 0.5
    window: float = 0.7
    """Of the question's words that stand within `WINDOW` words of the passage."""
    pairs: float = 0.1
    """Of the question's neighbouring words that are neighbours in the passage."""


WEIGHTS = Weights()


def convex(
    dense: Mapping[int, float], lexical: Mapping[int, float], depth: int, weights: Weights = WEIGHTS
) -> dict[int, tuple[float, float]]:
    """What each ranking gives to every chunk that either found.

    The convex combination of min-max normalised scores (Bruch, Gai, Ingber 2023, "An Analysis of Fusion Functions for
    Hybrid Retrieval", arXiv 2210.11934, section 4), which keeps how much better the first is than the second; ranks
    forget it. The least score is that at `depth`, or for BM25 0 where fewer chunks hold a word of the question. A
    chunk beyond the lexical ranking gets 0 of it.

    Args:
        dense: cosine similarity by chunk, of all chunks of both rankings.
        lexical: BM25 by chunk, of those it found.
        depth: how far down each ranking was looked.

    Returns:
        By chunk: (weights.dense x its score, weights.lexical x its score). Dense may fall below 0 for a chunk that is
        less similar than any of the dense ranking, at least to -weights.dense.
    """
    nearest = sorted(dense.values(), reverse=True)[:depth]
    best = sorted(lexical.values(), reverse=True)[:depth]
    low = best[-1] if len(best) == depth else 0.0
    return {
        chunk: (
            weights.dense * _scaled(dense[chunk], nearest[-1], nearest[0]) if chunk in dense else 0.0,
            weights.lexical * _scaled(lexical[chunk], low, best[0]) if chunk in lexical else 0.0,
        )
        for chunk in {**dense, **lexical}
    }


def _scaled(score: float, low: float, high: float) -> float:
    return max(-1.0, min(1.0, (score - low) / (high - low))) if high > low else 1.0


class Closeness:
    """How close together a question's words stand in a passage, words that are rare in the library counting for more.

    Both measures follow the sequential dependence model (Metzler, Croft 2005): ordered pairs, and an unordered window.
    """

    def __init__(self, terms: Sequence[str], weight: Mapping[str, float], passed_over: frozenset[str]) -> None:
        """Of one question.

        Args:
            terms: its words as the lexical index cuts them, in their order, without those that say nothing.
            weight: of every one of them, its inverse document frequency.
            passed_over: words that do not part two neighbours.
        """
        self._weight = {term: weight[term] for term in terms}
        self._sum = sum(self._weight.values())
        self._pairs = {pair: weight[pair[0]] + weight[pair[1]] for pair in pairwise(terms)}
        self._pair_sum = sum(self._pairs.values())
        self._passed_over = passed_over

    def window(self, words: Sequence[str]) -> float:
        """The weighted share of the question's words that the best `WINDOW` words of a passage hold: 0 to 1."""
        places = [(at, word) for at, word in enumerate(words) if word in self._weight]
        held: Counter[str] = Counter()
        best = now = 0.0
        first = 0
        for at, word in places:
            if not held[word]:
                now += self._weight[word]
            held[word] += 1
            while at - places[first][0] >= WINDOW:
                gone = places[first][1]
                held[gone] -= 1
                if not held[gone]:
                    now -= self._weight[gone]
                first += 1
            best = max(best, now)
        return min(1.0, best / self._sum) if self._sum else 0.0

    def pairs(self, words: Sequence[str]) -> float:
        """The weighted share of the question's neighbouring words that are neighbours in a passage: 0 to 1."""
        if not self._pair_sum:
            return 0.0
        there = set(pairwise(word for word in words if word not in self._passed_over))
        return min(1.0, sum(weight for pair, weight in self._pairs.items() if pair in there) / self._pair_sum)
