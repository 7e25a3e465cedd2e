"""The store of pairs: reading, and changing them, where every change is one transaction and one undo step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from workbench import database
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.pairs.journal import Journal
from workbench.pairs.pair import STATUSES, NewPair, NotAPair, Pair, check_tags, is_text
from workbench.pairs.reading import IDS, DatasetSummary, Facets, Flag, PairReader
from workbench.pairs.selection import Selection

__all__ = ["AddResult", "DatasetSummary", "Facets", "Flag", "NewPair", "Pair", "PairStore", "Selection"]

_CONTENT = ("key", "source", "tags", "note", "messages", "completion", "chosen", "rejected")
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
        check_name(dataset, "dataset")
        _check_status(status)
        with self._errors():
            given = self._stage(rows)
        with self._change():
            added = self._add_staged(dataset, status, label)
        with self._errors():
            self._connection.execute("DROP TABLE temp.staged")
        return AddResult(added, given - added)

    def set_status(self, pairs: Sequence[int] | Selection, status: str) -> int:
        """Set the status of pairs; how many had another one.

        Args:
            pairs: their ids; or a selection, for all that it holds at this moment. So with the methods below.
            status: one of `STATUSES`.
        """
        _check_status(status)
        return self._set("status", status, pairs, lambda named: f"{_done(status)} {named}")

    def set_status_where(
        self,
        status: str,
        selection: Selection | None = None,
        *,
        dataset: str | None = None,
        current: str | None = None,
        search: str = "",
        tag: str | None = None,
    ) -> int:
        """Set the status of all pairs that `count(dataset, status=current, ...)` counts, in one step; how many."""
        return self.set_status(selection or Selection(dataset, current, search, tag), status)

    def set_tags(self, pairs: Sequence[int] | Selection, tags: Iterable[str]) -> int:
        """Replace the tags of pairs; how many had others.

        Raises:
            UserError: a tag has commas, quotes or backslashes, or more than 64 characters.
        """
        return self._set("tags", _json(_checked_tags(tags)), pairs, lambda named: f"tagged {named}")

    def add_tags(self, pairs: Sequence[int] | Selection, tags: Iterable[str]) -> int:
        """Give pairs tags besides those that they have; how many lacked one.

        Raises:
            UserError: as `set_tags`.
        """
        more = _checked_tags(tags)
        words = f"tagged {{}} with {', '.join(more)}"
        return self._retag(pairs, lambda tags: list(dict.fromkeys([*tags, *more])), words)

    def remove_tags(self, pairs: Sequence[int] | Selection, tags: Iterable[str]) -> int:
        """Take tags away from pairs; how many had one of them.

        Raises:
            UserError: as `set_tags`.
        """
        gone = _checked_tags(tags)
        words = f"took {', '.join(gone)} from {{}}"
        return self._retag(pairs, lambda tags: [tag for tag in tags if tag not in gone], words)

    def set_note(self, pairs: Sequence[int] | Selection, note: str) -> int:
        """Replace the note of pairs; how many had another one."""
        if not is_text(note):
            raise UserError("a note must be text", do="Leave out NUL characters and halves of surrogate pairs.")
        return self._set("note", note, pairs, lambda named: f"noted {named}")

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

    def delete(self, pairs: Sequence[int] | Selection) -> int:
        """Delete pairs; how many."""
        with self._change():
            chosen, parameters = self._chosen(pairs)
            step, count = self._journal.record("delete", chosen, parameters)
            if count:
                self._connection.execute(
                    "DELETE FROM pairs WHERE id IN (SELECT pair FROM pair_changes WHERE step = ?)", (step,)
                )
                self._journal.label(step, f"deleted {self._named(step, count)}")
        return count

    def set_flags(
        self,
        dataset: str,
        check: str,
        rows: Iterable[tuple[int, str, str]],
        *,
        pairs: Iterable[int] | None = None,
    ) -> int:
        """Replace all that a check found in a dataset; how many flags it has now found.

        Flags can be found again, so this is no undo step; and they go with their pair.

        Args:
            dataset: its name.
            check: the check's name; a check may find flags of several names.
            rows: (pair, flag, detail) each; those of pairs that are gone, or of another dataset, are passed over.
            pairs: replace only what was found of these; None: of all.
        """
        given = json.dumps([list(row) for row in rows])
        only = "" if pairs is None else f" AND id IN ({IDS})"
        parameters = {"dataset": dataset, "check": check, "rows": given}
        with self._change():
            self._connection.execute(
                f"""DELETE FROM pair_flags WHERE "check" = :check
                AND pair IN (SELECT id FROM pairs WHERE dataset = :dataset{only})""",
                {**parameters, "ids": json.dumps(list(pairs or ()))},
            )
            found = self._connection.execute(
                """INSERT OR REPLACE INTO pair_flags (pair, flag, detail, "check")
                SELECT pairs.id, value ->> 1, value ->> 2, :check FROM json_each(:rows) AS given
                JOIN pairs ON pairs.id = given.value ->> 0 WHERE dataset = :dataset""",
                parameters,
            ).rowcount
            self._journal.count_up()
        return found

    def set_lengths(self, rows: Iterable[tuple[int, str, int]]) -> int:
        """Note how many tokens pairs have as the model sees them; how many pairs there still are of them.

        Args:
            rows: (pair, `Pair.key` of what was counted, tokens) each.
        """
        given = json.dumps([list(row) for row in rows])
        with self._change():
            noted = self._connection.execute(
                """INSERT OR REPLACE INTO pair_lengths (pair, key, tokens)
                SELECT pairs.id, pairs.key, value ->> 2 FROM json_each(:rows) AS given
                JOIN pairs ON pairs.id = given.value ->> 0 AND lower(hex(pairs.key)) = given.value ->> 1""",
                {"rows": given},
            ).rowcount
            self._journal.count_up()
        return noted

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

    def _set(self, column: str, value: str, pairs: Sequence[int] | Selection, label: Callable[[str], str]) -> int:
        """Set one column of those of the pairs that have another value, as one step."""
        with self._change():
            chosen, parameters = self._chosen(pairs)
            others = f"SELECT id FROM pairs WHERE id IN ({chosen}) AND {column} <> :value"
            step, count = self._journal.record(column, others, {**parameters, "value": value})
            if count:
                self._connection.execute(
                    f"UPDATE pairs SET {column} = ? FROM pair_changes AS kept"
                    " WHERE kept.step = ? AND kept.pair = pairs.id",
                    (value, step),
                )
                self._journal.label(step, label(self._named(step, count)))
        return count

    def _retag(self, pairs: Sequence[int] | Selection, change: Callable[[list[str]], list[str]], words: str) -> int:
        """Change the tags of pairs by what they are, as one step: `words`, with the pairs for its `{}`."""
        with self._change():
            chosen, parameters = self._chosen(pairs)
            found = self._connection.execute(f"SELECT DISTINCT tags FROM pairs WHERE id IN ({chosen})", parameters)
            changed = {old: _json(change(json.loads(old))) for (old,) in found}
            changed = {old: new for old, new in changed.items() if old != new}
            others = (
                f"SELECT id FROM pairs WHERE id IN ({chosen}) AND tags IN (SELECT j.key FROM json_each(:changed) AS j)"
            )
            parameters |= {"changed": _json(changed)}
            step, count = self._journal.record("tags", others, parameters)
            if count:
                self._connection.execute(
                    "UPDATE pairs SET tags = (SELECT new.value FROM json_each(?) AS new WHERE new.key = pairs.tags)"
                    " FROM pair_changes AS kept WHERE kept.step = ? AND kept.pair = pairs.id",
                    (parameters["changed"], step),
                )
                self._journal.label(step, words.format(self._named(step, count)))
        return count

    def _chosen(self, pairs: Sequence[int] | Selection) -> tuple[str, dict[str, Any]]:
        """A SELECT of the ids of these pairs, and its parameters; with ids, all of them must exist."""
        if isinstance(pairs, Selection):
            return replace(pairs, query=pairs.query.sorted_by("")).ids()
        parameters = {"ids": json.dumps(list(pairs))}
        missing = self._connection.execute(
            f"SELECT value FROM ({IDS}) WHERE value NOT IN (SELECT id FROM pairs)", parameters
        ).fetchall()
        if missing:
            some = ", ".join(str(row[0]) for row in missing[:5]) + (", …" if len(missing) > 5 else "")
            raise UserError(f"there is no pair {some}", do="Nothing was changed.")
        return IDS, parameters

    def _named(self, step: int, count: int) -> str:
        """The pairs of a step, in words."""
        if count > 1:
            return f"{count:,} pairs"
        return f"pair {self._connection.execute('SELECT pair FROM pair_changes WHERE step = ?', (step,)).fetchone()[0]}"

    def _stage(self, rows: Iterable[NewPair]) -> int:
        """Gather rows in a temporary table, where nothing is locked; how many were given."""
        self._connection.execute("DROP TABLE IF EXISTS temp.staged")
        self._connection.execute(
            f"CREATE TEMP TABLE staged (id INTEGER PRIMARY KEY, {', '.join(_CONTENT)}, UNIQUE (key))"
        )
        values = ", ".join(f":{column}" for column in _CONTENT)
        insert = f"INSERT OR IGNORE INTO temp.staged ({', '.join(_CONTENT)}) VALUES ({values})"
        given = 0
        remaining = iter(rows)
        while batch := [_row(row) for row in islice(remaining, _BATCH)]:
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
            f"INSERT INTO pairs (dataset, status, {', '.join(_CONTENT)})"
            f" SELECT :dataset, :status, {', '.join(_CONTENT)} FROM temp.staged WHERE NOT EXISTS"
            " (SELECT 1 FROM pairs WHERE pairs.dataset = :dataset AND pairs.key = staged.key) ORDER BY staged.id",
            row,
        )
        step, added = self._journal.record("add", "SELECT id FROM pairs WHERE id > :before", {"before": before})
        self._journal.label(step, f"{label}: {added:,} pair{'s' if added != 1 else ''} into {dataset}")
        return added


def _row(pair: NewPair | Pair) -> dict[str, Any]:
    return {
        "key": bytes.fromhex(pair.key),
        "source": pair.source,
        "tags": _json(pair.tags),
        "note": pair.note,
        "messages": _json([{"role": message["role"], "content": message["content"]} for message in pair.messages]),
        "completion": pair.completion,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _check_status(status: str) -> None:
    if status not in STATUSES:
        raise UserError(f"{status!r} is no status", do=f"Use one of: {', '.join(STATUSES)}.")


def _done(status: str) -> str:
    return "put back to pending" if status == "pending" else status


def _checked_tags(tags: Iterable[str]) -> list[str]:
    tags = list(dict.fromkeys(tags))
    try:
        check_tags(tags)
    except NotAPair as error:
        raise UserError(str(error)) from None
    return tags
