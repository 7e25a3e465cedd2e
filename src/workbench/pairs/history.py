"""What was done to one pair, told from its rows in the journal. It knows no statements."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.pairs.journal import CHANGED, ROW
from workbench.pairs.pair import Pair

_READ = {
    "key": bytes.hex,
    "messages": json.loads,
    "tags": lambda text: tuple(json.loads(text)),
}


@dataclass(frozen=True)
class Change:
    """One thing that was done to a pair."""

    at: str
    """When, in UTC: `2026-11-22 04:26:31`."""
    label: str
    """What undo says of it, e.g. `accepted 3 pairs`."""
    kind: str
    """`add`, `status`, `tags`, `note` or `content`."""
    before: Mapping[str, Any]
    """What the pair was: the fields of `Pair` that this kind of change replaces; nothing for `add`."""
    after: Mapping[str, Any]
    """What the same fields became."""


def pair_of(row: sqlite3.Row) -> Pair:
    """The pair in a row."""
    return Pair(**{column: _value(column, row[column]) for column in ("id", *ROW)})


def history_of(pair: Pair, rows: Sequence[sqlite3.Row]) -> list[Change]:
    """The changes of a pair, oldest first.

    Args:
        pair: as it is now.
        rows: of the journal, oldest first: kind, label, at, and what the step keeps of the pair.
    """
    changes: list[Change] = []
    for row in reversed(rows):
        columns = CHANGED.get(row["kind"], ())
        before = {column: _value(column, row[column]) for column in columns}
        after = {column: getattr(pair, column) for column in columns}
        changes.append(Change(row["at"], row["label"], row["kind"], before, after))
        pair = replace(pair, **before)
    return changes[::-1]


def _value(column: str, stored: Any) -> Any:
    return _READ[column](stored) if column in _READ and stored is not None else stored
