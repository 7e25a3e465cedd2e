"""Retrieval tests: questions with their right passages, kept in workbench.sqlite, so that building anew loses none.

The right passage is a quotation of its document, looked up in the document's text as it is now: it is found again when
the document is cut differently or text was put before it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.database import connect, fault, transaction
from workbench.errors import Faults, UserError
from workbench.library import catalogue
from workbench.library.search import Hit
from workbench.workspace import Workspace

MIGRATIONS = (
    (
        "retrieval-tests",
        """
        CREATE TABLE retrieval_tests (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            "index" TEXT NOT NULL,
            question TEXT NOT NULL,
            document TEXT NOT NULL,
            quote TEXT NOT NULL,
            start INTEGER NOT NULL,
            answers TEXT NOT NULL,
            created_at REAL NOT NULL,
            UNIQUE ("index", question, document, quote)
        );
        """,
    ),
)
_PART = 0.5  # of the quotation, or of the passage if that is shorter, that a right passage holds


@dataclass(frozen=True)
class RetrievalTest:
    """A question, and where its answer stands."""

    question: str
    document: str
    """The document's name in the index."""
    quote: str
    """The right passage, a part of the document's text."""
    start: int = 0
    """About where it began in that text, to tell places with the same words apart."""
    answers: tuple[str, ...] = ()
    """If any, a right passage must hold one of them, ignoring case: half of a long quotation may not tell it."""
    id: int | None = None
    """None until it is stored."""

    def span_in(self, text: str) -> tuple[int, int] | None:
        """Where the quotation stands in the document's text now, nearest to `start`; None where it no longer does."""
        at, places = text.find(self.quote), []
        while at >= 0:
            places.append(at)
            at = text.find(self.quote, at + 1)
        if not places:
            return None
        start = min(places, key=lambda place: abs(place - self.start))
        return start, start + len(self.quote)

    def is_right(self, hit: Hit | Mapping[str, Any], span: tuple[int, int]) -> bool:
        """Whether a hit is the right passage: of the same document, with half of the quotation in it, and an answer.

        Args:
            hit: found by a search of the index, as a `Hit` or as a mapping of its fields.
            span: of `span_in`.
        """
        fields = hit if isinstance(hit, Mapping) else vars(hit)
        if fields["document"] != self.document:
            return False
        shared = min(span[1], fields["end"]) - max(span[0], fields["start"])
        if shared <= 0 or (
            self.answers and not any(each.casefold() in fields["text"].casefold() for each in self.answers)
        ):
            return False
        return bool(self.answers) or shared >= _PART * min(span[1] - span[0], fields["end"] - fields["start"])


def list_tests(workspace: Workspace, index: str) -> list[RetrievalTest]:
    """The tests of an index, oldest first."""
    columns = "question, document, quote, start, answers, id"
    with _Opened(workspace) as database:
        rows = database.execute(f'SELECT {columns} FROM retrieval_tests WHERE "index" = ? ORDER BY id', (index,))
        return [
            RetrievalTest(question, document, quote, start, tuple(json.loads(answers)), number)
            for question, document, quote, start, answers, number in rows
        ]


def add_tests(workspace: Workspace, index: str, tests: Iterable[RetrievalTest]) -> int:
    """Keep tests; one that is there already is not kept twice. Returns how many are new."""
    now = time.time()
    rows = [(index, t.question, t.document, t.quote, t.start, json.dumps(t.answers), now) for t in tests]
    with _Opened(workspace) as database, transaction(database):
        before = database.total_changes
        database.executemany(
            'INSERT OR IGNORE INTO retrieval_tests ("index", question, document, quote, start, answers, created_at)'
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        return database.total_changes - before


def delete_test(workspace: Workspace, index: str, number: int) -> None:
    """Forget a test.

    Raises:
        UserError: the index has none of this number.
    """
    with _Opened(workspace) as database:
        gone = database.execute('DELETE FROM retrieval_tests WHERE "index" = ? AND id = ?', (index, number)).rowcount
    if not gone:
        raise UserError(f"there is no retrieval test {number}", do=f"See `workbench index tests {index}`.")


def to_json(test: RetrievalTest) -> dict[str, Any]:
    """A line of an exported file."""
    fields = {"question": test.question, "document": test.document, "quote": test.quote, "start": test.start}
    return {**fields, "answers": list(test.answers)} if test.answers else fields


def read_tests(path: Path, text_of: Callable[[str], str | None]) -> list[RetrievalTest]:
    """Read a file of JSON lines: question, document, quote (or context); perhaps start and answers.

    Lines with `"answerable": false` have no right passage and are passed over.

    Args:
        path: the file.
        text_of: the text of a document of the index by its name; None where there is no such document.

    Raises:
        Faults: every line that is not so, or whose quotation is not in its document.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from None
    tests, faults = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if row.get("answerable") is False:
                continue
            quote = str(row.get("quote") or row["context"]).strip()
            test = RetrievalTest(
                str(row["question"]).strip(), str(row["document"]), quote, int(row.get("start") or 0),
                tuple(str(each) for each in row.get("answers") or ()),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError):
            faults.append(f'line {number}: is not a JSON object with "question", "document" and "quote"')
            continue
        text = text_of(test.document)
        if text is None:
            faults.append(f"line {number}: the index has no document {test.document!r}")
        elif not quote or test.span_in(text) is None:
            faults.append(f"line {number}: {test.document} does not hold the quotation")
        else:
            tests.append(test)
    if faults:
        raise Faults(str(path), faults)
    return tests


def document_texts(workspace: Workspace, index: str) -> Callable[[str], str | None]:
    """A function that gives the text of a document of an index by its name, read once; None for one that is not there.

    Raises:
        UserError: there is no such index, or it is damaged.
    """
    names = {row.document for row in catalogue.documents(workspace, index)}
    kept: dict[str, str] = {}

    def text_of(document: str) -> str | None:
        if document in names and document not in kept:
            kept[document] = catalogue.document_text(workspace, index, document)
        return kept.get(document)

    return text_of


class _Opened:
    """The workspace's database; SQLite's errors become the user's."""

    def __init__(self, workspace: Workspace) -> None:
        self._path = workspace.database
        self._database = connect(self._path, MIGRATIONS, owner="retrieval-tests")

    def __enter__(self) -> sqlite3.Connection:
        return self._database

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        self._database.close()
        if isinstance(error, sqlite3.Error):
            raise fault(error, self._path) from error
