"""Whether the files of the caches are what was written, told without reading a gigabyte at every opening.

usearch checks nothing: one flipped bit in its file is a crash of the process in one case of five (measured with 2.26),
so nothing reaches it whose sha256 is not known. Up to `AT_ONCE` bytes of files, all are hashed whenever an index is
opened. Larger ones are trusted on opening, when they are the very files (device, inode, size, times of the last change
of content and of the inode) that were hashed before: whatever a program does to a file changes one of these. What is
left is a disk that returns other bits than it was given. For that, trust is spent by opening: its mark is removed
before the native code sees a file, and set again only when all files were hashed in full, right after the opening, in a
thread (`Index` does it). If the bits crash the process before, no mark is left and the next opening hashes everything
first, finds it, and the caches are made again: one crash of a server or job at most, never of the app, which opens no
such file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from workbench import files

AT_ONCE = 128 * 2**20
"""Bytes that are hashed at every opening: a tenth of a second."""
_MARK = "checked.json"


def damaged(folder: Path, hashes: Mapping[str, str]) -> str | None:
    """The first of some files that is missing or is not what was written, all read in full; None when all are whole.

    Args:
        folder: the index's folder.
        hashes: sha256 by path inside it.
    """
    for name, expected in hashes.items():
        try:
            if files.sha256_of(folder / name) != expected:
                return f"{name} is not what was written"
        except OSError:
            return f"{name} is missing"
    return None


def doubt(folder: Path, hashes: Mapping[str, str]) -> tuple[str | None, bool]:
    """As `damaged`, but large files are trusted once for every time that they were found whole.

    Returns:
        What is wrong, or None; and whether a file was trusted: then call `damaged` soon, and `trust` if nothing is.
    """
    trusted = _trusted(folder, hashes)
    (folder / _MARK).unlink(missing_ok=True)
    if trusted:
        files.fsync_folder(folder)
    return damaged(folder, {name: known for name, known in hashes.items() if name not in trusted}), bool(trusted)


def trust(folder: Path, hashes: Mapping[str, str]) -> None:
    """Remember that all these files were just written, or hashed in full, by this process.

    Where that cannot be written, on a full disk, the next opening reads them again.
    """
    with contextlib.suppress(OSError):
        if _size(folder, hashes) > AT_ONCE:
            marks = {name: [known, *_identity(folder / name)] for name, known in hashes.items()}
            files.write_json(folder / _MARK, marks)


def distrust(folder: Path) -> None:
    """Have the next opening read every file: one is damaged."""
    (folder / _MARK).unlink(missing_ok=True)


def _trusted(folder: Path, hashes: Mapping[str, str]) -> set[str]:
    """Large files that are the very ones that were hashed; none when all together are small."""
    try:
        if _size(folder, hashes) <= AT_ONCE:
            return set()
        marks = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        return {name for name, known in hashes.items() if marks.get(name) == [known, *_identity(folder / name)]}
    except (OSError, ValueError, AttributeError):
        return set()


def _size(folder: Path, hashes: Mapping[str, str]) -> int:
    return sum((folder / name).stat().st_size for name in hashes)


def _identity(path: Path) -> list[int]:
    seen = path.stat()
    return [seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]
