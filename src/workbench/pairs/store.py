"""The store of pairs: reading, and changing them, where every change is one transaction and one undo step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from workbench import database
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.pairs.journal import Journal
from workbench.pairs.pair import STATUSES, NewPair, NotAPair, Pair, check_tags, is_text
from workbench.pairs.prepared import CONTENT, StoredRow, stored
from workbench.pairs.reading import IDS, DatasetSummary, PairReader
from workbench.pairs.selection import Selection

__all__ = ["AddResult", "DatasetSummary", "NewPair", "Pair", "PairStore"]

_BATCH = 1000


@dataclass(frozen=True)
class AddResult:
    """What became of rows that were added."""

    added: int
    duplicates: int
    """Rows whose key the dataset, or an earlier row, had."""


class PairStore(PairReader):
    """The pairs of a workspace, for one thread; close it, or use it as a context manager.

    Every method that changes something has committed when it returns, and raises UserError when another process holds
    the database for half a minute, the disk is full, or an id does not exist; then nothing is changed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._journal = Journal(self._connection)

    def add(self, dataset: str, rows: Iterable[NewPair], *, status: str = "pending", label: str = "added") -> AddResult:
        """Add pairs, but for those that the dataset has; all of them or, when `rows` raises, none.

        The rows are gathered aside first, so that others can write to the database meanwhile.

        Args:
            dataset: its name; made by its first pair.
            rows: may be a generator over a file of any length.
            status: of all of them.
            label: what undo says was done, before ": N pairs into DATASET".

        Raises:
            UserError: the dataset or the status cannot be called so.
        """
        remaining = iter(rows)
        batches = iter(lambda: [stored(row) for row in islice(remaining, _BATCH)], [])
        return self.add_rows(dataset, batches, status=status, label=label)

    def add_rows(
        self, dataset: str, batches: Iterable[Sequence[StoredRow]], *, status: str = "pending", label: str = "added"
    ) -> AddResult:
        """Add pairs whose rows somebody has prepared already; everything else is as in `add`."""
        check_name(dataset, "dataset")
        _check_status(status)
        with self._errors():
            given = self._stage(batches)
        with self._change():
            added = self._add_staged(dataset, status, label)
        with self._errors():
            self._connection.execute("DROP TABLE temp.staged")
        return AddResult(added, given - added)

    def set_status(self, ids: Sequence[int], status: str) -> int:
        """Set the status of pairs; how many had another one."""
        _check_status(status)
        return self._set("status", status, ids, label=lambda pairs: f"{_done(status)} {pairs}")

    def set_status_where(
        self,
        status: str,
        *,
        dataset: str | None,
        current: str | None = None,
        search: str = "",
        tag: str | None = None,
    ) -> int:
        """Set the status of all pairs that `count(dataset, status=current, ...)` counts, in one step; how many."""
        _check_status(status)
        chosen, parameters = Selection(dataset, current, search, tag).ids()
        with self._change():
            return self._update("status", status, chosen, parameters, lambda pairs: f"{_done(status)} {pairs}")

    def set_tags(self, ids: Sequence[int], tags: Iterable[str]) -> int:
        """Replace the tags of pairs; how many had others.

        Raises:
            UserError: a tag has commas, quotes or backslashes, or more than 64 characters.
        """
        tags = list(dict.fromkeys(tags))
        try:
            check_tags(tags)
        except NotAPair as error:
            raise UserError(str(error)) from None
        return self._set("tags", _json(tags), ids, label=lambda pairs: f"tagged {pairs}")

    def set_note(self, ids: Sequence[int], note: str) -> int:
        """Replace the note of pairs; how many had another one."""
        if not is_text(note):
            raise UserError("a note must be text", do="Leave out NUL characters and halves of surrogate pairs.")
        return self._set("note", note, ids, label=lambda pairs: f"noted {pairs}")

    def edit(
        self,
        id: int,
        *,
        messages: Sequence[Mapping[str, str]] | None = None,
        completion: str | None = None,
        chosen: str | None = None,
        rejected: str | None = None,
    ) -> None:
        """Replace parts of a pair; None leaves a part as it is.

        Raises:
            UserError: the result is no pair (see `NewPair`), or its dataset has it already.
        """
        with self._change():
            old = self.get(id)
            parts = {"messages": messages, "completion": completion, "chosen": chosen, "rejected": rejected}
            try:
                new = NewPair(**{name: getattr(old, name) if part is None else part for name, part in parts.items()})
            except NotAPair as error:
                raise UserError(f"pair {id} {error}", do="It is left as it was.") from None
            row = _row(new)
            if all(row[name] == value for name, value in _row(old).items()):
                return
            twin = self._connection.execute(
                "SELECT id FROM pairs WHERE dataset = ? AND key = ? AND id <> ?", (old.dataset, row["key"], id)
            ).fetchone()
            if twin:
                raise UserError(f"pair {id} would become the same as pair {twin[0]}", do="Delete one of the two.")
            step, _ = self._journal.record("content", ":id", {"id": id})
            self._connection.execute(
                "UPDATE pairs SET key = :key, messages = :messages, completion = :completion, chosen = :chosen,"
                " rejected = :rejected WHERE id = :id",
                {**row, "id": id},
            )
            self._journal.label(step, f"edited pair {id}")

    def delete(self, ids: Sequence[int]) -> int:
        """Delete pairs; how many."""
        with self._change():
            self._check_ids(ids)
            chosen = {"ids": json.dumps(list(ids))}
            step, count = self._journal.record("delete", IDS, chosen)
            self._connection.execute(f"DELETE FROM pairs WHERE id IN ({IDS})", chosen)
            self._journal.label(step, f"deleted {_pairs(count, ids)}")
        return count

    def undo(self) -> str | None:
        """Take back the latest change; what it was (`accepted 3 pairs`), or None when there is nothing to undo."""
        with self._change():
            return self._journal.undo()

    def redo(self) -> str | None:
        """Do again what was undone last; what it is, or None when there is nothing to redo."""
        with self._change():
            return self._journal.redo()

    # Inside

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._errors(), database.transaction(self._connection):
            yield

    def _set(self, column: str, value: str, ids: Sequence[int], *, label: Callable[[str], str]) -> int:
        with self._change():
            self._check_ids(ids)
            return self._update(column, value, IDS, {"ids": json.dumps(list(ids))}, label)

    def _update(
        self, column: str, value: str, chosen: str, parameters: Mapping[str, Any], label: Callable[[str], str]
    ) -> int:
        """Set one column of the chosen pairs that have another value, as one step."""
        others = f"SELECT id FROM pairs WHERE id IN ({chosen}) AND {column} <> :value"
        step, count = self._journal.record(column, others, {**parameters, "value": value})
        if count:
            self._connection.execute(
                f"UPDATE pairs SET {column} = ? FROM pair_changes AS kept WHERE kept.step = ? AND kept.pair = pairs.id",
                (value, step),
            )
            touched = self._connection.execute("SELECT min(pair) FROM pair_changes WHERE step = ?", (step,)).fetchone()
            self._journal.label(step, label(_pairs(count, touched)))
        return count

    def _check_ids(self, ids: Sequence[int]) -> None:
        missing = self._connection.execute(
            f"SELECT value FROM ({IDS}) WHERE value NOT IN (SELECT id FROM pairs)", {"ids": json.dumps(list(ids))}
        ).fetchall()
        if missing:
            some = ", ".join(str(row[0]) for row in missing[:5]) + (", …" if len(missing) > 5 else "")
            raise UserError(f"there is no pair {some}", do="Nothing was changed.")

    def _stage(self, batches: Iterable[Sequence[StoredRow]]) -> int:
        """Gather rows in a temporary table, where nothing is locked; how many were given."""
        self._connection.execute("DROP TABLE IF EXISTS temp.staged")
        self._connection.execute(
            f"CREATE TEMP TABLE staged (id INTEGER PRIMARY KEY, {', '.join(CONTENT)}, UNIQUE (key))"
        )
        values = ", ".join("?" * len(CONTENT))
        insert = f"INSERT OR IGNORE INTO temp.staged ({', '.join(CONTENT)}) VALUES ({values})"
        given = 0
        for batch in batches:
            self._connection.execute("BEGIN")  # of the temporary database only: `pairs` is not locked
            self._connection.executemany(insert, batch)
            self._connection.execute("COMMIT")
            given += len(batch)
        return given

    def _add_staged(self, dataset: str, status: str, label: str) -> int:
        row = {"dataset": dataset, "status": status}
        last = self._connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'pairs'")
        before = last.fetchone()[0]
        self._connection.execute(
            f"INSERT INTO pairs (dataset, status, {', '.join(CONTENT)})"
            f" SELECT :dataset, :status, {', '.join(CONTENT)} FROM temp.staged WHERE NOT EXISTS"
            " (SELECT 1 FROM pairs WHERE pairs.dataset = :dataset AND pairs.key = staged.key) ORDER BY staged.id",
            row,
        )
        step, added = self._journal.record("add", "SELECT id FROM pairs WHERE id > :before", {"before": before})
        self._journal.label(step, f"{label}: {added:,} pair{'s' if added != 1 else ''} into {dataset}")
        return added


def _row(pair: NewPair | Pair) -> dict[str, Any]:
    return dict(zip(CONTENT, stored(pair), strict=True))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _check_status(status: str) -> None:
    if status not in STATUSES:
        raise UserError(f"{status!r} is no status", do=f"Use one of: {', '.join(STATUSES)}.")


def _done(status: str) -> str:
    return "put back to pending" if status == "pending" else status


def _pairs(count: int, ids: Sequence[int]) -> str:
    return f"pair {ids[0]}" if count == 1 else f"{count:,} pairs"
