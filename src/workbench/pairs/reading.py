"""Reading the pairs of a workspace: datasets, pages, searches. It changes nothing."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from workbench import database
from workbench.errors import UserError
from workbench.pairs.history import Change, history_of, pair_of
from workbench.pairs.pair import STATUSES, Pair
from workbench.pairs.schema import MIGRATIONS
from workbench.pairs.selection import Selection

IDS = "SELECT value FROM json_each(:ids)"
"""The ids in a JSON list, as a SELECT."""


_PIECE = 100_000  # characters


@dataclass(frozen=True)
class Facets:
    """What pairs can be narrowed by, and how many pairs have each."""

    statuses: dict[str, int]
    """All three, also where none has it."""
    tags: dict[str, int]
    flags: dict[str, int]
    sources: dict[str, int]
    """By file: `file.jsonl` stands for `file.jsonl:1`, `file.jsonl:2` and so on."""


@dataclass(frozen=True)
class Flag:
    """What a check found of a pair."""

    name: str
    """One of `query.FLAGS`."""
    detail: str = ""
    """A short text, or JSON, for people and dialogs."""


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
        self,
        dataset: Selection | str | None = None,
        *,
        status: str | None = None,
        search: str = "",
        tag: str | None = None,
    ) -> int:
        """How many pairs there are of a selection; or of a dataset (None: of all), a status, with words and a tag."""
        ids, parameters = _selection(dataset, status, search, tag).ids()
        return self._rows(f"SELECT count(*) FROM ({ids})", parameters)[0][0]

    def page(
        self,
        dataset: Selection | str | None = None,
        *,
        status: str | None = None,
        search: str = "",
        tag: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> list[Pair]:
        """Pairs `offset` to `offset + limit` of those that `count` counts, in the selection's order."""
        ids, parameters = _selection(dataset, status, search, tag).ids()
        found = self._rows(f"{ids} LIMIT :limit OFFSET :offset", {**parameters, "limit": limit, "offset": offset})
        return self.get_many([row[0] for row in found])

    def ids(
        self,
        dataset: Selection | str | None = None,
        *,
        status: str | None = None,
        search: str = "",
        tag: str | None = None,
    ) -> array[int]:
        """The ids of the pairs that `count` counts, in the selection's order: they ascend where it does not sort."""
        ids, parameters = _selection(dataset, status, search, tag).ids()
        return _array(self._rows(f"SELECT json_group_array(id) FROM ({ids})", parameters)[0][0])

    def first_ids(self, selection: Selection, limit: int = 1000) -> array[int]:
        """The first of `ids(selection)`: what a screen shows at once, while the others are read by another thread."""
        ids, parameters = selection.ids()
        return array("q", [row[0] for row in self._rows(f"{ids} LIMIT :limit", {**parameters, "limit": limit})])

    def facets(self, dataset: str | None = None) -> Facets:
        """Which statuses, tags, flags and sources the pairs of a dataset (None: of all) have, and how many each."""
        where, parameters = (
            ("WHERE pairs.dataset = :dataset", {"dataset": dataset}) if dataset is not None else ("", {})
        )
        sources: dict[str, int] = {}
        for source, number in self._rows(f"SELECT source, count(*) FROM pairs {where} GROUP BY source", parameters):
            if source:
                sources[source_of(source)] = sources.get(source_of(source), 0) + number

        def counts(what: str, more: str = "") -> dict[str, int]:
            statement = f"SELECT {what}, count(*) FROM pairs {more} {where} GROUP BY {what} ORDER BY {what}"
            return {row[0]: row[1] for row in self._rows(statement, parameters)}

        return Facets(
            statuses=dict.fromkeys(STATUSES, 0) | counts("status"),
            tags=counts("value", "JOIN json_each(pairs.tags)"),
            flags=counts("flag", "JOIN pair_flags ON pair_flags.pair = pairs.id"),
            sources=dict(sorted(sources.items())),
        )

    def flags_of(self, ids: Iterable[int]) -> dict[int, tuple[Flag, ...]]:
        """What the checks found of these pairs; those without a flag are left out."""
        flags: dict[int, tuple[Flag, ...]] = {}
        statement = f"SELECT pair, flag, detail FROM pair_flags WHERE pair IN ({IDS}) ORDER BY pair, flag"
        for pair, flag, detail in self._rows(statement, {"ids": json.dumps(list(ids))}):
            flags[pair] = (*flags.get(pair, ()), Flag(flag, detail))
        return flags

    def tokens_of(self, ids: Iterable[int]) -> dict[int, int]:
        """The tokens of these pairs as the model sees them; those not counted since their last edit are left out."""
        statement = (
            "SELECT pair, tokens FROM pair_lengths JOIN pairs ON pairs.id = pair AND pairs.key = pair_lengths.key"
            f" WHERE pair IN ({IDS})"
        )
        return {row[0]: row[1] for row in self._rows(statement, {"ids": json.dumps(list(ids))})}

    def history(self, id: int) -> list[Change]:
        """All that was done to a pair and not undone, oldest first.

        Raises:
            UserError: there is no such pair.
        """
        return history_of(self.get(id), self._journal_of(id))

    def original(self, id: int) -> Pair | None:
        """A pair with the content with which it came into its dataset; None if that was never edited.

        Raises:
            UserError: there is no such pair.
        """
        edits = [change for change in self.history(id) if change.kind == "content"]
        return replace(self.get(id), **edits[0].before) if edits else None

    def _journal_of(self, id: int) -> list[sqlite3.Row]:
        return self._rows(
            "SELECT s.id, s.kind, s.label, s.at, c.* FROM pair_changes AS c JOIN pair_steps AS s ON s.id = c.step"
            " WHERE c.pair = :id AND NOT s.undone ORDER BY s.id",
            {"id": id},
        )

    def ids_from(self, source: str) -> list[int]:
        """The ids of the pairs that came from a source."""
        return [
            row[0] for row in self._rows("SELECT id FROM pairs WHERE source = :source ORDER BY id", {"source": source})
        ]

    def get_many(self, ids: Iterable[int]) -> list[Pair]:
        """Those of these pairs that exist, in the order of these ids."""
        ids = list(ids)
        rows = self._rows(f"SELECT * FROM pairs WHERE id IN ({IDS})", {"ids": json.dumps(ids)})
        found = {row["id"]: pair_of(row) for row in rows}
        return [found[id] for id in dict.fromkeys(ids) if id in found]

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
            yield from map(pair_of, rows)

    def accepted(self, dataset: str) -> Iterator[Pair]:
        """What training reads: the accepted pairs of a dataset, in the order in which they were added."""
        return self.pairs(dataset, status="accepted")

    def clusters(self, dataset: str) -> dict[str, str]:
        """For prompts that the checks found to be nearly the same, which stands for them in the split (see `split`).

        Both are 32 hexadecimal digits, the first half of `Pair.key`. Empty where the dataset was never checked.
        """
        rows = self._rows("SELECT prompt, representative FROM prompt_clusters WHERE dataset = :d", {"d": dataset})
        return {prompt.hex(): representative.hex() for prompt, representative in rows}

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


def source_of(source: str) -> str:
    """The file of a source such as `file.jsonl:17`."""
    file, colon, line = source.rpartition(":")
    return file if colon and file and line.isascii() and line.isdigit() else source


def _selection(dataset: Selection | str | None, status: str | None, search: str, tag: str | None) -> Selection:
    return dataset if isinstance(dataset, Selection) else Selection(dataset, status, search, tag)


def _array(numbers: str) -> array[int]:
    """The integers of a JSON list."""
    ids = array("q")
    text, at = numbers[1:-1], 0
    while at < len(text):  # piece by piece, so that other threads get their turn
        end = text.find(",", at + _PIECE)
        end = len(text) if end < 0 else end
        ids.extend(map(int, text[at:end].split(",")))
        at = end + 1
    return ids
