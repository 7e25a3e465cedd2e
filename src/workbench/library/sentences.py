"""Cutting an answer into its sentences, well enough to judge each by itself, also while it is still being written.

It knows nothing of languages' grammar beyond a few abbreviations. A line of Markdown is a sentence or several, never a
part of one; a block of code is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_CLOSING = "\"'\u201d\u2019\u00bb)\\]*_\u300d\u300f\uff09"
_OPENING = "\"'\u201c\u2018\u00ab\u201e(\\[*_\u00bf\u00a1"
_SPACE = "[ \t\r\u00a0\u202f\u3000]"
# What is cited after the full stop belongs to what it ends.
_CITED = rf"(?:{_SPACE}*\[\d+(?:{_SPACE}*,{_SPACE}*\d+)*\])*"
_END = re.compile(
    rf"(?<=[.!?\u2026])[{_CLOSING}]*{_CITED}{_SPACE}+(?!\[\d)(?=[{_OPENING}]*[^\W_a-z])"
    rf"|(?<=[\u3002\uff01\uff1f])[{_CLOSING}]*{_CITED}{_SPACE}*(?=[^\s{_CLOSING}\[])"
    r"|\n+"
)
# Where a text ends in these, what comes next decides whether a sentence ends before them.
_UNDECIDED = " \t\r\n\u00a0\u202f\u3000.!?\u2026\u3002\uff01\uff1f,0123456789`"
_UNDECIDED += (_CLOSING + _OPENING).replace("\\", "")

_BEGIN = r"[ \t]*(?:(?:[-*+>]|\d{1,3}[.)])[ \t]+)*"  # of a line, lists and quotations included
_FENCE = re.compile(rf"{_BEGIN}(`{{3,}}(?![^\n]*`)|~{{3,}})")
_HEADING = re.compile(rf"{_BEGIN}#{{1,6}}[ \t]")
_ITEM = re.compile(rf"{_BEGIN}\d{{1,3}}\.")
_ROW_END = re.compile(r"[ \t]*\|[ \t]*$")
_ABBREVIATIONS = """
    mr mrs ms dr st prof sr vs e.g i.e cf z.b d.h u.a o.a bzw ggf vgl hr mme
"""
_NO_ENDS = frozenset(_ABBREVIATIONS.split())
_COUNTS = """
    no nr p pp s n fig art vol abs ch chap sec approx c ca bd kap abb tab al
"""
_NO_ENDS_BEFORE_DIGITS = frozenset(_COUNTS.split())
_PREPOSITIONS = """
    ab am beim bis das dem den der des die im seit und vom zum
"""
_BEFORE_ORDINALS = frozenset(_PREPOSITIONS.split())  # am 3. Mai
_LONGEST_WORD = 30  # characters before a full stop that are looked at


@dataclass(frozen=True)
class Piece:
    """A sentence, or a line of something else: `text[start:end]`, without white space around it."""

    start: int
    end: int
    kind: Literal["sentence", "heading", "code"]
    """heading: also the first row of a table, which names its columns."""
    mark_at: int
    """Where something said of it may stand: its end, or inside the last cell of a table's row."""


class Cutter:
    """Cuts a text that grows. What was cut stays cut the same, and only its unfinished end is looked at again."""

    def __init__(self) -> None:
        self.begun = 0
        """Where the piece begins that is not finished."""
        self.decided = 0
        """No piece will end before this offset any more."""
        self._line = 0  # where its line begins
        self._fence = ""  # what opened the block of code it is in
        self._table = False  # whether the line before is a row of a table

    def read(self, text: str, *, ended: bool = True) -> list[Piece]:
        """The pieces that are finished now.

        Args:
            text: all of it, what was read before included.
            ended: nothing more comes, so the rest is a piece too.
        """
        found: list[Piece] = []
        for match in _END.finditer(text, self.decided):
            newline = match[0][:1] == "\n"
            if match.start() < self.begun or (not newline and not self._ends(text, match)):
                continue
            found += self._piece(text, match.end(), newline=newline)
            if newline:
                self._line = match.end()
        self.decided = max(self.begun, len(text.rstrip(_UNDECIDED)))
        if ended:
            found += self._piece(text, len(text), newline=True)
        return found

    def _piece(self, text: str, end: int, *, newline: bool) -> list[Piece]:
        start, self.begun = self.begun, end
        fence = self._fence
        if newline and (match := _FENCE.match(text, self._line)) and match.end(1) <= end:
            if not fence:
                self._fence = match[1]
            elif match[1].startswith(fence) and not text[match.end() : end].strip():
                self._fence = ""
        written = text[start:end]
        stripped = written.strip()
        if not stripped:
            self._table = self._table and not newline
            return []
        start += len(written) - len(written.lstrip())
        end = start + len(stripped)
        if fence or self._fence:
            return [Piece(start, end, "code", end)]
        in_row = text.startswith("|", self._line)
        first = in_row and not self._table  # of a table: the names of its columns
        if newline:
            self._table = in_row
        kind = "heading" if first or _HEADING.match(text, self._line, end) else "sentence"
        row = _ROW_END.search(stripped) if in_row else None
        return [Piece(start, end, kind, start + row.start() if row else end)]

    def _ends(self, text: str, match: re.Match[str]) -> bool:
        """Whether a full stop ends a sentence."""
        at = match.start()
        if self._fence or text.count("`", self._line, at) % 2:  # in code
            return False
        if text[at - 1] != ".":
            return True
        if _ITEM.fullmatch(text, self._line, at):
            return False
        words = text[max(self._line, at - _LONGEST_WORD) : at - 1].split()
        word = words[-1].lstrip("\"'(\u201c\u2018\u201e\u00ab[*_") if words else ""
        if (len(word) == 1 and word.isalpha()) or (len(word) > 1 and word[-1].isupper() and not word[-2].isalnum()):
            return False  # an initial, z. B., U.S.
        plain = word.casefold()
        if plain in _NO_ENDS:
            return False
        if plain in _NO_ENDS_BEFORE_DIGITS and text[match.end()].isdigit():
            return False
        return not (plain.isdigit() and len(plain) <= 2 and len(words) > 1 and words[-2].casefold() in _BEFORE_ORDINALS)


def split(text: str) -> list[str]:
    """The sentences of a text in their order, without white space around them; lines are sentences of their own."""
    return [text[piece.start : piece.end] for piece in Cutter().read(text)]
