"""The structure of a document's text: its sections, the blocks in them, and the parts that a block can be cut into.

Everything is a span of the text. It knows nothing of tokens and of how much fits into a chunk.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from workbench.library.outline import outline

Structure = Literal["markdown", "plain", "code", "rows"]
"""Markdown; paragraphs; a source file; a table, one row a line."""


@dataclass(frozen=True)
class SourceText:
    """What was read of a document."""

    text: str
    """With "\\n" as its only newline."""
    title: str
    structure: Structure = "markdown"
    language: str = ""
    """Of a source file: the ending of its name, without the dot."""
    has_lines: bool = True
    """Whether the lines of `text` are the lines of the file."""
    page_starts: tuple[int, ...] = ()
    """The offset in `text` at which each page begins; empty where there are no pages."""


@dataclass(frozen=True)
class Block:
    """A span that stays whole if it can."""

    start: int
    end: int
    kind: str = "text"
    """text, list, item, table, code, group (of lines of code), line, row, sentence; tells what it is cut into."""
    header: str = ""
    """The columns of a table, which its later rows need above them."""


@dataclass(frozen=True)
class Section:
    """What stands under one heading, or in one definition of a source file."""

    headings: tuple[str, ...]
    """Outermost first."""
    blocks: tuple[Block, ...]


_PARAGRAPH = re.compile(r"\S(?:.|\n(?!\s*\n))*")
_STRETCH = 100_000  # characters
_FRONT_MATTER = re.compile(r"---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_FENCE = re.compile(r"[ \t]*+(?:(?:[-*+>]|\d{1,9}[.)])[ \t]*+)?(`{3,}|~{3,})")
_RULE = re.compile(r"[\s|:\-+]+$")
# A sentence ends at . ! ? and their kin, and what closes after it, where no small letter follows, and
# before an item of a list. Every repetition is bounded or possessive, so that no text makes it slow.
_SENTENCE_END = re.compile(
    r"[.!?\u2026]{1,3}+[\"'\u2019\u201d\u00bb)\]*_]{0,4}+\s++(?![a-z])"
    r"|[\u3002\uff01\uff1f]{1,3}+[\u2019\u201d\u300d\u300f\uff09]{0,4}+\s*+"  # Chinese and Japanese: no space follows
    r"|\n(?=[ \t]{0,8}(?:[-*+\u2022]|\d{1,9}[.)])[ \t])"
)
_ABBREVIATED = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|cf|No|Nos|Fig|Figs|Eq|Vol|pp|approx|e\.g|i\.e|al|[A-Z])|^\d{1,3})\.\s+$"
)
_MARKDOWN_KINDS = {
    "fence": "code",
    "code_block": "code",
    "table_open": "table",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "html_block": "html",
}


def sections(source: SourceText) -> Iterator[Section]:
    """Yield the sections of a document in the order of its text; blank ones are left out."""
    text = source.text
    if source.structure == "markdown":
        yield from _markdown_sections(text)
    elif source.structure == "code":
        for names, start, end in outline(text, source.language):
            first, last = _without_blank_lines(text, start, end)
            yield Section(names, (Block(first, last, "code"),))
    elif source.structure == "rows":
        yield Section((), tuple(_lines(text, 0, len(text), "row")))
    else:
        yield Section((), tuple(_paragraphs(text, 0, len(text))))


def parts(text: str, block: Block) -> list[Block]:
    """What a block that is too long is cut into, in order; only itself, as a sentence, where it has no structure."""
    start, end = block.start, block.end
    if block.kind == "list":
        return _items(text, start, end, outermost=True)
    if block.kind == "item":
        found = _items(text, start, end, outermost=False)
        return found if len(found) > 1 else parts(text, Block(start, end, "text"))
    if block.kind == "table":
        return list(_lines(text, start, end, "row"))
    if block.kind == "code":
        groups = _groups(text, start, end)
        return groups if len(groups) > 1 else list(_lines(text, start, end, "line"))
    if block.kind == "group":
        return list(_lines(text, start, end, "line"))
    if block.kind == "text":
        return list(_sentences(text, start, end))
    return [Block(start, end, "sentence")]


def _paragraphs(text: str, start: int, end: int) -> Iterator[Block]:
    """What stands between blank lines, without the white space around it."""
    for match in _PARAGRAPH.finditer(text, start, end):
        yield Block(match.start(), match.start() + len(match[0].rstrip()))


def _lines(text: str, start: int, end: int, kind: str) -> Iterator[Block]:
    """The lines that are not blank, with their indentation."""
    for line in text[start:end].split("\n"):
        if line.strip():
            yield Block(start, start + len(line.rstrip()), kind)
        start += len(line) + 1


def _groups(text: str, start: int, end: int) -> list[Block]:
    """The lines between blank lines, with the indentation of the first."""
    found: list[Block] = []
    for line in _lines(text, start, end, "line"):
        if found and text.count("\n", found[-1].end, line.start) == 1:
            found[-1] = Block(found[-1].start, line.end, "group")
        else:
            found.append(Block(line.start, line.end, "group"))
    return found


def _without_blank_lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the blank lines around it, from the beginning of its first line."""
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    return text.rfind("\n", start, first) + 1 or start, start + len(text[start:end].rstrip())


# Markdown


