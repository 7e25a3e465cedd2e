"""The caches of an index: usearch files and a tantivy folder, named by a manifest with the sha256 of each.

They can be made again from the store at any time, without embedding anything, so any doubt about them, a missing file,
a flipped bit, a manifest that does not fit, means that they are. What is only behind is brought forward: an update of a
few chunks writes one small usearch file, the ids that are gone, and tantivy's next commit, whatever the library's size;
`compact` makes one of many when it is due.

A file has a number in its name and is never written again. New ones are written aside, fsynced, renamed; then the
manifest is replaced, and only then what it no longer names is removed. So a crash at any moment leaves the caches as
they were, and whoever has the old ones open goes on reading them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from filelock import FileLock

from workbench import files
from workbench.library import integrity, lexical, vectors
from workbench.library.store import Store

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"
WHOLE_BELOW = 2_000
"""Chunks below which everything is made anew at every update: a fraction of a second, and nothing is left over."""
SHARE = 0.1
"""Of an index's chunks: what may be gone, or lie outside its large files, before it is compacted."""
_ABSORBED = 8192  # chunks that an update writes anew, at most, so that small files do not become many
_MOST_FILES = 32
_FORM = 2
_OURS = re.compile(r"(vectors|removed|lexical)(-(\d+))?(\.usearch|\.places|\.ids)?")


class DoubtError(Exception):
    """The caches are not what the store says they should be; the message says how."""


class StaleError(DoubtError):
    """They are sound, but of an older revision."""


@dataclass(frozen=True)
class Manifest:
    """What the caches hold, and the sha256 of every file of theirs."""

    revision: int
    sequence: int
    """The last change of the store (`Store.sequence`) that they hold."""
    chunks: int
    dimensions: int
    dtype: str
    fingerprint: str
    """Of the model that embedded the chunks."""
    segments: dict[str, int]
    """How many vectors each usearch file holds."""
    removed: str | None
    """The file of ids that are gone but still in a segment."""
    lexical_folder: str
    """tantivy's."""
    files: dict[str, str]
    """sha256 by path inside the index's folder."""
    metric: str = vectors.METRIC
    lexical_form: int = lexical.FORM
    form: int = _FORM


@dataclass(frozen=True)
class Caches:
    """Both halves of an index, opened."""

    manifest: Manifest
    vectors: vectors.Vectors
    lexical: lexical.Lexical
    segments: dict[str, vectors.Segment]
    trusted: bool
    """Whether large files were not read in full yet: `integrity.damaged` has to be asked soon."""


def publish_lock(folder: Path) -> FileLock:
    """Held, for moments only, by whoever replaces or opens the caches."""
    return FileLock(folder / ".caches.lock")


def read_manifest(folder: Path) -> Manifest:
    """What the caches hold.

    Raises:
        DoubtError: it cannot be told, or is of another version.
    """
    try:
        fields = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if fields.get("form") != _FORM:
            raise DoubtError(f"{MANIFEST} is of another version")
        manifest = Manifest(**fields)
    except FileNotFoundError:
        raise DoubtError(f"{MANIFEST} is missing") from None
    except (OSError, ValueError, TypeError, AttributeError):
        raise DoubtError(f"{MANIFEST} cannot be read") from None
    if (manifest.lexical_form, manifest.metric) != (lexical.FORM, vectors.METRIC):
        raise DoubtError(f"{MANIFEST} is of another version")
    present = {f"{manifest.lexical_folder}/{path.name}" for path in lexical.files_in(folder / manifest.lexical_folder)}
    if present != {name for name in manifest.files if "/" in name}:
        raise DoubtError(f"{manifest.lexical_folder}/ does not hold the files it should")
    return manifest


