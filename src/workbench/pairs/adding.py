"""Bringing many prepared rows into a dataset: gathered where nothing is locked, then moved in at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from workbench.pairs.prepared import CONTENT, StoredRow

_CACHE = 131072  # KiB of pages kept while rows are moved in: what the index by key needs for a million


def stage(connection: sqlite3.Connection, batches: Iterable[Sequence[StoredRow]]) -> int:
    """Gather rows in a temporary table; how many were given."""
    drop(connection)
    connection.execute(f"PRAGMA temp.cache_size = -{_CACHE}")
    columns = ", ".join(CONTENT)
    connection.execute(f"CREATE TEMP TABLE staged (id INTEGER PRIMARY KEY, {columns})")
    insert = f"INSERT INTO temp.staged ({columns}) VALUES ({', '.join('?' * len(CONTENT))})"
    given = 0
    for batch in batches:
        connection.execute("BEGIN")  # of the temporary database only: `pairs` is not locked
        connection.executemany(insert, batch)
        connection.execute("COMMIT")
        given += len(batch)
    return given


def move_in(connection: sqlite3.Connection, dataset: str, status: str) -> tuple[int, int, int]:
    """Add what was staged, each content once, and nothing that the dataset has. The caller holds the lock.

    Returns:
        How many were added, and the ids between which they are; those of what was passed over are left out.
    """
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'pairs'").fetchone()[0]
    given = {"last": last, "dataset": dataset, "status": status}
    added = connection.execute(
        """INSERT OR IGNORE INTO pairs (id, dataset, key, status, tags, source, line, preference, chars, edited)
        SELECT :last + id, :dataset, key, :status, tags, source, line, completion IS NULL, chars, 0
        FROM temp.staged ORDER BY id""",
        given,
    ).rowcount
    if added:
        connection.execute(
            """INSERT INTO pair_contents (id, messages, completion, chosen, rejected, note)
            SELECT :last + id, messages, completion, chosen, rejected, note FROM temp.staged
            WHERE EXISTS (SELECT 1 FROM pairs WHERE pairs.id = :last + staged.id) ORDER BY id""",
            given,
        )
    return added, last + 1, connection.execute("SELECT max(id) FROM pairs").fetchone()[0]


def drop(connection: sqlite3.Connection) -> None:
    """Let go of what was staged."""
    connection.execute("DROP TABLE IF EXISTS temp.staged")
