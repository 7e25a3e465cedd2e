"""Importing a file of pairs: its form is found out, bad rows are named and skipped, the rest come in as one change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.pairs.forms import ALIASES, EXTRAS, FORMS, extras_of
from workbench.pairs.pair import NewPair, NotAPair, as_text
from workbench.pairs.readers import Fault, Row, RowFile
from workbench.pairs.store import PairStore

_LOOK = 100  # rows that the form is found out from
_HOPELESS = 100_000  # with so many faults, and more of them than rows, a file is refused


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


@dataclass
class ImportResult:
    """What became of a file's rows."""

    form: str
    imported: int = 0
    duplicates: int = 0
    """Rows that the dataset, or an earlier row, had; they are not faults."""
    faults: list[Fault] = field(default_factory=list)

    @property
    def skipped(self) -> int:
        """Rows with a fault."""
        return len(self.faults)


def detect(path: Path, columns: Mapping[str, str] | None = None) -> Detection:
    """Find out the form of a file from its first rows.

    Args:
        path: a JSONL, JSON, CSV or Parquet file.
        columns: what columns of a form are called in the file, e.g. `{"prompt": "frage", "completion": "antwort"}`;
            an empty name leaves a column out that would be found otherwise.

    Raises:
        UserError: the file cannot be read, or its columns fit no form; it lists them.
    """
    return _detect(RowFile(path), columns or {})


def preview(path: Path, columns: Mapping[str, str] | None = None, *, limit: int = 3) -> Preview:
    """Read the first rows of a file and import nothing.

    Args:
        path: a JSONL, JSON, CSV or Parquet file.
        columns: see `detect`.
        limit: how many rows.

    Raises:
        UserError: the file cannot be read, or its first rows cannot.
    """
    file = RowFile(path)
    looked = list(islice(file.rows(), _LOOK))
    own = _own_columns(file, looked)
    try:
        found = _detect(RowFile(path), columns or {})
    except UserError as error:
        return Preview(own, None, f"{error.what}. {error.do}" if error.do else error.what, [])
    form, name = FORMS[found.form], as_text(path.name)
    rows: list[NewPair | Fault] = []
    for row in looked[:limit]:
        try:
            rows.append(_pair(row, found.columns, form.read, f"{name}:{row.line}") if isinstance(row, Row) else row)
        except NotAPair as error:
            rows.append(Fault(row.line, str(error)))
    return Preview(own, found, "", rows)


def import_file(
    store: PairStore,
    path: Path,
    dataset: str,
    *,
    columns: Mapping[str, str] | None = None,
    status: str = "pending",
    progress: Callable[[float, float, str], None] | None = None,
    check_stop: Callable[[], None] | None = None,
) -> ImportResult:
    """Add the pairs of a file to a dataset, in one transaction and one undo step.

    Args:
        store: where to.
        path: a JSONL, JSON, CSV or Parquet file.
        dataset: its name; made if it has no pairs yet.
        columns: see `detect`.
        status: of the new pairs.
        progress: called with how much is read, of how much, and of what ("bytes" or "rows").
        check_stop: called now and then; what it raises ends the import, and nothing is imported.

    Raises:
        UserError: the file cannot be read, or is none of pairs at all; nothing is imported.
    """
    file = RowFile(path)
    found = _detect(file, columns or {})
    result = ImportResult(found.form)

    def counted() -> Iterator[Row | Fault]:
        for number, row in enumerate(file.rows(found.columns.values())):
            if number % 500 == 0:
                if check_stop:
                    check_stop()
                if progress:
                    progress(file.done, file.total, file.unit)
            yield row

    added = store.add(
        dataset,
        _pairs(counted(), found, path, result.faults),
        status=status,
        label=f"imported {as_text(path.name)}",
    )
    result.imported, result.duplicates = added.added, added.duplicates
    if progress:
        progress(file.total, file.total, file.unit)
    return result


def _pairs(rows: Iterable[Row | Fault], found: Detection, path: Path, faults: list[Fault]) -> Iterator[NewPair]:
    """The pairs of the good rows; the others are noted in `faults`."""
    form, good, name = FORMS[found.form], 0, as_text(path.name)
    for row in rows:
        if isinstance(row, Row):
            try:
                yield _pair(row, found.columns, form.read, f"{name}:{row.line}")
                good += 1
                continue
            except NotAPair as error:
                row = Fault(row.line, str(error))
        faults.append(row)
        if len(faults) > max(_HOPELESS, good):
            rows_read = good + len(faults)
            raise UserError(
                f"more than half of the first {rows_read:,} rows are bad; the first: {faults[0].reason}",
                where=f"{path}:{faults[0].line}",
                do=f"It was read as {found}. Name the columns with --map if that is wrong. Nothing was imported.",
            )


def _pair(row: Row, columns: Mapping[str, str], read: Callable[..., dict[str, Any]], source: str) -> NewPair:
    values = {name: row.columns[own] for name, own in columns.items() if own in row.columns}
    missing = [own for name, own in columns.items() if name not in values and name in _REQUIRED]
    try:
        return NewPair(**read(values), **extras_of(values, source))
    except NotAPair:
        if missing:
            raise NotAPair(f"has no {missing[0]}") from None
        raise


_REQUIRED = {name for form in FORMS.values() for name in form.required}


def _detect(file: RowFile, given: Mapping[str, str]) -> Detection:
    _check_names(given)
    looked = list(islice(file.rows(), _LOOK))
    own = _own_columns(file, looked)
    rows = [row for row in looked if isinstance(row, Row)]
    if absent := [name for name in given.values() if name and name not in own]:
        raise UserError(f"there is no column {absent[0]!r}", where=str(file.path), do=f"It has: {_listed(own)}.")
    named = {name for name, column in given.items() if column}
    for name, form in FORMS.items():
        columns = _columns_of(form.required, own, given)
        if len(columns) < len(form.required) or not named <= {*form.required, *form.optional, *EXTRAS}:
            continue
        if name in ("messages", "sharegpt") and _says_from(rows, columns[form.required[0]]) != (name == "sharegpt"):
            continue
        columns |= _columns_of((*form.optional, *EXTRAS), [c for c in own if c not in columns.values()], given)
        return Detection(name, columns, file.format)
    raise UserError(
        f"its columns fit no form of pairs: {_listed(own)}",
        where=str(file.path),
        do="Say which are which, e.g. --map prompt=COLUMN --map completion=COLUMN.",
    )


def _own_columns(file: RowFile, looked: list[Row | Fault]) -> list[str]:
    own = list(dict.fromkeys(name for row in looked if isinstance(row, Row) for name in row.columns))
    if own:
        return own
    if looked and isinstance(looked[0], Fault):
        where, reason = f"{file.path}:{looked[0].line}", looked[0].reason
        raise UserError(f"none of the first rows can be read; the first: {reason}", where=where)
    raise UserError("holds no rows", where=str(file.path))


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
