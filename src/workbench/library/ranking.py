"""A search, from a question and its vector to passages: both rankings, one of them, closeness, a reranker, passages.

It is told the opened caches and the store; it opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from workbench.library.calibration import Calibration, calibration_of
from workbench.library.chunks import embedded_text
from workbench.library.filters import Filter
from workbench.library.fusion import CLOSE_AMONG, WEIGHTS, Closeness, Weights, convex
from workbench.library.passages import collapse, join
from workbench.library.search import DEPTH, MODES, Hit

if TYPE_CHECKING:
    import sqlite3

    import numpy as np

    from workbench.library.caches import Caches
    from workbench.library.store import Store

Rerank = Callable[[str, Sequence[str]], Sequence[float]]
"""(question, texts) -> a score for each, higher is better; `workbench.models.rerank.Reranker.scores` is one."""
RERANKED = 20
"""How many of the best a reranker orders anew."""


@dataclass(frozen=True)
class Options:
    """How a search is done."""

    mode: str = "fused"
    """fused (both rankings, then by how close together the question's words stand), dense or lexical alone."""
    filter: Filter = field(default_factory=Filter)
    """The documents that are looked in."""
    rerank: Rerank | None = None
    """Orders the best `RERANKED` of mode fused anew."""
    weights: Weights = WEIGHTS
    """Of mode fused."""
    chunks_only: bool = False
    """Give single chunks: nothing is collapsed or joined. Dense and lexical never are."""


@dataclass(frozen=True)
class _Found:
    """Both rankings and what came of them, by chunk."""

    dense: list[int]
    lexical: list[int]
    similarity: dict[int, float]
    parts: dict[int, tuple[float, float]]
    """Empty but for mode fused."""
    scores: dict[int, float]
    """In the order of the ranking that was asked for."""


def search(
    opened: Caches, store: Store, question: str, vector: np.ndarray | None, k: int, options: Options
) -> list[Hit]:
    """The passages that answer a question best, best first, k at most.

    The first of them do not depend on k, up to `DEPTH`.
    """
    assert options.mode in MODES, options.mode
    fused = options.mode == "fused"
    allowed = store.chunks_where(options.filter.holds) if options.filter else None
    found = _both(opened, question, vector, max(DEPTH, k), options, allowed)
    whole = options.chunks_only or not fused
    # More than are asked for: some will be collapsed, and closeness may bring a later one to the front.
    looked = list(found.scores)[: max(k if whole else 4 * k, CLOSE_AMONG if fused else 0)]
    rows = store.live_chunks(looked)  # some may be gone: a build replaces documents at any moment
    dense = {chunk: rank for rank, chunk in enumerate(found.dense, 1)}
    lexical = {chunk: rank for rank, chunk in enumerate(found.lexical, 1)}
    hits = [
        _hit(rows[chunk], found, dense.get(chunk), lexical.get(chunk), opened, vector)
        for chunk in looked
        if chunk in rows
    ]
    if not fused:
        return hits[:k]
    calibration = calibration_of(opened.manifest.fingerprint)
    hits = _by_closeness(hits, opened, question, options.weights, calibration)
    if options.rerank is not None:
        hits = _reranked(hits, question, options.rerank)
    return hits[:k] if whole else join(collapse(hits), store.span)[:k]


def _both(
    opened: Caches,
    question: str,
    vector: np.ndarray | None,
    depth: int,
    options: Options,
    allowed: Collection[int] | None,
) -> _Found:
    dense, similarities = ([], []) if vector is None else opened.vectors.search(vector, depth, allowed=allowed)
    lexical, bm25 = opened.lexical.search(question, depth, allowed=allowed)
    similarity = dict(zip(dense, similarities, strict=True))
    by_words = dict(zip(lexical, bm25, strict=True))
    if options.mode != "fused":
        return _Found(dense, lexical, similarity, {}, dict(similarity) if options.mode == "dense" else by_words)
    if vector is not None:
        similarity |= opened.vectors.similarities([chunk for chunk in lexical if chunk not in similarity], vector)
    parts = convex(similarity, by_words, depth, options.weights)
    scores = {chunk: sum(parts[chunk]) for chunk in sorted(parts, key=lambda chunk: (-sum(parts[chunk]), chunk))}
    return _Found(dense, lexical, similarity, parts, scores)


def _hit(
    row: sqlite3.Row,
    found: _Found,
    dense_rank: int | None,
    lexical_rank: int | None,
    opened: Caches,
    vector: np.ndarray | None,
) -> Hit:
    chunk = row["id"]
    similarity = found.similarity.get(chunk)
    if similarity is None and vector is not None:
        similarity = opened.vectors.similarity(chunk, vector)
    parts = found.parts.get(chunk)
    return Hit(
        chunk=chunk, text=row["text"], document=row["name"], title=row["title"], heading=row["heading"],
        start=row["start"], end=row["end"], start_line=row["start_line"], end_line=row["end_line"],
        page=row["page"], score=found.scores[chunk], dense_rank=dense_rank, lexical_rank=lexical_rank,
        similarity=similarity, parts=None if parts is None else (*parts, 0.0),
    )  # fmt: skip


def _by_closeness(
    hits: list[Hit], opened: Caches, question: str, weights: Weights, calibration: Calibration | None
) -> list[Hit]:
    """Add to the best what the closeness of the question's words is worth, and order them by it."""
    lexical = opened.lexical
    terms = lexical.terms(question)
    closeness = Closeness(terms, {term: lexical.weight(term) for term in set(terms)}, lexical.says_nothing)
    best = []
    for hit in hits[:CLOSE_AMONG]:
        words = lexical.words(embedded_text(hit.heading, hit.text))
        window = closeness.window(words)
        gained = weights.window * window + weights.pairs * closeness.pairs(words)
        dense, by_words, _ = hit.parts or (0.0, 0.0, 0.0)
        fit = None if calibration is None or hit.similarity is None else calibration.fit(hit.similarity, window)
        best.append(replace(hit, score=hit.score + gained, parts=(dense, by_words, gained), fit=fit))
    # Those that are not looked at are behind: their sum was less, and nothing is taken from the others'.
    return [*sorted(best, key=lambda hit: (-hit.score, hit.chunk)), *hits[CLOSE_AMONG:]]


def _reranked(hits: list[Hit], question: str, rerank: Rerank) -> list[Hit]:
    best = hits[:RERANKED]
    scores = rerank(question, [embedded_text(hit.heading, hit.text) for hit in best])
    scored = [replace(hit, rerank=float(score)) for hit, score in zip(best, scores, strict=True)]
    return [*sorted(scored, key=lambda hit: -(hit.rerank or 0.0)), *hits[RERANKED:]]


def best_fit(hits: Sequence[Hit] | Sequence[Mapping[str, object]]) -> float | None:
    """The highest probability among hits that the library tells of what is asked; None where it is not calibrated."""
    values = [hit["fit"] if isinstance(hit, Mapping) else hit.fit for hit in hits]
    return max((float(value) for value in values if isinstance(value, (int, float))), default=None)
