"""What the checks have computed, kept so that only what is new is computed again: `.workbench/checks.sqlite`.

A file of its own: it holds a kilobyte and more for every prompt, which would make the workspace's database, copied
whole before it is migrated, several times as large; and all of it can be deleted and made again. Flags and clusters,
which others read, are in the workspace's database.

Everything is known by content, not by pair: an edit undone finds what was computed before it, and the same prompt in
two datasets is embedded once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from workbench import database
from workbench.checks.likeness import MEANING_WEIGHS, likeness
from workbench.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

MIGRATIONS = [
    (
        "0001-checks",
        """
        CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE prompts (
            id INTEGER PRIMARY KEY,
            key BLOB NOT NULL UNIQUE,     -- the first 16 bytes of the keys of its pairs
            numbers BLOB NOT NULL,        -- 16 bytes of its system message and its numbers; see near.py
            text TEXT NOT NULL,           -- all turns but the system message
            signature BLOB NOT NULL,      -- MinHash: uint32
            embedding BLOB NOT NULL,      -- float16
            compared INTEGER NOT NULL DEFAULT 0
        );
        CREATE INDEX prompts_by_numbers ON prompts (numbers);
        CREATE INDEX prompts_to_compare ON prompts (compared) WHERE NOT compared;
        CREATE TABLE edges (
            first INTEGER NOT NULL,
            second INTEGER NOT NULL,
            meaning REAL NOT NULL,
            wording REAL NOT NULL,
            PRIMARY KEY (first, second)
        ) WITHOUT ROWID;
        CREATE INDEX edges_by_second ON edges (second);
        CREATE TABLE findings (
            key BLOB NOT NULL,            -- the pair's
            version BLOB NOT NULL,        -- of the settings it was checked with
            found TEXT NOT NULL,          -- JSON
            PRIMARY KEY (key, version)
        ) WITHOUT ROWID;
        """,
    ),
]


@dataclass(frozen=True)
class Edge:
    """Two prompts that may be the same."""

    first: bytes
    second: bytes
    meaning: float
    """Cosine of their embeddings."""
    wording: float
    """Jaccard similarity of their words."""

    @property
    def likeness(self) -> float:
        """Both in one number."""
        return likeness(self.meaning, self.wording)


class Cache:
    """One connection, for one thread; a context manager. Raises UserError where the file cannot be used."""

    def __init__(self, workspace: Workspace) -> None:
        self._path = workspace.private / "checks.sqlite"
        self._connection = database.connect(self._path, MIGRATIONS, owner="checks")
        self._connection.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is computed again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    # Facts

    def fact(self, key: str, default: Any = None) -> Any:
        """What was kept under a key."""
        row = self._one("SELECT value FROM facts WHERE key = ?", key)
        return default if row is None else json.loads(row[0])

    def set_fact(self, key: str, value: Any) -> None:
        """Keep a JSON-able value."""
        with self._errors():
            self._connection.execute("REPLACE INTO facts VALUES (?, ?)", (key, json.dumps(value)))

    # Prompts

    def embedded_by(self, fingerprint: str) -> None:
        """Say which weights embed; what other ones embedded is forgotten."""
        if self.fact("embedder") != fingerprint:
            with self._change():
                self._connection.execute("DELETE FROM edges")
                self._connection.execute("DELETE FROM prompts")
            self.set_fact("embedder", fingerprint)

    def compare_again(self) -> None:
        """Forget which prompts are alike, but not their embeddings."""
        with self._change():
            self._connection.execute("DELETE FROM edges")
            self._connection.execute("UPDATE prompts SET compared = 0")

    def missing(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of these prompts that are not embedded."""
        known = {row[0] for row in self._some("SELECT key FROM prompts WHERE key IN (%s)", keys)}
        return set(keys) - known

    def add_prompts(
        self,
        keys: Sequence[bytes],
        numbers: Sequence[bytes],
        texts: Sequence[str],
        signatures: np.ndarray,
        vectors: np.ndarray,
    ) -> None:
        """Keep new prompts.

        Args:
            keys: n of them.
            numbers: the groups in which they are compared.
            texts: what is compared.
            signatures: uint32 [n, permutations].
            vectors: float [n, dimensions], of length 1.
        """
        rows = zip(keys, numbers, texts, signatures.astype("<u4"), vectors.astype("<f2"), strict=True)
        with self._change():
            self._connection.executemany(
                "INSERT OR IGNORE INTO prompts (key, numbers, text, signature, embedding) VALUES (?, ?, ?, ?, ?)",
                ((*told, signature.tobytes(), vector.tobytes()) for *told, signature, vector in rows),
            )

    def count_prompts(self, *, to_compare: bool = False) -> int:
        """How many prompts are kept, or of them those not yet compared."""
        row = self._one(f"SELECT count(*) FROM prompts {'WHERE NOT compared' if to_compare else ''}")
        return row[0] if row else 0

    def groups_to_compare(self) -> list[bytes]:
        """The numbers of prompts that were not compared yet."""
        return [row[0] for row in self._rows("SELECT DISTINCT numbers FROM prompts WHERE NOT compared")]

    def group(self, numbers: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The prompts with these numbers: ids, int64 [n]; which are new, bool [n]; embeddings, float16 [n, d]."""
        import numpy as np

        count = self._one("SELECT count(*) FROM prompts WHERE numbers = ?", numbers)[0]
        ids, new, vectors = np.zeros(count, np.int64), np.zeros(count, bool), None
        rows = self._connection.execute("SELECT id, compared, embedding FROM prompts WHERE numbers = ?", (numbers,))
        for at, (id, compared, embedding) in enumerate(rows):
            vector = np.frombuffer(embedding, "<f2")
            vectors = np.zeros((count, len(vector)), np.float16) if vectors is None else vectors
            ids[at], new[at], vectors[at] = id, not compared, vector
        return ids, new, np.zeros((0, 0), np.float16) if vectors is None else vectors

    def signatures(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of all prompts: ids, int64 [n]; which are new, bool [n]; a number for each group, uint64 [n]; MinHash
        signatures, uint32 [n, permutations]."""
        import numpy as np

        count = self.count_prompts()
        ids, new, groups = np.zeros(count, np.int64), np.zeros(count, bool), np.zeros(count, np.uint64)
        signatures = None
        rows = self._connection.execute("SELECT id, compared, numbers, signature FROM prompts ORDER BY id")
        for at, (id, compared, numbers, packed) in enumerate(rows):
            signature = np.frombuffer(packed, "<u4")
            signatures = np.zeros((count, len(signature)), np.uint32) if signatures is None else signatures
            system, counted = np.frombuffer(numbers, "<u8")
            ids[at], new[at], groups[at], signatures[at] = id, not compared, system ^ (counted << 1), signature
        return ids, new, groups, np.zeros((0, 0), np.uint32) if signatures is None else signatures

    def vectors(self, ids: Sequence[int]) -> dict[int, np.ndarray]:
        """Embeddings of prompts, float16 [dimensions] each."""
        import numpy as np

        rows = self._some("SELECT id, embedding FROM prompts WHERE id IN (%s)", ids)
        return {id: np.frombuffer(embedding, "<f2") for id, embedding in rows}

    def texts_of(self, ids: Sequence[int]) -> dict[int, tuple[bytes, str]]:
        """The group and the text of prompts."""
        rows = self._some("SELECT id, numbers, text FROM prompts WHERE id IN (%s)", ids)
        return {id: (numbers, text) for id, numbers, text in rows}

    def texts(self) -> Iterator[str]:
        """The texts of all prompts."""
        with self._errors():
            yield from (row[0] for row in self._connection.execute("SELECT text FROM prompts"))

    # Edges

    def add_edges(self, edges: Iterable[tuple[int, int, float, float]]) -> None:
        """Keep pairs of prompts: (id, id, meaning, wording)."""
        ordered = ((min(a, b), max(a, b), meaning, wording) for a, b, meaning, wording in edges)
        with self._change():
            self._connection.executemany("REPLACE INTO edges VALUES (?, ?, ?, ?)", ordered)

    def all_compared(self) -> None:
        """Every prompt has been compared with all others."""
        with self._change():
            self._connection.execute("UPDATE prompts SET compared = 1 WHERE NOT compared")

    def edges(self) -> Iterator[Edge]:
        """All pairs of prompts that may be the same, in one order always."""
        with self._errors():
            for row in self._connection.execute(
                "SELECT a.key, b.key, meaning, wording FROM edges JOIN prompts AS a ON a.id = first"
                " JOIN prompts AS b ON b.id = second ORDER BY first, second"
            ):
                yield Edge(*row)

    def beside(self, threshold: float, *, same: bool, limit: int) -> list[tuple[float, bytes, bytes]]:
        """The pairs of prompts next to a threshold: (likeness, prompt, prompt), the nearest first.

        Args:
            threshold: a likeness.
            same: those at least as alike; else those less alike.
            limit: so many at most.
        """
        return [
            tuple(row)
            for row in self._rows(
                "SELECT likeness, a.key, b.key FROM"
                " (SELECT first, second, ? * meaning + (1 - ?) * wording AS likeness FROM edges)"
                " JOIN prompts AS a ON a.id = first JOIN prompts AS b ON b.id = second"
                f" WHERE likeness {'>=' if same else '<'} ? ORDER BY abs(likeness - ?), first, second LIMIT ?",
                MEANING_WEIGHS, MEANING_WEIGHS, threshold, threshold, limit,
            )
        ]  # fmt: skip

    # Findings

    def findings(self, keys: Sequence[bytes], version: bytes) -> dict[bytes, Any]:
        """What was found in those of these pairs that were checked with the same settings."""
        rows = self._some("SELECT key, found FROM findings WHERE version = ? AND key IN (%s)", keys, version)
        return {key: json.loads(found) for key, found in rows}

    def add_findings(self, version: bytes, found: Iterable[tuple[bytes, Any]]) -> None:
        """Keep what was found; what was found in the same pairs with other settings is dropped."""
        rows = [(key, version, json.dumps(value, ensure_ascii=False)) for key, value in found]
        with self._change():
            self._connection.executemany("DELETE FROM findings WHERE key = ?", ((row[0],) for row in rows))
            self._connection.executemany("INSERT INTO findings VALUES (?, ?, ?)", rows)

    # Inside

    def _rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._errors():
            return self._connection.execute(statement, values).fetchall()

    def _one(self, statement: str, *values: Any) -> Any:
        with self._errors():
            return self._connection.execute(statement, values).fetchone()

    def _some(self, statement: str, some: Sequence[Any], *values: Any) -> list[sqlite3.Row]:
        rows: list[sqlite3.Row] = []
        for start in range(0, len(some), 500):
            part = some[start : start + 500]
            rows += self._rows(statement % ", ".join("?" * len(part)), *values, *part)
        return rows

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._errors(), database.transaction(self._connection):
            yield

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if not database.is_circumstance(error):
                raise
            raise database.fault(error, self._path) from error
