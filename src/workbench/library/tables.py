"""A CSV or TSV file as text that tells what each value is: every row as "column: value; column: value".

A row stands on as many lines as in the file, so that its line numbers are those of the file.
"""

from __future__ import annotations

import csv
import io
import itertools
import re

NAME_CHARACTERS = 60
"""Of a column's name at most so many are repeated in every row."""
MAX_CHARACTERS = 60_000_000
"""Rows that need more with their columns' names are left as they are in the file."""

_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"[-+(]?[$€£]?\d[\d.,:/%e+-]*\)?")


def rows_as_text(text: str, *, tabs: bool = False) -> str:
    """The rows of a table, each with the names of its columns; the header stays as it is.

    Args:
        text: the file's, with "\\n" as its only newline.
        tabs: whether the columns are set apart by tabs; otherwise it is seen.

    Returns:
        Text with the same lines; `text` itself where it is no table with a header.
    """
    delimiter = "\t" if tabs else _delimiter(text)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    told, size, before = [], 0, 0
    names: list[str] | None = None
    try:
        for row in reader:
            lines, before = reader.line_num - before, reader.line_num
            if names is None and row:
                if not _is_header(row):
                    return text
                names = [" ".join(name.split())[:NAME_CHARACTERS] for name in row]
                line = f" {delimiter.strip() or '|'} ".join(" ".join(name.split()) for name in row)
            else:
                line = _told(names or [], row)
            told.append(line + "\n" * max(0, lines - line.count("\n")))
            size += len(told[-1])
            if size > MAX_CHARACTERS:
                return text
    except csv.Error:  # a field beyond the module's limit: a quotation mark that is never closed, mostly
        return text
    return "".join(told)


def _told(names: list[str], row: list[str]) -> str:
    pairs = itertools.zip_longest(names, (value.strip() for value in row[: len(names) + 1000]), fillvalue="")
    return "; ".join(f"{name}: {value}" if name else value for name, value in pairs if value)


def _is_header(row: list[str]) -> bool:
    """Several different names, none of them a number or a sentence."""
    names = [name.strip() for name in row]
    return (
        len(names) > 1
        and all(0 < len(name) <= 2 * NAME_CHARACTERS and not _NUMBER.fullmatch(name) for name in names if name)
        and sum(map(bool, names)) > 1
        and len({name.lower() for name in names if name}) == sum(map(bool, names))
    )


def _delimiter(text: str) -> str:
    """The one that sets as many columns apart in most of the first rows, more columns before fewer."""
    best, found = (0.0, 0), ","
    for delimiter in _DELIMITERS:
        try:
            rows = [
                len(row) for row in itertools.islice(csv.reader(io.StringIO(text[:65_536]), delimiter=delimiter), 50)
            ]
        except csv.Error:
            continue
        if rows and rows[0] > 1:
            score = (round(rows.count(rows[0]) / len(rows), 1), rows[0])
            if score > best:
                best, found = score, delimiter
    return found
