"""Cutting a document's text into chunks at its headings and paragraphs, each an exact span of that text.

It knows nothing of files, models or storage: a function that counts tokens is given.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

CHUNK_TOKENS = 200
"""Tokens at most in a chunk's own text; short paragraphs are put together up to as many."""
HEADING_TOKENS = 40
"""Tokens at most of the headings that stand before a chunk when it is embedded."""
FORM = 1
"""Raised when the same text is cut differently, so that an update cuts it again."""

_PIECE = 20_000  # characters: a block without any structure is cut here first, so that cutting stays linear
_CHARACTERS = 10  # at most for one token of a chunk: some tokenizers make one unknown token of a very long word
_BLOCK = re.compile(r"\S(?:.|\n(?!\s*\n))*")
_FRONT_MATTER = re.compile(r"---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)


@dataclass(frozen=True)
class SourceText:
    """What was read of a document."""

    text: str
    """With "\\n" as its only newline."""
    title: str
    markdown: bool = True
    """Whether "#" begins a heading."""
    has_lines: bool = True
    """Whether the lines of `text` are the lines of the file."""
    page_starts: tuple[int, ...] = ()
    """The offset in `text` at which each page begins; empty where there are no pages."""


@dataclass(frozen=True)
class Chunk:
    """A span of a document: `source.text[start:end] == text`."""

    start: int
    end: int
    text: str
    heading: str
    """The headings above it, outermost first, joined by " > "; empty where there are none."""
    start_line: int | None
    """First and last line in the file, counted from 1; None where the file has no lines (PDF, HTML)."""
    end_line: int | None
    page: int | None
    """The page on which it begins, counted from 1; None where there are none."""

    @property
    def embedded(self) -> str:
        """What is embedded and searched: the headings, then the text."""
        return embedded_text(self.heading, self.text)


def embedded_text(heading: str, text: str) -> str:
    """What is embedded and searched of a chunk."""
    return f"{heading}\n{text}" if heading else text


def cut(source: SourceText, count_tokens: Callable[[str], int], *, limit: int = CHUNK_TOKENS) -> list[Chunk]:
    """Cut a document into chunks, in the order of the text; the same text is always cut the same.

    A section is what lies between two headings. Its paragraphs are put together up to `limit` tokens and only one that
    is longer by itself is cut, at the end of a sentence where there is one.

    Args:
        source: the document.
        count_tokens: tokens of a text as the embedding model counts.
        limit: tokens at most in a chunk's text.
    """
    lines = _line_starts(source.text)
    count = _bounded(count_tokens)
    found = []
    for heading, start, end in _sections(source, lines):
        heading = _shortened(heading, count)
        for first, last in _packed(source.text, _blocks(source.text, start, end), count, limit):
            found.append(_chunk(source, lines, heading, first, last))
    return found


def _bounded(count_tokens: Callable[[str], int]) -> Callable[[str], int]:
    return lambda text: max(count_tokens(text), len(text) // _CHARACTERS)


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


def _sections(source: SourceText, lines: list[int]) -> Iterator[tuple[str, int, int]]:
    """Yield (headings, start, end) of every section that holds text; a heading without any is its own section."""
    text = source.text
    if not source.markdown:
        yield "", 0, len(text)
        return
    offset = front.end() if (front := _FRONT_MATTER.match(text)) else 0
    first_line = text.count("\n", 0, offset)
    path: list[tuple[int, str]] = []
    start = begun = offset
    for level, title, from_line, to_line in _headings(text[offset:]):
        at = lines[first_line + from_line]
        if text[start:at].strip():
            yield _joined(path), start, at
        elif path and path[-1][0] >= level:
            yield _joined(path[:-1]), begun, at
        path = [(above, name) for above, name in path if above < level] + [(level, title)]
        begun = at
        start = lines[first_line + to_line] if first_line + to_line < len(lines) else len(text)
    if text[start:].strip():
        yield _joined(path), start, len(text)
    elif path:
        yield _joined(path[:-1]), begun, len(text)


def _headings(markdown: str) -> Iterator[tuple[int, str, int, int]]:
    """Yield (level, title, first line, line after) of every heading that is not inside a list or quotation."""
    from markdown_it import MarkdownIt

    # Only blocks matter here; leaving inlines alone is faster and cannot be led astray by them.
    tokens = MarkdownIt("commonmark").disable("inline").enable("table").parse(markdown)
    for token, inline in itertools.pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map and inline.content.strip():
            yield int(token.tag[1:]), " ".join(inline.content.split()), token.map[0], token.map[1]


def _joined(path: list[tuple[int, str]]) -> str:
    return " > ".join(title for _, title in path)


def _shortened(heading: str, count_tokens: Callable[[str], int]) -> str:
    while heading and count_tokens(heading) > HEADING_TOKENS:
        heading = heading.split(" > ", 1)[1] if " > " in heading else heading[: len(heading) * 3 // 4].rstrip()
    return heading


def _blocks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the spans between blank lines, without the white space around them."""
    for match in _BLOCK.finditer(text, start, end):
        yield match.start(), match.start() + len(match[0].rstrip())


def _packed(
    text: str, blocks: Iterator[tuple[int, int]], count_tokens: Callable[[str], int], limit: int
) -> Iterator[tuple[int, int]]:
    """Yield spans of whole blocks of at most `limit` tokens; a longer block is cut."""
    held: tuple[int, int] | None = None
    held_tokens = 0
    for start, end in blocks:
        tokens = limit + 1 if end - start > limit * _CHARACTERS else count_tokens(text[start:end])
        if held is not None and held_tokens + tokens <= limit:
            held, held_tokens = (held[0], end), held_tokens + tokens
            continue
        if held is not None:
            yield held
        held, held_tokens = (start, end), tokens
        if tokens > limit:
            yield from _cut_block(text, start, end, count_tokens, limit)
            held = None
    if held is not None:
        yield held


def _cut_block(
    text: str, start: int, end: int, count_tokens: Callable[[str], int], limit: int
) -> Iterator[tuple[int, int]]:
    from semchunk.semchunk import chunk

    for at in range(start, end, _PIECE):
        piece = text[at : min(end, at + _PIECE)]
        _, offsets = chunk(piece, limit, count_tokens, memoize=False, offsets=True)
        for first, last in cast("list[tuple[int, int]]", offsets):
            if words := piece[first:last].strip():
                begin = at + piece.index(words, first)
                yield begin, begin + len(words)
