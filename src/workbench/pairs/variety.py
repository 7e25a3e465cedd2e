"""How varied prompts are, by the embeddings that the checks keep; nothing is embedded here."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

EMBEDDINGS = "checks.sqlite"
"""The file of the checks that holds them, in the workspace's private folder."""
MOST = 4_000
"""Prompts that are compared with each other: a sample, and a fifth of a second."""
_SIMILAR = 0.7  # cosine from which on prompts count as like each other; of different exercises of GSM8K, 1 in 1,000 are
_GROUPS = 5
_AT_ONCE = 500  # rows of the matrix of similarities; and keys that are looked up


@dataclass(frozen=True)
class Group:
    """Prompts that are like one of them."""

    prompt: str
    """The one that most are like."""
    prompts: int
    """How many they are, with it."""


@dataclass(frozen=True)
class Variety:
    """How far prompts are from each other."""

    prompts: int
    """How many were compared."""
    distance: float
    """Mean cosine distance of a prompt to its nearest other one, 0 to 2."""
    groups: list[Group]
    """The largest groups of similar ones, without overlap."""


def of(cache: Path, prompts: Mapping[bytes, str]) -> Variety | None:
    """The variety of prompts, of those of them that are embedded.

    Args:
        cache: the file `EMBEDDINGS`; may be absent.
        prompts: each by the first 16 bytes of its pairs' keys.

    Returns:
        None where fewer than two are embedded.
    """
    import numpy as np

    vectors = _stored(cache, list(prompts))
    if len(vectors) < 2:
        return None
    keys = list(vectors)
    return measured(np.stack([vectors[key] for key in keys]), [prompts[key] for key in keys])


def measured(vectors: np.ndarray, prompts: list[str]) -> Variety:
    """The variety of prompts with these embeddings, float32 [n, dimensions] of length 1, n at least 2."""
    import numpy as np

    count = len(prompts)
    nearest, alike = np.zeros(count, np.float32), np.zeros((count, count), bool)
    for start in range(0, count, _AT_ONCE):
        end = min(count, start + _AT_ONCE)
        cosines = vectors[start:end] @ vectors.T
        cosines[np.arange(end - start), np.arange(start, end)] = -1.0  # itself
        nearest[start:end] = cosines.max(axis=1)
        alike[start:end] = cosines >= _SIMILAR
    groups = []
    neighbours = alike.sum(axis=1)
    while len(groups) < _GROUPS and (largest := int(neighbours.argmax())) >= 0 and neighbours[largest]:
        members = np.append(np.flatnonzero(alike[largest]), largest)
        groups.append(Group(prompts[largest], len(members)))
        neighbours -= alike[:, members].sum(axis=1)
        alike[:, members] = False
        alike[members] = False
        neighbours[members] = 0
    return Variety(count, float(np.clip(1.0 - nearest, 0.0, 2.0).mean()), groups)


def _stored(cache: Path, keys: list[bytes]) -> dict[bytes, Any]:
    """The embeddings of those of these prompts that have one; none where the checks never ran."""
    import numpy as np

    found: dict[bytes, Any] = {}
    if not cache.is_file():
        return found
    # Read only, and without the checks' own code, which stands a floor above: a figure is no reason to wait or to fail.
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(cache, timeout=1)) as connection:
        connection.execute("PRAGMA query_only = 1")
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(part))
            for key, packed in connection.execute(f"SELECT key, embedding FROM prompts WHERE key IN ({marks})", part):
                found[key] = np.frombuffer(packed, "<f2").astype(np.float32)
    return found
