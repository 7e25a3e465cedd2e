"""The truth of an index: its documents, chunks and embeddings in SQLite.

What a build reads is staged beside what is live, so that the index answers as before until all of it is embedded, and
a build that was killed goes on where it was. It knows nothing of files, models, usearch or tantivy.

The database keeps its own books, by triggers: which texts wait for an embedding, which embeddings may have lost their
last chunk, which chunks became live or ceased to be. So what an update costs depends on what changed, not on how much
there is. A chunk that is live is never altered: it goes, and another comes.
"""

from __future__ import annotations

import hashlib
import json
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
    (
        "stamps-of-files",
        # The index answers what an update asks of every document: `live` itself stands behind the text in the row.
        """
        ALTER TABLE documents ADD COLUMN stamp TEXT NOT NULL DEFAULT '';
        CREATE INDEX documents_by_path ON documents (live, path, name, sha256, form, stamp);
        CREATE INDEX documents_by_sha256 ON documents (sha256);
        ALTER TABLE faults ADD COLUMN stamp TEXT NOT NULL DEFAULT '';
        """,
    ),
    (
        "books-of-what-changed",
        """
        CREATE INDEX documents_brief ON documents (live, id, name, title, path, modified, size);
        CREATE INDEX documents_by_name ON documents (name, live);
        CREATE TABLE changes (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            chunk INTEGER NOT NULL,
            live INTEGER NOT NULL
        );
        CREATE TABLE to_embed (key BLOB PRIMARY KEY, length INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX to_embed_longest ON to_embed (length DESC, key);
        CREATE TABLE loose (key BLOB PRIMARY KEY) WITHOUT ROWID;
        INSERT INTO to_embed SELECT embedding, length(heading) + length(text) FROM chunks
            WHERE embedding NOT IN (SELECT key FROM embeddings) GROUP BY embedding;
        INSERT INTO loose SELECT key FROM embeddings WHERE key NOT IN (SELECT embedding FROM chunks);
        CREATE TRIGGER document_goes_live AFTER UPDATE OF live ON documents WHEN NEW.live > OLD.live BEGIN
            INSERT INTO changes (chunk, live) SELECT id, 1 FROM chunks WHERE document = NEW.id ORDER BY id;
        END;
        CREATE TRIGGER live_document_goes BEFORE DELETE ON documents WHEN OLD.live BEGIN
            INSERT INTO changes (chunk, live) SELECT id, 0 FROM chunks WHERE document = OLD.id;
        END;
        CREATE TRIGGER chunk_comes AFTER INSERT ON chunks BEGIN
            INSERT INTO changes (chunk, live) SELECT NEW.id, 1 FROM documents WHERE id = NEW.document AND live;
            INSERT OR IGNORE INTO to_embed SELECT NEW.embedding, length(NEW.heading) + length(NEW.text)
                WHERE NOT EXISTS (SELECT 1 FROM embeddings WHERE key = NEW.embedding);
        END;
        CREATE TRIGGER chunk_goes BEFORE DELETE ON chunks BEGIN
            INSERT INTO changes (chunk, live) SELECT OLD.id, 0 FROM documents WHERE id = OLD.document AND live;
            INSERT OR IGNORE INTO loose VALUES (OLD.embedding);
        END;
        CREATE TRIGGER chunk_is_gone AFTER DELETE ON chunks BEGIN
            DELETE FROM to_embed WHERE key = OLD.embedding
                AND NOT EXISTS (SELECT 1 FROM chunks WHERE embedding = OLD.embedding);
        END;
        CREATE TRIGGER embedding_comes AFTER INSERT ON embeddings BEGIN
            DELETE FROM to_embed WHERE key = NEW.key;
        END;
        CREATE TRIGGER embedding_goes AFTER DELETE ON embeddings BEGIN
            INSERT OR IGNORE INTO to_embed SELECT embedding, length(heading) + length(text) FROM chunks
                WHERE embedding = OLD.key LIMIT 1;
        END;
        """,
    ),
)
_LIVE = "FROM chunks CROSS JOIN documents INDEXED BY documents_brief ON live = 1 AND documents.id = document"
"""In the order of the chunks' ids, and without touching the documents' texts."""
_SOME = 500
"""Ids that are looked up in one statement."""


