"""From which end a selection is looked up: SQLite knows no numbers here, so they are counted, up to a point.

Where a condition with an index leaves few pairs, these are looked up and sorted. Where all conditions leave many, the
pairs are gone through in the order that is asked for, so that the first ones are found soon.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import Any

from workbench.pairs.selection import Conditions, Lead, Selection

_FEW = 20_000  # pairs that are looked up and sorted in some 20 ms
_SOME = 100_000  # the same where several conditions must hold at once, which may be far apart in any other order
_MANY = 400_000  # pairs that are looked up one by one sooner than all are gone through
_PROBED = 3000  # pairs whose texts are looked into one by one, which takes some 60 ms
_SHORT = 4  # letters of a beginning that many words may have
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


def statements(
    connection: sqlite3.Connection, selection: Selection, *, ordered: bool = True, first: int | None = None
) -> list[Statement]:
    """The statements that, one after the other, give the ids of a selection.

    Args:
        connection: where they will be asked.
        selection: what is asked for.
        ordered: in its order; else in that of adding.
        first: so many of them will be read; None: all.
    """
    whole = first is None
    names = [] if selection.dataset is not None else dataset_names(connection)
    dataset = selection.dataset if len(names) != 1 else names[0]
    asked = Conditions(selection, dataset)
    sort = selection.query.sort if ordered else ""
    in_order = sort in ("", "new") and not whole
    lead = _lead(connection, asked, in_order=in_order, whole=whole)
    # Words give the order of adding by themselves; but all that a short beginning matches is put together first.
    by_words = lead is not None and lead.condition == asked.words
    slow = by_words and (not in_order or 0 < len(asked.beginning) <= _SHORT)
    if first and slow and _are_common(connection, selection, asked, first):
        lead = None  # these few are soon found in the order that is asked for
    if sort.removeprefix("-") == "tokens":
        return _by_tokens(asked, lead, descending=sort.startswith("-"), whole=whole)
    order = _ORDERS[sort.removeprefix("-")]
    if sort.startswith("-"):
        order = order.replace(", ", " DESC, ") + " DESC"
    if lead is not None:
        if in_order and lead.order:
            order = order.replace("pairs.id", lead.order)
        return [_select(lead.table, [lead.condition, *asked.filters], order, asked)]
    bare = len(asked.filters) == (asked.dataset is not None)
    if asked.dataset is None or (whole and not bare):
        table = "pairs NOT INDEXED"
    elif sort in ("", "new"):
        table = "pairs INDEXED BY pairs_by_dataset" if bare or selection.dataset is not None else "pairs NOT INDEXED"
    else:
        table = f"pairs INDEXED BY pairs_by_{sort.removeprefix('-')}"
    return [_select(table, asked.filters, order, asked)]


def _by_tokens(asked: Conditions, lead: Lead | None, *, descending: bool, whole: bool) -> list[Statement]:
    """Those whose tokens were counted, then the others."""
    direction = " DESC" if descending else ""
    counted = "l.pair = pairs.id AND l.key = pairs.key"
    conditions = [lead.condition, *asked.filters] if lead else asked.filters
    if lead or whole:
        table = f"{lead.table if lead else 'pairs NOT INDEXED'} LEFT JOIN pair_lengths AS l ON {counted}"
        return [_select(table, conditions, f"l.tokens{direction} NULLS LAST, pairs.id{direction}", asked)]
    table = f"pair_lengths AS l INDEXED BY pair_lengths_by_tokens CROSS JOIN pairs ON {counted}"
    others = [*conditions, f"NOT EXISTS (SELECT 1 FROM pair_lengths AS l WHERE {counted})"]
    return [
        _select(table, conditions, f"l.tokens{direction}, l.pair{direction}", asked),
        _select("pairs NOT INDEXED", others, f"pairs.id{direction}", asked),
    ]


def _select(table: str, conditions: list[str], order: str, asked: Conditions) -> Statement:
    where = " AND ".join(condition for condition in conditions if condition != "TRUE") or "TRUE"
    return f"SELECT pairs.id AS id FROM {table} WHERE {where} ORDER BY {order}", asked.parameters


def _lead(connection: sqlite3.Connection, asked: Conditions, *, in_order: bool, whole: bool) -> Lead | None:
    """What leaves the fewest pairs, or None to go through all; words lead where nothing else leaves few."""
    bound = _MANY if whole else _SOME
    few = _MANY if whole else _SOME if len(asked.filters) > 2 else _FEW
    counts = {lead: _count(connection, lead, asked, bound) for lead in asked.leads}
    # One that gives the pairs in the order of adding is as good as going through all of them, however many it leaves.
    fitting = [lead for lead in asked.leads if counts[lead] < few or (in_order and lead.order)]
    best = min(fitting, key=lambda lead: (counts[lead], not lead.order), default=None)
    if asked.match is None:
        return best
    words = Lead(
        "pair_search CROSS JOIN pairs ON pairs.id = pair_search.rowid",
        asked.words,
        f"pair_search WHERE {asked.words}",
        "pair_search.rowid",
    )
    least = counts[best] if best else bound
    # What all beginnings of a word match is put together anew by each statement, so it is not counted.
    if best is None or least >= few or (not asked.beginning and _count(connection, words, asked, least) < least):
        return words
    if least <= _PROBED:
        joined = f"{best.table} WHERE {best.condition} AND {' AND '.join(asked.filters)}"
        _look_into(connection, asked, f"SELECT pairs.id FROM {joined}")
    else:
        asked.filters.append(f"pairs.id IN (SELECT rowid FROM pair_search WHERE {asked.words})")
    return best


def _are_common(connection: sqlite3.Connection, selection: Selection, asked: Conditions, first: int) -> bool:
    """Whether enough pairs have the words among the first ones of the order that is asked for; then only these are."""
    query = selection.query
    others = tuple(term for term in query.terms if term.name != "word" or term.negated)
    others = tuple(term for term in others if term.name != "phrase" or term.negated)
    wordless = replace(selection, search="", query=replace(query, terms=others))
    statement, parameters = statements(connection, wordless, first=_PROBED)[0]
    ids = json.dumps([row[0] for row in connection.execute(f"{statement} LIMIT {_PROBED}", parameters)])
    filters = list(asked.filters)
    _look_into(connection, asked, f"SELECT value FROM json_each({asked.bind(ids)})")
    # Counted by all that is asked for: among the words may be such that FTS5 does not see.
    counted = f"SELECT count(*) FROM pairs NOT INDEXED WHERE {' AND '.join(asked.filters)}"
    found = connection.execute(counted, asked.parameters).fetchone()[0]
    if found < first:
        asked.filters[:] = filters
    return found >= first


def _look_into(connection: sqlite3.Connection, asked: Conditions, ids: str) -> None:
    """Narrow to those of a few pairs that have the words, by an index of their texts alone."""
    connection.execute("DROP TABLE IF EXISTS temp.few_texts")
    connection.execute(
        "CREATE VIRTUAL TABLE temp.few_texts USING fts5 (prompt, answer, note, content = '', columnsize = 0,"
        " tokenize = 'unicode61 remove_diacritics 2')"
    )
    connection.execute(
        f"INSERT INTO temp.few_texts (rowid, prompt, answer, note) SELECT * FROM pair_texts WHERE id IN ({ids})",
        asked.parameters,
    )
    asked.filters.append(f"pairs.id IN (SELECT rowid FROM temp.few_texts WHERE few_texts MATCH {asked.match})")


def _count(connection: sqlite3.Connection, lead: Lead, asked: Conditions, most: int) -> int:
    """How many pairs it leaves, counted up to a number."""
    statement = f"SELECT count(*) FROM (SELECT 1 FROM {lead.index} LIMIT {most})"
    return connection.execute(statement, asked.parameters).fetchone()[0]
