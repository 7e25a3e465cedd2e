"""Cutting a document's text into chunks along its structure, each an exact span of that text.

It knows nothing of files, models or storage: a function that counts tokens is given.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from workbench.library.structure import Block, SourceText, is_rule, parts, sections

__all__ = ["CHUNK_TOKENS", "FORM", "HEADING_TOKENS", "Chunk", "SourceText", "cut", "embedded_text"]

CHUNK_TOKENS = 200
"""Tokens at most in a chunk's own text; short paragraphs are put together up to as many."""
HEADING_TOKENS = 40
"""Tokens at most of the headings that stand before a chunk when it is embedded."""
FORM = 2
"""Raised when the same text is cut differently, so that an update cuts it again."""

_PIECE = 20_000  # characters: a block without any structure is cut here first, so that cutting stays linear
_CHARACTERS = 10  # at most for one token of a chunk: some tokenizers make one unknown token of a very long word
_JOINT = 2  # tokens at most of what stands between two blocks, or a heading and its text
_SEPARATOR = " > "


@dataclass(frozen=True)
class Chunk:
    """A span of a document: `source.text[start:end] == text`."""

    start: int
    end: int
    text: str
    heading: str
    """The headings above it, outermost first, joined by " > "; of a table's later rows its columns too, of code the
    names that it is defined in. Empty where there are none."""
    start_line: int | None
    """First and last line in the file, counted from 1; None where the file has no lines (PDF, HTML)."""
    end_line: int | None
    page: int | None
    """The page on which it begins, counted from 1; None where there are none."""

    @property
    def embedded(self) -> str:
        """What is embedded and searched: the headings, then the text."""
        return embedded_text(self.heading, self.text)


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    headings: tuple[str, ...]


def embedded_text(heading: str, text: str) -> str:
    """What is embedded and searched of a chunk."""
    return f"{heading}\n{text}" if heading else text


