"""A Hugging Face dataset folder: Parquet files of the splits train and eval, and a card that says what they hold.

`datasets.load_dataset(folder)` loads it, and so does the hub when the folder is uploaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import UserError
from workbench.pairs import parquet
from workbench.pairs.forms import FORMS
from workbench.pairs.pair import split_source
from workbench.text import for_terminal

_SHARD = 400 * 2**20  # bytes of Arrow from which on a new file is begun; the hub asks for less than 500 MB
_SOURCES = 20  # named in the card
_LICENCE = re.compile(r"(# ?)?license(_name|_link)?:")
_MARK = "<!-- As exported, but for the licence: sha256 "
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class Card:
    """What the card says besides what is counted."""

    dataset: str
    form: str
    status: str | None
    test_size: float


class _Split:
    """The files of one split; each is written until it is large enough."""

    def __init__(self, folder: Path, name: str, columns: Sequence[str]) -> None:
        self.name, self.rows, self.nbytes = name, 0, 0
        self._folder, self._columns = folder, columns
        self._open = ExitStack()
        self._files: list[Path] = []
        self._writer: parquet.Writer | None = None

    def write(self, row: Mapping[str, Any]) -> None:
        if self._writer is None or self._writer.nbytes > _SHARD:
            self.close()
            self._files.append(self._folder / f"{self.name}-{len(self._files):05d}.parquet")
            self._writer = self._open.enter_context(parquet.Writer(self._files[-1], self._columns))
        self._writer.write(row)

    def close(self) -> None:
        self._open.close()
        if self._writer is not None:
            self.rows, self.nbytes = self.rows + self._writer.rows, self.nbytes + self._writer.nbytes
            self._writer = None

    def finish(self) -> None:
        """Give the files the names that the hub gives them, which tell how many there are."""
        self.close()
        for number, path in enumerate(self._files):
            named = path.with_name(f"{self.name}-{number:05d}-of-{len(self._files):05d}.parquet")
            path.rename(named)
            files.fsync_file(named)


def write(path: Path, rows: Iterable[tuple[bool, Mapping[str, Any], str]], columns: Sequence[str], card: Card) -> None:
    """Write a folder, aside first; one that was there is replaced when this is whole, but for its card's licence.

    Args:
        path: the folder.
        rows: of each whether it is in the eval split, its columns and the source of its pair.
        columns: all columns that rows have.
        card: what the card says.

    Raises:
        UserError: at `path` is something that no export wrote, or somebody has written into its card.
        OSError: the disk is full or fails.
    """
    _check_replaceable(path)
    licence = _licence_of(path / "README.md")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.remove_left_of(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)  # a process that had this pid was killed
    data = aside / "data"
    data.mkdir(parents=True)
    splits = [_Split(data, name, columns) for name in ("train", "eval")]
    try:
        sources: Counter[str] = Counter()
        try:
            for evaluated, row, source in rows:
                splits[evaluated].write(row)
                sources[split_source(source)[0]] += 1
        finally:
            for split in splits:
                split.close()
        for split in splits:
            split.finish()
        text = "\n".join(_card(card, [split for split in splits if split.rows], columns, sources, licence))
        (aside / "README.md").write_text(_marked(text), encoding="utf-8")
        files.fsync_file(aside / "README.md")
        files.fsync_folder(data)
        files.fsync_folder(aside)
        files.replace_folder(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check_replaceable(path: Path) -> None:
    """A slip of the finger must not cost a folder of anything else."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UserError("is not a folder", where=str(path), do="Name another.")
    if not path.exists():
        return
    others = [
        found.relative_to(path)
        for found in path.rglob("*")
        if str(found.relative_to(path)) not in ("README.md", "data")
        and not (found.parent == path / "data" and found.suffix == ".parquet")
    ]
    if others:
        raise UserError(f"holds other things, {others[0]} among them", where=str(path), do="Name another folder.")


def _marked(text: str) -> str:
    """The card with what tells whether it is as it was written."""
    return f"{text}\n{_MARK}{_hash_of(text)} -->\n"


def _hash_of(text: str) -> str:
    """Of a card but for its licence, which its owner is asked to write there."""
    rest = [line.rstrip() for line in text.splitlines() if not _LICENCE.match(line)]
    return hashlib.sha256("\n".join(rest).strip().encode()).hexdigest()


def _licence_of(path: Path) -> list[str]:
    """The lines of a card's head that say its licence.

    Raises:
        UserError: more than these was changed, which a new card would lose.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    card, _, mark = text.rpartition(_MARK)
    if mark.strip() != f"{_hash_of(card)} -->":
        do = "Name another folder, or move the card away and take over from it what you wrote."
        raise UserError("was edited, or no export wrote it; a new card would replace it", where=str(path), do=do)
    head = card.split("\n---\n", 1)[0]
    return [line.rstrip() for line in head.splitlines() if _LICENCE.match(line) and not line.startswith("#")]


def _card(
    card: Card, splits: Sequence[_Split], columns: Sequence[str], sources: Counter[str], licence: Sequence[str]
) -> Iterator[str]:
    pairs = sum(split.rows for split in splits)
    yield "---"
    yield "# Say under which licence this may be used: https://huggingface.co/docs/hub/repositories-licenses"
    yield from licence or ["# license: YOUR-LICENCE"]
    yield f"pretty_name: {json.dumps(card.dataset)}"
    yield f"size_categories:\n- {next((name for size, name in _SIZES if pairs < size), '1M<n<10M')}"
    yield "task_categories:\n- text-generation"
    yield f"tags:\n- {'preference' if FORMS[card.form].preference else 'sft'}\n- hybrid-workbench"
    yield "configs:\n- config_name: default\n  data_files:"
    for split in splits:
        yield f"  - split: {split.name}\n    path: data/{split.name}-*"
    yield "dataset_info:\n  splits:"
    for split in splits:
        yield f"  - name: {split.name}\n    num_bytes: {split.nbytes}\n    num_examples: {split.rows}"
    yield "---\n"
    status = f"{card.status} pairs" if card.status else "pairs of any status"
    yield f"# {card.dataset}\n"
    yield f"{pairs:,} {status} of the dataset `{card.dataset}`, in the form `{card.form}`.\n"
    yield "| split | pairs |\n|---|---:|"
    for split in splits:
        yield f"| {split.name} | {split.rows:,} |"
    yield ""
    if len(splits) > 1 or card.test_size:
        yield f"Held out for the split eval is a share of {card.test_size:g}, by a hash of the prompt: pairs with the"
        yield "same prompt, or with prompts found to be nearly the same, are on the same side.\n"
    yield f"Columns: {', '.join(f'`{name}`' for name in columns)}.\n"
    yield "## Source\n"
    named = [(source, number) for source, number in sources.most_common(_SOURCES) if source]
    for source, number in named:
        yield f"- `{for_terminal(source, one_line=True).replace('`', '')}`: {number:,} pairs"
    if rest := pairs - sum(number for _, number in named):
        yield f"- {'others, or ' if named else ''}not known: {rest:,} pairs"
    yield "\n## Licence\n"
    yield "The head of this file says under which licence this may be used. Where it says none, none is chosen yet:"
    yield "write it there before you share the folder, and check that the licences of the sources above allow it.\n"
    yield "## Use\n"
    yield '```python\nfrom datasets import load_dataset\n\nsplits = load_dataset("path/to/this/folder")\n```\n'
