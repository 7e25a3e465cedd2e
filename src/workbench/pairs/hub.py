"""Rows of a Hugging Face dataset, from the hub or a folder, read as a stream through `datasets`. No code of it is run.

`datasets` takes a second to import and is imported when the first row is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.pairs.pair import as_text
from workbench.pairs.row import Fault, Row

PREFIX = "hub:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_PARTS = re.compile(r"(?P<name>[^:@]*)(:(?P<config>[^:@]+))?(@(?P<split>[^:@]+))?")


@dataclass(frozen=True)
class DatasetName:
    """Which dataset is meant: `hub:OWNER/NAME[:CONFIG][@SPLIT]`, or a folder in the place of `hub:OWNER/NAME`."""

    name: str
    """Of the hub's repository, or the folder's path."""
    on_hub: bool
    config: str | None = None
    """Also called subset; None: the only one, or the default."""
    split: str | None = None
    """None: of the hub train, or the first; of a folder all of them."""

    def __str__(self) -> str:
        config = f":{self.config}" if self.config else ""
        split = f"@{self.split}" if self.split else ""
        return f"{PREFIX if self.on_hub else ''}{self.name}{config}{split}"


def parse(text: str, root: Path | None = None) -> DatasetName | None:
    """What `text` names, if it names a dataset; None where it can be a file only.

    Args:
        text: what a user typed.
        root: where a relative path lies; the current folder if None.

    Raises:
        UserError: it begins with `hub:` and names nothing.
    """
    root = root or Path()
    if not text.startswith(PREFIX):
        if (root / text).is_file():  # whatever else its name could mean
            return None
        for whole, config, split in _readings(text):
            if (root / whole).is_dir():
                return DatasetName(str((root / whole).absolute()), False, config, split)
        return None
    parts = _PARTS.fullmatch(text.removeprefix(PREFIX).strip())
    if not parts or not _NAME.fullmatch(parts["name"]):
        raise UserError(
            f"{text!r} names no dataset of the hub", do="Write hub:OWNER/NAME, hub:OWNER/NAME:CONFIG or hub:…@SPLIT."
        )
    return DatasetName(parts["name"], True, parts["config"], parts["split"])


def _readings(text: str) -> Iterator[tuple[str, str | None, str | None]]:
    """The folders that `text` could mean, with config and split; its own name may have such characters."""
    yield text, None, None
    head, at, split = text.rpartition("@")
    if at:
        yield head, None, split
    before, colon, config = (head or text).rpartition(":")
    if colon:
        yield before, config, split or None


class DatasetRows:
    """A dataset as a source of rows (see `detecting.Source`)."""

    format = "a Hugging Face dataset"
    unit = "rows"

    def __init__(self, dataset: DatasetName) -> None:
        """Nothing is opened yet."""
        self.where = str(dataset)
        self.name = as_text(self.where if dataset.on_hub else Path(dataset.name).name)
        self.done = 0
        self.total = 0
        """0 where the dataset does not tell."""
        self._dataset = dataset
        self._streams: dict[str, Any] = {}

    def rows(self, columns: Collection[str] | None = None) -> Iterator[Row | Fault]:
        """The rows from the first on; of several splits one after the other, each with lines of its own.

        Raises:
            UserError: the hub does not answer, there is no such dataset, config or split, or it cannot be read.
        """
        self.done = 0
        try:
            self._open()
            for split, stream in self._streams.items():
                part = f"@{split}" if len(self._streams) > 1 else ""
                if columns is not None and stream.column_names:
                    stream = stream.select_columns([name for name in stream.column_names if name in columns])
                for line, row in enumerate(stream, 1):
                    self.done += 1
                    yield Row(line, row, part)
        except (UserError, GeneratorExit):
            raise
        except Exception as error:  # whatever its files or their readers raise is about this dataset
            raise UserError(f"cannot be read: {_reason(error)}", where=self.where) from error

    def _open(self) -> None:
        if self._streams:
            return
        from workbench.models.fetch import hub_answers

        if self._dataset.on_hub and not hub_answers():
            do = "Check the network; or fetch the dataset where there is one, and import its folder."
            raise UserError("the hub does not answer", where=self.where, do=do)
        found = _load(self._dataset)
        told = [(stream.info.splits or {}).get(split) for split, stream in found.items()]
        if all(told):
            self.total = sum(info.num_examples or 0 for info in told if info)
        if self._dataset.split is None and self._dataset.on_hub:
            self.name = f"{self.name}@{next(iter(found))}"
        # Pictures and sound stay bytes, for which nothing need be installed.
        self._streams = {split: stream.decode(False) for split, stream in found.items()}


def _load(dataset: DatasetName) -> dict[str, Any]:
    """The streams of the splits that are meant."""
    import datasets

    folder = Path(dataset.name)
    if not dataset.on_hub and any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        found: Any = datasets.load_from_disk(dataset.name)  # what `save_to_disk` wrote
    else:
        found = datasets.load_dataset(dataset.name, name=dataset.config, streaming=True)
    if not isinstance(found, dict):
        found = {str(found.split or "train"): found}
    chosen = [dataset.split] if dataset.split else list(found)
    if dataset.on_hub and not dataset.split:  # its other splits may be what models are measured by
        chosen = ["train"] if "train" in found else chosen[:1]
    if chosen[0] not in found:
        do = f"It has {', '.join(map(str, found))}."
        raise UserError(f"has no split {chosen[0]!r}", where=str(dataset), do=do)
    streams = {str(split): found[split] for split in chosen}
    return {
        split: stream if isinstance(stream, datasets.IterableDataset) else stream.to_iterable_dataset()
        for split, stream in streams.items()
    }


def _reason(error: Exception) -> str:
    """The error's own words, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return as_text(" ".join(lines[:2])[:300]) or type(error).__name__
