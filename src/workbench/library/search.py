"""Joining what the dense and the lexical search found into one ranking, and what a hit is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.library.grounding import Passage

RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke, Buettcher 2009)."""
DENSE_WEIGHT = 1.0
LEXICAL_WEIGHT = 1.5
"""Measured on questions over encyclopedia articles: tests/benchmarks/retrieval.py."""
DEPTH = 100
"""How far down each ranking the fusion looks."""
MODES = ("fused", "dense", "lexical")


@dataclass(frozen=True)
class Hit:
    """A chunk that was found, with its place in its document and how it was found."""

    chunk: int
    text: str
    """An exact span of the document's text."""
    document: str
    """The document's name in the index."""
    title: str
    heading: str
    """The headings above it, outermost first, joined by " > "; empty where there are none."""
    start: int
    end: int
    """Offsets in the document's text."""
    start_line: int | None
    end_line: int | None
    """Lines in the file, counted from 1; None where it has none."""
    page: int | None
    """Page, counted from 1; None where there are none."""
    score: float
    """Fused: reciprocal rank fusion. Dense: cosine similarity. Lexical: BM25."""
    dense_rank: int | None
    lexical_rank: int | None
    """Its place in either ranking, counted from 1; None beyond `DEPTH`."""
    similarity: float | None
    """Cosine similarity to the question; None where the question was not embedded."""

    @property
    def place(self) -> str:
        """Where in the document, for a person: "Heading · lines 12-18", "page 3"."""
        where = None
        if self.page is not None:
            where = f"page {self.page}"
        elif self.start_line is not None:
            one = self.start_line == self.end_line
            where = f"line {self.start_line}" if one else f"lines {self.start_line}-{self.end_line}"
        return " · ".join(part for part in (self.heading, where) if part)

    @property
    def passage(self) -> Passage:
        """What the model is given of it."""
        return Passage(self.text, self.document, self.heading)


def fuse(dense: Sequence[int], lexical: Sequence[int]) -> list[tuple[int, float]]:
    """Weighted reciprocal rank fusion: sum of weight / (60 + rank) over the rankings that hold a chunk.

    Args:
        dense: chunk ids, best first.
        lexical: the same.

    Returns:
        (chunk id, score), best first; equal scores in the order of the ids.
    """
    scores: dict[int, float] = {}
    for ranking, weight in ((dense, DENSE_WEIGHT), (lexical, LEXICAL_WEIGHT)):
        for rank, chunk in enumerate(ranking, 1):
            scores[chunk] = scores.get(chunk, 0.0) + weight / (RRF_K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
