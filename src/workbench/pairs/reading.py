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
from workbench.pairs.catching_up import waiting
from workbench.pairs.history import Change, history_of, pair_of
from workbench.pairs.journal import CHANGED
from workbench.pairs.pair import STATUSES, UNDECIDED, Pair
from workbench.pairs.plan import Statement, statements
from workbench.pairs.query import Query, Term
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


@dataclass(frozen=True)
class Shape:
    """How many pairs there are, and how many of them have this and that."""

    pairs: int
    with_turns: int
    """Have earlier turns than the user's last, besides a system message."""
    with_system: int
    with_source: int
    with_tags: int
    with_note: int


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
        chosen = self._statements(_selection(dataset, status, search, tag), ordered=False)
        return sum(self._rows(f"SELECT count(*) FROM ({ids})", parameters)[0][0] for ids, parameters in chosen)

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
        selection = _selection(dataset, status, search, tag)
        return self.get_many(self.first_ids(selection, offset + limit)[offset:])

    def ids(
        self,
        dataset: Selection | str | None = None,
        *,
        status: str | None = None,
        search: str = "",
        tag: str | None = None,
    ) -> array[int]:
        """The ids of the pairs that `count` counts, in the selection's order: they ascend where it does not sort."""
        found = array("q")
        for statement, parameters in self._statements(_selection(dataset, status, search, tag)):
            # One text in one step, made while Python's other threads run: a row each would hold them up a million times
            listed = self._rows(f"SELECT json_group_array(id) FROM ({statement})", parameters)[0][0]
            _extend(found, listed)
        return found

    def first_ids(self, selection: Selection, limit: int = 200) -> array[int]:
        """The first of `ids(selection)`: what a screen shows at once, while another thread reads the others.

        It costs up to a few milliseconds, hundreds where no index serves the selection, at a million pairs; `ids` takes
        up to a second, most of it without holding up other threads. Both are of one state only if `version` is the same
        before the one and after the other.
        """
        found = array("q")
        for statement, parameters in self._statements(selection, first=limit):
            listed = f"SELECT json_group_array(id) FROM ({statement} LIMIT {limit - len(found)})"
            _extend(found, self._rows(listed, parameters)[0][0])
            if len(found) >= limit:
                break
        return found

    def unsearched(self) -> int:
        """How many pairs words do not find yet: after a large import the search is being prepared; see `catch_up`."""
        with self._errors():
            return waiting(self._connection)

    def facets(self, dataset: str | None = None) -> Facets:
        """Which statuses, tags, flags and sources the pairs of a dataset (None: of all) have, and how many each."""
        where, parameters = (
            ("WHERE pairs.dataset = :dataset", {"dataset": dataset}) if dataset is not None else ("", {})
        )

        def counts(what: str, table: str = "pairs") -> dict[str, int]:
            statement = f"SELECT {what}, count(*) FROM {table} {where} GROUP BY {what} ORDER BY {what}"
            return {row[0]: row[1] for row in self._rows(statement, parameters)}

        return Facets(
            statuses=dict.fromkeys(STATUSES, 0) | counts("status"),
            tags=counts("tag", table="pair_tags AS pairs"),
            flags=counts("flag", table="pair_flags AS f CROSS JOIN pairs ON pairs.id = f.pair AND pairs.key = f.key"),
            sources={source: number for source, number in counts("source").items() if source},
        )

    def flags_of(self, ids: Iterable[int]) -> dict[int, tuple[Flag, ...]]:
        """What the checks found of these pairs as they are now; those without a flag are left out."""
        flags: dict[int, tuple[Flag, ...]] = {}
        statement = (
            "SELECT pair, flag, detail FROM pair_flags AS f JOIN pairs ON pairs.id = f.pair AND pairs.key = f.key"
            f" WHERE pair IN ({IDS}) ORDER BY pair, flag"
        )
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

    def shape(self, dataset: str, *, status: str | None = None, preference: bool = False) -> Shape:
        """What an export has to know of the pairs of a dataset, a status (None: any) and a kind before the first.

        Undecided pairs are of no kind.
        """
        kind = f"completion IS NULL AND NOT instr(tags, '\"{UNDECIDED}\"')" if preference else "completion IS NOT NULL"
        conditions = ["dataset = :dataset", kind]
        conditions += ["status = :status"] if status is not None else []
        (row,) = self._rows(
            "SELECT count(*), total(turns - has_system > 1), total(has_system), total(source <> ''),"
            " total(tags <> '[]'), total(note <> '') FROM ("
            "SELECT source, tags, note, json_array_length(messages) AS turns,"
            " json_extract(messages, '$[0].role') = 'system' AS has_system"
            f" FROM pair_rows WHERE {' AND '.join(conditions)})",
            {"dataset": dataset, "status": status},
        )
        return Shape(*map(int, row))

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
        edits = [change for change in self.history(id) if change.kind in ("content", "judgement")]
        if not edits:
            return None
        content = {name: value for name, value in edits[0].before.items() if name in CHANGED["content"]}
        return replace(self.get(id), **content)

    def _journal_of(self, id: int) -> list[sqlite3.Row]:
        """The rows of the journal that hold a pair: its own, and the runs that it is one of."""
        return self._rows(
            """
            SELECT s.kind, s.label, s.at, c.* FROM pair_steps AS s JOIN pair_changes AS c ON c.step = s.id
            WHERE NOT s.undone AND c.rowid IN (
                SELECT rowid FROM pair_changes WHERE pair = :id AND last IS NULL
                UNION ALL
                SELECT found FROM (SELECT (
                    SELECT rowid FROM pair_changes WHERE step = steps.id AND pair <= :id ORDER BY pair DESC LIMIT 1
                ) AS found FROM (SELECT DISTINCT step AS id FROM pair_changes WHERE last IS NOT NULL) AS steps)
                WHERE (SELECT last FROM pair_changes WHERE rowid = found) >= :id
            ) ORDER BY s.id
            """,
            {"id": id},
        )

    def ids_from(self, source: str) -> list[int]:
        """The ids of the pairs that came from a source."""
        return list(self.ids(Selection(query=Query((Term("source", (source,)),)))))

    def get_many(self, ids: Iterable[int]) -> list[Pair]:
        """Those of these pairs that exist, in the order of these ids."""
        ids = list(ids)
        rows = self._rows(f"SELECT * FROM pair_rows WHERE id IN ({IDS})", {"ids": json.dumps(ids)})
        found = {row["id"]: pair_of(row) for row in rows}
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    def datasets_of(self, ids: Iterable[int]) -> dict[int, str]:
        """The datasets of those of these pairs that exist, by their ids; quick for any number, without their texts."""
        rows = self._rows(f"SELECT id, dataset FROM pairs WHERE id IN ({IDS})", {"ids": json.dumps(list(ids))})
        return {row[0]: row[1] for row in rows}

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
        ids, parameters = self._statements(Selection(dataset, status))[0]
        with self._errors():
            rows = self._connection.execute(f"SELECT * FROM pair_rows WHERE id IN ({ids}) ORDER BY id", parameters)
            yield from map(pair_of, rows)

    def accepted(self, dataset: str) -> Iterator[Pair]:
        """What training reads: the accepted pairs of a dataset, in the order in which they were added."""
        return self.pairs(dataset, status="accepted")

    def clusters(self, dataset: str) -> dict[str, str]:
        """For prompts that the checks found to be nearly the same, which stands for them in the split (see `split`).

        Both are 32 hexadecimal digits, the first half of `Pair.key`. Empty where the dataset was never checked.
        """
        rows = self._rows(
            "SELECT prompt, representative FROM prompt_clusters WHERE dataset = :d AND representative <> x''",
            {"d": dataset},
        )
        return {prompt.hex(): representative.hex() for prompt, representative in rows}

    def new_since_check(self, dataset: str) -> set[int]:
        """The accepted pairs whose prompts the last check of a dataset did not compare: they were added or edited
        since, or rejected then. Empty where it was never checked."""
        rows = self._rows(
            "SELECT id FROM pairs WHERE dataset = :d AND status = 'accepted'"
            " AND EXISTS (SELECT 1 FROM prompt_clusters WHERE dataset = :d)"
            " AND NOT EXISTS (SELECT 1 FROM prompt_clusters AS c"
            " WHERE c.dataset = :d AND c.prompt = substr(pairs.key, 1, 16))",
            {"d": dataset},
        )
        return {row[0] for row in rows}

    def version(self) -> int:
        """A number that changes whenever pairs changed, through whichever process; costs microseconds."""
        return self._rows("SELECT number FROM pair_revision")[0][0]

    def _statements(self, selection: Selection, *, ordered: bool = True, first: int | None = None) -> list[Statement]:
        with self._errors():
            return statements(self._connection, selection, ordered=ordered, first=first)

    def _rows(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[sqlite3.Row]:
        with self._errors():
            return self._connection.execute(statement, parameters or {}).fetchall()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what keeps SQLite from working as a user's error."""
        try:
            yield
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_TRIGGER:  # see the schema
                do = "Choose with P on the Pairs screen, or leave them out with -tag:undecided. Nothing was changed."
                raise UserError(str(error), do=do) from None
            if not database.is_circumstance(error):
                raise
            raise database.fault(error, self._path) from error


def _selection(dataset: Selection | str | None, status: str | None, search: str, tag: str | None) -> Selection:
    return dataset if isinstance(dataset, Selection) else Selection(dataset, status, search, tag)


def _extend(ids: array[int], listed: str) -> None:
    """Add the integers of a JSON list."""
    text, at = listed[1:-1], 0
    while at < len(text):  # piece by piece, so that other threads get their turn
        end = text.find(",", at + _PIECE)
        end = len(text) if end < 0 else end
        ids.extend(map(int, text[at:end].split(",")))
        at = end + 1
