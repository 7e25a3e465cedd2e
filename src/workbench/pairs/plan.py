"""From which end a selection is looked up: SQLite knows no numbers here, so they are counted, up to a point.

Where a condition with an index leaves few pairs, these are looked up and sorted. Where all conditions leave many, the
pairs are gone through in the order that is asked for, so that the first ones are found soon.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from workbench.pairs.selection import Conditions, Lead, Selection

_FEW = 20_000  # pairs that are looked up and sorted in some 20 ms
_PROBED = 1000  # pairs of which each is asked whether it has the words, at 20 µs each
_BY_STATUS = "pairs INDEXED BY pairs_by_status"
_ORDERS = {
    "": "pairs.id",
    "new": "pairs.id DESC",
    "status": "pairs.status, pairs.id",
    "source": "pairs.source, pairs.id",
    "chars": "pairs.chars, pairs.id",
}
_NAMES = """
    WITH RECURSIVE names (name) AS (
        SELECT min(dataset) FROM pairs
        UNION ALL SELECT (SELECT min(dataset) FROM pairs WHERE dataset > name) FROM names WHERE name IS NOT NULL
    ) SELECT name FROM names WHERE name IS NOT NULL"""

Statement = tuple[str, dict[str, Any]]
"""A SELECT of ids, in order, and its named parameters."""


def dataset_names(connection: sqlite3.Connection) -> list[str]:
    """The datasets that have pairs, by name; one look into an index each."""
    return [row[0] for row in connection.execute(_NAMES)]


def statements(connection: sqlite3.Connection, selection: Selection, *, ordered: bool = True) -> list[Statement]:
    """The statements that, one after the other, give the ids of a selection.

    Args:
        connection: where they will be asked.
        selection: what is asked for.
        ordered: in its order; else in that of adding.
    """
    dataset = selection.dataset
    if dataset is None and len(names := dataset_names(connection)) == 1:
        dataset = names[0]
    asked = Conditions(selection, dataset)
    sort = selection.query.sort if ordered else ""
    lead = _lead(connection, asked)
    if sort.removeprefix("-") == "tokens":
        return list(_by_tokens(asked, lead, descending=sort.startswith("-")))
    order = _ORDERS[sort.removeprefix("-")]
    if sort.startswith("-"):
        order = order.replace(", ", " DESC, ") + " DESC"
    if lead is not None:
        return [_select(lead.table, [lead.condition, *asked.filters], order, asked)]
    index = {"": "dataset", "new": "dataset"}.get(sort, sort.removeprefix("-"))
    if index == "dataset" and any(lead.table == _BY_STATUS for lead in asked.leads):
        index = "status"  # of one status: in the order of adding too
    return [_select(f"pairs INDEXED BY pairs_by_{index}" if asked.dataset else "pairs", asked.filters, order, asked)]


def _by_tokens(asked: Conditions, lead: Lead | None, *, descending: bool) -> Iterator[Statement]:
    """Those whose tokens were counted, then the others."""
    direction = " DESC" if descending else ""
    order = f"l.tokens{direction}, l.pair{direction}"
    counted = "l.pair = pairs.id AND l.key = pairs.key"
    if lead is not None:
        table = f"{lead.table} CROSS JOIN pair_lengths AS l ON {counted}"
        yield _select(table, [lead.condition, *asked.filters], order, asked)
    else:
        table = f"pair_lengths AS l INDEXED BY pair_lengths_by_tokens CROSS JOIN pairs ON {counted}"
        yield _select(table, asked.filters, order, asked)
    others = [*asked.filters, f"NOT EXISTS (SELECT 1 FROM pair_lengths AS l WHERE {counted})"]
    if lead is not None:
        yield _select(lead.table, [lead.condition, *others], "pairs.id", asked)
    else:
        yield _select("pairs INDEXED BY pairs_by_dataset" if asked.dataset else "pairs", others, "pairs.id", asked)


def _select(table: str, conditions: list[str], order: str, asked: Conditions) -> Statement:
    where = " AND ".join(condition for condition in conditions if condition != "TRUE") or "TRUE"
    return f"SELECT pairs.id AS id FROM {table} WHERE {where} ORDER BY {order}", asked.parameters


def _lead(connection: sqlite3.Connection, asked: Conditions) -> Lead | None:
    """What leaves the fewest pairs, where these are few; where nothing does, the words, if there are any."""
    best, least = None, _FEW

    def is_fewer(lead: Lead) -> bool:
        nonlocal best, least
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {lead.index} LIMIT {least})"
        counted = connection.execute(statement, asked.parameters).fetchone()[0]
        if counted < least:
            best, least = lead, counted
            return True
        return False

    for lead in asked.leads:
        is_fewer(lead)
    if asked.match is None:
        return best
    match = f"pair_search MATCH {asked.match}"
    words = Lead("pair_search CROSS JOIN pairs ON pairs.id = pair_search.rowid", match, f"pair_search WHERE {match}")
    # What all beginnings of a word match is put together anew by each statement, so it is not counted.
    if best is None or (not asked.has_beginning and is_fewer(words)):
        return words
    if least <= _PROBED and not asked.has_beginning:
        asked.filters.append(f"EXISTS (SELECT 1 FROM pair_search WHERE {match} AND rowid = pairs.id)")
    else:
        asked.filters.append(f"pairs.id IN (SELECT rowid FROM pair_search WHERE {match})")
    return best
