"""The lexical half of an index: BM25 by tantivy, made from the store, and searching it.

A question is never parsed as a query language: its words are looked up, so nothing that a user types is an error.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import UserError
from workbench.library.vectors import SCORED, among, as_ids

if TYPE_CHECKING:
    import numpy as np
    import tantivy

FOLDER = "lexical"
FORM = 2
"""Raised when words are cut or weighed differently, so that the folder is made anew."""

_ANALYZER = "workbench_en"
_MAX_TERMS = 128  # different words of a question that are looked up
_HEAP = 64_000_000  # bytes before tantivy writes a segment
_SMALL_HEAP = 15_000_000  # the least that it takes
_FARTHEST = 50_000  # how far down a ranking is looked for what a filter leaves
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
    return _change(tantivy.Index(_schema(), path=str(folder)), [], texts, heap=_HEAP)


def update(source: Path, folder: Path, removed: Iterable[int], texts: Iterable[tuple[int, str, str]]) -> None:
    """Make an index in a folder, from another one that stays as it is: some chunks go, others come.

    tantivy never alters a file of a segment, and replaces the few others by renaming; so the files are shared by both
    folders (hard links, or copies where the disk knows no links), and this costs what changed. BM25 counts the words of
    removed chunks until tantivy merges their segment, as Lucene does.

    Args:
        source: an index that `write` or `update` wrote.
        folder: made; not fsynced.
        removed: ids of chunks in it.
        texts: (chunk id, heading, text) of chunks that are not in it.

    Raises:
        ValueError: the source cannot be opened.
    """
    import tantivy

    folder.mkdir(parents=True)
    for path in files_in(source):
        try:
            os.link(path, folder / path.name)
        except OSError:
            shutil.copy2(path, folder / path.name)
    with _panics_caught():
        _change(tantivy.Index(_schema(), path=str(folder)), removed, texts, heap=_SMALL_HEAP)


def files_in(folder: Path) -> list[Path]:
    """tantivy's files but for its locks, which come and go."""
    return sorted(path for path in folder.glob("*") if path.is_file() and path.suffix != ".lock")


class Lexical:
    """An opened BM25 index. Safe to search from several threads."""

    def __init__(self, folder: Path, *, count: int) -> None:
        """Open what `write` or `update` wrote.

        Raises:
            ValueError: it cannot be opened or holds another number of chunks.
        """
        import tantivy

        self._schema = _schema()
        self._analyzer = _analyzer()
        try:
            with _panics_caught():
                index = tantivy.Index(self._schema, path=str(folder))
            index.config_reader("manual")
            index.register_tokenizer(_ANALYZER, self._analyzer)
            index.reload()
            self._searcher = index.searcher()
        except Exception as error:
            raise ValueError(str(error)) from None
        if self._searcher.num_docs != count:
            raise ValueError(
                f"{folder.name} does not hold what the manifest says ({self._searcher.num_docs}, not {count})"
            )
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
        held = min(self._searcher.doc_freq("body", term), self._searcher.num_docs)  # it counts removed ones, too
        return math.log(1 + (self._searcher.num_docs - held + 0.5) / (held + 0.5))

    def search(
        self, question: str, k: int, *, allowed: Collection[int] | np.ndarray | None = None
    ) -> tuple[list[int], list[float]]:
        """The chunk ids with the highest BM25 (k1 1.2, b 0.75) for the question's words, and the scores.

        Args:
            question: its words; any text.
            k: how many; fewer come when fewer hold one of the words.
            allowed: only these ids.
        """
        import numpy as np
        from tantivy import Occur, Query

        terms = list(dict.fromkeys(self.terms(question)))
        if not terms:
            return [], []
        words = [(Occur.Should, Query.term_query(self._schema, "body", term, index_option="freq")) for term in terms]
        query = Query.boolean_query(words)
        if allowed is None:
            return self._ranked(query, k)
        wanted = as_ids(allowed)
        if len(wanted) > SCORED:  # so many that most of the best are among them, or the words are rare
            ask = int(k * self._searcher.num_docs / len(wanted) * 1.5) + k
            while ask <= _FARTHEST:
                ids, scores = self._ranked(query, ask)
                kept = np.flatnonzero(among(np.array(ids, np.uint64), wanted))
                if len(ids) < ask or len(kept) >= k:
                    return [ids[place] for place in kept[:k]], [scores[place] for place in kept[:k]]
                ask *= 4
        one_of = Query.const_score_query(Query.term_set_query(self._schema, "chunk", wanted.tolist()), 0.0)
        return self._ranked(Query.boolean_query([(Occur.Must, query), (Occur.Must, one_of)]), k)

    def _ranked(self, query: tantivy.Query, k: int) -> tuple[list[int], list[float]]:
        try:
            with _panics_caught():
                found = self._searcher.search(query, k, count=False).hits
                ids = self._searcher.fast_field_values("chunk", [address for _, address in found])
        except _PanicError:
            raise UserError(
                "the files of the lexical index are damaged", do="They are being checked; ask again in a moment."
            ) from None
        ranked = sorted(zip(ids, (score for score, _ in found), strict=True), key=lambda pair: (-pair[1], pair[0]))
        return [int(chunk or 0) for chunk, _ in ranked], [float(score) for _, score in ranked]


class _PanicError(ValueError):
    """tantivy came upon something that its authors held to be impossible: its files are not what it wrote."""


@contextmanager
def _panics_caught() -> Iterator[None]:
    """A panic in Rust is told as a BaseException, which nobody expects."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise _PanicError(str(error)) from None


def _change(index: tantivy.Index, removed: Iterable[int], texts: Iterable[tuple[int, str, str]], *, heap: int) -> int:
    import tantivy

    index.register_tokenizer(_ANALYZER, _analyzer())
    writer = index.writer(heap_size=heap, num_threads=1)
    if gone := list(removed):  # delete_documents_by_term passes over a field of numbers, without a word (0.27)
        writer.delete_documents_by_query(tantivy.Query.term_set_query(_schema(), "chunk", gone))
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


def _schema() -> tantivy.Schema:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("chunk", indexed=True, fast=True)
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
