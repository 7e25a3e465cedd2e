"""Choosing pairs by dataset, status, words and a query line: the SQL of it. No search is ever a syntax error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from workbench.pairs.pair import as_text, split_source
from workbench.pairs.query import ANY, NO_QUERY, Query, Term

_MAX_WORDS = 32  # more words than this narrow a search no further
_TOKENS = "(SELECT tokens FROM pair_lengths AS l WHERE l.pair = pairs.id AND l.key = pairs.key)"
_NUMBERS = {"tokens": _TOKENS, "chars": "pairs.chars", "id": "pairs.id"}


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

    @property
    def has_words(self) -> bool:
        """Whether it looks for text."""
        return bool(self.search.split()) or any(term.name in ("word", "phrase") for term in self.query.terms)


@dataclass(frozen=True)
class Lead:
    """A condition with an index of its own, from which the pairs can be looked up."""

    table: str
    """What stands after FROM, ending in `pairs`; its `WHERE` is `condition`."""
    condition: str
    index: str
    """The same without `pairs`: what is counted, and how."""
    order: str
    """The pair's id in the index, where it is that by which the index is sorted; empty: it is not."""


class Conditions:
    """What a selection asks for, as SQL over `pairs`, with named parameters."""

    def __init__(self, selection: Selection, dataset: str | None) -> None:
        """`dataset`: where it is asked for, or the only one there is."""
        self.parameters: dict[str, Any] = {}
        self.filters: list[str] = []
        """All of them must hold; the words of `match` are not among them."""
        self.leads: list[Lead] = []
        self.match: str | None = None
        """The parameter with FTS5's query, where there are words."""
        self.beginning = ""
        """The word that may be a beginning."""
        self.dataset: str | None = None
        """The parameter with the dataset."""
        if dataset is not None:
            self.dataset = self.bind(as_text(dataset))
            self.filters.append(f"pairs.dataset = {self.dataset}")
        self._words: list[str] = []
        terms = list(selection.query.terms)
        if selection.status is not None:
            terms.append(Term("status", (as_text(selection.status),)))
        if selection.tag is not None:
            terms.append(Term("tag", (as_text(selection.tag),)))
        self._search(as_text(selection.search).split())
        self._search([term.values[0] for term in terms if term.name == "word" and not term.negated])
        for term in terms:
            if term.name != "word" or term.negated:
                self._add(term)
        if self._words:
            self.match = self.bind(" ".join(self._words))

    @property
    def words(self) -> str:
        """What the full-text index is asked for."""
        return f"pair_search MATCH {self.match}"

    def bind(self, value: object) -> str:
        """The name of a parameter with this value."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def _search(self, words: list[str]) -> None:
        """All these words; the last may be a beginning."""
        words = words[:_MAX_WORDS]
        seen = [word for word in words if _is_seen(word)]
        if seen:
            self._words.append(" ".join(map(_phrase, seen)) + "*")
            self.beginning = seen[-1]
        self.filters += [self._literal(word) for word in words if not _is_seen(word)]

    def _literal(self, text: str) -> str:
        """What FTS5 has no words for. Most texts are passed over without taking their JSON apart."""
        literal, in_json = self.bind(text), self.bind(json.dumps(text, ensure_ascii=False)[1:-1])
        return f"""EXISTS (
            SELECT 1 FROM pair_contents AS c JOIN pair_texts AS t USING (id) WHERE c.id = pairs.id
            AND (instr(c.messages, {in_json}) OR instr(t.answer, {literal}) OR instr(t.note, {literal}))
            AND instr(t.prompt || char(10) || t.answer || char(10) || t.note, {literal}))"""

    def _add(self, term: Term) -> None:
        if term.name == "phrase" and _is_seen(term.values[0]) and not term.negated:
            self._words.append(_phrase(term.values[0]))
            return
        condition = self._condition(term)
        self.filters.append(f"NOT coalesce({condition}, FALSE)" if term.negated else condition)
        if not term.negated and len(term.values) == 1:
            self._lead(term, condition)

    def _condition(self, term: Term) -> str:
        if term.name in ("word", "phrase"):
            text = term.values[0]
            if not _is_seen(text):
                return self._literal(text)
            return f"pairs.id IN (SELECT rowid FROM pair_search WHERE pair_search MATCH {self.bind(_phrase(text))})"
        if term.op != ":":
            return f"{_NUMBERS[term.name]} {term.op} {self.bind(int(term.values[0]))}"
        return f"({' OR '.join(self._value(term.name, value) for value in term.values)})"

    def _value(self, name: str, value: str) -> str:
        if name == "status":
            return f"pairs.status = {self.bind(value)}"
        if name == "tag":
            tag = f"t.dataset = pairs.dataset AND t.tag = {self.bind(value)} AND t.pair = pairs.id"
            return f"EXISTS (SELECT 1 FROM pair_tags AS t WHERE {tag})"
        if name == "flag":
            named = "" if value == ANY else f" AND f.flag = {self.bind(value)}"
            return f"EXISTS (SELECT 1 FROM pair_flags AS f WHERE f.pair = pairs.id AND f.key = pairs.key{named})"
        if name == "source":  # the name of a file stands for all of its lines
            file, line = split_source(value)
            whole = f"pairs.source = {self.bind(value)}"
            if line is None:
                return whole
            return f"({whole} AND pairs.line IS NULL OR pairs.source = {self.bind(file)} AND pairs.line = {line})"
        if name == "kind":
            return "pairs.preference" if value == "preference" else "NOT pairs.preference"
        if name == "edited":
            return "pairs.edited" if value == "yes" else "NOT pairs.edited"
        return f"pairs.id = {self.bind(int(value))}"

    def _lead(self, term: Term, condition: str) -> None:
        """Note the index by which this term finds its pairs, if it has one."""
        value, name = f":p{len(self.parameters) - 1}", term.name  # what `condition` has just bound
        if name == "flag" and term.values[0] != ANY:
            self._lead_by("pair_flags AS lead", f"lead.flag = {value}", "lead.pair")
        elif name == "tokens":
            self._lead_by("pair_lengths AS lead", f"lead.tokens {term.op} {value}", "")
        elif self.dataset is None:
            return
        elif name == "tag":
            self._lead_by("pair_tags AS lead", f"lead.dataset = {self.dataset} AND lead.tag = {value}", "lead.pair")
        elif (name, *term.values) in (("edited", "yes"), ("kind", "preference")):
            self._lead_in(f"pairs_{name}", condition, "pairs.id")
        elif name == "status" or (name == "source" and split_source(term.values[0])[1] is None):
            self._lead_in(f"pairs_by_{name}", condition, "pairs.id")
        elif name == "chars":
            self._lead_in("pairs_by_chars", condition, "")

    def _lead_by(self, table: str, condition: str, order: str) -> None:
        joined = f"{table} CROSS JOIN pairs ON pairs.id = lead.pair"
        self.leads.append(Lead(joined, condition, f"{table} WHERE {condition}", order))

    def _lead_in(self, index: str, condition: str, order: str) -> None:
        table = f"pairs INDEXED BY {index}"
        counted = f"{table} WHERE pairs.dataset = {self.dataset} AND {condition}"
        self.leads.append(Lead(table, "TRUE", counted, order))


def _is_seen(text: str) -> bool:
    """Whether FTS5 finds a word in it."""
    return any(character.isalnum() for character in text)


def _phrase(text: str) -> str:
    """FTS5's words for this text, one after the other."""
    return '"' + text.replace('"', '""') + '"'
