"""Parquet files: their rows in batches. pyarrow is imported when the first is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.pairs.row import Fault, Row

MAX_GROUP = 2 * 2**30  # bytes of a file's group of rows, unpacked
_BATCH = 128  # rows


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
