"""Building and updating an index: read what changed, cut it, embed what has no embedding, make the caches.

What an update costs depends on what changed: a file that looks as it did when it was read is not opened again, and one
that was moved keeps its chunks. Every step is kept as it is done. A build that is stopped or killed goes on where it
was when it is started again, and nothing is embedded twice. The index answers as before until everything is embedded.
While its caches are brought forward then, what was replaced is missing in the answers: a moment after a small update,
but minutes when a large library was embedded anew, for all of it was replaced.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
from filelock import FileLock, Timeout

from workbench.errors import UserError
from workbench.jobs.folder import start_mark
from workbench.library import caches, changes, chunks, documents, shards
from workbench.library.changes import stamp_of
from workbench.library.documents import Fault, FileContent, Found
from workbench.library.identity import OtherEmbedder
from workbench.library.parsing import Parser
from workbench.library.store import Moved, Store, Stored, embedding_key
from workbench.models.embed import Embedder

EMBED_BATCH = 32
"""Chunks embedded between two commits: one to three seconds of work on two cores."""


class Reporter(Protocol):
    """What a build tells while it runs; `workbench.jobs.context.Context` is one."""

    def progress(
        self, done: float, total: float | None = None, *, unit: str = "", message: str = "", **figures: Any
    ) -> None: ...

    def message(self, text: str, *, level: str = "info") -> None: ...

    def check_stop(self) -> None: ...


class Busy(UserError):
    """Another process builds or updates the index."""


@dataclass(frozen=True)
class Built:
    """What a build did."""

    documents: int
    """Documents in the index now."""
    chunks: int
    """Chunks in the index now."""
    read: int
    """Documents that were new or had changed."""
    embedded: int
    """Texts that were embedded."""
    removed: int
    """Documents that are gone from their folders."""
    faults: list[dict[str, str]]
    """path and reason of every file that could not be indexed."""
    moved: int = 0
    """Documents whose file is elsewhere now; they were neither read again nor embedded."""


@dataclass
class _Reading:
    """What became of the files that were looked at."""

    kept: list[Found] = field(default_factory=list)
    """What stays or comes."""
    read: int = 0
    moved: list[Moved] = field(default_factory=list)
    moving: set[str] = field(default_factory=set)
    """The paths that those had."""
    stamps: dict[str, str] = field(default_factory=dict)
    """New ones, by path."""
    faults: list[Fault] = field(default_factory=list)


def build(
    folder: Path,
    paths: Sequence[Path] | None,
    embedder: Callable[[str], Embedder],
    report: Reporter,
    *,
    embedding_model: str,
    add: bool = False,
    chosen: str | None = None,
    reembed: bool = False,
    only: Sequence[Path] | None = None,
    patience: float = 1.0,
    processes: int = 1,
) -> Built:
    """Make the index in `folder` hold exactly the documents of its sources.

    Args:
        folder: the index's folder, made if absent.
        paths: files and folders, absolute; None updates from those that it was built from.
        embedder: loads an embedding model by its name.
        report: progress and messages; its `check_stop` may raise to stop, after which building again goes on.
        embedding_model: the model that a new index is built with; one that exists keeps its own.
        add: keep the sources that it has, too.
        chosen: the model to build with, also in place of the index's own.
        reembed: embed everything anew where the model is not the one that the index was built with.
        only: in an update, look at these paths and what is below them only: nothing else changed.
        patience: seconds to wait for another process that builds it.
        processes: how many embed; see `workbench.library.shards`.

    Raises:
        OtherEmbedder: the model or its weights are others than the index's, and `reembed` does not say what then.
        SourceGone: a source does not exist, or is not mounted.
        Busy: another process is building it.
        UserError: nothing in the sources can be indexed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _writer(folder, report, patience), Store(folder) as store:
        sources = _sources(store, folder, paths, add=add)
        changes.check_there(store, sources)  # before anything is written
        if only is None:
            under = None
            found, faults = documents.find(sources)
        else:
            under = changes.below(sources, only)
            found, faults = changes.find_below(store, sources, [Path(path) for path in under])
        name = chosen or store.facts().get("embedding_model", embedding_model)
        with _at_work(store, shown=only is None):
            model = embedder(name)
            _check_embedder(store, folder, model, name, reembed)
            return _build(
                store, folder, sources, found, faults, model, report, name, under,
                fresh=paths is not None, processes=processes,
            )  # fmt: skip


