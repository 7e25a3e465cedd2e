"""Reading rows of JSONL, JSON, CSV and Parquet files, each with its place; a row that cannot be read becomes a fault.

A file is read as a stream, but for JSON, and no line, field or group of rows is held that is longer than its limit.
It knows nothing of what the columns mean.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import orjson

from workbench.errors import UserError
from workbench.pairs import parquet
from workbench.pairs.pair import as_text
from workbench.pairs.row import Fault, Row

__all__ = ["FORMATS", "Fault", "Row", "RowFile"]

FORMATS = {".jsonl": "JSONL", ".ndjson": "JSONL", ".json": "JSON", ".csv": "CSV", ".tsv": "CSV", ".parquet": "Parquet"}
MAX_LINE = 16 * 2**20  # characters; of JSONL in UTF-8, which is split before it is decoded, bytes
MAX_JSON = 2**29  # bytes of a JSON file, which is held as a whole
_BUFFER = 2**20  # bytes
_LOOK = 256  # lines of text between two looks at how much is read
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}
_AS_UTF8 = "Save it as UTF-8."
_MEND = "Mend it there, or save it as JSONL, of which only the broken lines are skipped."
_ENCODINGS = (  # the longer marks first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BAD_BYTE = re.compile("[\udc80-\udcff]")  # what errors="surrogateescape" makes of a byte that is not UTF-8
_SPACE = re.compile(r"[ \t\r\n]*")


class RowFile:
    """A file of rows. `done` of `total` `unit`s are read."""

    def __init__(self, path: Path) -> None:
        """Look at the beginning of a file.

        Raises:
            UserError: it is absent, not a regular file, empty, packed, or not text in a known encoding.
        """
        self.path = path
        self.name = as_text(path.name)
        self.where = str(path)
        self.done = 0
        self.unit = "bytes"
        self._file: Any = None
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise UserError("is not a regular file", where=str(path), do="Name a file of rows.")
            with path.open("rb") as file:
                head = file.read(65_536)
        except FileNotFoundError:
            raise UserError("no such file", where=str(path)) from None
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
        self.total = found.st_size
        self.encoding = next((name for mark, name in _ENCODINGS if head.startswith(mark)), "utf-8-sig")
        self.format = self._format(head)

    def rows(self, columns: Collection[str] | None = None) -> Iterator[Row | Fault]:
        """The rows from the first on, with faults in their places; blank lines are passed over.

        Args:
            columns: read only these (of a Parquet file); None reads all.

        Raises:
            UserError: the file as a whole cannot be read; rows before the place where that shows have been yielded.
        """
        if self.format == "Parquet":
            self.unit = "rows"
            for done, total, rows in parquet.read(self.path, columns):
                self.done, self.total = done, total
                yield from rows
            return
        read = {"JSONL": self._json_lines, "JSON": self._json, "CSV": self._csv}[self.format]
        try:
            with self._opened() as file:
                self._file = getattr(file, "buffer", file)
                yield from read(file)
        except UnicodeError:
            raise UserError(f"is not {self.encoding.upper()} throughout", where=str(self.path), do=_AS_UTF8) from None
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", where=str(self.path)) from None

    def _opened(self) -> Any:
        if self.encoding != "utf-8-sig":
            return self.path.open(encoding=self.encoding, newline="" if self.format == "CSV" else "\n")
        if self.format == "JSONL":  # its lines are parsed as they are
            file: Any = self.path.open("rb", _BUFFER)
            if file.peek(3)[:3] == codecs.BOM_UTF8:
                file.seek(3)
            return file
        # Undecodable bytes pass as lone surrogates, so that one of them costs its row and not the file.
        newline = "" if self.format == "CSV" else "\n"
        return self.path.open(encoding=self.encoding, errors="surrogateescape", newline=newline)

    def _format(self, head: bytes) -> str:
        where = str(self.path)
        if head.startswith(b"PAR1"):
            return "Parquet"
        for mark, name in _PACKED.items():
            if head.startswith(mark):
                raise UserError(f"is packed ({name})", where=where, do="Unpack it first.")
        if self.encoding == "utf-8-sig" and head.count(0) > len(head) // 10:
            raise UserError("is not UTF-8 text", where=where, do=_AS_UTF8)
        text = head.decode(self.encoding, "replace").lstrip()
        if not text:
            raise UserError("holds no rows", where=where)
        suffix = FORMATS.get(self.path.suffix.lower())
        if suffix == "Parquet":
            raise UserError("is not a Parquet file, though it is called so", where=where)
        if suffix == "CSV":
            return "CSV"
        if text.startswith("["):
            return "JSON"
        first, *others = text.split("\n", 1)
        if suffix == "JSON" and others and not _is_json(first):
            return "JSON"
        return "JSONL" if suffix or text.startswith("{") else "CSV"

    def _read_so_far(self) -> None:
        self.done = self._file.raw.tell()

    def _json_lines(self, file: TextIO | BinaryIO) -> Iterator[Row | Fault]:
        """What orjson refuses is read again by `json`, which says why, or takes what orjson does not."""
        for number in itertools.count(1):
            line = file.readline(MAX_LINE + 1)
            if not line:
                return
            if number % _LOOK == 0:
                self._read_so_far()
            if len(line) > MAX_LINE:
                end = b"\n" if isinstance(line, bytes) else "\n"
                while line and not line.endswith(end):  # pyright: ignore[reportArgumentType]
                    line = file.readline(MAX_LINE)
                yield Fault(number, f"longer than {MAX_LINE:,} characters")
                continue
            try:
                value = orjson.loads(line)
            except ValueError:
                text = line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line
                if text.strip():
                    yield _parsed(number, text.rstrip("\r\n"))
                continue
            yield Row(number, value) if type(value) is dict else Fault(number, "not an object with columns")

    def _json(self, file: TextIO) -> Iterator[Row | Fault]:
        """The elements of one array. A JSON file that is broken somewhere has no rows to trust: it is refused."""
        if self.total > MAX_JSON:
            raise UserError(f"is larger than {MAX_JSON:,} bytes", where=str(self.path), do="Save it as JSONL.")
        text = file.read()
        self._read_so_far()
        decoder = json.JSONDecoder()
        place = _skip(text, 0)
        if text[place : place + 1] != "[":
            raise UserError("is not an array of rows", where=str(self.path), do="Save the array itself, or JSONL.")
        place = _skip(text, place + 1)
        line, counted = 1, 0
        while text[place : place + 1] != "]":
            line, counted = line + text.count("\n", counted, place), place
            try:
                value, end = decoder.raw_decode(text, place)
            except (ValueError, RecursionError) as error:
                at = error.lineno if isinstance(error, json.JSONDecodeError) else line
                raise UserError(f"not JSON: {_reason(error)}", where=f"{self.path}:{at}", do=_MEND) from None
            yield _row(line, value, text[place:end])
            place = _skip(text, end)
            if text[place : place + 1] == ",":
                place = _skip(text, place + 1)
            elif text[place : place + 1] != "]":
                line += text.count("\n", counted, place)
                raise UserError("not JSON: ',' or ']' is missing", where=f"{self.path}:{line}", do=_MEND)
        if _skip(text, place + 1) < len(text):
            raise UserError("not JSON: something follows the array", where=str(self.path), do=_MEND)

    def _csv(self, file: TextIO) -> Iterator[Row | Fault]:
        """The first line says the columns and, by what is most frequent in it, what stands between them."""
        csv.field_size_limit(MAX_LINE)
        lines = self._lines(file)
        top, first = 0, ""
        while not first.strip():
            top, first = top + 1, next(lines)  # there is one: `_format` saw text
        delimiter = max(",;\t|", key=first.count)
        reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            line = top + reader.line_num
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f"not CSV: {error}"
                if "unexpected end of data" in reason:
                    reason = "the quote that opens here is never closed: nothing behind it could be read"
                yield Fault(line, reason)
                continue
            if header is None:
                header = [name.strip() for name in values]
            elif values and len(values) != len(header):
                yield Fault(line, f"has {len(values)} columns, the header has {len(header)}")
            elif values:
                bad = next((found for value in values if (found := _bad_byte(value))), None)
                yield Fault(line, bad) if bad else Row(line, dict(zip(header, values, strict=True)))

    def _lines(self, file: TextIO) -> Iterator[str]:
        for number in itertools.count(1):
            line = file.readline(MAX_LINE)
            if not line:
                return
            if number % _LOOK == 0:
                self._read_so_far()
            if len(line) == MAX_LINE:
                where = f"{self.path}:{number}"
                raise UserError(f"longer than {MAX_LINE:,} characters", where=where, do="Is it CSV at all?")
            yield line


def _parsed(line: int, text: str) -> Row | Fault:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Fault(line, _bad_byte(text) or f"not JSON: {_reason(error)}")
    return _row(line, value, text)


def _row(line: int, value: Any, text: str) -> Row | Fault:
    if bad := _bad_byte(text):
        return Fault(line, bad)
    return Row(line, value) if isinstance(value, dict) else Fault(line, "not an object with columns")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[0].lower()}{error.msg[1:].removesuffix(' at')} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number of too many digits"


def _bad_byte(text: str) -> str | None:
    if text.isascii() or not (found := _BAD_BYTE.search(text)):
        return None
    return f"not UTF-8: byte 0x{ord(found[0]) - 0xDC00:02x} at character {found.start() + 1}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
