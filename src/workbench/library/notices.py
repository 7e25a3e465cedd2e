"""What the system tells of changes below some files and folders, gathered in threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

QUIET = 0.1
"""Seconds without a change after which what changed is told."""
MOST = 0.5
"""Seconds after which it is told although changes go on."""
_NETWORK = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
    "fuse.rclone",
)
"""File systems on which the system does not tell what other machines change."""


class NoNoticesError(Exception):
    """The system does not tell of changes there; the message says why, in a few words."""


class Notices:
    """Tells of changes from when it was made until it is closed."""

    def __init__(self, roots: Sequence[Path], changed: Callable[[set[str]], None]) -> None:
        """Begin to watch.

        Args:
            roots: existing files and folders, resolved; folders with all that is below them.
            changed: called in another thread with absolute paths; of a folder that came, its own path may be all.

        Raises:
            NoNoticesError: they are too many for the system, or on a network.
        """
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        for root in roots:
            if (kind := file_system_of(root)) in _NETWORK:
                raise NoNoticesError(f"on a network ({kind})")
        folders = [str(root) for root in roots if root.is_dir()]
        single = {str(root) for root in roots if not root.is_dir()}
        # Of a file its folder is watched: programs save by putting a new file in the old one's place.
        beside = sorted({str(Path(path).parent) for path in single})
        self._changed, self._closed = changed, threading.Event()
        self._watchers: list[RustNotify] = []
        try:
            for paths, recursive in ((folders, True), (beside, False)):
                if paths:
                    self._watchers.append(RustNotify(paths, False, False, 300, recursive, True))
        except (OSError, WatchfilesRustInternalError) as error:
            self.close()
            full = "limit" in str(error) or "No space" in str(error)
            raise NoNoticesError(
                "too many folders for the system to watch (fs.inotify.max_user_watches)" if full else str(error)
            ) from None
        for number, watcher in enumerate(self._watchers):
            only = single if (number or not folders) else None
            threading.Thread(target=self._gather, args=(watcher, only), name="notices", daemon=True).start()

    def close(self) -> None:
        """End."""
        self._closed.set()  # the threads end by it, and let go of the system's watches

    def _gather(self, watcher: RustNotify, only: set[str] | None) -> None:
        with watcher:
            while not self._closed.is_set():
                told = watcher.watch(int(MOST * 1000), int(QUIET * 1000), 1000, self._closed)
                if isinstance(told, set):
                    paths = {path for _, path in told}
                    if paths := paths if only is None else paths & only:
                        self._changed(paths)


def file_system_of(path: Path) -> str:
    """The kind of file system that a path is on, as /proc/mounts names it; empty where there is no such list."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    mounts = [fields for line in lines if len(fields := line.split(" ")) > 2]
    places = [(Path(fields[1].replace("\\040", " ")), fields[2]) for fields in mounts]
    return max((place for place in places if path.is_relative_to(place[0])), key=lambda place: len(place[0].parts))[1]
