"""How soon a changed document changes an answer: measured on a copy of the index with a made-up document.

The user's documents are read as an update reads them, and neither they nor the index are changed.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import UserError
from workbench.library.grounding import Passage
from workbench.library.store import FILE, Store

if TYPE_CHECKING:
    from workbench.models.embed import Embedder

QUESTION = "From which pier does the ferry to Quorvenhal leave?"
DOCUMENT = "quorvenhal-ferry.md"
_TEXT = "# The ferry to Quorvenhal\n\nThe ferry to Quorvenhal leaves from pier {pier} every morning.\n"
_BEFORE, _AFTER = "4713", "8296"  # no model knows them, and none guesses them
_PREFIX = ".update-probe-"  # hidden: an index of the whole workspace passes it over
_PAGES = 1000  # pages of the database copied between two looks at whether to stop
_ROOM = 4  # times the size of its database, an index and an update's caches take on the disk


class _Quiet:
    """A build's reporter that tells nobody: the progress of the comparison is another."""

    def __init__(self, check_stop: Callable[[], None]) -> None:
        self.check_stop = check_stop

    def progress(self, done: float, total: float | None = None, **_: Any) -> None:
        self.check_stop()

    def message(self, text: str, *, level: str = "info") -> None:
        pass


def probe(
    index: Path,
    scratch: Path,
    ask: Callable[[str, list[Passage]], str],
    check_stop: Callable[[], None] = lambda: None,
    *,
    k: int = 4,
    embedder: Callable[[str], Embedder] | None = None,
) -> dict[str, Any]:
    """Change one document, update the index, ask; see how long it takes and whether the answer changed.

    A copy of the index gets a small document with a made-up fact, and is brought up to date with all its sources;
    that is not measured. Then the fact is changed in the file, and what a user would do is measured: the update, which
    loads the embedding model and looks through all sources as `workbench index update` does, the search and the answer.
    The start of a process and its imports are not in it, nor is waiting for other jobs.

    Args:
        index: the folder of the index.
        scratch: a folder where the copy may lie meanwhile, for this comparison alone: what a probe that was killed
            left in it is removed.
        ask: gives the answer to a question with these passages, best first. It is asked once before the change, so
            that the model is loaded.
        check_stop: raises to stop.
        k: passages that the model is given.
        embedder: loads an embedding model by its name; None loads it as an update does.

    Returns:
        seconds_to_index: from the change until the index holds it.
        seconds_to_answer: from the same change until the answer is there, so that it includes the former.
        found: whether the new fact is among the passages.
        answer_changed: whether the answer holds the new fact, and the one before did not.
        document: the name of the made-up document.

    Raises:
        UserError: the index cannot be updated on this machine (its sources or its embedding model are not here, its
            weights are others), or there is no room for the copy.
    """
    try:
        for left in scratch.glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        _check(index, scratch)
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=scratch) as folder:
            return _measured(index, Path(folder), ask, check_stop, k, embedder)
    except (OSError, sqlite3.Error) as error:  # a full disk, a source that may not be listed any more
        raise UserError(f"the copy of the index {index.name!r} cannot be used: {error}", where=str(scratch)) from error


def _measured(
    index: Path,
    folder: Path,
    ask: Callable[[str, list[Passage]], str],
    check_stop: Callable[[], None],
    k: int,
    embedder: Callable[[str], Embedder] | None,
) -> dict[str, Any]:
    from workbench.library.build import build
    from workbench.library.index import Index

    copy, document = folder / index.name, folder / DOCUMENT
    facts = _copied(index, copy, check_stop)
    load = _loader(index, facts, embedder)
    reporter = _Quiet(check_stop)

    document.write_text(_TEXT.format(pier=_BEFORE), encoding="utf-8")
    build(copy, [document], load, reporter, embedding_model=facts["embedding_model"], add=True)
    model = load(facts["embedding_model"])
    opened = Index(copy, tell=lambda _: None)

    def answer() -> tuple[bool, str]:
        """Whether the new fact is found, and what is answered."""
        hits = opened.search(QUESTION, model.encode([QUESTION], query=True)[0], k)
        check_stop()
        told = ask(QUESTION, [hit.passage for hit in hits])
        check_stop()
        return any(hit.document.endswith(DOCUMENT) and _holds(hit.text, _AFTER) for hit in hits), told

    _, before = answer()
    document.write_text(_TEXT.format(pier=_AFTER), encoding="utf-8")
    begun = time.perf_counter()
    build(copy, None, load, reporter, embedding_model=facts["embedding_model"])
    seconds_to_index = time.perf_counter() - begun
    found, after = answer()
    return {
        "seconds_to_index": round(seconds_to_index, 3),
        "seconds_to_answer": round(time.perf_counter() - begun, 3),
        "found": found,
        "answer_changed": _holds(after, _AFTER) and not _holds(before, _AFTER),
        "document": DOCUMENT,
    }


def _check(index: Path, scratch: Path) -> None:
    """Refuse what an update would refuse, before anything is copied.

    Raises:
        UserError: as `probe`.
    """
    if not (index / FILE).is_file():
        raise UserError(f"there is no index {index.name!r}")
    with Store(index) as store:
        absent = [source for source in store.sources() if not source.exists()]
        complete = store.revision > 0
    if not complete:
        raise UserError(f"no build of the index {index.name!r} was completed")
    if absent:
        raise UserError(
            f"what the index {index.name!r} was built from is not on this machine, so it cannot be updated here",
            where=", ".join(map(str, absent)),
        )
    needed = _ROOM * (index / FILE).stat().st_size
    if shutil.disk_usage(scratch).free < needed:
        raise UserError(
            f"there is no room for a copy of the index {index.name!r}",
            where=str(scratch),
            do=f"Free {needed / 1e9:.1f} GB.",
        )


def _copied(index: Path, copy: Path, check_stop: Callable[[], None]) -> dict[str, str]:
    """Copy an index's database as it is at one moment, also while it is being built; its facts."""
    copy.mkdir()
    try:
        with closing(sqlite3.connect(index / FILE)) as source, closing(sqlite3.connect(copy / FILE)) as target:
            source.backup(target, pages=_PAGES, progress=lambda *_: check_stop(), sleep=0.01)
    except sqlite3.Error as error:
        raise UserError(f"cannot be copied: {error}", where=str(index / FILE)) from None
    with Store(copy) as store:
        return store.facts()


def _loader(
    index: Path, facts: dict[str, str], embedder: Callable[[str], Embedder] | None
) -> Callable[[str], Embedder]:
    """What loads the index's embedding model, if it still is the one: with another, an update embeds everything."""

    def load(name: str) -> Embedder:
        if embedder is None:
            from workbench.models.embed import Embedder as Model
            from workbench.models.local import ensure

            model = Model(ensure(name))
        else:
            model = embedder(name)
        if model.fingerprint != facts["fingerprint"]:
            raise UserError(
                f"the index {index.name!r} was built with other weights of {name}",
                do=f"Put the old weights back, or embed it anew with `workbench index update {index.name} --reembed`.",
            )
        return model

    return load


def _holds(text: str, number: str) -> bool:
    return re.search(rf"(?<!\d){number}(?!\d)", text) is not None