@contextmanager
def _writer(folder: Path, report: Reporter, patience: float) -> Iterator[None]:
    """Hold the right to write to the index; wait for whoever has it, and say so."""
    lock = FileLock(folder / ".writer.lock")
    until, told = time.monotonic() + patience, False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=min(1.0, patience))
        except Timeout:
            if time.monotonic() >= until:
                raise Busy(
                    "is being built by another process", where=f"index {folder.name}", do="Wait for it."
                ) from None
            report.check_stop()
            if not told:
                report.message("Another process is updating this index; waiting for it.")
                told = True
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _at_work(store: Store, *, shown: bool) -> Iterator[None]:
    """Tell who builds, so that a build which was killed can be told from a complete one."""
    if shown:
        me = psutil.Process()
        store.set_facts(builder=f"{me.pid} {start_mark(me)}")
    try:
        yield
    finally:
        if shown:
            store.set_facts(builder=None)


def _sources(store: Store, folder: Path, paths: Sequence[Path] | None, *, add: bool) -> list[Path]:
    known = store.sources()
    if paths is None:
        if not known:
            raise UserError(
                f"there is no index {folder.name!r} to update",
                do=f"Make it with `workbench index build {folder.name} PATH`.",
            )
        return known
    return list(dict.fromkeys([*known, *paths] if add else paths))


def _check_embedder(store: Store, folder: Path, model: Embedder, name: str, reembed: bool) -> None:
    """Vectors of two models cannot be compared, so a change of models is never made in passing.

    Raises:
        OtherEmbedder: it is another than the index's.
    """
    facts = store.facts()
    if reembed or facts.get("fingerprint", model.fingerprint) == model.fingerprint:
        return
    if chunk_count := store.counts()[1]:
        rate = facts.get("chunks_per_second")
        seconds = chunk_count / float(rate) if rate else None
        raise OtherEmbedder(folder.name, facts.get("embedding_model", name), name, chunk_count, seconds)


def _build(
    store: Store,
    folder: Path,
    sources: list[Path],
    found: list[Found],
    faults: list[Fault],
    model: Embedder,
    report: Reporter,
    embedding_model: str,
    under: list[str] | None,
    *,
    fresh: bool,
    processes: int,
) -> Built:
    for fault in faults:
        report.message(f"{fault.path} {fault.reason}", level="warning")
    reading = _read(store, found, model, report, under)
    faults = faults + reading.faults
    if not reading.kept and (fresh or store.revision == 0):
        raise UserError(
            "nothing in it can be indexed",
            where=", ".join(map(str, sources)),
            do=f"Name files or folders that hold {documents.KINDS_IN_WORDS}.",
        )
    embedded, rate = _embed(store, folder, model, report, under, processes)
    report.check_stop()
    report.progress(0, None, message="making the index")
    facts: dict[str, Any] = {
        "embedding_model": embedding_model,
        "fingerprint": model.fingerprint,
        "dimensions": model.dimensions,
        "updated_at": time.time(),
    }
    if under is None:
        facts["devices"] = changes.devices_of(sources)
    if embedded >= EMBED_BATCH:
        facts["chunks_per_second"] = rate
    with caches.publish_lock(folder):
        removed = store.promote(
            sources, reading.kept, faults, facts, moved=reading.moved, stamps=reading.stamps, under=under
        )
        caches.refresh(folder, store)
    if caches.compaction_due(folder):
        report.progress(0, None, message="compacting the index")
        try:
            caches.compact(folder, store)
        except (OSError, ValueError, caches.DoubtError) as error:  # the update itself is complete
            report.message(f"the index was not compacted: {error}", level="warning")
    count, chunk_count = store.counts()
    listed = [asdict(fault) for fault in faults]
    return Built(count, chunk_count, reading.read, embedded, removed, listed, len(reading.moved))


