"""Reading the pairs of a workspace: datasets, pages, searches. It changes nothing."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from workbench import database
from workbench.errors import UserError
from workbench.pairs.journal import ROW
from workbench.pairs.pair import STATUSES, Pair
from workbench.pairs.schema import MIGRATIONS
from workbench.pairs.selection import Selection

IDS = "SELECT value FROM json_each(:ids)"
"""The ids in a JSON list, as a SELECT."""


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset and its numbers of pairs."""

    name: str
    pending: int
    accepted: int
    rejected: int
    total: int


class PairReader:
    """One connection to the workspace's database, for one thread; close it, or use it as a context manager.

    Every method raises UserError when the database is damaged or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = database.connect(path, MIGRATIONS, owner="pairs")
        self._connection.execute("PRAGMA cache_size = -32768")  # KiB
        self._connection.execute("PRAGMA journal_size_limit = 67108864")  # bytes of the WAL kept after a bulk change

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def datasets(self) -> list[DatasetSummary]:
        """All datasets that have pairs, by name."""
        counts: dict[str, dict[str, int]] = {}
        for name, status, number in self._rows("SELECT dataset, status, count(*) FROM pairs GROUP BY dataset, status"):
            counts.setdefault(name, dict.fromkeys(STATUSES, 0))[status] = number
        return [DatasetSummary(name, **counts[name], total=sum(counts[name].values())) for name in sorted(counts)]

    def count(
        self, dataset: str | None = None, *, status: str | None = None, search: str = "", tag: str | None = None
    ) -> int:
        """How many pairs there are of a dataset (None: of all), a status, with words (see `Selection`) and a tag."""
        ids, parameters = Selection(dataset, status, search, tag).ids()
        return self._rows(f"SELECT count(*) FROM ({ids})", parameters)[0][0]

    def page(
        self,
        dataset: str | None = None,
        *,
        status: str | None = None,
        search: str = "",
        tag: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> list[Pair]:
        """Pairs `offset` to `offset + limit` of those that `count` counts, in the order in which they were added."""
        ids, parameters = Selection(dataset, status, search, tag).ids()
        rows = self._rows(
            f"SELECT * FROM pairs WHERE id IN ({ids} LIMIT :limit OFFSET :offset) ORDER BY id",
            {**parameters, "limit": limit, "offset": offset},
        )
        return [_pair(row) for row in rows]

    def ids(
        self, dataset: str | None = None, *, status: str | None = None, search: str = "", tag: str | None = None
    ) -> array[int]:
        """The ids of the pairs that `count` counts, in the order in which they were added: they ascend."""
        cursor = self._connection.cursor()
        cursor.row_factory = None
        with self._errors():
            return array("q", (id for (id,) in cursor.execute(*Selection(dataset, status, search, tag).ids())))

    def ids_from(self, source: str) -> list[int]:
        """The ids of the pairs that came from a source."""
        return [
            row[0] for row in self._rows("SELECT id FROM pairs WHERE source = :source ORDER BY id", {"source": source})
        ]

    def get_many(self, ids: Iterable[int]) -> list[Pair]:
        """Those of these pairs that exist, by their ids."""
        rows = self._rows(f"SELECT * FROM pairs WHERE id IN ({IDS}) ORDER BY id", {"ids": json.dumps(list(ids))})
        return [_pair(row) for row in rows]

    def get(self, id: int) -> Pair:
        """One pair.

        Raises:
            UserError: there is none with this id.
        """
        if pairs := self.get_many([id]):
            return pairs[0]
        raise UserError(f"there is no pair {id}", do="See the ids with `workbench pairs list`.")

    def pairs(self, dataset: str | None = None, *, status: str | None = None) -> Iterator[Pair]:
        """All pairs of a dataset and a status, in the order in which they were added, as they were at the first."""
        ids, parameters = Selection(dataset, status).ids()
        with self._errors():
            rows = self._connection.execute(f"SELECT * FROM pairs WHERE id IN ({ids}) ORDER BY id", parameters)
            yield from map(_pair, rows)

    def accepted(self, dataset: str) -> Iterator[Pair]:
        """What training reads: the accepted pairs of a dataset, in the order in which they were added."""
        return self.pairs(dataset, status="accepted")

    def version(self) -> int:
        """A number that changes whenever pairs changed, through whichever process; costs microseconds."""
        return self._rows("SELECT number FROM pair_revision")[0][0]

    def _rows(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[sqlite3.Row]:
        with self._errors():
            return self._connection.execute(statement, parameters or {}).fetchall()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what keeps SQLite from working as a user's error."""
        try:
            yield
        except sqlite3.Error as error:
            if not database.is_circumstance(error):
                raise
            raise database.fault(error, self._path) from error


def _pair(row: sqlite3.Row) -> Pair:
    values = {column: row[column] for column in ("id", *ROW)}
    values |= {
        "key": row["key"].hex(),
        "messages": json.loads(row["messages"]),
        "tags": tuple(json.loads(row["tags"])),
    }
    return Pair(**values)
