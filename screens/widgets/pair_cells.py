"""The cells of a row of pairs: how wide each is, and a text cut to it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from workbench.text import for_terminal

FLAG_MARKS = {
    "near-duplicate": "near", "exact-duplicate": "same", "leak-train-eval": "leak", "leak-eval-library": "leak",
    "leak-train-library": "leak", "too-long": "long", "empty": "empty", "same-both-sides": "echo", "format": "form",
    "control-tokens": "ctrl", "secret": "secret", "personal-data": "person", "language": "lang",
    "contradiction": "contra", "length-bias": "bias", "identical-sides": "alike", "ungrounded": "no source",
}  # fmt: skip
"""What the table says for a flag."""

_LOOK = 400  # characters of a text that a cell is made of
_GAP = 2


class Columns(NamedTuple):
    """Cells of each column; 0: there is no room for it, or nothing to show."""

    head: int
    """The bar of a mark, the status, and a sign for flags."""
    prompt: int
    completion: int
    flags: int
    tags: int
    source: int


def columns(width: int, *, flagged: bool, tagged: bool) -> Columns:
    """The columns of a table of this width; `flagged`, `tagged`: a row has flags, tags."""
    if width >= 120:
        flags, tags, source = 16, 18, 24
    elif width >= 90:
        flags, tags, source = 11, 12, 17
    elif width >= 64:
        flags, tags, source = 6, 9, 12
    else:
        flags, tags, source = 0, 0, 0
    flags, tags = flags if flagged else 0, tags if tagged else 0
    head = 5 if flagged else 4
    rest = width - head - _GAP - sum(size + _GAP for size in (flags, tags, source) if size)
    prompt = max(8, rest // 2)
    return Columns(head, prompt, max(0, rest - prompt), flags, tags, source)


def flags_in_short(flags: Iterable[str]) -> str:
    """Their marks, each once."""
    return " ".join(dict.fromkeys(FLAG_MARKS.get(flag, flag) for flag in flags))


def fit(text: str, width: int, *, end: bool = False) -> str:
    """One line of exactly `width` cells; `end`: where it is cut, its end is kept."""
    if not width:
        return ""
    text = text[-_LOOK:] if end else text[:_LOOK]
    line = " ".join(for_terminal(text, one_line=True).split())
    if cell_len(line) <= width:
        return set_cell_size(line, width)
    if not end:
        return set_cell_size(set_cell_size(line, width - 1).rstrip() + "…", width)
    while cell_len(line) > width - 1:
        line = line[1:]
    return set_cell_size("…" + line, width)


def strip(head: Sequence[tuple[str, Style]], cells: Iterable[tuple[str, Style]], style: Style, width: int) -> Strip:
    """The head's parts side by side, then the cells with a gap between them; empty ones are left out."""
    segments = [Segment(text, own) for text, own in head if text]
    gap = ""
    for text, own in cells:
        if text:
            segments += [Segment(gap, style), Segment(text, own)] if gap else [Segment(text, own)]
            gap = " " * _GAP
    return Strip(segments).adjust_cell_length(width, style)
