"""Exporting pairs in one of the forms, to a file or a Hugging Face dataset folder; imported again they are the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from workbench import files
from workbench.errors import UserError
from workbench.pairs import dataset_folder, parquet
from workbench.pairs.forms import EXTRAS, FORMS, Form
from workbench.pairs.pair import STATUSES, Pair
from workbench.pairs.readers import FORMATS
from workbench.pairs.reading import Shape
from workbench.pairs.split import group_of, is_eval
from workbench.pairs.store import PairStore

TEST_SIZE = 0.05
"""Share of a folder's pairs that are its eval split, as in a recipe that says nothing else."""
_LOOK = 1000  # pairs between two looks at whether to stop
_TURNS_IN_CELLS = ("prompt/completion", "preference")  # read back from CSV, such a cell could be anybody's text


def export(
    store: PairStore,
    dataset: str,
    path: Path,
    form: str,
    status: str | None = "accepted",
    *,
    replace: bool = False,
    test_size: float = TEST_SIZE,
    progress: Callable[[float, float, str], None] | None = None,
    check_stop: Callable[[], None] | None = None,
) -> int:
    """Write pairs to a JSONL, JSON, CSV or Parquet file, by the ending of its name; how many were written.

    A name without an ending is a Hugging Face dataset folder: Parquet files of the splits train and eval, and a card.

    Preference pairs go into the form `preference` only, the others into the other forms only: a dataset of both is
    written to two files; those of which nobody has said which answer is the better one go into none. Where a pair has
    earlier turns, all rows of `prompt/completion` and `preference` are written as lists of messages, as TRL reads them.
    Source, tags and note are written where pairs have them.

    Args:
        store: where from.
        dataset: which.
        path: the file or folder; it appears when it is whole.
        form: a key of `FORMS`.
        status: only pairs of this status; None: all.
        replace: whether what is there may be replaced; of folders only one that an export wrote.
        test_size: share of the eval split of a folder, 0 for none: what a run with this one holds out.
        progress: called with how many are written, of how many, and "pairs".
        check_stop: called now and then; what it raises ends the export, and nothing is written.

    Raises:
        UserError: there is nothing to write, a pair does not fit the form, something is there already, or the file
            cannot be written; then what stood there stands there still.
    """
    _check(form, status, path, test_size)
    shape = store.shape(dataset, status=status, preference=FORMS[form].preference)
    if not shape.pairs:
        kind = "preference pairs" if FORMS[form].preference else "pairs with a completion"
        raise UserError(
            f"dataset {dataset!r} has no {f'{status} ' if status else ''}{kind}",
            do="See what there is with `workbench pairs stats`.",
        )
    file_format = FORMATS.get(path.suffix.lower(), "")
    write = _writer_of(form, file_format, shape, path)
    columns = _columns(FORMS[form], write, shape)
    if (path.exists() or path.is_symlink()) and not replace:
        raise UserError("is there already", where=str(path), do="Name another, or say that it may be replaced.")

    def pairs() -> Iterator[Pair]:
        count = 0
        for pair in store.pairs(dataset, status=status):
            if pair.is_preference != FORMS[form].preference or pair.is_undecided:
                continue
            if count % _LOOK == 0:
                if check_stop:
                    check_stop()
                if progress:
                    progress(count, shape.pairs, "pairs")
            count += 1
            yield pair
        if progress:
            progress(count, shape.pairs, "pairs")

    try:
        if file_format:
            files.remove_left_of(path)
            with files.replacing(path) as aside:
                _WRITERS[file_format](aside, ({**write(pair), **_extras(pair)} for pair in pairs()), columns)
        else:
            clusters = store.clusters(dataset)  # near-duplicates are on one side, as in a run
            rows = (
                (is_eval(group_of(pair.key, clusters), test_size), {**write(pair), **_extras(pair)}, pair.source)
                for pair in pairs()
            )
            card = dataset_folder.Card(dataset, form, status, test_size)
            dataset_folder.write(path, rows, columns, card)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", where=str(path)) from None
    return shape.pairs


def _check(form: str, status: str | None, path: Path, test_size: float) -> None:
    if form not in FORMS:
        raise UserError(f"{form!r} is no form", do=f"Use one of: {', '.join(FORMS)}.")
    if status is not None and status not in STATUSES:
        raise UserError(f"{status!r} is no status", do=f"Use one of: {', '.join(STATUSES)}.")
    if path.suffix and path.suffix.lower() not in FORMATS:
        do = f"End it in {', '.join(FORMATS)}; or in nothing, for a Hugging Face dataset folder."
        raise UserError("its name does not say a format", where=str(path), do=do)
    if not 0 <= test_size < 1:
        raise UserError(f"a test size of {test_size:g} cannot be held out", do="Say 0 or more, and less than 1.")


def _writer_of(form: str, file_format: str, shape: Shape, path: Path) -> Callable[[Pair], dict[str, Any]]:
    if not shape.with_turns:
        return FORMS[form].write
    if FORMS[form].turns is None or (form in _TURNS_IN_CELLS and file_format == "CSV"):
        which = "pair has" if shape.with_turns == 1 else "pairs have"
        raise UserError(
            f"{shape.with_turns:,} {which} earlier turns, for which {form} in {file_format or 'a folder'} has no room",
            where=str(path),
            do="Use the form messages, or sharegpt." if form != "preference" else "Use .jsonl or .parquet.",
        )
    return FORMS[form].turns or FORMS[form].write


def _columns(form: Form, write: Callable[[Pair], Mapping[str, Any]], shape: Shape) -> list[str]:
    """All columns that the rows have."""
    extras = {"source": shape.with_source, "tags": shape.with_tags, "note": shape.with_note}
    turns = [{"role": "user", "content": "?"}]
    if shape.with_system:
        turns.insert(0, {"role": "system", "content": "."})
    texts = {"completion": None, "chosen": "!", "rejected": "."} if form.preference else {"completion": "!"}
    example = Pair(
        id=0, dataset="", key="", messages=turns, status="", tags=(), note="", source="",
        **{"chosen": None, "rejected": None, **texts},  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    return [*write(example), *(name for name in EXTRAS if extras[name])]


def _extras(pair: Pair) -> dict[str, Any]:
    values = {"source": pair.source, "tags": list(pair.tags), "note": pair.note}
    return {name: value for name, value in values.items() if value}


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    with path.open("wb") as file:
        file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _write_json(path: Path, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    with path.open("wb") as file:
        before = b"[\n"
        for row in rows:
            file.write(before + orjson.dumps(row))
            before = b",\n"
        file.write(b"\n]\n")


def _write_csv(path: Path, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in rows:
            lists = {name: value for name, value in row.items() if isinstance(value, list)}
            writer.writerow(row | {name: json.dumps(value, ensure_ascii=False) for name, value in lists.items()})


def _write_parquet(path: Path, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    with parquet.Writer(path, columns) as writer:
        for row in rows:
            writer.write(row)


_WRITERS: dict[str, Callable[[Path, Iterable[dict[str, Any]], list[str]], None]] = {
    "JSONL": _write_jsonl,
    "JSON": _write_json,
    "CSV": _write_csv,
    "Parquet": _write_parquet,
}
