"""The lexical half of an index: BM25 by tantivy, made from the store, and searching it.

A question is never parsed as a query language: its words are looked up, so nothing that a user types is an error.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tantivy

FOLDER = "lexical"
FORM = 1
"""Raised when words are cut or weighed differently, so that the folder is made anew."""

_ANALYZER = "workbench_en"
_MAX_TERMS = 128  # different words of a question that are looked up
_HEAP = 64_000_000  # bytes before tantivy writes a segment
_SAYS_NOTHING = """
    a an and are as at be been but by can could did do does for from had has have how if in into is it its may might no
    not of on or shall should such that the their then there these they this those to was were what when where which
    who whom whose why will with would
"""
"""Words of a question that are not looked up, unless it has no others: they find everything."""


def write(folder: Path, texts: Iterable[tuple[int, str, str]]) -> int:
    """Build an index in an empty folder.

    Args:
        folder: made if absent; not fsynced.
        texts: (chunk id, heading, text).

    Returns:
        How many chunks it holds.
    """
    import tantivy

    folder.mkdir(parents=True, exist_ok=True)
    index = tantivy.Index(_schema(), path=str(folder))
    index.register_tokenizer(_ANALYZER, _analyzer())
    writer = index.writer(heap_size=_HEAP, num_threads=1)
    count = 0
    for chunk, heading, text in texts:
        document = tantivy.Document()
        document.add_unsigned("chunk", chunk)
        document.add_text("body", f"{heading}\n{text}")
        writer.add_document(document)
        count += 1
    writer.commit()
    writer.wait_merging_threads()
    return count


class Lexical:
    """An opened BM25 index. Safe to search from several threads."""

    def __init__(self, folder: Path, *, count: int) -> None:
        """Open what `write` wrote.

        Raises:
            ValueError: it cannot be opened or holds another number of chunks.
        """
        import tantivy

        self._schema = _schema()
        self._analyzer = _analyzer()
        try:
            index = tantivy.Index(self._schema, path=str(folder))
            index.config_reader("manual")
            index.register_tokenizer(_ANALYZER, self._analyzer)
            index.reload()
            self._searcher = index.searcher()
        except Exception as error:
            raise ValueError(str(error)) from None
        if self._searcher.num_docs != count:
            raise ValueError("it does not hold what the manifest says")
        self.says_nothing = frozenset(self._analyzer.analyze(_SAYS_NOTHING))

    def words(self, text: str) -> list[str]:
        """The words of a text as they are looked up, in their order."""
        return self._analyzer.analyze(text)

    def terms(self, question: str) -> list[str]:
        """The words of a question that are looked up, in their order; a word may come twice."""
        words = self.words(question[:20_000])
        return ([word for word in words if word not in self.says_nothing] or words)[:_MAX_TERMS]

    def weight(self, term: str) -> float:
        """Inverse document frequency of a word, as BM25 has it: ln(1 + (N - n + 0.5) / (n + 0.5))."""
        held = self._searcher.doc_freq("body", term)
        return math.log(1 + (self._searcher.num_docs - held + 0.5) / (held + 0.5))

    def search(self, question: str, k: int, *, allowed: Collection[int] | None = None) -> tuple[list[int], list[float]]:
        """The chunk ids with the highest BM25 (k1 1.2, b 0.75) for the question's words, and the scores.

        Args:
            question: any text.
            k: how many at most.
            allowed: the chunks that are looked at; None: all.
        """
        from tantivy import Occur, Query

        terms = list(dict.fromkeys(self.terms(question)))
        if not terms or (allowed is not None and not allowed):
            return [], []
        if allowed is not None:
            ids, scores = self.search(question, max(1, self._searcher.num_docs))
            some = [(chunk, score) for chunk, score in zip(ids, scores, strict=True) if chunk in allowed][:k]
            return [chunk for chunk, _ in some], [score for _, score in some]
        words = [(Occur.Should, Query.term_query(self._schema, "body", term, index_option="freq")) for term in terms]
        found = self._searcher.search(Query.boolean_query(words), k, count=False).hits
        ids = self._searcher.fast_field_values("chunk", [address for _, address in found])
        ranked = sorted(zip(ids, (score for score, _ in found), strict=True), key=lambda pair: (-pair[1], pair[0]))
        return [int(chunk or 0) for chunk, _ in ranked], [float(score) for _, score in ranked]


def _schema() -> tantivy.Schema:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("chunk", stored=True, fast=True)
    builder.add_text_field("body", tokenizer_name=_ANALYZER, index_option="freq")
    return builder.build()


def _analyzer() -> tantivy.TextAnalyzer:
    """Words without case, accents and English endings. Stop words stay: BM25 weighs them down by itself."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return (
        TextAnalyzerBuilder(Tokenizer.simple())
        .filter(Filter.remove_long(60))
        .filter(Filter.lowercase())
        .filter(Filter.ascii_fold())
        .filter(Filter.stemmer("english"))
        .build()
    )