def cut(
    source: SourceText, count_tokens: Callable[[str], int], *, limit: int = CHUNK_TOKENS, window: int | None = None
) -> list[Chunk]:
    """Cut a document into chunks, in the order of the text; the same text is always cut the same.

    The blocks of a section (paragraphs, lists, tables, code) are put together up to `limit` tokens, and only one that
    is longer by itself is cut: a list between items, a table between rows, code between blank lines and then lines, a
    paragraph between sentences. Definitions of a source file are put together as the blocks of a section are.

    Args:
        source: the document.
        count_tokens: tokens of a text as the embedding model counts.
        limit: tokens at most in a chunk's text.
        window: tokens that the model reads, its special tokens not counted; what a chunk embeds, its heading included,
            has no more. None where it reads any length.
    """
    window = max(window or 1 << 30, 1)
    heading_tokens = min(HEADING_TOKENS, window // 4)
    limit = max(1, min(limit, window - heading_tokens - _JOINT))
    cutter = _Cutter(source.text, count_tokens, limit)
    spans: list[_Span] = []
    if source.structure == "code":
        spans += cutter.packed((block, one.headings) for one in sections(source) for block in one.blocks)
    else:
        for section in sections(source):
            spans += cutter.packed((block, section.headings) for block in section.blocks)
    lines = _line_starts(source.text)
    headings: dict[tuple[str, ...], str] = {}
    found = []
    for span in spans:
        if span.headings not in headings:
            headings[span.headings] = _shortened(span.headings, cutter.count, heading_tokens)
        chunk = _chunk(source, lines, headings[span.headings], span.start, span.end)
        while chunk.heading and count_tokens(chunk.embedded) > window:  # rare: counted together they are more
            chunk = _chunk(source, lines, _less(chunk.heading), span.start, span.end)
        found.append(chunk)
    return found


class _Held:
    """Blocks that follow each other and have at most `limit` tokens together."""

    def __init__(self, cutter: _Cutter) -> None:
        self._cutter = cutter
        self.blocks: list[tuple[Block, tuple[str, ...]]] = []
        self.tokens = 0
        """Of the blocks, each counted by itself."""
        self._bound = 0  # they have no more, what stands between them included

    def add(self, block: Block, headings: tuple[str, ...], tokens: int) -> bool:
        """Hold one more if it fits."""
        if self.tokens + tokens > self._cutter.limit:
            return False
        if self.blocks and self._cutter.text[self.blocks[-1][0].end : block.start].strip():
            return False  # a comment between them, which is not to be found
        bound = self._bound + tokens + (_JOINT if self.blocks else 0)
        if bound > self._cutter.limit:
            bound = self._cutter.count(self._cutter.text[self.blocks[0][0].start : block.end])
            if bound > self._cutter.limit:
                return False
        self.blocks.append((block, headings))
        self.tokens, self._bound = self.tokens + tokens, bound
        return True

    def span(self) -> _Span:
        """What they cover, under the headings that they have in common."""
        paths = [headings for _, headings in self.blocks]
        alike = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
        return _Span(self.blocks[0][0].start, self.blocks[-1][0].end, tuple(names[0] for names in alike))


class _Cutter:
    """Packs blocks of one text into spans of at most `limit` tokens."""

    def __init__(self, text: str, count_tokens: Callable[[str], int], limit: int) -> None:
        self.text = text
        self.limit = limit
        self._count_tokens = count_tokens

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return max(self._count_tokens(text), len(text) // _CHARACTERS)

    def packed(self, blocks: Iterable[tuple[Block, tuple[str, ...]]]) -> Iterator[_Span]:
        """Yield spans of whole blocks; a block that is longer than the limit is cut."""
        held = _Held(self)
        for block, headings in blocks:
            tokens = self._tokens(block)
            if held.add(block, headings, tokens):
                continue
            introduction = _Held(self)
            if len(held.blocks) > 1 and self.text[(last := held.blocks[-1])[0].end - 1] == ":":
                introduction.add(*last, self._tokens(last[0]))
                if introduction.add(block, headings, tokens):  # "These are the fees:" stays with what it introduces
                    held.blocks.pop()
                else:
                    introduction = _Held(self)
            if held.blocks:
                yield held.span()
            held = introduction
            if tokens > self.limit:
                yield from self._pieces(block, headings)
            elif not held.blocks:
                held.add(block, headings, tokens)
        if held.blocks:
            yield held.span()

    def _tokens(self, block: Block) -> int:
        if block.end - block.start > self.limit * _CHARACTERS:
            return self.limit + 1
        return self.count(self.text[block.start : block.end])

    def _pieces(self, block: Block, headings: tuple[str, ...]) -> Iterator[_Span]:
        """Cut a block that is too long into pieces of about the same length."""
        smaller = parts(self.text, block) if block.kind != "sentence" else []
        if not smaller or smaller == [block]:
            yield from (_Span(start, end, headings) for start, end in self._words(block))
            return
        if block.header and len(smaller) > 1 and is_rule(self.text[smaller[1].start : smaller[1].end]):
            smaller[:2] = [Block(smaller[0].start, smaller[1].end, "row")]
        tokens = [self._tokens(part) for part in smaller]
        share = sum(tokens) / -(-sum(tokens) // self.limit)
        held = _Held(self)
        for part, count in zip(smaller, tokens, strict=True):
            below = (*headings, block.header) if block.header and part is not smaller[0] else headings
            if held.blocks and held.tokens + count / 2 <= share and held.add(part, held.blocks[0][1], count):
                continue
            if held.blocks:
                yield held.span()
                held = _Held(self)
            if count > self.limit:
                yield from self._pieces(part, below)
            else:
                held.add(part, below, count)
        if held.blocks:
            yield held.span()

    def _words(self, block: Block) -> Iterator[tuple[int, int]]:
        from semchunk.semchunk import chunk

        for at in range(block.start, block.end, _PIECE):
            piece = self.text[at : min(block.end, at + _PIECE)]
            _, offsets = chunk(piece, self.limit, self.count, memoize=False, offsets=True)
            for first, last in cast("list[tuple[int, int]]", offsets):
                if words := piece[first:last].strip():
                    begin = at + piece.index(words, first)
                    yield begin, begin + len(words)


def _chunk(source: SourceText, lines: list[int], heading: str, start: int, end: int) -> Chunk:
    return Chunk(
        start=start,
        end=end,
        text=source.text[start:end],
        heading=heading,
        start_line=bisect.bisect_right(lines, start) if source.has_lines else None,
        end_line=bisect.bisect_right(lines, end - 1) if source.has_lines else None,
        page=bisect.bisect_right(source.page_starts, start) or None,
    )


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _shortened(headings: tuple[str, ...], count: Callable[[str], int], limit: int) -> str:
    heading = _SEPARATOR.join(headings)
    while heading and count(heading) > limit:
        heading = _less(heading)
    return heading


def _less(heading: str) -> str:
    """Without its outermost part, or of a single one the first three quarters."""
    return heading.split(_SEPARATOR, 1)[1] if _SEPARATOR in heading else heading[: len(heading) * 3 // 4].rstrip()
