"""Opening a SQLite database and bringing it to the present form by named, recorded migrations."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from workbench.errors import UserError

Migration = tuple[str, str]
"""A name that is never changed or reused, and the SQL statements it runs, separated by `;`."""


def connect(path: Path, migrations: Sequence[Migration], *, owner: str) -> sqlite3.Connection:
    """Open `path` (made if absent) in WAL mode and apply the migrations that it has not seen.

    A connection is for one thread. Statements commit by themselves unless inside `transaction`.

    Args:
        path: the database file.
        migrations: all migrations of `owner`, oldest first.
        owner: whose tables these are, e.g. "pairs"; several owners may share one file.

    Raises:
        UserError: the file is not a database, is damaged, or was written by a newer version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what is acknowledged survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")
        _migrate(connection, path, migrations, owner)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise UserError(
            f"cannot be opened as a database: {error}",
            where=str(path),
            do="Put a backup in its place, or move it away to begin anew.",
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing: commit at the end, roll back on any exception. Takes the write lock at once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself when the disk is full
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration], owner: str) -> None:
    known = {name for name, _ in migrations}

    def applied() -> set[str]:
        exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone()
        if not exists:
            return set()
        return {row[0] for row in connection.execute("SELECT name FROM migrations WHERE owner = ?", (owner,))}

    done = applied()
    if newer := done - known:
        raise UserError(
            f"written by a newer version of the workbench ({', '.join(sorted(newer))})",
            where=str(path),
            do="Update the workbench.",
        )
    if done == known:
        return
    if done:  # tables with data in them are about to change: keep what was
        with closing(sqlite3.connect(path)) as source:
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy2(path, path.with_name(f"{path.name}.before-{migrations[-1][0]}"))
    with transaction(connection):
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (owner TEXT, name TEXT, at TEXT DEFAULT CURRENT_TIMESTAMP,"
            " PRIMARY KEY (owner, name))"
        )
        done = applied()  # another process may have been faster
        for name, script in migrations:
            if name in done:
                continue
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute("INSERT INTO migrations (owner, name) VALUES (?, ?)", (owner, name))


def _statements(script: str) -> Iterator[str]:
    """Split at `;`, but not inside a trigger's body. (`executescript` would commit the transaction.)"""
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n;"):
                yield statement
            statement = ""
