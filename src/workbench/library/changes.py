"""What differs between an index and its folders, by what the file system tells; a file is read only in doubt.

It knows nothing of models: what differs is for `workbench.library.build` to read and embed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from workbench.errors import UserError
from workbench.library import chunks, documents
from workbench.library.documents import Fault, Found
from workbench.library.store import Store

SETTLED = 2.0
"""Seconds after which a file's times can be trusted: within one tick of a file system's clock (up to 2 s on FAT) a file
can change and look the same."""


class SourceGone(UserError):
    """A file or folder that an index is built from is not there; it may be a drive that is not mounted."""


def stamp_of(path: Path) -> str:
    """Size, times and number of a file as one word, which is another one when the file was changed or replaced.

    Empty where it cannot be trusted: the file changed this moment, or cannot be looked at.
    """
    try:
        status = path.lstat()
    except OSError:
        return ""
    # The time of the last change of status, too: programs that set a file's time back cannot set that one.
    if time.time() - max(status.st_mtime, status.st_ctime) < SETTLED:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def check_there(store: Store, sources: Sequence[Path]) -> None:
    """Conclude nothing from a folder that is gone.

    Raises:
        SourceGone: one does not exist, or is an empty folder of another device than that which the documents were on:
            the place where a drive is mounted.
    """
    devices = json.loads(store.facts().get("devices", "{}"))
    for source in sources:
        if not source.exists():
            raise SourceGone(
                "no such file or folder", where=str(source), do="Bring it back, or build the index without it."
            )
        known = devices.get(str(source))
        if known not in (None, source.stat().st_dev) and source.is_dir() and not any(source.iterdir()):
            raise SourceGone(
                "is empty, and another drive than it was", where=str(source), do="Mount it again, or build anew."
            )


def devices_of(sources: Sequence[Path]) -> str:
    """What `check_there` compares with later, for the facts."""
    return json.dumps({str(source): source.stat().st_dev for source in sources})


def look(store: Store) -> list[Path]:
    """The files that are new, changed or gone since they were read.

    Takes one look at every file; those whose times are new are read and compared, and remembered where they are the
    same. Files that could not be read the last time and are as they were do not count.

    Raises:
        SourceGone: see `check_there`.
    """
    sources = store.sources()
    check_there(store, sources)
    found, _ = documents.find(sources)
    live, faulty = store.documents(live=True), store.fault_stamps()
    different: list[Path] = []
    same: dict[str, str] = {}
    for one in found:
        path, stamp = str(one.path), stamp_of(one.path)
        before = live.pop(path, None)
        if stamp and stamp in (faulty.get(path), before and before.stamp):
            current = before is None or before.form.startswith(f"{chunks.FORM} ")
        elif before is None or not before.form.startswith(f"{chunks.FORM} "):
            current = False
        elif current := _sha256(one.path) == before.sha256:
            same[path] = stamp
        if not current:
            different.append(one.path)
    store.restamp({path: stamp for path, stamp in same.items() if stamp})
    return different + [Path(path) for path in live]


def find_below(store: Store, sources: Sequence[Path], paths: Sequence[Path]) -> tuple[list[Found], list[Fault]]:
    """What `documents.find` finds at and below some paths, without looking at the rest.

    Args:
        store: tells the names that are taken.
        sources: of the index.
        paths: absolute and resolved; those that do not exist, or are in none of the sources, give nothing.
    """
    found: dict[Path, Found] = {}
    faults: list[Fault] = []
    roots = list(dict.fromkeys(source.resolve() for source in sources))
    taken = {stored.name: path for path, stored in store.documents(live=True).items()} if len(roots) > 1 else {}
    for path in paths:
        root = next((root for root in roots if path.is_relative_to(root)), None)
        if root is None or not _is_open(path, root):
            continue
        if not path.is_dir() and (path.suffix.lower() not in documents.KINDS or not path.is_file()):
            continue
        try:
            inside, wrong = documents.find([path])
        except UserError:  # gone this moment
            continue
        faults += wrong
        for one in inside:
            relative = one.path.relative_to(root).as_posix() if one.path != root else one.path.name
            names = (relative, f"{root.name}/{relative}", str(one.path))
            name = next(name for name in names if taken.get(name, str(one.path)) == str(one.path))
            taken[name] = str(one.path)
            found[one.path] = Found(one.path, name)
    return list(found.values()), faults


def _is_open(path: Path, root: Path) -> bool:
    """Whether a walk from the root would come to it: nothing on the way is hidden, a link or passed over."""
    at = root
    for part in path.relative_to(root).parts:
        at = at / part
        if part.startswith(".") or at.is_symlink() or (at.is_dir() and not documents.is_entered(at)):
            return False
    return True


def below(sources: Sequence[Path], paths: Iterable[Path]) -> list[str]:
    """Those of the paths that lie in the sources, as text, without those below others of them; where a path holds a
    whole source, the source stands for it."""
    roots = list(dict.fromkeys(source.resolve() for source in sources))
    inside: set[Path] = set()
    for path in paths:
        if any(path.is_relative_to(root) for root in roots):
            inside.add(path)
        else:
            inside.update(root for root in roots if root.is_relative_to(path))
    outermost: list[Path] = []
    for path in sorted(inside, key=lambda path: path.parts):
        if not outermost or not path.is_relative_to(outermost[-1]):
            outermost.append(path)
    return [os.fspath(path) for path in outermost]


def _sha256(path: Path) -> str | None:
    try:
        return documents.read_content(path).sha256
    except documents.UnreadableError:
        return None
