"""The language of the query line, `status:pending tokens>512 -tag:tone "a phrase" sort:-chars`; no database in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from workbench.errors import UserError
from workbench.pairs.pair import STATUSES, as_text

FLAGS = (
    "near-duplicate", "exact-duplicate", "leak-train-eval", "leak-eval-library", "leak-train-library", "too-long",
    "empty", "same-both-sides", "format", "control-tokens", "secret", "personal-data", "language", "contradiction",
    "length-bias", "identical-sides", "ungrounded",
)  # fmt: skip
"""What the checks can say of a pair; `any` stands for each of them."""
ANY = "any"
KINDS = ("completion", "preference")
NAMES = ("status", "tag", "flag", "source", "kind", "edited", "id")
"""Keys with a colon and one or more values."""
NUMBERS = ("tokens", "chars", "id")
"""Keys with a comparison."""
SORTS = ("new", "status", "source", "tokens", "chars")
"""What `sort:` takes, with a leading `-` from the greatest down; `new` is from the latest added to the first."""
_ONE_OF = {"status": STATUSES, "kind": KINDS, "edited": ("yes", "no")}
_COMPARISONS = (">=", "<=", ">", "<", "=")
_MOST = 2**63 - 1
_MAX_TERMS = 64  # further ones do not narrow
_KNOWN = "status: tag: flag: source: kind: edited: id: sort: tokens> chars>"

# One term: an optional minus, a name with colon or comparison, and quoted or bare pieces up to the next blank.
_TERM = re.compile(r'(?:"[^"]*"?|[^\s"])+')
_NAMED = re.compile(r"(?P<name>[A-Za-z][A-Za-z-]*)(?P<op>:|>=|<=|>|<|=)(?P<rest>.*)", re.DOTALL)
_VALUE = re.compile(r'"(?P<quoted>[^"]*)"?|(?P<bare>[^",]+)|(?P<comma>,)')
_BARE = re.compile(r'[^\s",]+')


class Values(Protocol):
    """What a dataset has, for completion: `reading.Facets`."""

    @property
    def tags(self) -> Mapping[str, int]: ...
    @property
    def flags(self) -> Mapping[str, int]: ...
    @property
    def sources(self) -> Mapping[str, int]: ...


@dataclass(frozen=True)
class Term:
    """One condition; a pair must meet all of a query's."""

    name: str
    """One of `NAMES` or `NUMBERS`, `word` (bare) or `phrase` (quoted)."""
    values: tuple[str, ...]
    """Any of them is enough; a word, a phrase and a number have one."""
    op: str = ":"
    """`:`, or a comparison."""
    negated: bool = False
    """Only pairs that do not meet it."""

    def __str__(self) -> str:
        sign = "-" if self.negated else ""
        if self.name == "word":
            return sign + self.values[0]
        if self.name == "phrase":
            return f'{sign}"{self.values[0]}"'
        return f"{sign}{self.name}{self.op}{','.join(map(_quoted, self.values))}"


@dataclass(frozen=True)
class Query:
    """A query line, understood."""

    terms: tuple[Term, ...] = ()
    sort: str = ""
    """One of `SORTS`, with a leading `-` from the greatest down; empty: in the order of adding."""

    @classmethod
    def parse(cls, text: str) -> Query:
        """Understand a query line.

        Raises:
            UserError: a key is unknown, a number is none, or a value is not one of those there are; the term is named.
        """
        terms: list[Term] = []
        sort = ""
        for found in _TERM.finditer(as_text(text)):
            term = _term(found[0])
            if term is None:
                continue
            if term.name == "sort":
                sort = term.values[0]
            elif term not in terms and len(terms) < _MAX_TERMS:
                terms.append(term)
        return cls(tuple(terms), sort)

    def __str__(self) -> str:
        """A line that is understood as this query again."""
        return " ".join([*map(str, self.terms), *([f"sort:{self.sort}"] if self.sort else [])])

    def __bool__(self) -> bool:
        """Whether it narrows or sorts anything."""
        return bool(self.terms or self.sort)

    @property
    def narrows(self) -> bool:
        """Whether it can hide pairs."""
        return bool(self.terms)

    def values(self, name: str) -> tuple[str, ...]:
        """What the pairs must be one of, by the first such term: `query.values("status") == ("pending",)`."""
        return next((term.values for term in self.terms if term.name == name and not term.negated), ())

    def with_term(self, name: str, *values: str) -> Query:
        """This query, with what it said of `name` replaced; without values it says nothing of it any more."""
        terms = tuple(term for term in self.terms if term.name != name)
        return replace(self, terms=(*terms, Term(name, values)) if values else terms)

    def sorted_by(self, sort: str) -> Query:
        """This query in another order; empty: in the order of adding."""
        return replace(self, sort=sort)


NO_QUERY = Query()
"""Asks for all pairs in the order in which they were added."""


