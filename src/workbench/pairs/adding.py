"""Bringing many prepared rows into a dataset: gathered where nothing is locked, then moved in at once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from workbench.pairs.prepared import CONTENT, StoredRow

_CACHE = 262144  # KiB of pages kept meanwhile: what the index by key needs for a million pairs
_ASIDE = 100_000  # rows that are always gathered aside first
_QUICK = 10.0  # seconds in which a source must have given these, for the others not to be gathered too


@contextmanager
def room(connection: sqlite3.Connection) -> Iterator[None]:
    """The temporary table, and memory for what is done with it."""
    cache = connection.execute("PRAGMA cache_size").fetchone()[0]
    connection.execute("DROP TABLE IF EXISTS temp.staged")
    connection.execute(f"CREATE TEMP TABLE staged (id INTEGER PRIMARY KEY, {', '.join(CONTENT)})")
    connection.execute(f"PRAGMA cache_size = -{_CACHE}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # not while others wait for the lock: `catch_up` does it
    try:
        yield
    finally:
        connection.execute("DROP TABLE IF EXISTS temp.staged")
        connection.execute(f"PRAGMA cache_size = {cache}")
        connection.execute("PRAGMA wal_autocheckpoint = 1000")


def stage(
    connection: sqlite3.Connection,
    batches: Iterator[Sequence[StoredRow]],
    *,
    whole: bool = True,
    at_most: int | None = None,
) -> tuple[int, bool]:
    """Gather rows in a temporary table, where nothing is locked.

    Args:
        connection: within `room`.
        batches: where they come from.
        whole: all of them, however long they take; else, of a large source that gives them quickly, only the first.
        at_most: so many batches; None: as `whole` says.

    Returns:
        How many rows were given, and whether there may be more.
    """
    insert = f"INSERT INTO temp.staged ({', '.join(CONTENT)}) VALUES ({', '.join('?' * len(CONTENT))})"
    begun, given = time.monotonic(), 0
    for number, batch in enumerate(batches, 1):
        with _transaction(connection):
            connection.executemany(insert, batch)
        given += len(batch)
        enough = not whole and at_most is None and given >= _ASIDE and time.monotonic() - begun < _QUICK
        if enough or number == at_most:
            return given, True
    return given, False


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
    connection.execute("DELETE FROM temp.staged")
    return added, last + 1, connection.execute("SELECT max(id) FROM pairs").fetchone()[0]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One of the temporary database, if none is under way: it locks nothing."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