def _read(store: Store, found: list[Found], model: Embedder, report: Reporter, under: list[str] | None) -> _Reading:
    """Stage every document that is new or has changed."""
    limit, window = chunks.CHUNK_TOKENS, model.passage_tokens
    form = f"{chunks.FORM} {limit}/{window} {model.fingerprint}"
    live, staged = store.documents(live=True, under=under), store.documents(live=False, under=under)
    reading = _Reading()
    for path in staged.keys() - {str(one.path) for one in found}:
        store.unstage(path)
    with Parser() as parser:
        for number, one in enumerate(found):
            report.check_stop()
            report.progress(number, len(found), unit="files", message="reading")
            path, stamp = str(one.path), stamp_of(one.path)  # before it is read: what changes from here on is seen
            before, begun = live.get(path), staged.get(path)
            if before is not None and before.form == form and stamp and stamp == before.stamp:
                if begun is not None:
                    store.unstage(path)
                reading.kept.append(one)
                continue
            try:
                content = documents.read_content(one.path)
                if begun is not None and (begun.sha256, begun.form) != (content.sha256, form):
                    store.unstage(path)
                if before is not None and (before.sha256, before.form) == (content.sha256, form):
                    store.unstage(path)
                    reading.stamps[path] = stamp
                elif begun is not None and (begun.sha256, begun.form) == (content.sha256, form):
                    reading.stamps[path] = stamp
                elif not _known(store, one, content, stamp, form, before, reading):
                    source = documents.to_text(one.path, content.data, parser)
                    cut = chunks.cut(source, model.count_tokens, limit=limit, window=window)
                    keyed = ((chunk, embedding_key(model.fingerprint, chunk.embedded)) for chunk in cut)
                    store.stage(one, content, source, keyed, form=form, stamp=stamp)
                    reading.read += 1
                reading.kept.append(one)
            except documents.UnreadableError as error:
                store.unstage(path)
                stays = "" if before is None else "; it stays in the index as it was"
                shown = documents.shown(one.path)
                reading.faults.append(Fault(shown, f"{error}{stays}"))
                reading.stamps[shown] = stamp
                report.message(f"{shown} {error}{stays}", level="warning")
                if before is not None:
                    cutting, _, weights = before.form.rpartition(" ")
                    if weights != model.fingerprint:  # vectors of two models cannot be compared
                        store.restage(path, model.fingerprint, form=f"{cutting} {model.fingerprint}")
                    reading.kept.append(one)
    report.progress(len(found), len(found), unit="files", message="reading")
    return reading


def _known(
    store: Store, one: Found, content: FileContent, stamp: str, form: str, before: Stored | None, reading: _Reading
) -> bool:
    """Whether these very bytes are in the index under another name; then nothing is read or embedded.

    A document whose file is gone from there has moved, and goes on as it is; else what it holds is copied.
    """
    for path, title in store.same_content(content.sha256, form):
        there = Path(path)
        if there.suffix.lower() != one.path.suffix.lower():  # by which it is read
            continue
        if title in (there.stem, there.name):  # the file's name stands for a title
            title = one.path.stem if title == there.stem else one.path.name
        if before is None and path not in reading.moving and not os.path.lexists(path):
            reading.moved.append(Moved(path, one, title, stamp))
            reading.moving.add(path)
        else:
            store.stage_copy(path, one, title=title, modified=content.modified, stamp=stamp)
        return True
    return False


def _embed(
    store: Store, folder: Path, model: Embedder, report: Reporter, under: list[str] | None, processes: int
) -> tuple[int, float]:
    """Embed every text of this model that has no embedding, in small committed batches; how many, and how many a
    second. What a stopped build has staged elsewhere, or for another model, is left to that one."""
    shards.collect(store, folder, model.dimensions)  # what processes of a killed build have left
    total, done, begun, rate = store.not_embedded(model.fingerprint, under=under), 0, time.monotonic(), 0.0

    def tell(so_far: int) -> None:
        nonlocal done, rate
        done, rate = so_far, round(so_far / max(time.monotonic() - begun, 1e-6), 1)
        report.progress(done, total, unit="chunks", message="embedding", chunks_per_second=rate)

    report.progress(0, total, unit="chunks", message="embedding")
    if processes > 1 and total:
        shards.embed(store, folder, model, processes, tell, report.check_stop)
    while done < total and (batch := store.next_to_embed(EMBED_BATCH, model.fingerprint, under=under)):
        report.check_stop()
        store.add_embeddings([key for key, _ in batch], model.encode([text for _, text in batch]))
        tell(done + len(batch))
    return done, rate
