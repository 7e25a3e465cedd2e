"""What the Pairs screen lists: a filter, and the ids of the pairs that pass it. Plain objects; nothing of Textual."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypedDict

from workbench.pairs.pair import STATUSES

if TYPE_CHECKING:
    from workbench.pairs.store import DatasetSummary, PairStore

_TAG = "tag:"


class Chosen(TypedDict):
    """The arguments by which the store chooses pairs."""

    dataset: str | None
    status: str | None
    search: str
    tag: str | None


@dataclass(frozen=True)
class PairFilter:
    """Which pairs are listed; what is None or empty does not narrow."""

    dataset: str | None = None
    status: str | None = None
    search: str = ""
    """Words, as `workbench.pairs.selection` says; one that begins with `tag:` asks for a tag instead."""

    @property
    def chosen(self) -> Chosen:
        """What the store is asked for."""
        words = self.search.split()
        tags = [word.removeprefix(_TAG) for word in words if word.startswith(_TAG) and word != _TAG]
        return {
            "dataset": self.dataset,
            "status": self.status,
            "search": " ".join(word for word in words if not word.startswith(_TAG)),
            "tag": tags[-1] if tags else None,
        }

    @property
    def narrows(self) -> bool:
        """Whether it hides pairs of its dataset."""
        return self.status is not None or bool(self.search.strip())

    def next_status(self) -> PairFilter:
        """All, pending, accepted, rejected, and all again."""
        order = (None, *STATUSES)
        return replace(self, status=order[(order.index(self.status) + 1) % len(order)])


@dataclass(frozen=True)
class Listing:
    """The pairs that pass a filter at one moment."""

    filter: PairFilter = PairFilter()
    version: int = -1
    """`PairStore.version` when they were read, or a little before."""
    datasets: tuple[DatasetSummary, ...] = ()
    ids: array[int] = field(default_factory=lambda: array("q"))
    """They ascend."""

    @classmethod
    def read(cls, store: PairStore, filter: PairFilter) -> Listing:
        """Ask the store; a dataset that is gone becomes all datasets. About 30 ms for 100,000 pairs."""
        version = store.version()
        datasets = tuple(store.datasets())
        if filter.dataset not in [dataset.name for dataset in datasets]:
            filter = replace(filter, dataset=None)
        return cls(filter, version, datasets, store.ids(**filter.chosen))

    @property
    def counts(self) -> dict[str, int]:
        """How many pairs of the filter's dataset (or of all) have each status, and `total`."""
        named = [dataset for dataset in self.datasets if self.filter.dataset in (None, dataset.name)]
        return {name: sum(getattr(dataset, name) for dataset in named) for name in (*STATUSES, "total")}


def position(ids: array[int], id: int) -> int:
    """The index of `id`, or of the first greater one."""
    return bisect_left(ids, id)


def holds(ids: array[int], id: int) -> bool:
    """Whether `id` is one of them."""
    at = position(ids, id)
    return at < len(ids) and ids[at] == id
