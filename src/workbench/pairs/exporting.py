"""Exporting pairs to a file in one of the forms; importing it again gives the same pairs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import UserError
from workbench.pairs.forms import EXTRAS, FORMS, is_flat
from workbench.pairs.pair import STATUSES, Pair
from workbench.pairs.readers import FORMATS
from workbench.pairs.store import PairStore

_BATCH = 1000
_TURNS_IN_CELLS = ("prompt/completion", "preference")  # read back from CSV, such a cell could be anybody's text


def export(store: PairStore, dataset: str, path: Path, form: str, status: str | None = "accepted") -> int:
    """Write pairs to a JSONL, JSON, CSV or Parquet file, by the ending of its name; how many were written.

    Preference pairs go into the form `preference` only, the others into the other forms only: a dataset of both is
    written to two files; those of which nobody has said which answer is the better one go into none. Where a pair has
    earlier turns, all rows of `prompt/completion` and `preference` are written as lists of messages, as TRL reads them.
    Source, tags and note are written where pairs have them.

    Args:
        store: where from.
        dataset: which.
        path: replaced if it exists.
        form: a key of `FORMS`.
        status: only pairs of this status; None: all.

    Raises:
        UserError: there is nothing to write, a pair does not fit the form, or the file cannot be written; then what
            stood there stands there still.
    """
    if form not in FORMS:
        raise UserError(f"{form!r} is no form", do=f"Use one of: {', '.join(FORMS)}.")
    if status is not None and status not in STATUSES:
        raise UserError(f"{status!r} is no status", do=f"Use one of: {', '.join(STATUSES)}.")
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise UserError("its name does not say a format", where=str(path), do=f"End it in {', '.join(FORMATS)}.")
    count, with_turns, columns = _survey(store, dataset, form, status)
    if not count:
        kind = "preference pairs" if FORMS[form].preference else "pairs with a completion"
        raise UserError(
            f"dataset {dataset!r} has no {f'{status} ' if status else ''}{kind}",
            do="See what there is with `workbench pairs stats`.",
        )
    write = FORMS[form].write
    if with_turns:
        if FORMS[form].turns is None or (form in _TURNS_IN_CELLS and file_format == "CSV"):
            which = "pair has" if with_turns == 1 else "pairs have"
            raise UserError(
                f"{with_turns:,} {which} earlier turns, for which {form} in {file_format} has no room",
                where=str(path),
                do="Use the form messages, or sharegpt." if form != "preference" else "Use .jsonl or .parquet.",
            )
        write = FORMS[form].turns or write
        columns = [name for name in columns if name != "system"]
    rows = ({**write(pair), **_extras(pair)} for pair in _fitting(store, dataset, form, status))
    try:
        with files.replacing(path) as aside:
            _WRITERS[file_format](aside, rows, columns)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", where=str(path)) from None
    return count


def _fitting(store: PairStore, dataset: str, form: str, status: str | None) -> Iterator[Pair]:
    return (
        pair
        for pair in store.pairs(dataset, status=status)
        if pair.is_preference == FORMS[form].preference and not pair.is_undecided
    )


def _survey(store: PairStore, dataset: str, form: str, status: str | None) -> tuple[int, int, list[str]]:
    """How many pairs fit, how many of them have earlier turns, and all columns that their rows have."""
    count = with_turns = 0
    columns: dict[str, None] = {}
    extras: set[str] = set()
    for pair in _fitting(store, dataset, form, status):
        count += 1
        with_turns += not is_flat(pair)
        columns |= dict.fromkeys(FORMS[form].write(pair))
        extras |= _extras(pair).keys()
    return count, with_turns, [*columns, *(name for name in EXTRAS if name in extras)]


def _extras(pair: Pair) -> dict[str, Any]:
    values = {"source": pair.source, "tags": list(pair.tags), "note": pair.note}
    return {name: value for name, value in values.items() if value}


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_json(path: Path, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        before = "[\n"
        for row in rows:
            file.write(before + json.dumps(row, ensure_ascii=False))
            before = ",\n"
        file.write("\n]\n")


def _write_csv(path: Path, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in rows:
            lists = {name: value for name, value in row.items() if isinstance(value, list)}
            writer.writerow(row | {name: json.dumps(value, ensure_ascii=False) for name, value in lists.items()})


def _write_parquet(path: Path, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = iter(rows)
    batch = list(islice(rows, _BATCH))

    def kind(name: str) -> pyarrow.DataType:
        if name == "tags":
            return pyarrow.list_(pyarrow.string())
        value = batch[0].get(name)
        if isinstance(value, list):  # of turns
            return pyarrow.list_(pyarrow.struct([(key, pyarrow.string()) for key in value[0]]))
        return pyarrow.string()

    schema = pyarrow.schema([(name, kind(name)) for name in columns])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while batch:
            writer.write_table(pyarrow.Table.from_pylist(batch, schema))
            batch = list(islice(rows, _BATCH))


_WRITERS: dict[str, Callable[[Path, Iterable[dict[str, Any]], list[str]], None]] = {
    "JSONL": _write_jsonl,
    "JSON": _write_json,
    "CSV": _write_csv,
    "Parquet": _write_parquet,
}
