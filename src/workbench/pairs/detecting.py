"""Finding out what the columns of a file's rows mean, and showing its first rows as an import would read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from workbench.errors import UserError
from workbench.pairs.forms import ALIASES, EXTRAS, FORMS, extras_of
from workbench.pairs.pair import NewPair, NotAPair, as_text
from workbench.pairs.readers import RowFile
from workbench.pairs.row import Fault, Row

_LOOK = 100  # rows that the form is found out from


class Source(Protocol):
    """Where rows come from; `RowFile` is one. `done` of `total` `unit`s are read."""

    @property
    def name(self) -> str:
        """What the pairs are said to come from, before ":" and the row's line."""
        ...

    @property
    def where(self) -> str:
        """What a fault names."""
        ...

    @property
    def format(self) -> str: ...
    @property
    def done(self) -> float: ...
    @property
    def total(self) -> float: ...
    @property
    def unit(self) -> str: ...

    def rows(self, columns: Collection[str] | None = None) -> Iterator[Row | Fault]:
        """The rows from the first on; with `columns`, they need no others."""
        ...


@dataclass(frozen=True)
class Detection:
    """What a file was found to hold."""

    form: str
    """A key of `FORMS`."""
    columns: dict[str, str]
    """The form's columns, and what each is called in the file."""
    file_format: str
    """JSONL, JSON, CSV or Parquet."""

    def __str__(self) -> str:
        names = ", ".join(name if name == own else f"{name} = {own}" for name, own in self.columns.items())
        return f"{self.form} ({names}) in {self.file_format}"


@dataclass(frozen=True)
class Preview:
    """The beginning of a file, as an import would read it."""

    columns: list[str]
    """What the file's columns are called."""
    detection: Detection | None
    """None: they fit no form."""
    problem: str
    """Why they fit none."""
    rows: list[NewPair | Fault]
    """The first rows; none where no form fits."""


def detect(source: Path | Source, columns: Mapping[str, str] | None = None) -> Detection:
    """Find out the form of a file from its first rows.

    Args:
        source: a JSONL, JSON, CSV or Parquet file, or another source of rows.
        columns: what columns of a form are called in the file, e.g. `{"prompt": "frage", "completion": "antwort"}`;
            an empty name leaves a column out that would be found otherwise.

    Raises:
        UserError: the file cannot be read, or its columns fit no form; it lists them.
    """
    source = _opened(source)
    return _detect(source, list(islice(source.rows(), _LOOK)), columns or {})


def preview(source: Path | Source, columns: Mapping[str, str] | None = None, *, limit: int = 3) -> Preview:
    """Read the first rows of a file and import nothing.

    Args:
        source: see `detect`.
        columns: see `detect`.
        limit: how many rows.

    Raises:
        UserError: the file cannot be read, or its first rows cannot.
    """
    source = _opened(source)
    looked = list(islice(source.rows(), _LOOK))
    own = _own_columns(source, looked)
    try:
        found = _detect(source, looked, columns or {})
    except UserError as error:
        return Preview(own, None, f"{error.what}. {error.do}" if error.do else error.what, [])
    return Preview(own, found, "", [_read(row, found, source.name) for row in looked[:limit]])


def pair_of(row: Row, found: Detection, name: str) -> NewPair:
    """The pair that a row holds.

    Args:
        row: the row.
        found: what its columns mean.
        name: of what it comes from.

    Raises:
        NotAPair: it holds none.
    """
    columns = row.columns
    values = {name: columns[own] for name, own in found.columns.items() if own in columns}
    try:
        return NewPair(**FORMS[found.form].read(values), **extras_of(values, f"{name}{row.part}:{row.line}"))
    except NotAPair:
        if missing := [own for name, own in found.columns.items() if name not in values and name in _REQUIRED]:
            raise NotAPair(f"has no {missing[0]}") from None
        raise


def fault_of(row: Row, error: NotAPair) -> Fault:
    """A row that holds no pair."""
    return Fault(row.line, f"{error} (in {row.part})" if row.part else str(error))


_REQUIRED = {name for form in FORMS.values() for name in form.required}


def _read(row: Row | Fault, found: Detection, name: str) -> NewPair | Fault:
    if isinstance(row, Fault):
        return row
    try:
        return pair_of(row, found, name)
    except NotAPair as error:
        return fault_of(row, error)


def _opened(source: Path | Source) -> Source:
    return RowFile(source) if isinstance(source, Path) else source


def _detect(source: Source, looked: list[Row | Fault], given: Mapping[str, str]) -> Detection:
    _check_names(given)
    own = _own_columns(source, looked)
    rows = [row for row in looked if isinstance(row, Row)]
    if absent := [name for name in given.values() if name and name not in own]:
        raise UserError(f"there is no column {absent[0]!r}", where=source.where, do=f"It has: {_listed(own)}.")
    named = {name for name, column in given.items() if column}
    for name, form in FORMS.items():
        columns = _columns_of(form.required, own, given)
        if len(columns) < len(form.required) or not named <= {*form.required, *form.optional, *EXTRAS}:
            continue
        if name in ("messages", "sharegpt") and _says_from(rows, columns[form.required[0]]) != (name == "sharegpt"):
            continue
        columns |= _columns_of((*form.optional, *EXTRAS), [c for c in own if c not in columns.values()], given)
        return Detection(name, columns, source.format)
    raise UserError(
        f"its columns fit no form of pairs: {_listed(own)}",
        where=source.where,
        do="Say which are which, e.g. --map prompt=COLUMN --map completion=COLUMN.",
    )


def _own_columns(source: Source, looked: list[Row | Fault]) -> list[str]:
    own = list(dict.fromkeys(name for row in looked if isinstance(row, Row) for name in row.columns))
    if own:
        return own
    if looked and isinstance(looked[0], Fault):
        where, reason = f"{source.where}:{looked[0].line}", looked[0].reason
        raise UserError(f"none of the first rows can be read; the first: {reason}", where=where)
    raise UserError("holds no rows", where=source.where)


def _columns_of(names: Iterable[str], own: list[str], given: Mapping[str, str]) -> dict[str, str]:
    """Those of a form's columns that the file has, and what they are called there."""
    taken = set(given.values())
    lower = {name.strip().lower(): name for name in reversed(own) if name not in taken}
    found = {}
    for name in names:
        if name in given:
            found |= {name: given[name]} if given[name] else {}
        elif match := next((lower[alias] for alias in ALIASES[name] if alias in lower), None):
            found[name] = match
            lower = {alias: column for alias, column in lower.items() if column != match}
    return found


def _says_from(rows: list[Row], column: str) -> bool:
    """Whether the turns are ShareGPT's, with `from` and `value`."""
    for row in rows:
        turns = row.columns.get(column)
        if isinstance(turns, str):
            return '"from"' in turns
        if isinstance(turns, list) and turns and isinstance(turns[0], Mapping):
            return "from" in turns[0]
    return False


def _check_names(given: Mapping[str, str]) -> None:
    if unknown := [name for name in given if name not in ALIASES]:
        raise UserError(f"no form has a column {unknown[0]!r}", do=f"Map one of: {', '.join(ALIASES)}.")


def _listed(names: list[str]) -> str:
    return ", ".join(as_text(name[:40]) for name in names[:12]) + (", …" if len(names) > 12 else "")
