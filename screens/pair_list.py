"""What the Pairs screen lists: a filter, and the ids of the pairs that pass it. Plain objects; nothing of Textual."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from workbench.pairs.pair import STATUSES
from workbench.pairs.query import Query, Term
from workbench.pairs.selection import Selection

if TYPE_CHECKING:
    from workbench.pairs.store import DatasetSummary, PairStore

FIRST = 200
"""How many rows are shown before all are known."""
_SORTS = ("", "-tokens", "tokens", "-chars", "chars", "source", "status", "new")


@dataclass(frozen=True)
class PairFilter:
    """Which pairs are listed, in which order."""

    dataset: str | None = None
    """None: of all."""
    query: Query = field(default_factory=Query)
    """What stands in the query line."""

    @property
    def selection(self) -> Selection:
        """What the store is asked for."""
        return Selection(self.dataset, query=self.query)

    @property
    def status(self) -> str | None:
        """The only status that is listed, if there is one."""
        statuses = self.query.values("status")
        return statuses[0] if len(statuses) == 1 else None

    def with_status(self, status: str | None) -> PairFilter:
        """With pairs of this status only; None: of each."""
        return replace(self, query=self.query.with_term("status", *([status] if status else [])))

    def next_status(self) -> PairFilter:
        """All, pending, accepted, rejected, and all again."""
        order = (None, *STATUSES)
        return self.with_status(order[(order.index(self.status) + 1) % len(order)])

    def next_sort(self) -> PairFilter:
        """As added, the longest first, the shortest first, by source, by status, the latest first; and as added."""
        at = _SORTS.index(self.query.sort) if self.query.sort in _SORTS else -1
        return replace(self, query=self.query.sorted_by(_SORTS[(at + 1) % len(_SORTS)]))

    def among(self, *terms: Term) -> Selection:
        """Those listed that also meet these terms, in the same order."""
        return Selection(self.dataset, query=replace(self.query, terms=(*self.query.terms, *terms)))


@dataclass(frozen=True)
class Listing:
    """The pairs that pass a filter at one moment."""

    filter: PairFilter = field(default_factory=PairFilter)
    version: int = -1
    """`PairStore.version` when they were read, or a little before."""
    datasets: tuple[DatasetSummary, ...] = ()
    ids: array[int] = field(default_factory=lambda: array("q"))
    """In the filter's order."""
    complete: bool = True
    """Whether `ids` are all of them; else the first."""

    @classmethod
    def begun(cls, store: PairStore, filter: PairFilter) -> Listing:
        """The first pairs: quick, however many there are. A dataset that is gone becomes all datasets."""
        version = store.version()
        datasets = tuple(store.datasets())
        if filter.dataset not in [dataset.name for dataset in datasets]:
            filter = replace(filter, dataset=None)
        ids = store.first_ids(filter.selection, FIRST)
        return cls(filter, version, datasets, ids, complete=len(ids) < FIRST)

    def completed(self, store: PairStore) -> Listing:
        """With all ids."""
        return self if self.complete else replace(self, ids=store.ids(self.filter.selection), complete=True)

    def after(self, store: PairStore, touched: Sequence[int], steps: int) -> Listing | None:
        """As it is now, if all that happened since are `steps` changes of the pairs `touched`; quick among a million.

        Returns:
            None where more has happened, or the order may be another: read all.
        """
        version = store.version()
        if not self.complete or self.filter.query.sort.lstrip("-") == "status" or version != self.version + steps:
            return None
        left = set(store.ids(self.filter.among(Term("id", tuple(map(str, touched)))))) if touched else set()
        ids = array("q", self.ids)
        for id in touched:
            if id not in left and id in ids:
                ids.remove(id)
            elif id in left and id not in ids:
                return None
        datasets = tuple(store.datasets())
        if self.filter.dataset not in (None, *(dataset.name for dataset in datasets)):
            return None
        return replace(self, version=version, datasets=datasets, ids=ids)

    @property
    def counts(self) -> dict[str, int]:
        """How many pairs of the filter's dataset (or of all) have each status, and `total`."""
        named = [dataset for dataset in self.datasets if self.filter.dataset in (None, dataset.name)]
        return {name: sum(getattr(dataset, name) for dataset in named) for name in (*STATUSES, "total")}


def kept_row(before: array[int], row: int, after: array[int]) -> int:
    """Where in `after` somebody is who was at a row of `before`: at the same id, else at the one that came next."""
    if not after or row >= len(before):
        return 0
    id = before[row]
    if row < len(after) and after[row] == id:
        return row
    with_ids = None
    for following in memoryview(before)[row:]:
        if with_ids is None:
            try:
                return after.index(following)
            except ValueError:
                with_ids = set(after)  # from here on a look at each would take too long
        elif following in with_ids:
            return after.index(following)
    return len(after) - 1


def next_pair(
    store: PairStore, *, filter: PairFilter, ids: array[int], row: int, terms: Iterable[Term], passing: Set[int]
) -> int | None:
    """The first listed pair after a row, going round the end, that meets more terms; None if there is none.

    Args:
        store: where it is looked up.
        filter: what is listed.
        ids: of all rows; only used where the filter sorts by something else than the ids.
        row: where to begin.
        terms: what the pair must meet besides the filter.
        passing: pairs to pass by.
    """
    sort, here = filter.query.sort, ids[row]
    if sort in ("", "new"):
        for op in "><" if not sort else "<>":
            there = filter.among(*terms, Term("id", (str(here),), op))
            found = store.first_ids(there, len(passing) + 1)
            if (id := next((id for id in found if id not in passing), None)) is not None:
                return id
        return None
    meeting = set(store.ids(filter.among(*terms))) - passing
    rows = memoryview(ids)
    return next((id for part in (rows[row + 1 :], rows[:row]) for id in part if id in meeting), None)
