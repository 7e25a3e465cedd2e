"""Which prompts may be the same: by meaning (embeddings) and by wording (MinHash), without comparing all with all.

Prompts are compared within groups that have the same numbers, and the same system message: another number is another
prompt, and most groups are small. A small group is compared exactly, a large one through usearch. Across the groups,
and in those where not all pairs are looked at, MinHash finds those that share most words, such as two that differ by a
slip in a written out number.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from workbench.checks.cache import Cache
from workbench.checks.likeness import FLOOR, MEANING_WEIGHS, likeness
from workbench.checks.words import numbers, same_numbers, tokens, wording

if TYPE_CHECKING:
    import numpy as np

    from workbench.models.embed import Embedder

EXACT = 20_000
"""Prompts of a group up to which each new one is compared with every other."""
NEIGHBOURS = 16
"""Of a larger group, so many of the nearest are looked at."""
MOST = 32
"""Of a smaller group, so many of the most similar: prompts of one template are all a little alike."""
PERMUTATIONS, ROWS = 64, 4
"""Of MinHash: 16 bands of 4 rows find two prompts that share 3/4 of their words with a chance of 0.998."""
_BUCKET = 6
"""So many in the same bucket are looked at for each."""
_TAIL = 2000
"""Characters of the end of a prompt that are embedded: models read no more, and the question is asked at the end."""
_COMMON, _MANY = 0.5, 20
"""Words that more than this share of the prompts have are the task's ("Translate into French:"), of so many prompts."""
_BATCH = 512
_CANDIDATES = 50_000
"""Pairs of prompts whose words are compared at once: so many texts are held in memory."""

Progress = Callable[[float, float, str], object]
Block = tuple[list[tuple[tuple[int, int], float]], int]
"""Pairs of prompts by ids, each with its cosine, and of how many new prompts these are."""


@dataclass(frozen=True)
class Prompt:
    """What is compared."""

    key: bytes
    """The first 16 bytes of the pair's key."""
    system: str
    text: str
    """All other turns."""

    @classmethod
    def of(cls, key: str, messages: Sequence[Mapping[str, str]]) -> Prompt:
        """The prompt of a pair."""
        system = "\n".join(message["content"] for message in messages if message["role"] == "system")
        text = "\n".join(message["content"] for message in messages if message["role"] != "system")
        return cls(bytes.fromhex(key[:32]), system, text)


def add(cache: Cache, prompts: Iterable[Prompt], embedder: Callable[[], Embedder]) -> int:
    """Embed the prompts that the cache does not have; how many these were. Kept in batches: a stopped job goes on.

    Args:
        cache: where they are kept.
        prompts: of any number; read in batches.
        embedder: called when the first new prompt comes; see `Cache.embedded_by`.
    """
    import numpy as np

    model, added = None, 0
    remaining = iter(prompts)
    while batch := list(islice(remaining, _BATCH)):
        missing = cache.missing([prompt.key for prompt in batch])
        new = sorted({p.key: p for p in batch if p.key in missing}.values(), key=lambda prompt: len(prompt.text))
        if new:
            model = model or embedder()
            words = [tokens(prompt.text) for prompt in new]
            vectors = np.asarray(model.encode([prompt.text[-_TAIL:] for prompt in new]))
            groups = [_group(prompt.system, each) for prompt, each in zip(new, words, strict=True)]
            cache.add_prompts([p.key for p in new], groups, [p.text for p in new], signatures(words), vectors)
            added += len(new)
    return added


def compare(cache: Cache, tell: Progress) -> None:
    """Compare the prompts that were not compared yet with all others, and keep those that may be the same.

    Args:
        cache: of the prompts.
        tell: called every few hundred prompts; what it raises stops the comparison, and the next one begins it anew.
    """
    common = _common_words(cache)
    total = cache.count_prompts(to_compare=True)
    found = _within_groups(cache, total, tell)
    while some := dict(islice(found, _CANDIDATES)):
        _keep(cache, some, common)
    pairs = _sharing_words(*cache.signatures())
    while batch := list(islice(pairs, 8 * _BATCH)):
        vectors = cache.vectors(sorted({id for pair in batch for id in pair}))
        _keep(cache, {(a, b): _cosine(vectors[a], vectors[b]) for a, b in batch}, common)
        tell(total, total, "prompts")
    cache.all_compared()


def signatures(texts: Sequence[Sequence[str]]) -> np.ndarray:
    """The MinHash signatures of texts, uint32 [n, PERMUTATIONS]."""
    import numpy as np
    from datasketch import MinHash

    sets = [[word.encode() for word in set(words)] or [b""] for words in texts]
    made = MinHash.bulk(sets, num_perm=PERMUTATIONS, seed=1)
    return np.array([each.hashvalues for each in made]).astype(np.uint32).reshape(len(sets), PERMUTATIONS)


def _group(system: str, words: Sequence[str]) -> bytes:
    """8 bytes of the system message and 8 of the numbers: what two prompts must share to be the same."""
    counted = " ".join(sorted(numbers(words)))
    return b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in (system, counted))


def _common_words(cache: Cache) -> frozenset[str]:
    """The words of most prompts; found anew, and all compared again by them, when there are twice as many prompts."""
    count, known = cache.count_prompts(), cache.fact("common", {"of": 0, "words": []})
    if count < _MANY:
        return frozenset()
    if count > 2 * known["of"]:
        frequency = Counter(word for text in cache.texts() for word in set(tokens(text)))
        words = sorted(word for word, times in frequency.items() if times > _COMMON * count)
        if words != known["words"]:
            cache.compare_again()
        known = {"of": count, "words": words}
        cache.set_fact("common", known)
    return frozenset(known["words"])


