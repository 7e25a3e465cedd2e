"""Cutting a long text into the rows that fit a width, fast enough for a book. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len


class Row(NamedTuple):
    """One row on the screen."""

    start: int
    end: int
    """Offsets in the text, without the white space at which the row was cut."""
    line: int
    """The line of the text that begins here, counted from 1; 0 where a line goes on."""


def wrap(text: str, width: int) -> list[Row]:
    """Rows of at most `width` cells, cut between words where there are any.

    Args:
        text: with "\\n" as its only newline, and without tabs.
        width: cells, at least 1.
    """
    rows: list[Row] = []
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) <= width and line.isascii():
            rows.append(Row(start, start + len(line), number))
        else:
            first = number
            for begin, end in _narrow(line, width) if line.isascii() else _wide(line, width):
                rows.append(Row(start + begin, start + end, first))
                first = 0
        start += len(line) + 1
    return rows


def row_at(rows: list[Row], offset: int) -> int:
    """The index of the row that holds an offset of the text."""
    low, high = 0, len(rows)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rows[middle].start <= offset else (low, middle)
    return low


@lru_cache(maxsize=8)
def _pattern(width: int) -> re.Pattern[str]:
    # As many whole words as fit, and the white space after them; a longer word is cut.
    return re.compile(rf"(.{{1,{width}}})(?:\s+|$)|(.{{{width}}})")


def _narrow(line: str, width: int) -> Iterator[tuple[int, int]]:
    """One character, one cell."""
    for match in _pattern(width).finditer(line):
        group = 1 if match[1] is not None else 2
        yield match.start(group), match.end(group)


def _wide(line: str, width: int) -> Iterator[tuple[int, int]]:
    """Characters of any width."""
    if cell_len(line) <= width:
        yield 0, len(line)
        return
    begin = cells = 0
    space = -1
    for at, character in enumerate(line):
        size = cell_len(character)
        if cells + size > width and at > begin:
            cut = space if space > begin else at
            yield begin, cut
            begin = cut + 1 if cut == space else cut
            cells = cell_len(line[begin:at])
            space = -1
        if character.isspace():
            space = at
        cells += size
    yield begin, len(line)
