"""The passages of an index in an order that is spread over its documents, and which of them were drafted from.

SQLite only: it opens neither usearch nor tantivy.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Self

from workbench import database
from workbench.library.catalogue import opened
from workbench.library.grounding import Passage
from workbench.library.search import place_of
from workbench.workspace import Workspace

FEWEST_WORDS = 8
"""A passage with fewer words is passed over: a heading, a caption, a line of a table."""
MIGRATIONS = (
    (
        "0001-drafted",
        """
        CREATE TABLE drafted_passages (
            dataset TEXT NOT NULL,
            passage BLOB NOT NULL, -- sha256 of its text: the same words in a new build are the same passage
            outcome TEXT NOT NULL,
            at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
            PRIMARY KEY (dataset, passage)
        ) WITHOUT ROWID
        """,
    ),
)
_BATCH = 200


@dataclass(frozen=True)
class FoundPassage:
    """One passage of an index."""

    passage: Passage
    """As the model is shown it; its place is the headings."""
    document: str
    """The name of its document."""
    place: str
    """Where in it, for a person."""
    number: int | None
    """The line or the page on which it begins; None where there is neither."""

    @property
    def key(self) -> bytes:
        """Of the words alone."""
        return key_of(self.passage.text)


def key_of(text: str) -> bytes:
    """32 bytes that stand for a passage's text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def spread(workspace: Workspace, index: str) -> Generator[FoundPassage]:
    """Every passage once, long enough to ask about: one of each document, then a second of each, and so on.

    The order looks like chance and is always the same, so that a job that is resumed goes on, and that a few passages
    stand for the whole library.

    Raises:
        UserError: there is no such index, or it is damaged.
    """
    with opened(workspace, index) as store:
        by_document: dict[int, list[int]] = defaultdict(list)
        for chunk, document in store.live_places():
            by_document[document].append(chunk)
        turns = [sorted(by_document[document], key=_shuffled) for document in sorted(by_document, key=_shuffled)]
        order = [chunk for chunk in chain.from_iterable(zip_longest(*turns)) if chunk is not None]
        seen: set[bytes] = set()
        for at in range(0, len(order), _BATCH):
            rows = store.live_chunks(order[at : at + _BATCH])
            for chunk in order[at : at + _BATCH]:
                if (row := rows.get(chunk)) is None:  # the library was updated meanwhile
                    continue
                text = row["text"]
                if len(re.findall(r"\w+", text)) < FEWEST_WORDS or (key := key_of(text)) in seen:
                    continue
                seen.add(key)
                where = place_of(row["heading"], row["page"], row["start_line"], row["end_line"])
                yield FoundPassage(
                    Passage(text, row["name"], row["heading"]), row["name"], where, row["start_line"] or row["page"]
                )


class DraftedPassages:
    """Which passages were drafted from for which dataset, in the workspace's database. A context manager."""

    def __init__(self, path: Path) -> None:
        self._connection = database.connect(path, MIGRATIONS, owner="drafting")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def of(self, dataset: str) -> set[bytes]:
        """The keys of those that a dataset was drafted from."""
        rows = self._connection.execute("SELECT passage FROM drafted_passages WHERE dataset = ?", (dataset,))
        return {row[0] for row in rows}

    def add(self, dataset: str, outcomes: Sequence[tuple[bytes, str]]) -> None:
        """Remember passages, by their keys, and what became of each."""
        with database.transaction(self._connection):
            self._connection.executemany(
                "INSERT OR REPLACE INTO drafted_passages (dataset, passage, outcome) VALUES (?, ?, ?)",
                [(dataset, key, outcome) for key, outcome in outcomes],
            )


def _shuffled(id: int) -> bytes:
    return hashlib.blake2b(str(id).encode(), digest_size=8).digest()
