"""Choosing pairs by dataset, status, tag and words: the SQL of it. No search is ever a syntax error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from workbench.pairs.pair import as_text

_MAX_TERMS = 32  # more words than this narrow a search no further


@dataclass(frozen=True)
class Selection:
    """Which pairs are meant; what is left out does not narrow."""

    dataset: str | None = None
    status: str | None = None
    search: str = ""
    """Words that all occur in prompt, answers or note, in any order; the last one may be a beginning. Case and accents
    do not count. A word without letters and digits (`=>`) is looked for as it stands."""
    tag: str | None = None

    def ids(self) -> tuple[str, dict[str, Any]]:
        """A SELECT of the ids, in order, and its named parameters."""
        conditions: list[str] = []
        parameters: dict[str, Any] = {}
        for column in ("dataset", "status"):
            if (value := getattr(self, column)) is not None:
                conditions.append(f"pairs.{column} = :{column}")
                parameters[column] = as_text(value)
        if self.tag is not None:
            conditions.append("instr(pairs.tags, :tag)")  # a tag has no quotes in it, so its JSON stands for itself
            parameters["tag"] = json.dumps(as_text(self.tag), ensure_ascii=False)
        match, literals = _terms(self.search)
        for number, literal in enumerate(literals):
            conditions.append(
                "EXISTS (SELECT 1 FROM pair_texts AS t WHERE t.id = pairs.id"
                f" AND instr(t.prompt || char(10) || t.answer || char(10) || t.note, :literal{number}))"
            )
            parameters[f"literal{number}"] = literal
        if match:
            parameters["match"] = match
            if not conditions:
                return "SELECT rowid AS id FROM pair_search WHERE pair_search MATCH :match ORDER BY rowid", parameters
            conditions.insert(0, "pair_search MATCH :match")
            tables = "pair_search CROSS JOIN pairs ON pairs.id = pair_search.rowid"  # CROSS: the index leads
            order = "pair_search.rowid"
        else:
            tables, order = "pairs", "pairs.id"
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT pairs.id AS id FROM {tables}{where} ORDER BY {order}", parameters


def _terms(search: str) -> tuple[str, list[str]]:
    """FTS5's query for the words of a search, and the words that FTS5 cannot see."""
    words = as_text(search).split()[:_MAX_TERMS]
    seen = [word for word in words if any(character.isalnum() for character in word)]
    unseen = [word for word in words if word not in seen]
    quoted = ['"' + word.replace('"', '""') + '"' for word in seen]
    return (" ".join(quoted) + "*" if quoted else ""), unseen
