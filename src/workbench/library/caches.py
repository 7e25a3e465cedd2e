"""The caches of an index: vectors.usearch and lexical/, named by a manifest with their sha256.

Both can be made again from the store at any time, so any doubt about them, a missing file, a flipped bit, a manifest of
an older revision, means that they are.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from workbench import files
from workbench.library import lexical, vectors
from workbench.library.store import Store

MANIFEST = "manifest.json"
_FORM = 1


class DoubtError(Exception):
    """The caches are not what the store says they should be; the message says how."""


@dataclass(frozen=True)
class Manifest:
    """What the caches hold, and the sha256 of every file of theirs."""

    revision: int
    chunks: int
    dimensions: int
    dtype: str
    fingerprint: str
    """Of the model that embedded the chunks."""
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


def publish_lock(folder: Path) -> FileLock:
    """Held, for moments only, by whoever replaces or opens the caches."""
    return FileLock(folder / ".caches.lock")


def publish(folder: Path, store: Store) -> Manifest:
    """Make both caches from what is live in the store and put them in place; the manifest comes last.

    Searching goes on in the old ones until then. The caller holds `publish_lock`.
    """
    facts = store.facts()
    dimensions, dtype = int(facts["dimensions"]), vectors.best_dtype()
    _, chunks = store.counts()
    for left in folder.glob(".*.*.tmp"):  # by a process that was killed while it wrote
        left.unlink()
    with files.replacing(folder / vectors.FILE) as aside:
        vectors.write(aside, store.live_vectors(), dimensions=dimensions, dtype=dtype)
        hashes = {vectors.FILE: files.sha256_of(aside)}
    aside = folder / f".{lexical.FOLDER}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    lexical.write(aside, store.live_texts())
    for path in _lexical_files(aside):
        files.fsync_file(path)
        hashes[f"{lexical.FOLDER}/{path.name}"] = files.sha256_of(path)
    files.fsync_folder(aside)
    # A folder cannot be replaced in one step; without a manifest that fits, a crash here means making it again.
    shutil.rmtree(folder / lexical.FOLDER, ignore_errors=True)
    aside.replace(folder / lexical.FOLDER)
    manifest = Manifest(int(facts["revision"]), chunks, dimensions, dtype, facts["fingerprint"], hashes)
    files.write_json(folder / MANIFEST, asdict(manifest))
    return manifest


def open_caches(folder: Path, revision: int) -> Caches:
    """Open the caches after checking the sha256 of every file. The caller holds `publish_lock`.

    Raises:
        DoubtError: they are absent, damaged, or of another revision.
    """
    try:
        fields = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(**fields)
    except FileNotFoundError:
        raise DoubtError(f"{MANIFEST} is missing") from None
    except (OSError, ValueError, TypeError):
        raise DoubtError(f"{MANIFEST} cannot be read") from None
    wanted = (_FORM, lexical.FORM, vectors.METRIC)
    if (manifest.form, manifest.lexical_form, manifest.metric) != wanted:
        raise DoubtError(f"{MANIFEST} is of another version")
    if manifest.revision != revision:
        raise DoubtError("the caches are of another revision")
    present = {f"{lexical.FOLDER}/{path.name}" for path in _lexical_files(folder / lexical.FOLDER)} | {vectors.FILE}
    if present != set(manifest.files):
        raise DoubtError(f"{lexical.FOLDER}/ does not hold the files it should")
    try:
        data = (folder / vectors.FILE).read_bytes()
    except OSError:
        raise DoubtError(f"{vectors.FILE} is missing") from None
    for name, expected in manifest.files.items():
        found = hashlib.sha256(data).hexdigest() if name == vectors.FILE else files.sha256_of(folder / name)
        if found != expected:
            raise DoubtError(f"{name} is not what was written")
    try:
        return Caches(
            manifest,
            vectors.Vectors(data, dimensions=manifest.dimensions, dtype=manifest.dtype, count=manifest.chunks),
            lexical.Lexical(folder / lexical.FOLDER, count=manifest.chunks),
        )
    except ValueError as error:
        raise DoubtError(str(error)) from None


def _lexical_files(folder: Path) -> list[Path]:
    """tantivy's files but for its locks, which come and go."""
    return sorted(path for path in folder.glob("*") if path.is_file() and path.suffix != ".lock")
