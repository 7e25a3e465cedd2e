"""A row of a file, before anybody knows what its columns mean, and a row that is skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One row: where it begins and its columns."""

    line: int
    """The line, from 1 (the first one of several); of a Parquet file the row."""
    columns: dict[str, Any]
    part: str = ""
    """Which part of a source of several parts it comes from, e.g. `@eval`; its lines are counted anew."""


@dataclass(frozen=True)
class Fault:
    """A row that is skipped, and why."""

    line: int
    reason: str
