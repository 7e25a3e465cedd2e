"""The journal: every change of pairs is one step that can be undone and redone, also after a restart.

A step keeps the *other* state of the pairs that it touched: the former one while it is done, the later one while it is
undone. Undo and redo both exchange it with the present state, by a handful of SQL statements whatever the number of
pairs. Pairs that follow each other and are alike in what changes share one row. The caller holds the transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

STATE = ("dataset", "key", "status", "tags", "source", "line", "preference", "chars", "edited")
"""The columns of `pairs` but its id."""

CONTENTS = ("messages", "completion", "chosen", "rejected", "note")
"""The columns of `pair_contents` but its id."""

CHANGED = {
    "status": ("status",),
    "tags": ("tags",),
    "note": ("note",),
    "content": ("key", "edited", "messages", "completion", "chosen", "rejected"),
    "judgement": ("key", "status", "tags", "edited", "messages", "completion", "chosen", "rejected"),
}
"""The columns that a kind of step changes; the kinds `add` and `delete` make and remove whole pairs."""

_AT_ONCE = 1000  # ids of pairs that are removed for good in the midst of a change; more wait for `catching_up`


class Journal:
    """Records steps and takes them back, on a connection that others use too."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def record(self, kind: str, pairs: str, parameters: Mapping[str, Any] | None = None) -> tuple[int, int]:
        """Keep the state of some pairs before the caller changes it.

        What had been undone can no longer be redone. With no pairs there is no step, and nothing is changed.

        Args:
            kind: a key of `CHANGED`, or `delete`, which also takes the pairs out.
            pairs: a SELECT of ids, with named parameters.
            parameters: their values.

        Returns:
            The step's number, and how many pairs it touches. `label` it when it is done.
        """
        step = self._next()
        columns = CHANGED.get(kind, ())
        kept = "".join(f", {column}" for column in columns)
        alike = f"PARTITION BY {kept[2:]}" if kept else ""
        self._connection.execute(
            f"""INSERT INTO pair_changes (step, pair, last{kept})
            SELECT :step, min(id), nullif(max(id), min(id)){kept} FROM (
                SELECT id{kept}, id - row_number() OVER ({alike} ORDER BY id) AS run
                FROM {_table(columns)} WHERE id IN ({pairs})
            ) GROUP BY run{kept}""",
            {**(parameters or {}), "step": step},
        )
        count = self._connection.execute(
            "SELECT coalesce(sum(coalesce(last, pair) - pair + 1), 0) FROM pair_changes WHERE step = ?", (step,)
        ).fetchone()[0]
        if count:
            self._begin(step, kind)
            if kind == "delete":
                self._take_out(step)
        return step, count

    def record_added(self, first: int, last: int) -> int:
        """Note that the pairs from `first` to `last` were just made, and nobody else's id is between; the step."""
        step = self._next()
        self._connection.execute(
            "INSERT INTO pair_changes (step, pair, last) VALUES (?, ?, ?)",
            (step, first, last if last > first else None),
        )
        self._begin(step, "add")
        return step

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

    def count_up(self) -> None:
        """Give the pairs a new version."""
        self._connection.execute("UPDATE pair_revision SET number = number + 1")

    def _next(self) -> int:
        return self._connection.execute("SELECT 1 + coalesce(max(id), 0) FROM pair_steps").fetchone()[0]

    def _begin(self, step: int, kind: str) -> None:
        """A new step: what had been undone is gone."""
        undone = "SELECT id FROM pair_steps WHERE undone"
        if self._connection.execute(f"{undone} LIMIT 1").fetchone():
            self._connection.execute(
                f"""INSERT INTO pair_gone SELECT pair, coalesce(last, pair) FROM pair_changes
                WHERE step IN ({undone} AND kind = 'add')"""
            )
            self._connection.execute(f"DELETE FROM pair_changes WHERE step IN ({undone})")
            self._connection.execute("DELETE FROM pair_steps WHERE undone")
            remove_gone(self._connection, _AT_ONCE)
        self._connection.execute("INSERT INTO pair_steps (id, kind, label) VALUES (?, ?, '')", (step, kind))
        self.count_up()

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
        """Swap these columns of the step's pairs with what the step keeps. In a run all pairs are alike in them."""
        names = ", ".join(columns)
        self._connection.execute("DROP TABLE IF EXISTS temp.present")
        self._connection.execute(
            f"CREATE TEMP TABLE present AS SELECT pair, {names} FROM (SELECT pair FROM pair_changes WHERE step = ?)"
            f" JOIN {_table(columns)} AS now ON now.id = pair",
            (step,),
        )
        for table, own in (("pairs", STATE), ("pair_contents", CONTENTS)):
            if swapped := [column for column in columns if column in own]:
                kept = ", ".join(f"kept.{column} AS {column}" for column in swapped)
                self._connection.execute(
                    f"UPDATE {table} SET {_assign(swapped, 'other')} FROM (SELECT chosen.id AS of, {kept}"
                    f" FROM pair_changes AS kept CROSS JOIN {table} AS chosen"
                    " ON chosen.id BETWEEN kept.pair AND coalesce(kept.last, kept.pair) WHERE kept.step = ?) AS other"
                    f" WHERE {table}.id = other.of",
                    (step,),
                )
        self._connection.execute(
            f"UPDATE pair_changes SET {_assign(columns, 'present')} FROM temp.present"
            " WHERE pair_changes.step = ? AND pair_changes.pair = present.pair",
            (step,),
        )
        self._connection.execute("DROP TABLE temp.present")

    def _take_out(self, step: int) -> None:
        """Take the step's pairs out of their dataset. Their contents stay where they are."""
        self._move(step, "pairs", "pairs_out")

    def _put_back(self, step: int) -> None:
        """Put the step's pairs back into their dataset, under their ids."""
        self._move(step, "pairs_out", "pairs")

    def _move(self, step: int, source: str, target: str) -> None:
        columns = ", ".join(("id", *STATE))
        self._connection.execute(
            f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source} WHERE id IN ({pairs_of(source)})",
            {"step": step},
        )
        self._connection.execute(f"DELETE FROM {source} WHERE id IN ({pairs_of(source)})", {"step": step})