def complete(text: str, cursor: int, values: Values) -> list[str]:
    """What the term under the cursor may become, best first: keys, then the values of this dataset.

    Args:
        text: the query line.
        cursor: a position in it; what is right of it in the same term is replaced too (see `term_at`).
        values: what there is.
    """
    start, _ = term_at(text, cursor)
    typed = text[start:cursor]
    sign = "-" if typed.startswith("-") else ""
    typed = typed[len(sign) :]
    name, colon, rest = typed.partition(":")
    if not colon:
        if typed.startswith('"'):
            return []
        keys = [f"{key}:" for key in (*NAMES[:-1], "sort")] + [f"{key}>" for key in ("tokens", "chars")]
        return [sign + key for key in keys if key.startswith(typed.lower()) and not (sign and key == "sort:")]
    name = name.lower()
    done, comma, last = rest.rpartition(",") if name in NAMES else ("", "", rest)
    begun = last.strip('"').lower()
    fixed = name in _ONE_OF or name == "sort"  # few and known: by their beginning alone
    fitting = [v for v in _values_of(name, values) if (v.startswith(begun) if fixed else begun in v.lower())]
    fitting.sort(key=lambda value: not value.lower().startswith(begun))
    return [f"{sign}{name}:{done}{comma}{_quoted(value)}" for value in fitting]


def term_at(text: str, cursor: int) -> tuple[int, int]:
    """Where the term under the cursor begins and ends; both are the cursor where there is none."""
    for found in _TERM.finditer(text):
        if found.start() <= cursor <= found.end():
            return found.start(), found.end()
    return cursor, cursor


def _values_of(name: str, values: Values) -> list[str]:
    if name in _ONE_OF:
        return list(_ONE_OF[name])
    if name == "sort":
        return [*SORTS, *(f"-{sort}" for sort in SORTS)]
    if name == "flag":
        return [ANY, *_most_first(values.flags)]
    return _most_first(values.tags if name == "tag" else values.sources if name == "source" else {})


def _most_first(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))


def _term(text: str) -> Term | None:
    """A term, or None for one that says nothing yet (`-`, `tag:`): a line is read while it is typed."""
    negated = text.startswith("-") and len(text) > 1
    body = text[1:] if negated else text
    if body == "-":
        return None
    if body.startswith('"') and body.find('"', 1) in (-1, len(body) - 1):
        phrase = body.strip('"').strip()
        return Term("phrase", (phrase,), negated=negated) if phrase else None
    named = _NAMED.fullmatch(body)
    if named is None:
        words = body.replace('"', "").strip()
        return Term("phrase" if words.split() != [words] else "word", (words,), negated=negated) if words else None
    name, op, rest = named["name"].lower(), named["op"], named["rest"]
    if op != ":":
        return _number(text, name, op, rest, negated)
    if name == "sort" and not negated:
        return _sort(text, rest)
    if name not in NAMES:
        if name in NUMBERS:
            return _number(text, name, "=", rest, negated)
        raise _refused(text, f"there is no key {name!r}", f"The keys are {_KNOWN}; put words with a colon in quotes.")
    given = _split(rest)
    if name == "id":
        for value in given:
            _checked_number(text, value)
        given = tuple(str(int(value)) for value in given)
    elif name in _ONE_OF:
        given = tuple(value.lower() for value in given)
        for value in given:
            if value not in _ONE_OF[name]:
                raise _refused(text, f"{value!r} is no {name}", f"Use one of: {', '.join(_ONE_OF[name])}.")
    return Term(name, given, negated=negated) if given else None


def _number(text: str, name: str, op: str, rest: str, negated: bool) -> Term | None:
    if name not in NUMBERS:
        do = f"The keys are {_KNOWN}; put it in quotes to look for it as it stands."
        raise _refused(text, f"{name!r} cannot be compared", do)
    if not rest:
        return None
    _checked_number(text, rest)
    return Term(name, (str(int(rest)),), op, negated)


def _checked_number(text: str, value: str) -> None:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= _MOST):
        raise _refused(text, f"{value!r} is no whole number", "Write it with digits alone, e.g. tokens>512.")


def _sort(text: str, rest: str) -> Term | None:
    sort = rest.lower()
    if not sort.removeprefix("-"):
        return None
    if sort.removeprefix("-") not in SORTS:
        raise _refused(text, f"pairs cannot be sorted by {rest!r}", f"Sort by {', '.join(SORTS)}, or -{SORTS[-1]} …")
    return Term("sort", ("" if sort == "-new" else sort,))


def _split(rest: str) -> tuple[str, ...]:
    """The values between commas; a comma in quotes belongs to its value."""
    values = [""]
    for piece in _VALUE.finditer(rest):
        if piece["comma"]:
            values.append("")
        else:
            values[-1] += piece["quoted"] if piece["quoted"] is not None else piece["bare"]
    return tuple(dict.fromkeys(value.strip() for value in values if value.strip()))


def _quoted(value: str) -> str:
    return value if _BARE.fullmatch(value) else '"' + value.replace('"', "") + '"'


def _refused(term: str, what: str, do: str) -> UserError:
    return UserError(what, where=term if len(term) <= 40 else term[:39] + "…", do=do)
