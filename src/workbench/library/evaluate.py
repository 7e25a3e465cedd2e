"""How well an index finds: hit@k, MRR and nDCG over retrieval tests, with bootstrap intervals.

It is given a function that searches, so that the command line searches in its own process and the screen asks the
server; it knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.library.retrieval_tests import RetrievalTest
from workbench.library.search import Hit

if TYPE_CHECKING:
    import numpy as np

LOOKED = 10
"""Passages that are looked at for each question: MRR and nDCG are those of the first 10."""
MEASURES = ("hit@1", "hit@5", "hit@10", "MRR@10", "nDCG@10")
RESAMPLES = 1000
LEVEL = 0.95
"""Of the intervals: percentile bootstrap over the questions (Efron, Tibshirani 1993, chapter 13)."""

Search = Callable[[str, str], Sequence[Hit] | Sequence[Mapping[str, Any]]]
"""(question, kind) -> the first `LOOKED` passages; kind is dense, lexical, fused or reranked."""


@dataclass(frozen=True)
class Figure:
    """A mean over the questions and its interval, between 0 and 1."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """What the tests say of an index."""

    questions: int
    figures: dict[str, dict[str, Figure]]
    """By kind of search, by measure of `MEASURES`."""
    stale: tuple[RetrievalTest, ...]
    """Tests whose quotation no longer stands in its document, left out."""
    missed: tuple[RetrievalTest, ...]
    """Tests whose right passage is not among the first `LOOKED` of the last kind of search."""


def evaluate(
    tests: Sequence[RetrievalTest],
    text_of: Callable[[str], str | None],
    search: Search,
    kinds: Sequence[str],
    tell: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Ask every question by every kind of search.

    Args:
        tests: of one index.
        text_of: the text of a document by its name; None where it is gone.
        search: what answers.
        kinds: of search, in the order of the table.
        tell: told how many tests were asked.
    """
    texts: dict[str, str | None] = {}
    right: dict[str, list[list[int]]] = {kind: [] for kind in kinds}
    stale, missed = [], []
    for number, test in enumerate(tests):
        tell(number)
        if test.document not in texts:
            texts[test.document] = text_of(test.document)
        span = test.span_in(texts[test.document] or "")
        if span is None:
            stale.append(test)
            continue
        for kind in kinds:
            hits = search(test.question, kind)[:LOOKED]
            right[kind].append([rank for rank, hit in enumerate(hits, 1) if test.is_right(hit, span)])
        if not right[kinds[-1]][-1]:
            missed.append(test)
    count = len(tests) - len(stale)
    figures = {kind: _with_intervals(values(ranks)) for kind, ranks in right.items()} if count else {}
    return Evaluation(count, figures, tuple(stale), tuple(missed))


def values(right: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """Every measure of every question, by ir-measures.

    Args:
        right: for each question, the ranks (from 1) of the right passages that were found.

    Returns:
        float64 [questions] by measure. nDCG has a gain of 1 for a right passage; its ideal ranking has those that were
        found in front.
    """
    import ir_measures
    import numpy as np
    from ir_measures import RR, Success, nDCG

    measures = dict(zip(MEASURES, (Success @ 1, Success @ 5, Success @ 10, RR @ 10, nDCG @ 10), strict=True))
    # What no ranking holds stands for the right passage where none was found, or the question would not count.
    relevant = {str(q): {str(rank): 1 for rank in ranks} or {"absent": 1} for q, ranks in enumerate(right)}
    ranked = {str(q): {str(rank): -float(rank) for rank in range(1, LOOKED + 1)} for q in range(len(right))}
    found = {name: np.zeros(len(right)) for name in MEASURES}
    names = {measure: name for name, measure in measures.items()}
    for each in ir_measures.iter_calc(list(measures.values()), relevant, ranked):
        found[names[each.measure]][int(each.query_id)] = each.value
    return found


def _with_intervals(found: Mapping[str, np.ndarray]) -> dict[str, Figure]:
    import numpy as np

    dice = np.random.default_rng(0)  # the same questions give the same interval
    count = len(next(iter(found.values())))
    drawn = dice.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
    figures = {}
    for name, each in found.items():
        low, high = np.quantile(drawn @ each, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        figures[name] = Figure(float(each.mean()), float(low), float(high))
    return figures
