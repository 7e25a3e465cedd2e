"""Parquet files: reading their rows in batches, and writing rows. pyarrow is imported when the first file is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workbench.errors import UserError
from workbench.pairs.row import Fault, Row

MAX_GROUP = 2 * 2**30  # bytes of a file's group of rows, unpacked
_BATCH = 128  # rows
_PACKED_AT_ONCE = 1000  # rows
_GROUP = 64 * 2**20  # bytes, unpacked, from which on a group of rows is written


def read(path: Path, columns: Collection[str] | None = None) -> Iterator[tuple[int, int, list[Row | Fault]]]:
    """The rows of a file in batches, each with the numbers of rows before it and in all.

    Args:
        path: the file.
        columns: read only these; None reads all.

    Raises:
        UserError: it cannot be read, or not in pieces that fit into memory.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
            if max(groups, default=0) > MAX_GROUP:
                do = f"Save it with groups of less than {MAX_GROUP:,} bytes."
                raise UserError("has a group of rows that is too large to unpack", where=str(path), do=do)
            done, total = 0, file.metadata.num_rows
            for batch in file.iter_batches(_BATCH, columns=None if columns is None else list(columns)):
                yield done, total, _rows(batch, done)
                done += batch.num_rows
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot be read as Parquet: {reason}", where=str(path)) from None


def _rows(batch: Any, before: int) -> list[Row | Fault]:
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:  # Parquet's writers do not check their text
        rows = []
        for number in range(batch.num_rows):
            try:
                rows += batch.slice(number, 1).to_pylist()
            except UnicodeDecodeError:
                rows.append(None)
    return [
        Row(number, row) if row is not None else Fault(number, "not UTF-8")
        for number, row in enumerate(rows, before + 1)
    ]


class Writer:
    """Writes rows to a file, in groups of some megabytes; a context manager, at whose end the file is whole.

    A column is a list of messages where it is one in the first row, `tags` is a list of texts, all others are texts.
    """

    def __init__(self, path: Path, columns: Collection[str]) -> None:
        self.rows = 0
        """How many were written."""
        self.nbytes = 0
        """How many bytes they take unpacked, as Arrow holds them."""
        self._path, self._columns = path, columns
        self._waiting: list[Mapping[str, Any]] = []
        self._packed: list[Any] = []
        self._packed_bytes = 0
        self._schema: Any = None
        self._writer: Any = None

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a row, now or with later ones."""
        self.rows += 1
        self._waiting.append(row)
        if len(self._waiting) == _PACKED_AT_ONCE:
            self._pack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._pack()
                self._flush()
        finally:
            if self._writer is not None:
                self._writer.close()

    def _pack(self) -> None:
        import pyarrow

        if self._schema is None:
            first = self._waiting[0] if self._waiting else {}
            self._schema = pyarrow.schema([(name, _type(name, first.get(name))) for name in self._columns])
        batch = pyarrow.RecordBatch.from_pylist(self._waiting, self._schema)
        self._packed.append(batch)
        self.nbytes += batch.nbytes
        self._packed_bytes += batch.nbytes
        self._waiting = []
        if self._packed_bytes >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow
        import pyarrow.parquet

        self._writer = self._writer or pyarrow.parquet.ParquetWriter(self._path, self._schema)
        self._writer.write_table(pyarrow.Table.from_batches(self._packed, self._schema))
        self._packed, self._packed_bytes = [], 0


def _type(name: str, value: object) -> Any:
    import pyarrow

    if name == "tags":
        return pyarrow.list_(pyarrow.string())
    if isinstance(value, list):  # of messages
        return pyarrow.list_(pyarrow.struct([(key, pyarrow.string()) for key in value[0]]))
    return pyarrow.string()
