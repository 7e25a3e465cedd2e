"""Compacting and verifying the caches of an index on request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from workbench.errors import UserError
from workbench.library import caches, integrity
from workbench.library.store import Store


@dataclass(frozen=True)
class Compacted:
    """What compacting did."""

    files_before: int
    files: int
    """usearch files, before and after."""
    removed: int
    """Vectors of chunks that were gone already."""


@dataclass(frozen=True)
class Verified:
    """What verifying found."""

    files: int
    damage: str | None
    """What was wrong; it is right now."""


def compact(folder: Path) -> Compacted:
    """Make the caches of an index anew from its database while the old ones are searched; nothing is embedded.

    Raises:
        UserError: the index is being built, was never complete, or the disk is full.
    """
    with _writing(folder) as store:
        with caches.publish_lock(folder):
            before = caches.refresh(folder, store)
        caches.compact(folder, store, everything=True)
        after = caches.read_manifest(folder)
        removed = sum(before.segments.values()) - sum(after.segments.values())
        return Compacted(len(before.segments), len(after.segments), removed)


def verify(folder: Path) -> Verified:
    """Hash every file of the caches, and make them again where one is not what was written.

    Raises:
        UserError: the index is being built, was never complete, or the disk is full.
    """
    with _writing(folder) as store, caches.publish_lock(folder):
        try:
            manifest = caches.read_manifest(folder)
            damage = integrity.damaged(folder, manifest.files)
        except caches.DoubtError as doubt:
            manifest, damage = None, str(doubt)
        if manifest is None or damage:
            manifest = caches.publish(folder, store)
        else:
            integrity.trust(folder, manifest.files)
        return Verified(len(manifest.files), damage)


@contextmanager
def _writing(folder: Path) -> Iterator[Store]:
    lock = FileLock(folder / ".writer.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        raise UserError("is being built by another process", where=f"index {folder.name}", do="Wait for it.") from None
    try:
        with Store(folder) as store:
            if store.revision == 0:
                raise UserError(f"no build of the index {folder.name!r} was completed", do="Complete it first.")
            yield store
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=f"index {folder.name}", do="Make room.") from None
    except caches.DoubtError as doubt:
        raise UserError(
            f"its files are in doubt: {doubt}",
            where=f"index {folder.name}",
            do=f"Run `workbench index verify {folder.name}`.",
        ) from None
    except ValueError as error:
        raise UserError(
            f"its database lacks what the index is made from ({error})",
            where=f"index {folder.name}",
            do=f"Run `workbench index update {folder.name}`.",
        ) from None
    finally:
        lock.release()
