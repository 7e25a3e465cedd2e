"""Which preference pair comes next. A plain object; it knows nothing of Textual and of databases."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence


class PreferenceQueue:
    """Pairs in an order, some of them pending, and one that is current.

    After a judgement the next pending one is current; behind the last, those before that were skipped.
    """

    def __init__(self, ids: Sequence[int], pending: Iterable[int], start: int | None = None) -> None:
        """`ids`: in their order; `start`: which is current at first, default: the first that is pending, else the
        first."""
        self.ids = array("q", ids)
        self.pending = set(pending)
        self._at = 0
        if start is not None and start in self.ids:
            self._at = self.ids.index(start)
        elif self.ids and self.ids[0] not in self.pending:
            self.advance()

    @property
    def current(self) -> int | None:
        """The id of the current pair; None where there is none."""
        return self.ids[self._at] if self.ids else None

    @property
    def number(self) -> int:
        """The place of the current pair, from 1; 0 where there is none."""
        return self._at + 1 if self.ids else 0

    def judged(self, id: int) -> None:
        """It is pending no more."""
        self.pending.discard(id)

    def reopen(self, id: int) -> None:
        """It is pending again, and current."""
        self.pending.add(id)
        self.go_to(id)

    def go_to(self, id: int) -> None:
        """Make a pair current, where it is here."""
        if id in self.ids:
            self._at = self.ids.index(id)

    def step(self, by: int) -> None:
        """Go on or back; not beyond the ends."""
        if self.ids:
            self._at = max(0, min(len(self.ids) - 1, self._at + by))

    def skip(self) -> None:
        """Go to the next pending pair without a judgement, or to the next of all where none other is pending."""
        before = self._at
        self.advance()
        if self._at == before:
            self.step(1)

    def advance(self) -> None:
        """Go to the next pending pair, after the last one to the first; stay where no other is pending."""
        count = len(self.ids)
        for further in range(1, count):
            at = (self._at + further) % count
            if self.ids[at] in self.pending:
                self._at = at
                return

    def drop(self, id: int) -> None:
        """It is no more."""
        at = self.ids.index(id)
        del self.ids[at]
        self.pending.discard(id)
        self._at = max(0, min(len(self.ids) - 1, self._at - (at < self._at)))

    def refresh(self, pending: Iterable[int], current: int | None) -> None:
        """Others are pending now; go to `current`, where it is given."""
        self.pending = set(pending)
        if current is not None:
            self.go_to(current)
