"""Between pairs and a library: questions and answers that stand in a passage, word for word or nearly.

It compares runs of words, not meaning: that a passage is about the question is what a library is for; that it holds the
very words is a leak, or, where a model is trained with the passage, the intention.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import UserError
from workbench.library.store import FILE, Store

if TYPE_CHECKING:
    import numpy as np

RUN = 5
"""Words in a row that are compared; a shorter question or answer stands in some passage by chance."""
NEARLY = 0.7
"""Share of its runs that stand in one passage from which on a text nearly does."""
_SAMPLED = 8
"""Runs of a text by which passages are found; all of them are compared then."""
_WORDS = re.compile(r"\w+")
_BATCH = 2000  # passages hashed at once


@dataclass(frozen=True)
class Standing:
    """A question or an answer that stands in a passage."""

    text: int
    """Which: its number among the texts given."""
    share: float
    """Of its runs of words that stand there; 1: word for word."""
    chunk: int
    document: str
    place: str


@dataclass
class Texts:
    """Runs of words of many texts: 64 bits each, and little else."""

    runs: list[np.ndarray] = field(default_factory=list)
    """Of each text, uint64 [n]."""

    def add(self, text: str) -> None:
        """One more text."""
        self.runs.append(runs_of(text))


def runs_of(text: str) -> np.ndarray:
    """The hashes of all runs of `RUN` words in a text, uint64 [n]; none where it has fewer words."""
    import numpy as np

    words = _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())
    runs = {" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}
    return np.array([int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest()) for run in runs], np.uint64)


def revision(folder: Path) -> str:
    """What tells the present state of an index from every other.

    Raises:
        UserError: there is no such index, or no build of it was completed.
    """
    if not (folder / FILE).is_file():
        raise UserError(f"there is no index {folder.name!r}", do="See `workbench index list`.")
    with Store(folder) as store:
        if not store.revision:
            raise UserError(f"no build of the index {folder.name!r} was completed", do="See `workbench jobs list`.")
        return f"{store.facts().get('updated_at')}:{store.revision}"


def standing(folder: Path, texts: Texts, tell: Callable[[float, float, str], object]) -> list[Standing]:
    """For each text that stands in a passage of the library, or nearly, the passage that holds most of it.

    Streaming: of the library a few thousand passages are held at once.

    Args:
        folder: of the index.
        texts: what is looked for.
        tell: told how many passages of how many are read.
    """
    import numpy as np

    sampled = [np.sort(runs)[:_SAMPLED] for runs in texts.runs]  # the smallest hashes: as good as any others
    if not any(len(runs) for runs in sampled):
        return []
    owners = np.repeat(np.arange(len(sampled)), [len(runs) for runs in sampled])
    hashes = np.concatenate(sampled)
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    best: dict[int, tuple[float, int]] = {}
    with Store(folder) as store:
        total = store.counts()[1]
        done = 0
        for batch in _batches(store.live_texts()):
            for chunk, text in batch:
                here = runs_of(text)
                first, last = np.searchsorted(hashes, here), np.searchsorted(hashes, here, side="right")
                for number in {int(owners[at]) for a, b in zip(first, last, strict=True) for at in range(a, b)}:
                    share = float(np.isin(texts.runs[number], here).mean())
                    if share >= NEARLY and share > best.get(number, (0.0, 0))[0]:
                        best[number] = share, chunk
            done += len(batch)
            tell(done, total, "passages")
        return list(_placed(store, best))


def _batches(rows: Iterable[tuple[int, str, str]]) -> Iterator[list[tuple[int, str]]]:
    batch: list[tuple[int, str]] = []
    for chunk, _, text in rows:
        batch.append((chunk, text))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _placed(store: Store, best: dict[int, tuple[float, int]]) -> Iterator[Standing]:
    by_chunk: dict[int, list[int]] = defaultdict(list)
    for number, (_, chunk) in best.items():
        by_chunk[chunk].append(number)
    chunks: Sequence[int] = list(by_chunk)
    for start in range(0, len(chunks), 500):
        rows = store.live_chunks(chunks[start : start + 500])
        for chunk, row in rows.items():
            for number in by_chunk[chunk]:
                yield Standing(number, best[number][0], chunk, row["name"], _place(row))


def _place(row: Mapping[str, Any] | Any) -> str:
    where = (
        f"page {row['page']}" if row["page"] is not None else f"line {row['start_line']}" if row["start_line"] else ""
    )
    return " · ".join(part for part in (row["heading"], where) if part)
