"""The dense half of an index: a usearch file made from the store, and searching it.

usearch 2.26 neither checks what it loads nor states a default dtype, so dimensions, metric and dtype are always given,
compared with the manifest, and only bytes whose sha256 was checked reach it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from usearch.index import Index as UsearchIndex

FILE = "vectors.usearch"
METRIC = "cos"
EXACT_BELOW = 50_000
"""Chunks up to which every vector is compared: 2 ms a question there on two cores, and nothing is missed."""


def best_dtype() -> str:
    """bf16 where the processor computes in it, else f16; both find what f32 finds at half the memory."""
    from usearch.index import Index as UsearchIndex

    serial = UsearchIndex(ndim=64, metric=METRIC, dtype="bf16").hardware_acceleration == "serial"
    return "f16" if serial else "bf16"


def write(path: Path, batches: Iterable[tuple[np.ndarray, np.ndarray]], *, dimensions: int, dtype: str) -> int:
    """Build an index and save it; the same vectors give the same bytes.

    Args:
        path: the file; written in place and not fsynced, so give one aside.
        batches: keys, uint64 [n], and vectors, float32 [n, dimensions].
        dimensions: length of a vector.
        dtype: how they are kept, bf16 or f16.

    Returns:
        How many vectors it holds.

    Raises:
        ValueError: a vector is not finite or has another length.
    """
    import numpy as np

    index = _empty(dimensions, dtype)
    for keys, vectors in batches:
        if vectors.shape != (len(keys), dimensions) or not np.isfinite(vectors).all():
            raise ValueError("vectors are not finite or not of one length")
        index.add(keys, vectors, threads=1)  # more threads would make the bytes differ from build to build
    index.save(str(path))
    return len(index)


class Vectors:
    """A loaded usearch index. Safe to search from several threads."""

    def __init__(self, data: bytes, *, dimensions: int, dtype: str, count: int) -> None:
        """Load bytes that `write` wrote and whose sha256 was checked.

        Raises:
            ValueError: they hold something else than stated.
        """
        self._index = _empty(dimensions, dtype)
        try:
            self._index.load(data)
        except Exception as error:  # usearch raises RuntimeError and others
            raise ValueError(str(error)) from None
        if (len(self._index), self._index.ndim, self._index.dtype) != (count, dimensions, _empty(1, dtype).dtype):
            raise ValueError("it does not hold what the manifest says")
        self.dimensions = dimensions

    def search(
        self, vector: np.ndarray, k: int, *, allowed: Collection[int] | None = None
    ) -> tuple[list[int], list[float]]:
        """The keys of the nearest vectors, nearest first, and their cosine similarities.

        Args:
            vector: float32 [dimensions], finite.
            k: how many; fewer come when there are fewer.
            allowed: the keys that are looked at; None: all.
        """
        if not len(self._index):
            return [], []
        if allowed is not None:
            near = ((self.similarity(key, vector), key) for key in allowed)
            some = sorted(((-found, key) for found, key in near if found is not None))[:k]
            return [key for _, key in some], [-found for found, _ in some]
        found = self._index.search(vector, min(k, len(self._index)), exact=len(self._index) < EXACT_BELOW)
        return [int(key) for key in found.keys], [1.0 - float(distance) for distance in found.distances]

    def similarity(self, key: int, vector: np.ndarray) -> float | None:
        """The cosine similarity of one stored vector; None when the key is not here."""
        import numpy as np

        stored = self._index.get(key)
        if stored is None:
            return None
        stored = np.asarray(stored, np.float32).reshape(-1)
        return float(stored @ vector / (np.linalg.norm(stored) * np.linalg.norm(vector)))


def _empty(dimensions: int, dtype: str) -> UsearchIndex:
    from usearch.index import Index as UsearchIndex

    return UsearchIndex(ndim=dimensions, metric=METRIC, dtype=dtype)