@dataclass(frozen=True)
class Stored:
    """A document as an earlier build left it."""

    id: int
    name: str
    sha256: str
    form: str
    stamp: str
    """What the file system told of the file when it was read; empty where it was not to be trusted."""


@dataclass(frozen=True)
class Moved:
    """A live document whose file is elsewhere now."""

    before: str
    """The path that it had."""
    found: Found
    title: str
    stamp: str


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
        self.folder = folder
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
        """revision, embedding_model, fingerprint, dimensions, chunks, updated_at, builder, chunks_per_second (of
        the last build that embedded), devices; absent ones are not known yet."""
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

    def documents(self, *, live: bool, under: Sequence[str] | None = None) -> dict[str, Stored]:
        """The live or the staged documents by path; only those at and below the paths `under`, where they are given."""
        sql = "SELECT path, id, name, sha256, form, stamp FROM documents WHERE live = ?"
        if under is None:
            rows = self._rows(sql, live)
        else:
            rows = []
            for path in under:
                rows += self._rows(f"{sql} AND path = ?", live, path)
                rows += self._rows(f"{sql} AND path > ? AND path < ?", live, f"{path}/", f"{path}0")  # 0 follows /
        return {path: Stored(*rest) for path, *rest in rows}

    def same_content(self, sha256: str, form: str) -> list[tuple[str, str]]:
        """Path and title of the live documents that were read from these very bytes and cut in this form."""
        rows = self._rows(
            "SELECT path, title FROM documents WHERE sha256 = ? AND form = ? AND live = 1 ORDER BY path", sha256, form
        )
        return [(path, title) for path, title in rows]

    def restamp(self, stamps: Mapping[str, str]) -> None:
        """Remember that live documents, by path, were found as they are under new stamps."""
        if stamps:
            with transaction(self._database) as database:
                database.executemany(
                    "UPDATE documents SET stamp = ? WHERE path = ? AND live = 1",
                    [(stamp, path) for path, stamp in stamps.items()],
                )

    def fault_stamps(self) -> dict[str, str]:
        """The stamps of the files that the last build could not read, by path."""
        return {path: stamp for path, stamp in self._rows("SELECT path, stamp FROM faults")}

    def stage(
        self,
        found: Found,
        content: FileContent,
        source: SourceText,
        chunks: Iterable[tuple[Chunk, bytes]],
        *,
        form: str,
        stamp: str = "",
    ) -> None:
        """Keep a document that was read, with its chunks and the keys of their embeddings, until `promote`."""
        with transaction(self._database):
            self._database.execute("DELETE FROM documents WHERE path = ? AND live = 0", (str(found.path),))
            document = self._database.execute(
                "INSERT INTO documents (path, name, title, sha256, form, size, modified, text, live, stamp)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
                (
                    str(found.path), found.name, source.title, content.sha256, form,
                    len(content.data), content.modified, source.text, stamp,
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

    def stage_copy(self, path: str, found: Found, *, title: str, modified: float, stamp: str) -> None:
        """Stage what the live document at `path` holds, chunks and embeddings too, under another path."""
        with transaction(self._database):
            self._database.execute("DELETE FROM documents WHERE path = ? AND live = 0", (str(found.path),))
            copied = self._database.execute(
                "INSERT INTO documents (path, name, title, sha256, form, size, modified, text, live, stamp)"
                " SELECT ?, ?, ?, sha256, form, size, ?, text, 0, ? FROM documents WHERE path = ? AND live = 1",
                (str(found.path), found.name, title, modified, stamp, path),
            ).lastrowid
            self._database.execute(
                "INSERT INTO chunks (document, start, end, text, heading, start_line, end_line, page, embedding)"
                " SELECT ?, start, end, chunks.text, heading, start_line, end_line, page, embedding FROM chunks"
                " JOIN documents ON documents.id = document WHERE path = ? AND live = 1 ORDER BY chunks.id",
                (copied, path),
            )

    def unstage(self, path: str) -> None:
        """Forget a staged document."""
        self._database.execute("DELETE FROM documents WHERE path = ? AND live = 0", (path,))

    def not_embedded(self, fingerprint: str | None = None, *, under: Sequence[str] | None = None) -> int:
        """How many different texts have no embedding yet.

        Args:
            fingerprint: of the model that is to embed them; None counts those of all models. Texts of another wait,
                too, where a build with that one was stopped.
            under: only of what is staged at and below these paths.
        """
        if fingerprint is None:
            return self._one("SELECT count(*) FROM to_embed")
        waiting, values = self._waiting(fingerprint, under)
        return self._database.execute(f"SELECT count(*) {waiting}", values).fetchone()[0]

    def next_to_embed(
        self, count: int, fingerprint: str, *, under: Sequence[str] | None = None
    ) -> list[tuple[bytes, str]]:
        """Keys and texts of the longest that a model has not embedded: of like length, so that little is padded.

        Args:
            count: how many, at most.
            fingerprint, under: see `not_embedded`.
        """
        waiting, values = self._waiting(fingerprint, under)
        rows = self._rows(
            f"SELECT key, heading, chunks.text {waiting} ORDER BY length DESC, key LIMIT ?", *values, count
        )
        return [(key, embedded_text(heading, text)) for key, heading, text in rows]

    def shard_to_embed(self, first: bytes, beyond: bytes, count: int, fingerprint: str) -> list[tuple[bytes, str]]:
        """Keys from `first` on and below `beyond`, ascending, and texts of at most `count` that a model, by its
        fingerprint, has not embedded."""
        waiting, values = self._waiting(fingerprint, None)
        rows = self._rows(
            f"SELECT key, heading, chunks.text {waiting} AND key >= ? AND key < ? ORDER BY key LIMIT ?",
            *values, first, beyond, count,
        )  # fmt: skip
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
        self,
        sources: Sequence[Path],
        found: Sequence[Found],
        faults: Sequence[Fault],
        facts: Mapping[str, Any],
        *,
        moved: Sequence[Moved] = (),
        stamps: Mapping[str, str] | None = None,
        under: Sequence[str] | None = None,
    ) -> int:
        """Make the staged documents live in place of their older forms, and remove those that are not in `found`.

        What it costs depends on what changes, where `under` says that only some was looked at.

        Args:
            sources: the files and folders that the index is built from, from now on.
            found: every document that it holds at or below `under`, from now on.
            faults: what could not be read there.
            facts: set with it.
            moved: live documents that go on under another path; their new ones are in `found`.
            stamps: new ones by path, of live documents that did not change otherwise, and of what could not be read.
            under: the paths that were looked at; None: all there is.

        Returns:
            How many documents were removed.
        """
        with transaction(self._database) as database:
            before = self.sequence
            for one in moved:
                database.execute(
                    "UPDATE documents SET path = ?, name = ?, title = ?, stamp = ? WHERE path = ? AND live = 1",
                    (str(one.found.path), one.found.name, one.title, one.stamp, one.before),
                )
            live = self.documents(live=True, under=under)
            kept = {str(one.path): one.name for one in found}
            faulty = {fault.path for fault in faults}
            staged = {path: document for path, document in self.documents(live=False).items() if path in kept}
            gone = [path for path in live if path not in kept]
            renamed = [(name, path) for path, name in kept.items() if path in live and live[path].name != name]
            replaced = [live[path].id for path in (*gone, *(path for path in staged if path in live))]
            database.executemany("DELETE FROM documents WHERE id = ?", [(document,) for document in replaced])
            database.executemany(
                "UPDATE documents SET live = 1, name = ? WHERE path = ? AND live = 0",
                [(kept[path], path) for path in staged],
            )
            database.executemany("UPDATE documents SET name = ? WHERE path = ? AND live = 1", renamed)
            database.executemany(
                "UPDATE documents SET stamp = ? WHERE path = ? AND live = 1",
                [(stamp, path) for path, stamp in (stamps or {}).items() if path not in faulty],
            )
            if under is None:
                database.execute("DELETE FROM documents WHERE live = 0")
                database.execute("DELETE FROM faults")
                database.execute("DELETE FROM sources")
                database.executemany("INSERT INTO sources (path) VALUES (?)", [(str(path),) for path in sources])
            else:
                database.executemany(
                    "DELETE FROM faults WHERE path = ? OR path > ? AND path < ?",
                    [(path, f"{path}/", f"{path}0") for path in under],
                )
            self._remove_loose_embeddings()
            database.executemany(
                "INSERT INTO faults (path, reason, stamp) VALUES (?, ?, ?)",
                [(fault.path, fault.reason, (stamps or {}).get(fault.path, "")) for fault in faults],
            )
            changed = bool(moved or staged or gone or renamed)
            revision = self.revision
            self._set_facts(
                {
                    **facts,
                    "revision": revision + 1 if changed or not revision else revision,
                    "chunks": self._chunks_before(before) + self._balance(before),
                }
            )
        return len(gone)

    # What changed

    @property
    def sequence(self) -> int:
        """The number of the last change of what is live; 0 before the first."""
        row = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
        return row[0] if row else 0

    def changes(self, since: int) -> tuple[list[int], list[int]] | None:
        """The chunks that became live after a change, and those that were live at it and are no more; ids ascending.

        None when that is not known: what came before it was forgotten, or it lies ahead.
        """
        if not int(self.facts().get("forgotten", 0)) <= since <= self.sequence:
            return None
        added: set[int] = set()
        removed: set[int] = set()
        for chunk, live in self._database.execute(
            "SELECT chunk, live FROM changes WHERE sequence > ? ORDER BY sequence", (since,)
        ):
            if live:
                added.add(chunk)
            elif chunk in added:
                added.discard(chunk)
            else:
                removed.add(chunk)
        return sorted(added), sorted(removed)

    def forget_changes(self, until: int) -> None:
        """Forget the changes up to a number: they have reached the caches."""
        with transaction(self._database):
            self._database.execute("DELETE FROM changes WHERE sequence <= ?", (until,))
            self._set_facts({"forgotten": until})

    # Reading

    def counts(self) -> tuple[int, int]:
        """Live documents, live chunks."""
        documents = self._one("SELECT count(*) FROM documents INDEXED BY documents_brief WHERE live = 1")
        known = self.facts().get("chunks")
        return documents, self.count_chunks() if known is None else int(known)

    def live_ids(self) -> np.ndarray:
        """The ids of all live chunks, uint64, ascending."""
        import numpy as np

        found = self._database.execute(
            "SELECT chunks.id FROM documents INDEXED BY documents_brief JOIN chunks ON document = documents.id"
            " WHERE live = 1"
        )
        return np.sort(np.fromiter((row[0] for row in found), np.uint64))

    def count_chunks(self) -> int:
        """Live chunks, counted one by one; `counts` remembers."""
        return self._one(
            "SELECT count(*) FROM documents INDEXED BY documents_brief JOIN chunks ON document = documents.id"
            " WHERE live = 1"
        )

    def live_places(self) -> list[tuple[int, int]]:
        """(chunk, its document) by their ids, of all live chunks, ascending."""
        return [tuple(row) for row in self._rows(f"SELECT chunks.id, document {_LIVE} ORDER BY chunks.id")]

    def live_vectors(
        self, batch: int = 1024, *, of: Sequence[int] | np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield chunk ids, uint64 [n], ascending, and their embeddings, float32 [n, dimensions].

        Args:
            batch: n, at most.
            of: only of these live chunks, ascending; None means all.
        """
        import numpy as np

        joined = "JOIN embeddings ON key = embedding"
        if of is None:
            cursor = self._database.execute(f"SELECT chunks.id, vector {_LIVE} {joined} ORDER BY chunks.id")
            groups = iter(lambda: cursor.fetchmany(batch), [])
        else:
            groups = (
                self._of(f"SELECT chunks.id, vector FROM chunks {joined}", of[at : at + min(batch, _SOME)])
                for at in range(0, len(of), min(batch, _SOME))
            )
        for some in groups:
            ids = np.array([row[0] for row in some], np.uint64)
            yield ids, np.frombuffer(b"".join(row[1] for row in some), "<f4").reshape(len(some), -1)

    def live_texts(self, *, of: Sequence[int] | None = None) -> Iterator[tuple[int, str, str]]:
        """Yield (chunk id, heading, text), ids ascending, of all live chunks or only of those in `of`, ascending."""
        if of is None:
            yield from self._database.execute(f"SELECT chunks.id, heading, chunks.text {_LIVE} ORDER BY chunks.id")
            return
        for at in range(0, len(of), _SOME):
            yield from map(tuple, self._of("SELECT id, heading, text FROM chunks", of[at : at + _SOME]))

    def live_chunks(self, ids: Iterable[int]) -> dict[int, sqlite3.Row]:
        """Live chunks with the name and title of their documents, by id; those that are gone are absent."""
        wanted = list(ids)
        rows = self._database.execute(
            # In that order: by itself SQLite goes through all documents and their chunks, 80 ms of a million.
            f"SELECT chunks.*, name, title {_LIVE} WHERE chunks.id IN ({', '.join('?' * len(wanted))})",
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

    def _waiting(self, fingerprint: str, under: Sequence[str] | None) -> tuple[str, list[Any]]:
        """The FROM and WHERE, and their values, that give what a model has not embedded, each with a chunk of it.

        The last word of a document's form is the fingerprint of the model that its chunks are embedded by.
        """
        weights = f" {fingerprint}"
        if under is None:
            return (
                "FROM to_embed JOIN chunks ON chunks.id = (SELECT min(chunks.id) FROM chunks"
                " JOIN documents ON documents.id = document WHERE embedding = key AND substr(form, ?) = ?) WHERE 1",
                [-len(weights), weights],
            )
        staged = self.documents(live=False, under=under).values()
        documents = json.dumps([document.id for document in staged if document.form.endswith(weights)])
        return (
            "FROM to_embed JOIN chunks ON chunks.id = (SELECT min(id) FROM chunks WHERE embedding = key)"
            " WHERE key IN (SELECT embedding FROM chunks WHERE document IN (SELECT value FROM json_each(?)))",
            [documents],
        )

    def _add_chunks(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._database.executemany(
            "INSERT INTO chunks (document, start, end, text, heading, start_line, end_line, page, embedding)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def _remove_loose_embeddings(self) -> None:
        self._database.execute(
            "DELETE FROM embeddings WHERE key IN"
            " (SELECT key FROM loose WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE embedding = loose.key))"
        )
        self._database.execute("DELETE FROM loose")

    def _chunks_before(self, sequence: int) -> int:
        """How many chunks were live at a change."""
        known = self.facts().get("chunks")
        return self.count_chunks() - self._balance(sequence) if known is None else int(known)

    def _balance(self, since: int) -> int:
        """How many more chunks have become live since a change than ceased to be."""
        return self._database.execute(
            "SELECT coalesce(sum(CASE WHEN live THEN 1 ELSE -1 END), 0) FROM changes WHERE sequence > ?", (since,)
        ).fetchone()[0]

    def _of(self, select: str, ids: Sequence[int] | np.ndarray) -> list[sqlite3.Row]:
        marks = ", ".join("?" * len(ids))
        return self._rows(f"{select} WHERE chunks.id IN ({marks}) ORDER BY chunks.id", *map(int, ids))

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
