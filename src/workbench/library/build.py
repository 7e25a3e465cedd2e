"""Building and updating an index: read what changed, cut it, embed what has no embedding, make the caches.

Every step is kept as it is done. A build that is stopped or killed goes on where it was when it is started again, and
nothing is embedded twice; until it is complete the index answers as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
from filelock import FileLock, Timeout

from workbench.errors import UserError
from workbench.jobs.folder import start_mark
from workbench.library import caches, chunks, documents
from workbench.library.documents import Fault, Found
from workbench.library.parsing import Parser
from workbench.library.store import Store, embedding_key
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


def build(
    folder: Path,
    paths: Sequence[Path] | None,
    embedder: Callable[[str], Embedder],
    report: Reporter,
    *,
    embedding_model: str,
    add: bool = False,
) -> Built:
    """Make the index in `folder` hold exactly the documents of its sources.

    Args:
        folder: the index's folder, made if absent.
        paths: files and folders, absolute; None updates from those that it was built from.
        embedder: loads an embedding model by its name.
        report: progress and messages; its `check_stop` may raise to stop, after which building again goes on.
        embedding_model: the model to build with; an update keeps the model that it was built with.
        add: keep the sources that it has, too.

    Raises:
        UserError: a source does not exist, nothing in them can be indexed, or another process is building it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".writer.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        raise UserError("is being built by another process", where=f"index {folder.name}", do="Wait for it.") from None
    try:
        with Store(folder) as store:
            sources = _sources(store, folder, paths, add=add)
            found, faults = documents.find(sources)  # before anything is written: a source may be absent
            if paths is None:
                embedding_model = store.facts().get("embedding_model", embedding_model)
            me = psutil.Process()
            store.set_facts(builder=f"{me.pid} {start_mark(me)}")
            try:
                return _build(store, folder, sources, found, faults, embedder(embedding_model), report, embedding_model)
            finally:
                store.set_facts(builder=None)
    finally:
        lock.release()


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


def _build(
    store: Store,
    folder: Path,
    sources: list[Path],
    found: list[Found],
    faults: list[Fault],
    model: Embedder,
    report: Reporter,
    embedding_model: str,
) -> Built:
    for fault in faults:
        report.message(f"{fault.path} {fault.reason}", level="warning")
    kept, read, unread = _read(store, found, model, report)
    faults = faults + unread
    if not kept:
        raise UserError(
            "nothing in it can be indexed",
            where=", ".join(map(str, sources)),
            do=f"Name files or folders that hold {documents.KINDS_IN_WORDS}.",
        )
    embedded = _embed(store, model, report)
    report.check_stop()
    report.progress(0, None, message="making the index")
    with caches.publish_lock(folder):
        removed = store.promote(
            sources,
            kept,
            faults,
            {
                "embedding_model": embedding_model,
                "fingerprint": model.fingerprint,
                "dimensions": model.dimensions,
                "updated_at": time.time(),
            },
        )
        try:
            caches.open_caches(folder, store.revision)
        except caches.DoubtError:
            caches.publish(folder, store)
    count, chunk_count = store.counts()
    return Built(count, chunk_count, read, embedded, removed, [asdict(fault) for fault in faults])


def _read(store: Store, found: list[Found], model: Embedder, report: Reporter) -> tuple[list[Found], int, list[Fault]]:
    """Stage every document that is new or has changed; return what stays or comes, how many were read, the faults."""
    limit, window = chunks.CHUNK_TOKENS, model.passage_tokens
    form = f"{chunks.FORM} {limit}/{window} {model.fingerprint}"
    live, staged = store.documents(live=True), store.documents(live=False)
    kept: list[Found] = []
    faults: list[Fault] = []
    read = 0
    for path in staged.keys() - {str(one.path) for one in found}:
        store.unstage(path)
    with Parser() as parser:
        for number, one in enumerate(found):
            report.check_stop()
            report.progress(number, len(found), unit="files", message="reading")
            path = str(one.path)
            before, begun = live.get(path), staged.get(path)
            try:
                content = documents.read_content(one.path)
                stamp = (content.sha256, form)
                if begun is not None and (begun.sha256, begun.form) != stamp:
                    store.unstage(path)
                if before is not None and (before.sha256, before.form) == stamp:
                    store.unstage(path)
                elif begun is None or (begun.sha256, begun.form) != stamp:
                    source = documents.to_text(one.path, content.data, parser)
                    cut = chunks.cut(source, model.count_tokens, limit=limit, window=window)
                    keyed = ((chunk, embedding_key(model.fingerprint, chunk.embedded)) for chunk in cut)
                    store.stage(one, content, source, keyed, form=form)
                    read += 1
                kept.append(one)
            except documents.UnreadableError as error:
                store.unstage(path)
                stays = "" if before is None else "; it stays in the index as it was"
                faults.append(Fault(documents.shown(one.path), f"{error}{stays}"))
                report.message(f"{documents.shown(one.path)} {error}{stays}", level="warning")
                if before is not None:
                    cutting, _, weights = before.form.rpartition(" ")
                    if weights != model.fingerprint:  # vectors of two models cannot be compared
                        store.restage(path, model.fingerprint, form=f"{cutting} {model.fingerprint}")
                    kept.append(one)
    report.progress(len(found), len(found), unit="files", message="reading")
    return kept, read, faults


def _embed(store: Store, model: Embedder, report: Reporter) -> int:
    """Embed every text that has no embedding, in small committed batches."""
    total, done, begun = store.not_embedded(), 0, time.monotonic()
    report.progress(0, total, unit="chunks", message="embedding")
    while batch := store.next_to_embed(EMBED_BATCH):
        report.check_stop()
        store.add_embeddings([key for key, _ in batch], model.encode([text for _, text in batch]))
        done += len(batch)
        rate = round(done / max(time.monotonic() - begun, 1e-6), 1)
        report.progress(done, total, unit="chunks", message="embedding", chunks_per_second=rate)
    return done
