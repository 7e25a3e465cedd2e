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

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CIRCUMSTANCES = {
    sqlite3.SQLITE_BUSY: "is in use by another process",
    sqlite3.SQLITE_LOCKED: "is in use by another process",
    sqlite3.SQLITE_FULL: "cannot grow, the disk is full",
    sqlite3.SQLITE_READONLY: "is not writable",
    sqlite3.SQLITE_PERM: "is not writable",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened or made",
    sqlite3.SQLITE_IOERR: "cannot be read or written",
}


def connect(path: Path, migrations: Sequence[Migration], *, owner: str) -> sqlite3.Connection:
    """Open `path` (made if absent) in WAL mode and apply the migrations that it has not seen.

    A connection is for one thread. Statements commit by themselves unless inside `transaction`.

    Args:
        path: the database file.
        migrations: all migrations of `owner`, oldest first.
        owner: whose tables these are, e.g. "pairs"; several owners may share one file.

    Raises:
        UserError: the file is not a database, is damaged, in use or not writable, or was written by a newer version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    except sqlite3.Error as error:
        raise fault(error, path) from error
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what is acknowledged survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")
        _migrate(connection, path, migrations, owner)
    except sqlite3.Error as error:
        connection.close()
        raise fault(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def is_circumstance(error: sqlite3.Error) -> bool:
    """Whether the file or the disk is at fault, not the statement."""
    code = _primary_code(error)
    return code in _DAMAGED or code in _CIRCUMSTANCES


def fault(error: sqlite3.Error, path: Path) -> UserError:
    """What keeps SQLite from working on `path`, and what to do about it. A backup is called for by damage only."""
    code = _primary_code(error)
    if code in _DAMAGED:
        do = "Put a backup in its place, or move it away to begin anew."
        return UserError(f"cannot be opened as a database: {error}", where=str(path), do=do)
    what = _CIRCUMSTANCES.get(code, "cannot be used as it is")
    return UserError(f"{what}: {error}", where=str(path), do="Nothing was changed; mend that and try again.")


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # the bits above say more closely what happened


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