def open_caches(folder: Path, revision: int | None, before: Caches | None = None) -> Caches:
    """Open the caches after checking their files (`integrity`). The caller holds `publish_lock`.

    Args:
        folder: the index's folder.
        revision: of the store; None takes the caches as they are.
        before: what this process has open; what is the same in both is not opened again.

    Raises:
        StaleError: they are of an older revision.
        DoubtError: they are absent or damaged.
    """
    manifest = read_manifest(folder)
    if revision is not None and manifest.revision != revision:
        kind = StaleError if manifest.revision < revision else DoubtError
        raise kind("the caches are of another revision")
    known = {} if before is None else before.segments
    reused = {
        name: known[name]
        for name in manifest.segments.keys() & known.keys()
        if before and before.manifest.files[name] == manifest.files[name]
    }
    seen = reused.keys() | {vectors.places_of(Path(name)).name for name in reused}
    problem, trusted = integrity.doubt(folder, {name: sha for name, sha in manifest.files.items() if name not in seen})
    if problem:
        raise DoubtError(problem)
    trusted = trusted or bool(before and before.trusted and reused)  # which still have to be read
    try:
        segments = {
            name: reused.get(name)
            or vectors.Segment(folder / name, dimensions=manifest.dimensions, dtype=manifest.dtype, count=rows)
            for name, rows in manifest.segments.items()
        }
        found = vectors.Vectors(list(segments.values()), _removed(folder, manifest))
        if len(found) != manifest.chunks:
            raise ValueError(
                f"its vector files do not hold what the manifest says ({len(found)}, not {manifest.chunks})"
            )
        opened = Caches(
            manifest, found, lexical.Lexical(folder / manifest.lexical_folder, count=manifest.chunks), segments, trusted
        )
    except ValueError as error:
        raise DoubtError(str(error)) from None
    if not trusted:
        integrity.trust(folder, manifest.files)
    return opened


def publish(folder: Path, store: Store) -> Manifest:
    """Make both caches anew from what is live in the store and put them in place. The caller holds `publish_lock`.

    Raises:
        ValueError: the store lacks the embedding of a live chunk.
        OSError: the disk is full.
    """
    facts = store.facts()
    manifest = Manifest(
        int(facts["revision"]), store.sequence, store.count_chunks(), int(facts["dimensions"]), vectors.best_dtype(),
        facts["fingerprint"], {}, None, f"lexical-{_next_number(folder)}", {},
    )  # fmt: skip
    if manifest.chunks != store.counts()[1]:  # somebody changed the database by hand
        store.set_facts(chunks=manifest.chunks)
    with _aside(folder) as aside:
        segments = _write_segments(folder, aside, manifest, manifest.chunks, store.live_vectors())
        lexical.write(aside / manifest.lexical_folder, store.live_texts())
        return _put(folder, store, aside, replace(manifest, segments=segments))


def refresh(folder: Path, store: Store) -> Manifest:
    """Bring the caches to what is live in the store; in doubt they are made anew. The caller holds `publish_lock`.

    It costs what changed since they were written, but for the hashes of small files.

    Raises:
        ValueError, OSError: as `publish`.
    """
    try:
        manifest = read_manifest(folder)
        problem, _ = integrity.doubt(folder, manifest.files)
        changed = store.changes(manifest.sequence)
        facts = store.facts()
        if problem or changed is None or manifest.revision > store.revision:
            raise DoubtError(problem or "what changed since is not known")
        if (manifest.fingerprint, str(manifest.dimensions)) != (facts["fingerprint"], facts["dimensions"]):
            raise DoubtError("another model embedded the chunks")
        if not any(changed):
            if manifest.revision != store.revision:  # documents have other names
                manifest = replace(manifest, revision=store.revision)
                files.write_json(folder / MANIFEST, asdict(manifest))
            integrity.trust(folder, manifest.files)
            return manifest
        chunks = store.counts()[1]
        if chunks < WHOLE_BELOW or sum(map(len, changed)) > chunks:
            raise DoubtError("little of it stays")
        return _update(folder, store, manifest, *changed)
    except (DoubtError, ValueError, KeyError):
        return publish(folder, store)


