"""The truth of an index: its documents, chunks and embeddings in SQLite.

What a build reads is staged beside what is live, so that the index answers as before until the build is complete, and
a build that was killed goes on where it was. It knows nothing of files, models, usearch or tantivy.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from workbench.database import connect, transaction
from workbench.errors import UserError
from workbench.library.chunks import Chunk, SourceText, embedded_text
from workbench.library.documents import Fault, FileContent, Found

if TYPE_CHECKING:
    import numpy as np

FILE = "index.sqlite"
MIGRATIONS = (
    (
        "documents-chunks-embeddings",
        """
        CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE sources (position INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
        CREATE TABLE documents (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            path TEXT NOT NULL,
            name TEXT NOT NULL,
            title TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            form TEXT NOT NULL,
            size INTEGER NOT NULL,
            modified REAL NOT NULL,
            text TEXT NOT NULL,
            live INTEGER NOT NULL,
            UNIQUE (path, live)
        );
        CREATE TABLE chunks (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
            start INTEGER NOT NULL,
            end INTEGER NOT NULL,
            text TEXT NOT NULL,
            heading TEXT NOT NULL,
            start_line INTEGER,
            end_line INTEGER,
            page INTEGER,
            embedding BLOB NOT NULL
        );
        CREATE INDEX chunks_by_document ON chunks (document);
        CREATE INDEX chunks_by_embedding ON chunks (embedding);
        CREATE TABLE embeddings (key BLOB PRIMARY KEY, vector BLOB NOT NULL);
        CREATE TABLE faults (path TEXT NOT NULL, reason TEXT NOT NULL);
        """,
    ),
)


@dataclass(frozen=True)
class Stored:
    """A document as an earlier build left it."""

    id: int
    sha256: str
    form: str


def embedding_key(fingerprint: str, embedded: str) -> bytes:
    """What an embedding is stored under: sha256 over the model's fingerprint and the text that it embedded."""
    return hashlib.sha256(fingerprint.encode() + b"\0" + embedded.encode()).digest()


class Store:
    """An index's database. A context manager; for one thread. Everything that returns is committed."""

    def __init__(self, folder: Path) -> None:
        """Open the database in an index's folder, made if absent.

        Raises:
            UserError: it is damaged, or was written by a newer version.
        """
        self._database = connect(folder / FILE, MIGRATIONS, owner="library")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # Facts and sources

    def facts(self) -> dict[str, str]:
        """revision, embedding_model, fingerprint, dimensions, updated_at, builder; absent ones are not known yet."""
        return {key: value for key, value in self._rows("SELECT key, value FROM facts")}

    def set_facts(self, **facts: Any) -> None:
        """Set some facts; None removes one."""
        with transaction(self._database):
            self._set_facts(facts)

    @property
    def revision(self) -> int:
        """Raised whenever what is live changed; 0 before the first build is complete."""
        return int(self.facts().get("revision", 0))

    def sources(self) -> list[Path]:
        """The files and folders that the index is built from."""
        return [Path(path) for (path,) in self._rows("SELECT path FROM sources ORDER BY position")]

    # Building

    def documents(self, *, live: bool) -> dict[str, Stored]:
        """The live or the staged documents by path."""
        rows = self._rows("SELECT path, id, sha256, form FROM documents WHERE live = ?", live)
        return {path: Stored(*rest) for path, *rest in rows}

    def stage(
        self,
        found: Found,
        content: FileContent,
        source: SourceText,
        chunks: Iterable[tuple[Chunk, bytes]],
        *,
        form: str,
    ) -> None:
        """Keep a document that was read, with its chunks and the keys of their embeddings, until `promote`."""
        with transaction(self._database):
            self._database.execute("DELETE FROM documents WHERE path = ? AND live = 0", (str(found.path),))
            document = self._database.execute(
                "INSERT INTO documents (path, name, title, sha256, form, size, modified, text, live)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    str(found.path), found.name, source.title, content.sha256, form,
                    len(content.data), content.modified, source.text,
                ),
            ).lastrowid  # fmt: skip
            self._add_chunks(
                (
                    document, chunk.start, chunk.end, chunk.text, chunk.heading,
                    chunk.start_line, chunk.end_line, chunk.page, key,
                )
                for chunk, key in chunks
            )  # fmt: skip

    def restage(self, path: str, fingerprint: str, *, form: str) -> None:
        """Stage a live document as it is, its chunks too, to be embedded by the model with this fingerprint."""
        with transaction(self._database):
            staged = self._database.execute(
                "INSERT INTO documents (path, name, title, sha256, form, size, modified, text, live)"
                " SELECT path, name, title, sha256, ?, size, modified, text, 0 FROM documents"
                " WHERE path = ? AND live = 1",
                (form, path),
            ).lastrowid
            chunks = self._rows(
                "SELECT chunks.* FROM chunks JOIN documents ON documents.id = document"
                " WHERE path = ? AND live = 1 ORDER BY chunks.id",
                path,
            )
            self._add_chunks(
                (
                    staged, row["start"], row["end"], row["text"], row["heading"], row["start_line"], row["end_line"],
                    row["page"], embedding_key(fingerprint, embedded_text(row["heading"], row["text"])),
                )
                for row in chunks
            )  # fmt: skip

    def unstage(self, path: str) -> None:
        """Forget a staged document."""
        self._database.execute("DELETE FROM documents WHERE path = ? AND live = 0", (path,))

    def not_embedded(self) -> int:
        """How many different texts have no embedding yet."""
        return self._one(
            "SELECT count(DISTINCT embedding) FROM chunks WHERE embedding NOT IN (SELECT key FROM embeddings)"
        )

    def next_to_embed(self, count: int) -> list[tuple[bytes, str]]:
        """Keys and texts of the longest that have no embedding yet: of like length, so that little is padded."""
        rows = self._rows(
            "SELECT embedding, heading, text FROM chunks WHERE embedding NOT IN (SELECT key FROM embeddings)"
            " GROUP BY embedding ORDER BY length(heading) + length(text) DESC, embedding LIMIT ?",
            count,
        )
        return [(key, embedded_text(heading, text)) for key, heading, text in rows]

    def add_embeddings(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Keep embeddings, durably.

        Args:
            keys: n keys.
            vectors: float32 [n, dimensions].
        """
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        with transaction(self._database):
            self._database.executemany("INSERT OR REPLACE INTO embeddings (key, vector) VALUES (?, ?)", rows)

    def promote(
        self, sources: Sequence[Path], found: Sequence[Found], faults: Sequence[Fault], facts: Mapping[str, Any]
    ) -> int:
        """Make the staged documents live in place of their older forms, and remove those that are not in `found`.

        Args:
            sources: the files and folders that the index is built from, from now on.
            found: every document that it holds, from now on.
            faults: what could not be read.
            facts: set with it.

        Returns:
            How many documents were removed.
        """
        with transaction(self._database) as database:
            before = self._state()
            database.execute("CREATE TEMP TABLE IF NOT EXISTS kept (path TEXT PRIMARY KEY, name TEXT)")
            database.execute("DELETE FROM kept")
            database.executemany("INSERT INTO kept VALUES (?, ?)", [(str(one.path), one.name) for one in found])
            database.execute("DELETE FROM documents WHERE live = 0 AND path NOT IN (SELECT path FROM kept)")
            removed = database.execute(
                "DELETE FROM documents WHERE live = 1 AND path NOT IN (SELECT path FROM kept)"
            ).rowcount
            database.execute(
                "DELETE FROM documents WHERE live = 1 AND path IN (SELECT path FROM documents WHERE live = 0)"
            )
            database.execute("UPDATE documents SET live = 1")
            database.execute("UPDATE documents SET name = (SELECT name FROM kept WHERE kept.path = documents.path)")
            database.execute("DELETE FROM embeddings WHERE key NOT IN (SELECT embedding FROM chunks)")
            database.execute("DELETE FROM sources")
            database.executemany("INSERT INTO sources (path) VALUES (?)", [(str(path),) for path in sources])
            database.execute("DELETE FROM faults")
            database.executemany("INSERT INTO faults VALUES (?, ?)", [(fault.path, fault.reason) for fault in faults])
            changed = self._state() != before
            self._set_facts({**facts, "revision": self.revision + 1 if changed else self.revision})
        return removed

    # Reading

    def counts(self) -> tuple[int, int]:
        """Live documents, live chunks."""
        return (
            self._one("SELECT count(*) FROM documents WHERE live = 1"),
            self._one("SELECT count(*) FROM chunks JOIN documents ON documents.id = document WHERE live = 1"),
        )

    def live_vectors(self, batch: int = 1024) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield chunk ids, uint64 [n], ascending, and their embeddings, float32 [n, dimensions]."""
        import numpy as np

        rows = self._database.execute(
            "SELECT chunks.id, vector FROM chunks JOIN documents ON documents.id = document"
            " JOIN embeddings ON key = embedding WHERE live = 1 ORDER BY chunks.id"
        )
        while some := rows.fetchmany(batch):
            ids = np.array([row[0] for row in some], np.uint64)
            yield ids, np.frombuffer(b"".join(row[1] for row in some), "<f4").reshape(len(some), -1)

    def live_texts(self) -> Iterator[tuple[int, str, str]]:
        """Yield (chunk id, heading, text), ids ascending."""
        yield from self._database.execute(
            "SELECT chunks.id, heading, chunks.text FROM chunks JOIN documents ON documents.id = document"
            " WHERE live = 1 ORDER BY chunks.id"
        )

    def live_chunks(self, ids: Iterable[int]) -> dict[int, sqlite3.Row]:
        """Live chunks with the name and title of their documents, by id; those that are gone are absent."""
        wanted = list(ids)
        rows = self._database.execute(
            "SELECT chunks.*, name, title FROM chunks JOIN documents ON documents.id = document"
            f" WHERE live = 1 AND chunks.id IN ({', '.join('?' * len(wanted))})",
            wanted,
        )
        return {row["id"]: row for row in rows}

    def chunks_where(self, holds: Callable[[str, float], bool]) -> set[int]:
        """The ids of the live chunks of every document for which `holds(name, modified)`."""
        rows = self._rows("SELECT id, name, modified FROM documents WHERE live = 1")
        wanted = [row["id"] for row in rows if holds(row["name"], row["modified"])]
        ids: set[int] = set()
        for at in range(0, len(wanted), 500):
            some = wanted[at : at + 500]
            marks = ", ".join("?" * len(some))
            ids.update(row[0] for row in self._rows(f"SELECT id FROM chunks WHERE document IN ({marks})", *some))
        return ids

    def span(self, name: str, start: int, end: int) -> str:
        """A part of a live document's text; empty where there is no such document."""
        rows = self._rows(
            "SELECT substr(text, ?, ?) FROM documents WHERE name = ? AND live = 1", start + 1, end - start, name
        )
        return rows[0][0] if rows else ""

    def list_documents(self) -> list[sqlite3.Row]:
        """name, path, title, chunks, size, modified of every live document, by name."""
        return self._rows(
            "SELECT name, path, title, (SELECT count(*) FROM chunks WHERE document = documents.id) AS chunks,"
            " size, modified FROM documents WHERE live = 1 ORDER BY name"
        )

    def list_faults(self) -> list[Fault]:
        """What the last build could not read."""
        return [Fault(*row) for row in self._rows("SELECT path, reason FROM faults ORDER BY path")]

    def document_text(self, name: str) -> str:
        """The text of a document, as it was read; chunks are spans of it.

        Raises:
            UserError: there is no such document.
        """
        row = self._database.execute("SELECT text FROM documents WHERE name = ? AND live = 1", (name,)).fetchone()
        if row is None:
            raise UserError(f"there is no document {name!r}", do="See `workbench index list NAME`.")
        return row["text"]

    def _add_chunks(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._database.executemany(
            "INSERT INTO chunks (document, start, end, text, heading, start_line, end_line, page, embedding)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def _state(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._rows("SELECT id, name FROM documents WHERE live = 1 ORDER BY id")]

    def _set_facts(self, facts: Mapping[str, Any]) -> None:
        for key, value in facts.items():
            if value is None:
                self._database.execute("DELETE FROM facts WHERE key = ?", (key,))
            else:
                self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, str(value)))

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._database.execute(sql, values).fetchall()

    def _one(self, sql: str) -> int:
        return self._database.execute(sql).fetchone()[0]
