"""What a search found: a hit, with everything that tells why it stands where it does."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.library.grounding import Passage

DEPTH = 100
"""How far down each ranking is looked."""
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
    """Fused: the sum of `parts`. Dense: cosine similarity. Lexical: BM25."""
    dense_rank: int | None
    lexical_rank: int | None
    """Its place in either ranking, counted from 1; None beyond `DEPTH`."""
    similarity: float | None
    """Cosine similarity to the question; None where the question was not embedded."""
    parts: tuple[float, float, float] | None = None
    """What the dense ranking, the lexical one, and the closeness of the question's words give to its fused score."""
    fit: float | None = None
    """Probability that it is about what is asked (`workbench.library.calibration`); None where nothing was fitted for
    the embedding model."""
    rerank: float | None = None
    """What a reranker gave to it; None where none did."""
    same: tuple[str, ...] = ()
    """Where near-identical passages stand that were left out."""
    chunks: tuple[int, ...] = ()
    """The neighbouring chunks that it was joined from, in their order; empty where it is one."""

    @property
    def place(self) -> str:
        """Where in the document, for a person: "Heading · lines 12-18", "page 3"."""
        return place_of(self.heading, self.page, self.start_line, self.end_line)

    @property
    def passage(self) -> Passage:
        """What the model is given of it."""
        return Passage(self.text, self.document, self.heading)


def place_of(heading: str, page: int | None, start_line: int | None, end_line: int | None) -> str:
    """Where a chunk stands in its document, for a person; see `Hit.place`."""
    where = None
    if page is not None:
        where = f"page {page}"
    elif start_line is not None:
        where = f"line {start_line}" if start_line == end_line else f"lines {start_line}-{end_line}"
    return " · ".join(part for part in (heading, where) if part)