def compaction_due(folder: Path) -> bool:
    """Whether so much is gone, or lies in so many small files, that questions would soon take longer."""
    try:
        manifest = read_manifest(folder)
    except DoubtError:
        return False
    rows = sum(manifest.segments.values())
    small = sorted(count for count in manifest.segments.values() if count < vectors.SEGMENT // 2)
    outside = sum(small[:-1])  # compacting makes one of them: what does not fill a large file is left in it
    return (
        rows - manifest.chunks > max(WHOLE_BELOW, SHARE * manifest.chunks)
        or outside > max(vectors.EXACT_BELOW, SHARE * manifest.chunks)
        or len(manifest.segments) > _MOST_FILES + 2 * rows // vectors.SEGMENT
    )


def compact(folder: Path, store: Store, *, everything: bool = False) -> bool:
    """Make few large files of many; large ones of which little is gone stay. Searching goes on meanwhile.

    The caller holds the index's writer lock, but not `publish_lock`: this takes minutes for a million chunks.

    Args:
        folder: the index's folder.
        store: its database.
        everything: leave no file as it is.

    Returns:
        Whether it was done; not when the caches are in doubt, or were made again by another process meanwhile.

    Raises:
        ValueError, OSError: as `publish`.
    """
    import numpy as np

    try:
        manifest = read_manifest(folder)
    except DoubtError:
        return False
    if manifest.sequence != store.sequence or manifest.revision != store.revision:
        return False
    removed = _removed(folder, manifest)
    kept: dict[str, int] = {}
    ids: list[np.ndarray] = []
    for name, rows in manifest.segments.items():
        if not everything and rows >= vectors.SEGMENT // 2:
            inside = vectors.read_ids(folder / name)
            gone = int(vectors.among(removed, inside).sum())
            if gone <= SHARE * (rows - gone):  # of what stays, as in `compaction_due`
                kept[name] = rows
                ids.append(inside)
    in_kept = np.sort(np.concatenate(ids)) if ids else np.empty(0, np.uint64)
    wanted = store.live_ids()
    wanted = wanted[~vectors.among(wanted, in_kept)]
    left = removed[vectors.among(removed, in_kept)]
    anew = everything or len(removed) > SHARE * manifest.chunks
    with _aside(folder) as aside:
        number = _next_number(folder)
        batches = store.live_vectors(of=wanted) if kept else store.live_vectors()
        segments = kept | _write_segments(folder, aside, manifest, len(wanted), batches)
        after = replace(manifest, segments=segments, removed=_write_removed(folder, aside, left))
        if anew:
            after = replace(after, lexical_folder=f"lexical-{number}")
            lexical.write(aside / after.lexical_folder, store.live_texts())
        with publish_lock(folder):
            try:
                if read_manifest(folder) != manifest:
                    return False
            except DoubtError:
                return False
            _put(folder, store, aside, after, manifest)
    return True


def _update(folder: Path, store: Store, manifest: Manifest, added: list[int], removed: list[int]) -> Manifest:
    """The caches with some chunks more and others less."""
    import numpy as np

    stay = dict(manifest.segments)
    come = np.array(added, np.uint64)
    gone = np.union1d(_removed(folder, manifest), np.array(removed, np.uint64))
    for name, rows in sorted(manifest.segments.items(), key=lambda item: item[1]):
        if not added or rows > max(2 * len(come), 256) or len(come) + rows > _ABSORBED:
            break
        inside = vectors.read_ids(folder / name)
        come = np.union1d(come, inside[~vectors.among(inside, gone)])
        gone = gone[~vectors.among(gone, inside)]
        del stay[name]
    chunks = sum(stay.values()) + len(come) - len(gone)
    if chunks != store.counts()[1]:
        raise DoubtError("what changed does not add up")
    with _aside(folder) as aside:
        after = replace(
            manifest,
            revision=store.revision,
            sequence=store.sequence,
            chunks=chunks,
            segments=stay | _write_segments(folder, aside, manifest, len(come), store.live_vectors(of=come)),
            removed=_write_removed(folder, aside, gone),
            lexical_folder=f"lexical-{_next_number(folder)}",
        )
        lexical.update(
            folder / manifest.lexical_folder, aside / after.lexical_folder, removed, store.live_texts(of=added)
        )
        return _put(folder, store, aside, after, manifest)


def _write_segments(
    folder: Path, aside: Path, manifest: Manifest, count: int, batches: Iterator[tuple[np.ndarray, np.ndarray]]
) -> dict[str, int]:
    """Write vectors aside, about `vectors.SEGMENT` a file; how many each file holds.

    Raises:
        ValueError: there are not as many as there should be.
    """
    segments: dict[str, int] = {}
    number, left = _next_number(folder), count
    while left > 0:
        rows = min(left, vectors.SEGMENT)
        name = f"vectors-{number + len(segments)}.usearch"
        written = vectors.write(
            aside / name, _about(batches, rows), dimensions=manifest.dimensions, dtype=manifest.dtype, rows=rows
        )
        segments[name], left = written, left - written
        if not written:
            break
    if left:
        raise ValueError("embeddings of its chunks are missing")
    return segments


def _about(batches: Iterator[tuple[np.ndarray, np.ndarray]], rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The next batches with at least so many rows together."""
    for keys, some in batches:
        yield keys, some
        rows -= len(keys)
        if rows <= 0:
            return


def _removed(folder: Path, manifest: Manifest) -> np.ndarray:
    import numpy as np

    return np.fromfile(folder / manifest.removed, "<u8") if manifest.removed else np.empty(0, np.uint64)


def _write_removed(folder: Path, aside: Path, ids: np.ndarray) -> str | None:
    if not len(ids):
        return None
    name = f"removed-{_next_number(folder)}.ids"
    with (aside / name).open("wb") as file:
        file.write(ids.astype("<u8").tobytes())
    return name


def _put(folder: Path, store: Store, aside: Path, manifest: Manifest, before: Manifest | None = None) -> Manifest:
    """Put what was written aside in place; the manifest comes last."""
    named = {manifest.lexical_folder, manifest.removed, *manifest.segments}
    named |= {vectors.places_of(Path(name)).name for name in manifest.segments}
    hashes = {} if before is None else {name: sha for name, sha in before.files.items() if name.split("/")[0] in named}
    for path in [*aside.glob("*.*"), *lexical.files_in(aside / manifest.lexical_folder)]:
        name = path.relative_to(aside).as_posix()
        known = None if before is None else before.files.get(f"{before.lexical_folder}/{path.name}")
        if known and before and path.samefile(folder / before.lexical_folder / path.name):
            hashes[name] = known
        else:
            files.fsync_file(path)
            hashes[name] = files.sha256_of(path)
    if (aside / manifest.lexical_folder).is_dir():
        files.fsync_folder(aside / manifest.lexical_folder)
    for left in folder.glob(".*.json.*.tmp"):  # by a process that was killed while it wrote a manifest
        left.unlink(missing_ok=True)
    for path in aside.iterdir():
        path.rename(folder / path.name)
    files.fsync_folder(folder)
    manifest = replace(manifest, files=hashes)
    files.write_json(folder / MANIFEST, asdict(manifest))
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in named:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    integrity.trust(folder, hashes)
    store.forget_changes(manifest.sequence)
    return manifest


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder to write in, removed in the end; those of processes that were killed are removed, too."""
    for left in folder.glob(".caches-*.tmp"):
        if not psutil.pid_exists(int(left.name.split("-")[1])):
            shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f".caches-{os.getpid()}-", suffix=".tmp", dir=folder))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _next_number(folder: Path) -> int:
    """A number that no file has."""
    names = (_OURS.fullmatch(path.name) for path in folder.iterdir())
    return 1 + max((int(name[3]) for name in names if name and name[3]), default=0)