def _within_groups(cache: Cache, total: int, tell: Progress) -> Iterator[tuple[tuple[int, int], float]]:
    """What `_within` finds in all groups with new prompts; a pair may come twice."""
    done = 0
    for group in cache.groups_to_compare():
        ids, new, vectors = cache.group(group)
        for found, rows in _within(ids, new, vectors):
            yield from (((min(pair), max(pair)), cosine) for pair, cosine in found)
            if (done + rows) // _BATCH > done // _BATCH or done + rows == total:
                tell(done + rows, total, "prompts")
            done += rows


def _within(ids: np.ndarray, new: np.ndarray, vectors: np.ndarray) -> Iterator[Block]:
    """Pairs within a group of which one is new and whose meaning alone does not tell them apart, of each new prompt
    those that are most like it."""
    import numpy as np

    least = (FLOOR - (1 - MEANING_WEIGHS)) / MEANING_WEIGHS
    fresh = np.flatnonzero(new)
    if len(ids) == 1:
        yield [], 1
        return
    if len(ids) > EXACT:
        yield from _nearest(ids, fresh, vectors, least)
        return
    everything = vectors.astype(np.float32)
    seen = np.zeros(len(ids), bool)  # compared before in this call, and none of its pairs was left out
    for start in range(0, len(fresh), _BATCH):
        rows = fresh[start : start + _BATCH]
        similar = everything[rows] @ everything.T
        similar[np.arange(len(rows)), rows] = -1  # itself
        many = np.flatnonzero((similar >= least).sum(axis=1) > MOST)
        if len(many):
            others = np.argpartition(similar[many], -MOST, axis=1)[:, :-MOST]
            similar[many[:, None], others] = -1
        found = []
        for at, other in np.argwhere(similar >= least):
            if not seen[other]:
                found.append(((int(ids[rows[at]]), int(ids[other])), float(similar[at, other])))
        seen[np.delete(rows, many)] = True
        yield found, len(rows)


def _nearest(ids: np.ndarray, fresh: np.ndarray, vectors: np.ndarray, least: float) -> Iterator[Block]:
    import numpy as np
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="cos", dtype="f16")
    for start in range(0, len(ids), _BATCH):
        index.add(np.arange(start, min(start + _BATCH, len(ids)), dtype=np.uint64), vectors[start : start + _BATCH])
    for start in range(0, len(fresh), _BATCH):
        rows = fresh[start : start + _BATCH]
        found = index.search(vectors[rows].reshape(len(rows), -1), NEIGHBOURS + 1)
        # One question gives a list, not a matrix; and what is missing is key 0 at a distance that is no number.
        keys, distances = found.keys.reshape(len(rows), -1), found.distances.reshape(len(rows), -1)
        block = []
        for at, rank in np.argwhere(np.isfinite(distances) & (distances <= 1 - least)):
            row, other = rows[at], int(keys[at, rank])
            if row != other:
                block.append(((int(ids[row]), int(ids[other])), 1 - float(distances[at, rank])))
        yield block, len(rows)


def _sharing_words(
    ids: np.ndarray, new: np.ndarray, groups: np.ndarray, packed: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Pairs of which one is new and that fall into the same bucket of a band, each once; without those that were
    all compared within their group."""
    import numpy as np

    if not len(ids):
        return
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    exact = sizes[group] <= min(EXACT, MOST + 1)
    bands = packed.reshape(len(packed), -1, ROWS)
    for band in range(bands.shape[1]):
        columns = [bands[:, band, at] for at in range(ROWS)]
        order = np.lexsort(columns)
        same = np.ones(len(order) - 1, bool)
        for column in columns:
            same &= column[order[1:]] == column[order[:-1]]
        alike = same  # from each row on, so many neighbours share the bucket as are `apart`
        for apart in range(1, min(_BUCKET, len(order) - 1) + 1):
            first, second = order[:-apart][alike], order[apart:][alike]
            wanted = (new[first] | new[second]) & ~(exact[first] & (group[first] == group[second]))
            first, second = first[wanted], second[wanted]
            wanted = (packed[first] == packed[second]).mean(axis=1) >= FLOOR
            wanted &= ~(bands[first, :band] == bands[second, :band]).all(axis=2).any(axis=1)  # an earlier band told
            yield from zip(ids[first[wanted]].tolist(), ids[second[wanted]].tolist(), strict=True)
            alike = alike[:-1] & same[apart:]


def _keep(cache: Cache, found: Mapping[tuple[int, int], float], common: frozenset[str]) -> None:
    """Keep those of the found pairs of prompts that are alike and have the same numbers."""
    rows = cache.texts_of(sorted({id for pair in found for id in pair}))
    edges = []
    for (a, b), meaning in found.items():
        (group, text), (other_group, other_text) = rows[a], rows[b]
        if group[:8] != other_group[:8]:
            continue
        first, second = tokens(text), tokens(other_text)
        if same_numbers(first, second):
            alike = wording(first, second, common)
            if likeness(meaning, alike) >= FLOOR:
                edges.append((a, b, meaning, alike))
    if edges:
        cache.add_edges(edges)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    import numpy as np

    return float(one.astype(np.float32) @ other.astype(np.float32))
