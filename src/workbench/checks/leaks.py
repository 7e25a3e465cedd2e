"""Between train and eval: near-duplicates in two datasets that the split puts on different sides.

Within a dataset there are none: all of a cluster falls to one side (see `clusters`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from workbench.checks.cache import Edge
from workbench.checks.findings import Detail
from workbench.checks.settings import CheckStore
from workbench.pairs.split import group_of, is_eval

_BATCH = 1000


def exact_duplicates(store: CheckStore, dataset: str) -> Iterator[tuple[int, str, str]]:
    """(pair, flag, detail) of pairs that stand in another dataset, too, word for word."""
    told: set[int] = set()
    for other in _others(store, dataset):
        for id, twin in store.twins(dataset, other):
            if id not in told:
                told.add(id)
                yield id, "exact-duplicate", str(Detail(f"is pair {twin} of {other}", twin, other))


def between_splits(
    store: CheckStore,
    dataset: str,
    prompts: Mapping[bytes, Sequence[int]],
    edges: Iterable[Edge],
    threshold: float,
    fraction: float,
) -> Iterator[tuple[int, str, str]]:
    """(pair, flag, detail) of pairs that are learned while a near-duplicate in another dataset is evaluated, or the
    other way round.

    Args:
        store: where the pairs are.
        dataset: which.
        prompts: its prompts, and the pairs that have each.
        edges: prompts that may be the same.
        threshold: likeness from which on they are.
        fraction: how much is held out of either dataset.
    """
    alike: dict[bytes, list[tuple[float, bytes]]] = defaultdict(list)
    for edge in edges:
        if edge.likeness >= threshold:
            for one, other in ((edge.first, edge.second), (edge.second, edge.first)):
                if one in prompts:
                    alike[one].append((edge.likeness, other))
    own = store.clusters(dataset)
    told: set[bytes] = set()
    for name in _others(store, dataset):
        theirs = store.clusters(name)
        for prompt, likeness, other, id in _shared(store, name, prompts, alike):
            evaluated = is_eval(group_of(prompt.hex(), own), fraction)
            if prompt in told or evaluated == is_eval(group_of(other.hex(), theirs), fraction):
                continue
            told.add(prompt)
            says = "is evaluated, and learned as" if evaluated else "is learned, and evaluated as"
            detail = str(Detail(f"{says} pair {id} of {name}", id, name, round(likeness, 3)))
            yield from ((pair, "leak-train-eval", detail) for pair in prompts[prompt])


def _shared(
    store: CheckStore,
    name: str,
    prompts: Mapping[bytes, Sequence[int]],
    alike: Mapping[bytes, Sequence[tuple[float, bytes]]],
) -> Iterator[tuple[bytes, float, bytes, int]]:
    """Of each prompt that another dataset has, or has one like it: it, the likeness, the other's, and its pair."""
    for prompt, id in store.prompts(name):
        if prompt in prompts:
            yield prompt, 1.0, prompt, id
    looked = list(alike)
    for start in range(0, len(looked), _BATCH):
        some = looked[start : start + _BATCH]
        theirs = store.ids_of_prompts(name, list({other for prompt in some for _, other in alike[prompt]}))
        for prompt in some:
            for likeness, other in sorted(alike[prompt], reverse=True):
                if other in theirs:
                    yield prompt, likeness, other, theirs[other]


def _others(store: CheckStore, dataset: str) -> list[str]:
    return [other.name for other in store.datasets() if other.name != dataset]
