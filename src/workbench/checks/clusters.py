"""From prompts that are alike to clusters, their representatives, and what is flagged of their pairs.

A cluster is what can be reached over pairs of prompts that are at least as alike as the threshold (union-find). The
pair that came first stands for it: by its prompt the whole cluster falls to one side of the split, whatever the pairs
are. Of those of its kind, with a completion or of preferences, the first has the others as its near-duplicates; where
their answers differ, they contradict each other instead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workbench.checks.cache import Cache, Edge
from workbench.checks.findings import Detail
from workbench.checks.settings import CheckStore
from workbench.checks.words import numbers, tokens
from workbench.pairs.pair import Pair

_AGREE = 0.6
"""Share of the shorter answer's words that two answers have in common to be taken as the same."""
_BATCH = 500  # clusters whose pairs are read at once
_LOOKED_AT = 400  # pairs of prompts next to the threshold among which examples are looked for


@dataclass
class Clusters:
    """What is alike in a dataset."""

    representatives: dict[bytes, bytes] = field(default_factory=dict)
    """For each prompt in a cluster of several, the prompt that stands for it; a representative is its own."""
    nearest: dict[bytes, tuple[float, bytes]] = field(default_factory=dict)
    """For each of these prompts the likeness of the one that is most like it, and that one."""


@dataclass(frozen=True)
class Example:
    """Two pairs beside the threshold."""

    likeness: float
    same: bool
    """Whether the threshold makes them the same."""
    first: Pair
    second: Pair


def find(first: Mapping[bytes, int], edges: Iterable[Edge], threshold: float) -> Clusters:
    """The clusters of a dataset.

    Args:
        first: its prompts, and the first pair that has each.
        edges: prompts that may be the same; those with a prompt that is none of the dataset's are passed over.
        threshold: likeness from which on they are.
    """
    parents: dict[bytes, bytes] = {}
    found = Clusters()

    def root(prompt: bytes) -> bytes:
        while parents.setdefault(prompt, prompt) != prompt:
            parents[prompt] = parents[parents[prompt]]
            prompt = parents[prompt]
        return prompt

    for edge in edges:
        alike = edge.likeness
        if alike < threshold or edge.first not in first or edge.second not in first:
            continue
        for one, other in ((edge.first, edge.second), (edge.second, edge.first)):
            found.nearest[one] = max(found.nearest.get(one, (0.0, b"")), (alike, other))
        one, other = sorted((root(edge.first), root(edge.second)), key=first.__getitem__)
        parents[other] = one  # the earlier one stays the root
    found.representatives = {prompt: root(prompt) for prompt in parents}
    return found


def flags(store: CheckStore, prompts: Mapping[bytes, Sequence[int]], found: Clusters) -> Iterator[tuple[int, str, str]]:
    """(pair, flag, detail) of near-duplicates and contradictions.

    Pairs with a completion are compared among each other, and preference pairs too: one of each may well share a
    prompt. Undecided pairs are left out: of their answers nobody has said which counts.

    Args:
        store: where the pairs are.
        prompts: the prompts of the dataset, and all pairs that have each.
        found: its clusters.
    """
    clusters: dict[bytes, list[int]] = defaultdict(list)
    prompt_of: dict[int, bytes] = {}
    for prompt, ids in prompts.items():
        if prompt in found.representatives or len(ids) > 1:
            clusters[found.representatives.get(prompt, prompt)] += ids
            prompt_of.update(dict.fromkeys(ids, prompt))
    ordered = [sorted(ids) for ids in clusters.values()]
    for start in range(0, len(ordered), _BATCH):
        some = ordered[start : start + _BATCH]
        pairs = {pair.id: pair for pair in store.get_many([id for ids in some for id in ids])}
        for ids in some:
            members = [pairs[id] for id in ids if id in pairs and not pairs[id].is_undecided]
            for preferences in (False, True):
                alike = [pair for pair in members if pair.is_preference == preferences]
                if len(alike) > 1:
                    yield from _flags_of(alike, prompt_of, prompts, found)


def _flags_of(
    members: Sequence[Pair], prompt_of: Mapping[int, bytes], prompts: Mapping[bytes, Sequence[int]], found: Clusters
) -> Iterator[tuple[int, str, str]]:
    representative, *others = members
    by_id = {member.id: member for member in members}
    told = False
    for pair in others:
        own = prompt_of[pair.id]
        partner, alike = representative, 1.0
        if own != prompt_of[representative.id]:
            alike, nearest = found.nearest[own]
            partner = next((by_id[id] for id in prompts[nearest] if id in by_id and id < pair.id), representative)
        detail = {"likeness": round(alike, 3), "representative": representative.id, "size": len(members)}
        if agree(pair.answer, partner.answer):
            yield pair.id, "near-duplicate", str(Detail(f"as pair {partner.id}", partner.id, **detail))
            continue
        yield pair.id, "contradiction", str(Detail(f"answers otherwise than pair {partner.id}", partner.id, **detail))
        if not told and partner is representative:
            told = True
            says = f"answers otherwise than pair {pair.id}"
            yield partner.id, "contradiction", str(Detail(says, pair.id, **detail))


def agree(one: str, other: str) -> bool:
    """Whether two answers to one prompt may stand beside each other: the numbers of the shorter are in the longer, and
    so are most of its words."""
    shorter, longer = sorted((tokens(one), tokens(other)), key=len)
    if shorter == longer:
        return True
    if Counter(numbers(shorter)) - Counter(numbers(longer)) or not shorter:
        return False
    shared = (Counter(shorter) & Counter(longer)).total()
    return shared >= _AGREE * len(shorter)


def examples(store: CheckStore, cache: Cache, dataset: str, threshold: float, count: int = 3) -> list[Example]:
    """Pairs of a dataset that are only just the same, and only just not, from the most alike down.

    Args:
        store: where the pairs are.
        cache: where what is alike is kept.
        dataset: which.
        threshold: the one to look beside.
        count: of each side, at most.
    """
    sides: dict[bool, list[Example]] = {True: [], False: []}
    for same in (True, False):
        for alike, first, second in cache.beside(threshold, same=same, limit=_LOOKED_AT):
            ids = store.ids_of_prompts(dataset, [first, second])
            if len(ids) == 2 and len(sides[same]) < count:
                pairs = store.get_many(sorted(ids.values()))
                if len(pairs) == 2:
                    sides[same].append(Example(alike, same, *pairs))
            if len(sides[same]) == count:
                break
    return [*reversed(sides[True]), *sides[False]]
