"""Choosing pairs by dataset, status, words and a query line: the SQL of it. No search is ever a syntax error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from workbench.pairs.pair import as_text
from workbench.pairs.query import ANY, NO_QUERY, Query, Term

_MAX_WORDS = 32  # more words than this narrow a search no further
_CHARS = """(
    (SELECT sum(length(json_extract(value, '$.content'))) FROM json_each(pairs.messages))
    + length(coalesce(pairs.completion, pairs.chosen || pairs.rejected)))"""
_TOKENS = "(SELECT tokens FROM pair_lengths AS l WHERE l.pair = pairs.id AND l.key = pairs.key)"
_EDITED = """EXISTS (
    SELECT 1 FROM pair_changes AS c JOIN pair_steps AS s ON s.id = c.step
    WHERE c.pair = pairs.id AND s.kind = 'content' AND NOT s.undone)"""
_NUMBERS = {"tokens": _TOKENS, "chars": _CHARS, "id": "pairs.id"}
_ORDERS = {"new": "pairs.id", "status": "pairs.status", "source": "pairs.source", "tokens": _TOKENS, "chars": _CHARS}


@dataclass(frozen=True)
class Selection:
    """Which pairs are meant, and in which order; what is left out does not narrow."""

    dataset: str | None = None
    status: str | None = None
    search: str = ""
    """Words that all occur in prompt, answers or note, in any order; the last one may be a beginning. Case and accents
    do not count. A word without letters and digits (`=>`) is looked for as it stands."""
    tag: str | None = None
    query: Query = NO_QUERY
    """What the query line asks for, besides the above."""

    def ids(self) -> tuple[str, dict[str, Any]]:
        """A SELECT of the ids, in order, and its named parameters."""
        return _Statement(self).ids()


class _Statement:
    """The conditions of a selection as they are gathered."""

    def __init__(self, selection: Selection) -> None:
        self._conditions: list[str] = []
        self.parameters: dict[str, Any] = {}
        self._words: list[str] = []
        self._sort = selection.query.sort
        for column in ("dataset", "status"):
            if (value := getattr(selection, column)) is not None:
                self._require(f"pairs.{column} = {self._bind(as_text(value))}")
        if selection.tag is not None:
            self._require(self._tag(as_text(selection.tag)))
        self._search(as_text(selection.search).split())
        words = [term.values[0] for term in selection.query.terms if term.name == "word" and not term.negated]
        self._search(words)
        for term in selection.query.terms:
            if term.name != "word" or term.negated:
                condition = self._condition(term)
                self._require(f"NOT coalesce({condition}, FALSE)" if term.negated else condition)

    def ids(self) -> tuple[str, dict[str, Any]]:
        """See `Selection.ids`."""
        order = self._order()
        if self._words:
            match = self._bind(" ".join(self._words))
            if not self._conditions and order == "pairs.id":
                return f"SELECT rowid AS id FROM pair_search WHERE pair_search MATCH {match} ORDER BY rowid", (
                    self.parameters
                )
            self._conditions.insert(0, f"pair_search MATCH {match}")
            tables = "pair_search CROSS JOIN pairs ON pairs.id = pair_search.rowid"  # CROSS: the index leads
            order = order.replace("pairs.id", "pair_search.rowid")
        else:
            tables = "pairs"
        where = f" WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
        return f"SELECT pairs.id AS id FROM {tables}{where} ORDER BY {order}", self.parameters

    def _order(self) -> str:
        name = self._sort.removeprefix("-")
        if not name:
            return "pairs.id"
        if name == "new":
            return "pairs.id DESC"
        return f"{_ORDERS[name]}{' DESC' if self._sort != name else ''} NULLS LAST, pairs.id"

    def _bind(self, value: object) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def _require(self, condition: str) -> None:
        self._conditions.append(condition)

    def _search(self, words: list[str]) -> None:
        """All these words; the last may be a beginning."""
        words = words[:_MAX_WORDS]
        seen = [word for word in words if _is_seen(word)]
        if seen:
            self._words.append(" ".join(map(_phrase, seen)) + "*")
        for word in words:
            if not _is_seen(word):
                self._require(self._literal(word))

    def _literal(self, text: str) -> str:
        """What FTS5 has no words for."""
        return (
            "EXISTS (SELECT 1 FROM pair_texts AS t WHERE t.id = pairs.id"
            f" AND instr(t.prompt || char(10) || t.answer || char(10) || t.note, {self._bind(text)}))"
        )

    def _tag(self, tag: str) -> str:
        """A tag has no quotes in it, so its JSON stands for itself."""
        return f"instr(pairs.tags, {self._bind(json.dumps(tag, ensure_ascii=False))})"

    def _condition(self, term: Term) -> str:
        if term.name in ("word", "phrase"):
            text = term.values[0]
            if not _is_seen(text):
                return self._literal(text)
            if not term.negated:
                self._words.append(_phrase(text))
                return "TRUE"
            return f"pairs.id IN (SELECT rowid FROM pair_search WHERE pair_search MATCH {self._bind(_phrase(text))})"
        if term.op != ":":
            return f"{_NUMBERS[term.name]} {term.op} {self._bind(int(term.values[0]))}"
        return f"({' OR '.join(self._value(term.name, value) for value in term.values)})"

    def _value(self, name: str, value: str) -> str:
        if name == "status":
            return f"pairs.status = {self._bind(value)}"
        if name == "tag":
            return self._tag(value)
        if name == "flag":
            named = "" if value == ANY else f" AND f.flag = {self._bind(value)}"
            return f"EXISTS (SELECT 1 FROM pair_flags AS f WHERE f.pair = pairs.id{named})"
        if name == "source":
            file = self._bind(value)  # the name of a file stands for all of its lines, as `file.jsonl:17`
            lines = f"pairs.source >= {file} || ':' AND pairs.source < {file} || ';'"
            return f"(pairs.source = {file} OR {lines})"
        if name == "kind":
            return f"pairs.completion IS {'NOT ' if value == 'completion' else ''}NULL"
        if name == "edited":
            return _EDITED if value == "yes" else f"NOT {_EDITED}"
        return f"pairs.id = {self._bind(int(value))}"


def _is_seen(text: str) -> bool:
    """Whether FTS5 finds a word in it."""
    return any(character.isalnum() for character in text)


def _phrase(text: str) -> str:
    """FTS5's words for this text, one after the other."""
    return '"' + text.replace('"', '""') + '"'