def pairs_of(table: str = "pairs") -> str:
    """A SELECT of the ids of a step's pairs (parameter `step`) in `table`."""
    return (
        f"SELECT chosen.id FROM pair_changes AS kept CROSS JOIN {table} AS chosen"
        " ON chosen.id BETWEEN kept.pair AND coalesce(kept.last, kept.pair) WHERE kept.step = :step"
    )


def remove_gone(connection: sqlite3.Connection, most: int) -> int:
    """Remove for good up to `most` pairs that no undo brings back; how many ids were looked at. Call it in a change."""
    done = 0
    while done < most and (found := connection.execute("SELECT first, last FROM pair_gone LIMIT 1").fetchone()):
        first, last = found
        until = min(last, first + most - done - 1)
        for table in ("pairs_out", "pair_contents"):
            connection.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", (first, until))
        for table in ("pair_flags", "pair_lengths"):
            connection.execute(f"DELETE FROM {table} WHERE pair BETWEEN ? AND ?", (first, until))
        connection.execute("DELETE FROM pair_gone WHERE first = ?", (first,))
        if until < last:
            connection.execute("INSERT INTO pair_gone VALUES (?, ?)", (until + 1, last))
        done += until - first + 1
    return done


def _table(columns: tuple[str, ...]) -> str:
    """Where these columns stand."""
    if not set(columns) & set(CONTENTS):
        return "pairs"
    if set(columns) <= set(CONTENTS):
        return "pair_contents"
    return "pair_rows"


def _assign(columns: tuple[str, ...] | list[str], source: str) -> str:
    return ", ".join(f"{column} = {source}.{column}" for column in columns)
