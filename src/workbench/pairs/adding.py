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
    connection.execute(f"CREATE TEMP TABLE staged (id INTEGER PRIMARY KEY, {', '.join(CONTENT)}, line, chars)")
    values = ", ".join(f"?{number}" for number in range(1, len(CONTENT) + 1))
    chars = """CASE WHEN json_array_length(?5) = 1 THEN length(json_extract(?5, '$[0].content'))
        ELSE (SELECT sum(length(json_extract(value, '$.content'))) FROM json_each(?5)) END
        + length(coalesce(?6, ?7 || ?8))"""
    insert = f"""INSERT INTO temp.staged ({", ".join(CONTENT)}, line, chars)
        VALUES ({values}, ?9, {chars})"""
    given = 0
    for batch in batches:
        connection.execute("BEGIN")  # of the temporary database only: `pairs` is not locked
        connection.executemany(insert, map(_with_line, batch))
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


def split_source(source: str) -> tuple[str, int | None]:
    """The file and the line of a source such as `file.jsonl:17`; no line where it is not written like that."""
    file, colon, line = source.rpartition(":")
    if colon and file and line.isascii() and line.isdigit() and len(line) < 19 and str(int(line)) == line:
        return file, int(line)
    return source, None


def _with_line(row: StoredRow) -> tuple[object, ...]:
    key, source, *others = row
    file, line = split_source(source)
    return (key, file, *others, line)
