"""Writing files so that a crash leaves the old one or the new one, never half of either."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def fsync_folder(folder: Path) -> None:
    """Make the names inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make the contents of `path` durable (for files that a library wrote)."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE, RENAME_SWAP


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path aside; on success it is fsynced and renamed over `path`, on an exception it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    aside.unlink(missing_ok=True)  # a process that had this pid was killed
    try:
        yield aside
        fsync_file(aside)
        aside.replace(path)
        fsync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """Replace `path` by `text`, durably. `mode` is set before any content is written (for secrets)."""
    with replacing(path) as aside:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


def write_new(path: Path, data: bytes) -> str:
    """Write a file that is not there yet, durably, and return the sha256 of what was meant to be in it.

    For the parts of a folder that is renamed as a whole: the hash is of the bytes in memory, so a manifest made of it
    also finds what the disk changed on the way.
    """
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(data).hexdigest()


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Replace `path` by `value` as JSON; `durable=False` skips fsync (heartbeats, which may be lost)."""
    text = json.dumps(value, ensure_ascii=False)
    if durable:
        write_text(path, text)
        return
    aside = _aside(path)
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def strict_json(value: Any, *, default: Callable[[Any], Any] | None = None) -> str:
    """`value` as one line of JSON; what JSON has no number for (NaN, infinity) becomes null."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=default)
    except ValueError:
        lax = json.dumps(value, ensure_ascii=False, default=default)
        return json.dumps(json.loads(lax, parse_constant=lambda _: None), ensure_ascii=False)


def replace_folder(aside: Path, target: Path) -> None:
    """Give a folder, whose contents are durable, the name of another one beside it, durably.

    At no moment is there none, where the system can exchange two names; what was there is then at `aside`.
    """
    if not target.exists():
        aside.replace(target)
    else:
        try:
            exchange(aside, target)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
                raise
            shutil.rmtree(target)
            aside.replace(target)
    fsync_folder(target.parent)


def exchange(a: Path, b: Path) -> None:
    """Let two folders or files change places at one stroke.

    Raises:
        OSError: one of them is not there, or this system or disk cannot do it.
    """
    names = os.fsencode(a), os.fsencode(b)
    libc: Any = ctypes.CDLL(None, use_errno=True) if sys.platform in ("linux", "darwin") else None
    if hasattr(libc, "renameat2"):
        failed = libc.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE)
    elif hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(*names, _EXCHANGE)
    else:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(b))
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(b))


def remove_asides(folder: Path) -> None:
    """Remove what writers of files in `folder` that were killed have left; none may be at work."""
    for aside in folder.glob(".*.tmp"):
        aside.unlink(missing_ok=True)


def remove_left_of(path: Path) -> None:
    """Remove what writers of this file or folder that were killed have left beside it; others may be at work."""
    import psutil  # few need it

    named = re.compile(re.escape(f".{path.name}.") + r"(\d+)(-\d+)?\.tmp")
    with contextlib.suppress(OSError):
        for found in list(path.parent.iterdir()):
            if (match := named.fullmatch(found.name)) and not psutil.pid_exists(int(match[1])):
                if found.is_dir() and not found.is_symlink():
                    shutil.rmtree(found, ignore_errors=True)
                else:
                    found.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.tmp")
