"""The lexical half of an index: BM25 by tantivy, made from the store, and searching it.

A question is never parsed as a query language: its words are looked up, so nothing that a user types is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
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

    def search(self, question: str, k: int) -> tuple[list[int], list[float]]:
        """The chunk ids with the highest BM25 (k1 1.2, b 0.75) for the question's words, and the scores."""
        from tantivy import Occur, Query

        terms = list(dict.fromkeys(self._analyzer.analyze(question[:20_000])))[:_MAX_TERMS]
        if not terms:
            return [], []
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