def _markdown_sections(text: str) -> Iterator[Section]:
    offset = front.end() if (front := _FRONT_MATTER.match(text)) else 0
    starts = [offset, *(match.end() for match in re.compile("\n").finditer(text, offset)), len(text)]
    headings, special = _parsed(text[offset:])

    def at(line: int) -> int:
        return starts[min(line, len(starts) - 1)]

    spans = [(at(first), at(last), kind) for first, last, kind in special]
    path: list[tuple[int, str]] = []
    start = begun = offset
    for level, title, first, last in [*headings, (0, "", len(starts), len(starts))]:
        if text[start : at(first)].strip():
            yield Section(_titles(path), tuple(_blocks(text, start, at(first), spans)))
        elif path and path[-1][0] >= level:  # a heading with nothing under it is a section of the one above
            yield Section(_titles(path[:-1]), tuple(_blocks(text, begun, at(first), [])))
        path = [(above, name) for above, name in path if above < level] + [(level, title)]
        begun, start = at(first), at(last)


def _titles(path: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(title for _, title in path)


def _parsed(markdown: str) -> tuple[list[tuple[int, str, int, int]], list[tuple[int, int, str]]]:
    """(level, title, first line, line after) of every heading, and (first line, line after, kind) of every block that
    is no paragraph; those inside a list or quotation are left out.
    """
    from markdown_it import MarkdownIt

    # Only blocks matter here; leaving inlines alone is faster and cannot be led astray by them.
    parser = MarkdownIt("commonmark").disable("inline").enable("table")
    headings, special = [], []
    before = 0
    for stretch in _stretches(markdown):
        tokens = parser.parse(stretch)
        for token, following in itertools.pairwise([*tokens, None]):
            if token is None or token.level or not token.map:
                continue
            first, last = before + token.map[0], before + token.map[1]
            if token.type == "heading_open" and following is not None and following.content.strip():
                headings.append((int(token.tag[1:]), " ".join(following.content.split()), first, last))
            elif token.type in _MARKDOWN_KINDS:
                special.append((first, last, _MARKDOWN_KINDS[token.type]))
        before += stretch.count("\n")
    return headings, special


def _stretches(markdown: str) -> Iterator[str]:
    """A long text in stretches that are parsed by themselves, so that a book needs no more memory than a chapter.

    They end before a heading or after a blank line, outside fenced code, or where neither comes, at a line.
    """
    begun = at = 0
    fence = ""
    blank = False
    for line in markdown.split("\n") if len(markdown) > _STRETCH else ():
        so_far = at - begun
        ends_here = not fence and (line.startswith("#") or blank)
        if (so_far > _STRETCH and ends_here) or so_far > 2 * _STRETCH:
            yield markdown[begun:at]
            begun = at
        if mark := _FENCE.match(line):
            fence = "" if fence and line.strip().startswith(fence) else fence or mark[1]
        blank = not line.strip()
        at += len(line) + 1
    yield markdown[begun:]


def _blocks(text: str, start: int, end: int, spans: list[tuple[int, int, str]]) -> Iterator[Block]:
    """The blocks of a section: what `spans` names, and the paragraphs between them."""
    import bisect

    at = start
    for first, last, kind in itertools.islice(spans, bisect.bisect_left(spans, (start,)), None):
        if first >= end:
            break
        body = text[first:last].strip()
        yield from _paragraphs(text, at, first)
        at = last
        if not body or (kind == "html" and body.startswith("<!--") and body.find("-->") == len(body) - 3):
            continue  # a comment is not shown, so it is not found
        first = text.index(body[0], first)
        header = _columns(body) if kind == "table" else ""
        yield Block(first, first + len(body), "text" if kind == "html" else kind, header)
    yield from _paragraphs(text, at, end)


def _columns(table: str) -> str:
    """The first row of a Markdown table, without its frame."""
    return " | ".join(cell.strip() for cell in table.split("\n", 1)[0].strip().strip("|").split("|") if cell.strip())


def is_rule(text: str) -> bool:
    """Whether a row of a table is the line under its header."""
    return _RULE.match(text) is not None


def _items(text: str, start: int, end: int, *, outermost: bool) -> list[Block]:
    """The items of a list, or of one item its own text, the items in it and its fenced code."""
    found: list[Block] = []
    begun, kind, fence, indent = start, "item", "", -1

    def close(until: int) -> None:
        if body := text[begun:until].strip():
            first = text.index(body[0], begun)
            found.append(Block(first, first + len(body), kind if outermost or kind == "code" else "text"))

    at = start
    for line in text[start:end].split("\n"):
        marked = _FENCE.match(line)
        item = None if fence else _ITEM.match(line)
        depth = len(line) - len(line.lstrip())
        if indent < 0 and item:
            indent = depth
        if outermost:
            if item and depth <= indent and at > begun:
                close(at)
                begun = at
        elif not fence and at > begun and (item or marked):
            close(at)
            begun, kind = at, "code" if marked and not item else "item"
        if marked and not fence:
            fence = marked[1]
        elif fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
            if not outermost:
                close(at + len(line))
                begun, kind = at + len(line), "item"
        at += len(line) + 1
    close(end)
    return found


def _sentences(text: str, start: int, end: int) -> Iterator[Block]:
    begun = start
    for match in _SENTENCE_END.finditer(text, start, end):
        if _ABBREVIATED.search(text[max(begun, match.end() - 12) : match.end()]):
            continue
        last = begun + len(text[begun : match.end()].rstrip())
        if last > begun:
            yield Block(begun, last, "sentence")
        begun = match.end()
    if text[begun:end].strip():
        yield Block(begun, begun + len(text[begun:end].rstrip()), "sentence")
