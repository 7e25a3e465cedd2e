"""Text in aligned columns, for what is read and not chosen from (lists to choose from are tables)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.content import Content

_GAP = 2  # cells between columns
_AT_LEAST = 6  # cells of a column that is cut


class Column(NamedTuple):
    """A heading, on which side its cells stand (`<` or `>`), and a shorter heading for little room."""

    title: str
    side: str = "<"
    short: str = ""


def columns(
    heads: Sequence[Column], rows: Sequence[Sequence[Content | str]], room: int, *, cut: int = 0
) -> list[Content]:
    """One line of headings, then one line a row.

    Args:
        heads: the columns.
        rows: a cell a column each.
        room: cells there are; where they do not suffice, short headings are taken, then a column is cut.
        cut: which column that is.
    """
    table = [[cell if isinstance(cell, Content) else Content(cell) for cell in row] for row in rows]
    titles = [head.title for head in heads]
    widths = _widths(titles, table)
    if sum(widths) + _GAP * (len(heads) - 1) > room:
        titles = [head.short or head.title for head in heads]
        widths = _widths(titles, table)
    if (over := sum(widths) + _GAP * (len(heads) - 1) - room) > 0:
        widths[cut] = max(_AT_LEAST, widths[cut] - over)
        for row in table:
            row[cut] = row[cut].truncate(widths[cut], ellipsis=True)
    muted = [Content.from_markup("[$foreground-muted]$title[/]", title=title) for title in titles]
    lines = []
    for row in [muted, *table]:
        cells = [
            cell.pad_left(width - cell.cell_length) if head.side == ">" else cell.pad_right(width - cell.cell_length)
            for head, width, cell in zip(heads, widths, row, strict=True)
        ]
        lines.append(Content(" " * _GAP).join(cells).rstrip())
    return lines


def _widths(titles: Sequence[str], table: Sequence[Sequence[Content]]) -> list[int]:
    return [max(len(title), *(row[i].cell_length for row in table), 0) for i, title in enumerate(titles)]
