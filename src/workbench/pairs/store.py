"""The store of pairs: reading, and changing them, where every change is one transaction and one undo step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from workbench import database
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.pairs import adding
from workbench.pairs.catching_up import index_added, index_some, remove_some
from workbench.pairs.journal import CONTENTS, STATE, Journal, pairs_of
from workbench.pairs.pair import STATUSES, NewPair, NotAPair, Pair, check_tags, is_text
from workbench.pairs.prepared import CONTENT, StoredRow, stored
from workbench.pairs.reading import IDS, DatasetSummary, Facets, Flag, PairReader
from workbench.pairs.selection import Selection

__all__ = ["AddResult", "DatasetSummary", "Facets", "Flag", "NewPair", "Pair", "PairStore", "Selection"]

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
        added = self.add_rows(dataset, batches, status=status, label=label)
        with suppress(UserError):  # the pairs are there, and the next search goes on from here
            self.catch_up()
        return added

    def add_rows(
        self,
        dataset: str,
        batches: Iterable[Sequence[StoredRow]],
        *,
        status: str = "pending",
        label: str = "added",
        from_disk: bool = False,
    ) -> AddResult:
        """Add pairs whose rows somebody has prepared already; everything else is as in `add`.

        More than a thousand are not found by words before `catch_up`, which the caller must call.

        Args:
            dataset: see `add`.
            batches: the rows.
            status: see `add`.
            label: see `add`.
            from_disk: the rows are read from a file here, so that nothing can keep them waiting: where the first
                100,000 came quickly, the others are added as they come, while nobody else can write.
        """
        check_name(dataset, "dataset")
        _check_status(status)
        with self._errors(), adding.room(self._connection):
            remaining = iter(batches)
            given, goes_on = adding.stage(self._connection, remaining, whole=not from_disk)
            with self._change():
                added, first, last = adding.move_in(self._connection, dataset, status)
                while goes_on:
                    more, goes_on = adding.stage(self._connection, remaining, at_most=1)
                    more_added, _, last = adding.move_in(self._connection, dataset, status)
                    given, added = given + more, added + more_added
                if added:
                    step = self._journal.record_added(first, last)
                    self._journal.label(step, f"{label}: {added:,} pair{'s' if added > 1 else ''} into {dataset}")
                    index_added(self._connection, first, last)
        return AddResult(added, given - added)

    def catch_up(
        self,
        *,
        progress: Callable[[float, float, str], None] | None = None,
        check_stop: Callable[[], None] | None = None,
    ) -> None:
        """Do what large changes left for later: index for searching, and remove for good what nothing brings back.

        It takes about 25 seconds for a million pairs, in short transactions between which others write, and next to
        nothing where nothing was left. Whatever ends it, the next call goes on from there.

        Args:
            progress: called with how many pairs are indexed, of how many, and "pairs".
            check_stop: called now and then; what it raises ends the work.
        """
        total = self.unsearched()
        with self._errors():
            if total:
                self._connection.execute("PRAGMA wal_checkpoint")  # of what `add_rows` has left in the log
            while index_some(self._connection):
                if progress:
                    progress(total - min(total, self.unsearched()), total, "pairs")
                if check_stop:
                    check_stop()
            while remove_some(self._connection):
                if check_stop:
                    check_stop()

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
            self._check_twin(old, row["key"])
            step, _ = self._journal.record("content", ":id", {"id": id})
            self._write(id, {name: row[name] for name in ("key", "messages", "completion", "chosen", "rejected")})
            self._connection.execute("UPDATE pairs SET edited = edited + 1 WHERE id = ?", (id,))
            self._journal.label(step, f"edited pair {id}")

    def delete(self, pairs: Sequence[int] | Selection) -> int:
        """Delete pairs; how many."""
        with self._change(pairs):
            chosen, parameters = self._chosen(pairs)
            step, count = self._journal.record("delete", chosen, parameters)
            if count:
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

        Flags can be found again, so this is no undo step. They are about a text: after an edit they count no longer,
        until the edit is undone, and a pair that is deleted and brought back has its flags again.

        Args:
            dataset: its name.
            check: the check's name; a check may find flags of several names.
            rows: (pair, flag, detail) each; those of pairs that are gone, or of another dataset, are passed over.
            pairs: replace only what was found of these; None: of all.
        """
        only = "" if pairs is None else f" AND pair IN ({IDS})"
        parameters = {"dataset": dataset, "check": check, "rows": json.dumps([list(row) for row in rows])}
        with self._change():
            self._connection.execute(
                f"""DELETE FROM pair_flags WHERE "check" = :check{only}
                AND EXISTS (SELECT 1 FROM pairs WHERE pairs.id = pair AND dataset = :dataset)""",
                {**parameters, "ids": json.dumps(list(pairs or ()))},
            )
            found = self._connection.execute(
                """INSERT OR REPLACE INTO pair_flags (pair, flag, detail, "check", key)
                SELECT pairs.id, value ->> 1, value ->> 2, :check, pairs.key FROM json_each(:rows) AS given
                CROSS JOIN pairs ON pairs.id = given.value ->> 0 WHERE dataset = :dataset""",
                parameters,
            ).rowcount
            self._journal.count_up()
        return found

    def set_lengths(self, rows: Iterable[tuple[int, str, int]]) -> int:
        """Note how many tokens pairs have as the model sees them; of how many that was not known.

        Args:
            rows: (pair, `Pair.key` of what was counted, tokens) each; those of pairs that are gone, or have another
                text by now, are passed over.
        """
        given = json.dumps([list(row) for row in rows])
        with self._change():
            noted = self._connection.execute(
                """INSERT OR REPLACE INTO pair_lengths (pair, key, tokens)
                SELECT pairs.id, pairs.key, value ->> 2 FROM json_each(:rows) AS given
                CROSS JOIN pairs ON pairs.id = given.value ->> 0 AND lower(hex(pairs.key)) = given.value ->> 1
                WHERE NOT EXISTS (SELECT 1 FROM pair_lengths AS l
                    WHERE l.pair = pairs.id AND l.key = pairs.key AND l.tokens = value ->> 2)""",
                {"rows": given},
            ).rowcount
            if noted:
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
    def _change(self, pairs: Sequence[int] | Selection = ()) -> Iterator[None]:
        """One transaction; before it, where pairs are chosen by words, all of them are made to be found."""
        if isinstance(pairs, Selection) and pairs.has_words:
            self.catch_up()
        with self._errors(), database.transaction(self._connection):
            yield

    def _set(self, column: str, value: str, pairs: Sequence[int] | Selection, label: Callable[[str], str]) -> int:
        """Set one column of those of the pairs that have another value, as one step."""
        table = "pair_contents" if column in CONTENTS else "pairs"
        with self._change(pairs):
            chosen, parameters = self._chosen(pairs)
            others = f"SELECT id FROM {table} WHERE id IN ({chosen}) AND {column} <> :value"
            step, count = self._journal.record(column, others, {**parameters, "value": value})
            if count:
                self._connection.execute(
                    f"UPDATE {table} SET {column} = :value WHERE id IN ({pairs_of(table)})",
                    {"value": value, "step": step},
                )
                self._journal.label(step, label(self._named(step, count)))
        return count

    def _retag(self, pairs: Sequence[int] | Selection, change: Callable[[list[str]], list[str]], words: str) -> int:
        """Change the tags of pairs by what they are, as one step: `words`, with the pairs for its `{}`."""
        with self._change(pairs):
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
                    "UPDATE pairs SET tags = (SELECT new.value FROM json_each(:changed) AS new"
                    f" WHERE new.key = pairs.tags) WHERE id IN ({pairs_of()})",
                    {"changed": parameters["changed"], "step": step},
                )
                self._journal.label(step, words.format(self._named(step, count)))
        return count

    def _write(self, id: int, values: Mapping[str, Any]) -> None:
        """Set columns of a pair, wherever they stand; within a change, when they have been recorded."""
        for table, own in (("pairs", STATE), ("pair_contents", CONTENTS)):
            if columns := [column for column in values if column in own]:
                assigned = ", ".join(f"{column} = :{column}" for column in columns)
                self._connection.execute(f"UPDATE {table} SET {assigned} WHERE id = :id", {**values, "id": id})

    def _chosen(self, pairs: Sequence[int] | Selection) -> tuple[str, dict[str, Any]]:
        """A SELECT of the ids of these pairs, and its parameters; with ids, all of them must exist."""
        if isinstance(pairs, Selection):
            return self._statements(pairs, ordered=False)[0]
        parameters = {"ids": json.dumps(list(pairs))}
        missing = self._connection.execute(
            f"SELECT value FROM ({IDS}) WHERE value NOT IN (SELECT id FROM pairs)", parameters
        ).fetchall()
        if missing:
            some = ", ".join(str(row[0]) for row in missing[:5]) + (", …" if len(missing) > 5 else "")
            raise UserError(f"there is no pair {some}", do="Nothing was changed.")
        return IDS, parameters

    def _check_twin(self, pair: Pair, key: bytes) -> None:
        """Refuse a content that another pair of the dataset has."""
        twin = self._connection.execute(
            "SELECT id FROM pairs WHERE dataset = ? AND key = ? AND id <> ?", (pair.dataset, key, pair.id)
        ).fetchone()
        if twin:
            raise UserError(f"pair {pair.id} would become the same as pair {twin[0]}", do="Delete one of the two.")

    def _named(self, step: int, count: int) -> str:
        """The pairs of a step, in words."""
        if count > 1:
            return f"{count:,} pairs"
        return f"pair {self._connection.execute('SELECT pair FROM pair_changes WHERE step = ?', (step,)).fetchone()[0]}"


def _row(pair: NewPair | Pair) -> dict[str, Any]:
    return dict(zip(CONTENT, stored(pair), strict=True))


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
