"""Which rows of a list are marked, one by one or by ranges: quick also where a range is a million rows long."""

from __future__ import annotations

from array import array
from itertools import compress


class Marks:
    """The marks of rows, by their numbers; the list's ids come in where it changes."""

    def __init__(self) -> None:
        self._rows = bytearray()  # 1: marked
        self._before = bytearray()  # as it was before the range
        self._anchor: int | None = None
        self._unlisted: set[int] = set()  # ids
        self.extending = False
        """Whether every move of the cursor extends the range."""

    def __contains__(self, row: int) -> bool:
        return self._rows[row] == 1

    @property
    def count(self) -> int:
        """How many rows are marked."""
        return self._rows.count(1)

    @property
    def unlisted(self) -> int:
        """How many others are marked that the list, not complete yet, may still bring."""
        return len(self._unlisted)

    def ids(self, ids: array[int]) -> array[int]:
        """The ids of the marked rows, in the order of the list."""
        return array("q", compress(ids, self._rows))

    def toggle(self, row: int) -> None:
        """Mark a row, or take its mark away; a range ends."""
        self.end()
        self._rows[row] ^= 1

    def mark_all(self) -> None:
        """Mark every row, or none where all are marked."""
        self.end()
        self._rows = bytearray((b"\1" if self.count < len(self._rows) else b"\0") * len(self._rows))

    def clear(self) -> None:
        """Take all marks away; a range ends."""
        self.end()
        self._rows = bytearray(len(self._rows))
        self._unlisted.clear()

    # Ranges

    def start(self, row: int) -> None:
        """A range begins at a row."""
        self._anchor, self._before = row, bytearray(self._rows)
        self.extend(row)

    def extend(self, row: int) -> None:
        """The range goes to this row now; it begins here where none has begun."""
        if self._anchor is None:
            self._anchor, self._before = row, bytearray(self._rows)
        first, last = sorted((self._anchor, row))
        self._rows = bytearray(self._before)
        self._rows[first : last + 1] = b"\1" * (last + 1 - first)

    def end(self) -> None:
        """The range ends; the marks stay."""
        self.extending = False
        self._anchor = None

    # Another list

    def carry(self, before: array[int], after: array[int], *, complete: bool = True) -> None:
        """Keep the marks of the ids that are still listed; a range that began at one that is not ends.

        Where the list is not `complete` yet, those of the others are kept aside until it is.
        """
        if self._unlisted or not complete:
            marked = self._unlisted.union(compress(before, self._rows))
            self.end()
            self._rows = bytearray(map(marked.__contains__, after))
            self._unlisted = set() if complete else marked.difference(after)
            return
        anchor = before[self._anchor] if self._anchor is not None else None
        self._rows = _carried(self._rows, before, after)
        if anchor is not None:
            self._before = _carried(self._before, before, after)
            try:
                self._anchor = after.index(anchor)
            except ValueError:
                self.end()


def _carried(rows: bytearray, before: array[int], after: array[int]) -> bytearray:
    if not rows.count(1):
        return bytearray(len(after))
    marked = set(compress(before, rows))
    return bytearray(map(marked.__contains__, after))
