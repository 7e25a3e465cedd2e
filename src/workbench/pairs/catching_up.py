"""Work that large changes leave for later, in small transactions: the full-text index, and what nothing brings back.

A pair that the index does not hold yet is found by everything but words. `PairStore.catch_up` does it; what is cut
short goes on from there, in whichever process asks next.
"""

from __future__ import annotations

import sqlite3

from workbench import database
from workbench.pairs.journal import remove_gone

AT_ONCE = 1000
"""Pairs added together that are indexed with them; more are indexed afterwards."""
_BATCH = 2000  # pairs indexed in one transaction, some 30 ms


def waiting(connection: sqlite3.Connection) -> int:
    """How many pairs the full-text index does not hold yet."""
    return connection.execute("SELECT coalesce(sum(last - first + 1), 0) FROM pair_unsearched").fetchone()[0]


def index_added(connection: sqlite3.Connection, first: int, last: int) -> None:
    """See that words find the contents from `first` to `last`: now, or, where they are many, later. In a change."""
    if last - first < AT_ONCE:
        _index(connection, first, last)
    else:
        connection.execute("INSERT INTO pair_unsearched VALUES (?, ?)", (first, last))


def index_some(connection: sqlite3.Connection) -> bool:
    """Index some of the pairs that wait, as one transaction; whether there were any."""
    if not connection.execute("SELECT 1 FROM pair_unsearched").fetchone():
        return False
    with database.transaction(connection):
        found = connection.execute("SELECT first, last FROM pair_unsearched LIMIT 1").fetchone()
        if found:
            first, last = found
            until = min(last, first + _BATCH - 1)
            connection.execute("DELETE FROM pair_unsearched WHERE first = ?", (first,))
            if until < last:
                connection.execute("INSERT INTO pair_unsearched VALUES (?, ?)", (until + 1, last))
            else:
                connection.execute("UPDATE pair_revision SET number = number + 1")  # searches find more now
            _index(connection, first, until)
    return True


def remove_some(connection: sqlite3.Connection) -> bool:
    """Remove some of the pairs that no undo brings back, as one transaction; whether there were any."""
    if not connection.execute("SELECT 1 FROM pair_gone").fetchone():
        return False
    with database.transaction(connection):
        remove_gone(connection, _BATCH)
    return True


def _index(connection: sqlite3.Connection, first: int, last: int) -> None:
    connection.execute(
        "INSERT INTO pair_search (rowid, prompt, answer, note) SELECT * FROM pair_texts WHERE id BETWEEN ? AND ?",
        (first, last),
    )
