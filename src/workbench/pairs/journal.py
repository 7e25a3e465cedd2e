"""The journal: every change of pairs is one step that can be undone and redone, also after a restart.

A step keeps the *other* state of the pairs that it touched: the former one while it is done, the later one while it is
undone. Undo and redo both exchange it with the present state, by a handful of SQL statements whatever the number of
pairs. The caller holds the transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

ROW = ("dataset", "key", "status", "tags", "note", "source", "messages", "completion", "chosen", "rejected")
"""All columns of a pair but its id."""

CHANGED = {
    "status": ("status",),
    "tags": ("tags",),
    "note": ("note",),
    "content": ("key", "messages", "completion", "chosen", "rejected"),
}
"""The columns that a kind of step changes; the kinds `add` and `delete` make and remove whole rows."""


class Journal:
    """Records steps and takes them back, on a connection that others use too."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def record(self, kind: str, pairs: str, parameters: Mapping[str, Any] | None = None) -> tuple[int, int]:
        """Keep the state of some pairs before it is changed (kind `add`: note which were just made).

        What had been undone can no longer be redone. With no pairs there is no step, and nothing is changed.

        Args:
            kind: a key of `CHANGED`, `add` or `delete`.
            pairs: a SELECT of ids, with named parameters.
            parameters: their values.

        Returns:
            The step's number, and how many pairs it touches. `label` it when it is done.
        """
        step = self._connection.execute("SELECT 1 + coalesce(max(id), 0) FROM pair_steps").fetchone()[0]
        kept = ", ".join(("pair", *_kept_of(kind)))
        taken = ", ".join(("id", *_kept_of(kind)))
        count = self._connection.execute(
            f"INSERT INTO pair_changes (step, {kept}) SELECT :step, {taken} FROM pairs WHERE id IN ({pairs})",
            {**(parameters or {}), "step": step},
        ).rowcount
        if count:
            self._connection.execute("DELETE FROM pair_changes WHERE step IN (SELECT id FROM pair_steps WHERE undone)")
            self._connection.execute("DELETE FROM pair_steps WHERE undone")
            self._connection.execute("INSERT INTO pair_steps (id, kind, label) VALUES (?, ?, '')", (step, kind))
            self.count_up()
        return step, count

    def label(self, step: int, text: str) -> None:
        """Say what a step did, in words that follow "Undone: "."""
        self._connection.execute("UPDATE pair_steps SET label = ? WHERE id = ?", (text, step))

    def undo(self) -> str | None:
        """Take back the latest step; its label, or None when there is none."""
        found = self._connection.execute(
            "SELECT id, kind, label FROM pair_steps WHERE NOT undone ORDER BY id DESC LIMIT 1"
        ).fetchone()
        return self._go(found, undone=True) if found else None

    def redo(self) -> str | None:
        """Do again what was undone last; its label, or None when there is nothing."""
        found = self._connection.execute(
            "SELECT id, kind, label FROM pair_steps WHERE undone ORDER BY id LIMIT 1"
        ).fetchone()
        return self._go(found, undone=False) if found else None

    def _go(self, found: sqlite3.Row, *, undone: bool) -> str:
        step, kind, label = found
        if kind in CHANGED:
            self._exchange(step, CHANGED[kind])
        elif (kind == "add") == undone:
            self._take_out(step)
        else:
            self._put_back(step)
        self._connection.execute("UPDATE pair_steps SET undone = ? WHERE id = ?", (undone, step))
        self.count_up()
        return label

    def _exchange(self, step: int, columns: tuple[str, ...]) -> None:
        """Swap these columns of the step's pairs with what the step keeps."""
        self._connection.execute("DROP TABLE IF EXISTS temp.present")
        self._connection.execute(
            f"CREATE TEMP TABLE present AS SELECT id, {', '.join(columns)} FROM pairs"
            " WHERE id IN (SELECT pair FROM pair_changes WHERE step = ?)",
            (step,),
        )
        self._connection.execute(
            f"UPDATE pairs SET {_assign(columns, 'kept')} FROM pair_changes AS kept"
            " WHERE kept.step = ? AND kept.pair = pairs.id",
            (step,),
        )
        self._connection.execute(
            f"UPDATE pair_changes SET {_assign(columns, 'present')} FROM temp.present"
            " WHERE pair_changes.step = ? AND pair_changes.pair = present.id",
            (step,),
        )
        self._connection.execute("DROP TABLE temp.present")

    def _take_out(self, step: int) -> None:
        """Move the step's pairs out of their dataset into the journal."""
        self._connection.execute(
            f"UPDATE pair_changes SET {_assign(ROW, 'pairs')} FROM pairs"
            " WHERE pair_changes.step = ? AND pairs.id = pair_changes.pair",
            (step,),
        )
        self._connection.execute(
            "DELETE FROM pairs WHERE id IN (SELECT pair FROM pair_changes WHERE step = ?)", (step,)
        )

    def _put_back(self, step: int) -> None:
        """Move the step's pairs out of the journal back into their dataset, under their ids."""
        columns = ", ".join(ROW)
        self._connection.execute(
            f"INSERT INTO pairs (id, {columns}) SELECT pair, {columns} FROM pair_changes WHERE step = ? ORDER BY pair",
            (step,),
        )
        nothing = ", ".join(f"{column} = NULL" for column in ROW)
        self._connection.execute(f"UPDATE pair_changes SET {nothing} WHERE step = ?", (step,))

    def count_up(self) -> None:
        """Give the pairs a new version."""
        self._connection.execute("UPDATE pair_revision SET number = number + 1")


def _kept_of(kind: str) -> tuple[str, ...]:
    if kind == "add":
        return ()
    return ROW if kind == "delete" else CHANGED[kind]


def _assign(columns: tuple[str, ...], source: str) -> str:
    return ", ".join(f"{column} = {source}.{column}" for column in columns)
