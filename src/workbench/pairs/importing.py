"""Importing pairs: the form of their rows is found out, bad ones are named and skipped, the rest come as one change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from workbench.pairs import beside
from workbench.pairs.detecting import Detection, Preview, Source, detect, preview
from workbench.pairs.prepared import Batch, StoredRow, batches
from workbench.pairs.readers import RowFile
from workbench.pairs.row import Fault
from workbench.pairs.store import PairStore

__all__ = ["Detection", "ImportResult", "Preview", "detect", "import_file", "import_rows", "preview"]

_LARGE = 16 * 2**20  # bytes of a file from which on a process of its own reads it


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


def import_file(
    store: PairStore,
    path: Path,
    dataset: str,
    *,
    columns: Mapping[str, str] | None = None,
    status: str = "pending",
    limit: int | None = None,
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
        limit: read only so many rows; None: all.
        progress: called with how much is read, of how much, and of what ("bytes" or "rows").
        check_stop: called now and then; what it raises ends the import, and nothing is imported.

    Raises:
        UserError: the file cannot be read, or is none of pairs at all; nothing is imported.
    """
    source = RowFile(path)
    found = detect(source, columns)
    with ExitStack() as held:
        if source.total < _LARGE:
            read = batches(source, found, limit)
        else:
            read = held.enter_context(beside.reading(path, found, limit))
        return _import(store, source, found, read, dataset, status, progress, check_stop)


def import_rows(
    store: PairStore,
    source: Source,
    dataset: str,
    *,
    columns: Mapping[str, str] | None = None,
    status: str = "pending",
    limit: int | None = None,
    progress: Callable[[float, float, str], None] | None = None,
    check_stop: Callable[[], None] | None = None,
) -> ImportResult:
    """Add the pairs of any source of rows; everything else is as in `import_file`."""
    found = detect(source, columns)
    return _import(store, source, found, batches(source, found, limit), dataset, status, progress, check_stop)


def _import(
    store: PairStore,
    source: Source,
    found: Detection,
    read: Iterator[Batch],
    dataset: str,
    status: str,
    progress: Callable[[float, float, str], None] | None,
    check_stop: Callable[[], None] | None,
) -> ImportResult:
    result = ImportResult(found.form)

    def rows() -> Iterator[list[StoredRow]]:
        last: Batch | None = None
        for last in read:
            if check_stop:
                check_stop()
            if progress:
                progress(last.done, last.total, last.unit)
            result.faults += last.faults
            yield last.rows
        if progress and last:
            all_of_it = last.total or last.done
            progress(all_of_it, all_of_it, last.unit)

    label, from_disk = f"imported {source.name}", isinstance(source, RowFile)
    added = store.add_rows(dataset, rows(), status=status, label=label, from_disk=from_disk)
    result.imported, result.duplicates = added.added, added.duplicates
    return result
