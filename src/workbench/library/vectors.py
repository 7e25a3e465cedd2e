"""The dense half of an index: usearch files made from the store, and searching them as one.

A library has one file (a segment) for every million chunks and small ones for what was added since; a chunk that is
gone stays in its file and is passed over. Every segment is searched and what they find is merged by distance, so the
answer is that of one file.

usearch 2.26 neither checks what it opens nor states a default dtype, so dimensions, metric and dtype are always given
and compared, and only files whose sha256 is known reach it (`workbench.library.integrity`). A file is viewed, not
loaded. Beside each lies a list of where in it every id is: usearch would need most of a second to find that out for a
million, and with it given ids are scored exactly, straight from the file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from usearch.index import Index as UsearchIndex

METRIC = "cos"
EXACT_BELOW = 50_000
"""Chunks of a segment up to which every vector is compared: 2 ms a question on two cores, and nothing is missed."""
SEGMENT = 1_000_000
"""Chunks of a segment, at most."""
CONNECTIVITY = 16
EXPANSION_ADD = 128
EXPANSION_SEARCH = 256
"""Chosen by measured recall: tests/benchmarks/library.py."""
SCORED = 20_000
"""Ids of a filter up to which each is scored; with more of them the graph is searched further down."""
_FARTHEST = 20_000  # how far down a graph is searched for what a filter leaves
_NO_GRAPH = 2  # the connectivity of a file that is only ever compared one by one
_BLOCK = 8192  # vectors that are scored at once
_BITS = {"bf16": 16, "f16": 16}


def best_dtype() -> str:
    """bf16 where the processor computes in it, else f16; both find what f32 finds at half the memory."""
    from usearch.index import Index as UsearchIndex

    serial = UsearchIndex(ndim=64, metric=METRIC, dtype="bf16").hardware_acceleration == "serial"
    return "f16" if serial else "bf16"


def places_of(path: Path) -> Path:
    """The file beside a segment that tells where in it each id is."""
    return path.with_suffix(".places")


def write(
    path: Path, batches: Iterable[tuple[np.ndarray, np.ndarray]], *, dimensions: int, dtype: str, rows: int = 0
) -> int:
    """Build a segment and save it, with its places; up to `EXACT_BELOW` rows the same vectors give the same bytes.

    Args:
        path: the file; written in place and not fsynced, so give one aside.
        batches: keys, uint64 [n], and vectors, float32 [n, dimensions].
        dimensions: length of a vector.
        dtype: how they are kept, bf16 or f16.
        rows: how many there will be. Few are compared with every question one by one and get no graph worth the name.

    Returns:
        How many vectors it holds.

    Raises:
        ValueError: a vector is not finite or has another length.
        OSError: the disk is full.
    """
    import numpy as np

    searched = rows >= EXACT_BELOW
    index = _empty(dimensions, dtype, graph=searched)
    threads = (os.cpu_count() or 1) if searched else 1  # more threads make the bytes differ from build to build
    ids = []
    for keys, vectors in batches:
        if vectors.shape != (len(keys), dimensions) or not np.isfinite(vectors).all():
            raise ValueError("vectors are not finite or not of one length")
        index.add(keys, vectors, threads=threads)
        ids.append(keys)
    index.save(str(path))
    if path.stat().st_size != index.serialized_length:  # usearch does not tell that a write failed
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    keys = _keys_in(path)
    order = np.argsort(keys, kind="stable")
    if not np.array_equal(keys[order], np.sort(np.concatenate(ids)) if ids else keys):
        raise ValueError("usearch did not write what it was given")
    with places_of(path).open("wb") as file:
        file.write(keys[order].astype("<u8").tobytes())
        file.write(order.astype("<u4").tobytes())
    return len(index)


def read_ids(path: Path) -> np.ndarray:
    """The ids in a segment, ascending, uint64 [n], read without usearch."""
    return _places(path)[0]


class Segment:
    """One usearch file, viewed. Safe to search from several threads."""

    def __init__(self, path: Path, *, dimensions: int, dtype: str, count: int) -> None:
        """View a file that `write` wrote and whose sha256 is known.

        Raises:
            ValueError: it holds something else than stated.
        """
        import numpy as np
        from usearch.index import Index as UsearchIndex

        self._index = UsearchIndex(
            ndim=dimensions, metric=METRIC, dtype=dtype, expansion_search=EXPANSION_SEARCH, enable_key_lookups=False
        )
        try:
            self._index.view(str(path))
            self.ids, self._at = _places(path)
            kept = np.memmap(path, np.uint16, "r", offset=8, shape=(count, dimensions)) if count else np.empty((0, 0))
        except Exception as error:  # usearch raises RuntimeError and others
            raise ValueError(str(error)) from None
        found = (len(self._index), len(self.ids), self._index.ndim, self._index.dtype)
        if found != (count, count, dimensions, UsearchIndex(ndim=1, metric=METRIC, dtype=dtype).dtype):
            raise ValueError(f"{path.name} does not hold what the manifest says")
        self._kept, self._dtype = kept, dtype
        self._exact = count < EXACT_BELOW or self._index.connectivity == _NO_GRAPH

    def __len__(self) -> int:
        return len(self.ids)

    def nearest(self, vector: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids, uint64, and cosine similarities, float32, of the nearest k, nearest first."""
        found = self._index.search(vector, min(k, len(self)), exact=self._exact)
        return found.keys, 1.0 - found.distances

    def score(self, ids: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of the ids that are here, and their cosine similarities, float32; in the order given."""
        import numpy as np

        at = np.searchsorted(self.ids, ids)
        at[at == len(self)] = 0
        here = np.flatnonzero(self.ids[at] == ids) if len(self) else np.empty(0, np.intp)
        scores = np.empty(len(here), np.float32)
        length = np.linalg.norm(vector)
        for begin in range(0, len(here), _BLOCK):
            rows = self._floats(self._at[at[here[begin : begin + _BLOCK]]])
            scores[begin : begin + _BLOCK] = rows @ vector / (np.linalg.norm(rows, axis=1) * length)
        return ids[here], scores

    def _floats(self, at: np.ndarray) -> np.ndarray:
        import numpy as np

        raw = self._kept[at]
        if self._dtype == "bf16":
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.view(np.float16).astype(np.float32)


class Vectors:
    """The segments of an index, searched as one. Safe to search from several threads."""

    def __init__(self, segments: Sequence[Segment], removed: np.ndarray) -> None:
        """Search these segments.

        Args:
            segments: each id is in one of them.
            removed: ids that are gone, uint64, ascending; they are never found.
        """
        self._segments = [segment for segment in segments if len(segment)]
        self._removed = removed

    def __len__(self) -> int:
        return sum(map(len, self._segments)) - len(self._removed)

    def search(
        self, vector: np.ndarray, k: int, *, allowed: Collection[int] | np.ndarray | None = None
    ) -> tuple[list[int], list[float]]:
        """The keys of the nearest vectors, nearest first, and their cosine similarities.

        Args:
            vector: float32 [dimensions], finite.
            k: how many; fewer come when there are fewer.
            allowed: only these ids; up to `SCORED` of them are compared one by one, so that nothing is missed.
        """

        wanted = None if allowed is None else as_ids(allowed)
        if wanted is not None and len(wanted) <= SCORED:
            return self._best([self._scored(segment, wanted, vector) for segment in self._segments], k)
        share = 1.0 if wanted is None else min(1.0, len(wanted) / max(1, len(self)))
        return self._best([self._nearest(segment, vector, k, wanted, share) for segment in self._segments], k)

    def similarities(self, keys: Collection[int], vector: np.ndarray) -> dict[int, float]:
        """The cosine similarities of stored vectors by key; those that are not here are absent."""
        ids = as_ids(keys)
        found: dict[int, float] = {}
        for segment in self._segments:
            here, scores = self._scored(segment, ids, vector)
            found |= zip(here.tolist(), scores.tolist(), strict=True)
        return found

    def similarity(self, key: int, vector: np.ndarray) -> float | None:
        """The cosine similarity of one stored vector; None when the key is not here."""
        return self.similarities([key], vector).get(key)

    def _nearest(
        self, segment: Segment, vector: np.ndarray, k: int, wanted: np.ndarray | None, share: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest k of a segment that are neither gone nor filtered out."""
        ask = (k if wanted is None else int(k / share * 1.2)) + (k // 4 if len(self._removed) else 0)
        while True:
            ids, scores = segment.nearest(vector, ask)
            kept = ~among(ids, self._removed)
            if wanted is not None:
                kept &= among(ids, wanted)
            if kept.sum() >= k or ask >= len(segment):
                return ids[kept][:k], scores[kept][:k]
            if wanted is not None and ask >= _FARTHEST:  # what is allowed lies far from the question
                return self._scored(segment, wanted, vector)
            ask *= 4

    def _scored(self, segment: Segment, ids: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        here, scores = segment.score(ids, vector)
        kept = ~among(here, self._removed)
        return here[kept], scores[kept]

    @staticmethod
    def _best(found: Sequence[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[list[int], list[float]]:
        import numpy as np

        if not found:
            return [], []
        ids, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((ids, -scores))[:k]
        return ids[order].tolist(), scores[order].tolist()


def as_ids(ids: Collection[int] | np.ndarray) -> np.ndarray:
    """Ids as they are compared: uint64, ascending, each once."""
    import numpy as np

    given = ids if isinstance(ids, np.ndarray) else np.fromiter(ids, np.uint64, len(ids))
    return np.unique(given.astype(np.uint64, copy=False))


def among(ids: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Which of the ids are among some others, which are ascending; bool [len(ids)]."""
    import numpy as np

    if not len(some):
        return np.zeros(len(ids), bool)
    return some[np.minimum(np.searchsorted(some, ids), len(some) - 1)] == ids


def _empty(dimensions: int, dtype: str, *, graph: bool) -> UsearchIndex:
    from usearch.index import Index as UsearchIndex

    connectivity, expansion = (CONNECTIVITY, EXPANSION_ADD) if graph else (_NO_GRAPH, 1)
    return UsearchIndex(ndim=dimensions, metric=METRIC, dtype=dtype, connectivity=connectivity, expansion_add=expansion)


def _places(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ids, uint64 [n], ascending, and the row of each in the file, uint32 [n]."""
    import numpy as np

    raw = np.fromfile(places_of(path), np.uint8)
    count, rest = divmod(len(raw), 12)
    if rest:
        raise ValueError("its places are cut off")
    return raw[: 8 * count].view("<u8"), raw[8 * count :].view("<u4")


def _keys_in(path: Path) -> np.ndarray:
    """The keys in a usearch 2.26 file in the order of its vectors; several threads add in an order of their own.

    The form: two 32-bit numbers (rows, bytes of a row), the rows; a head of 64 bytes; five 64-bit numbers (nodes,
    connectivity, connectivity of the base level, ...); the level of every node in 16 bits; the nodes: key, level, and
    on each level a count and room for so many neighbours of 32 bits.
    """
    import numpy as np

    raw = np.memmap(path, np.uint8, "r")
    rows, width = (int(value) for value in raw[:8].view("<u4"))
    at = 8 + rows * width + 64
    nodes, connectivity, base = (int(value) for value in raw[at : at + 24].view("<u8"))
    at += 40
    levels = raw[at : at + 2 * nodes].view("<i2").astype(np.int64)
    sizes = 10 + 4 + 4 * base + levels * (4 + 4 * connectivity)
    at += 2 * nodes
    if nodes != rows or at + int(sizes.sum()) != len(raw):
        raise ValueError("usearch wrote a file of another form")
    begins = at + np.cumsum(sizes) - sizes
    return raw[begins[:, None] + np.arange(8)].view("<u8").reshape(-1)
