"""Fails the n-th change that a process makes to the file system: a full disk, kill -9, a power cut.

It counts what Python does: audit hooks see files opened, renamed, made and removed; writes and fsync are wrapped. A
child of the fork server installs it; it is never removed.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

KINDS = {
    "kill": "SIGKILL before it",
    "torn": "SIGKILL when half of it is written",
    "power": "power cut before it: what was not fsynced is gone",
    "short": "a short write, once",
    "full once": "no space, once",
    "full": "no space, from then on",
}
_WRITES = {"write", "serialize"}
_NEED_SPACE = {"create", "write", "serialize", "fsync", "mkdir", "rename"}
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_AUDITED = {
    "os.rename": "rename", "os.remove": "remove", "os.rmdir": "rmdir", "os.mkdir": "mkdir", "os.chmod": "chmod",
}  # fmt: skip


class Injector:
    """Counts changes below `roots` and lets the `at`-th of those that `kind` can strike fail; 0 only counts."""

    def __init__(self, roots: list[str], kind: str, at: int, fired: Callable[[str], None]) -> None:
        self.roots, self.kind, self.at, self.fired = [os.path.realpath(root) for root in roots], kind, at, fired
        self.count = 0
        self.trace: list[tuple[str, str]] = []
        self.full = False
        self._durable: dict[tuple[int, int], int] = {}  # inode -> bytes that an fsync has made safe
        self._lock = threading.RLock()
        self._off = False

    def install(self) -> None:
        """From now on."""
        self._open, self._write, self._fsync = io.open, os.write, os.fsync
        injector = self

        class Counted(io.FileIO):
            def write(self, data: Any) -> int:
                return injector._written(self.fileno(), bytes(data), super().write)

        def opened(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **options: Any) -> Any:
            if not set(mode) & set("wxa+") or options.get("opener"):
                return injector._open(file, mode, buffering, *args, **options)
            raw = Counted(file, mode.replace("b", "").replace("t", ""), closefd=options.pop("closefd", True))
            injector._opened(raw.fileno())
            if buffering == 0:
                return raw
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *args, **options)

        io.open = builtins.open = opened  # type: ignore[assignment]
        os.write = lambda fd, data: self._written(fd, bytes(data), lambda part: self._write(fd, part))
        os.fsync = self._fsynced
        sys.addaudithook(self._audit)
        if "torch" in sys.modules:
            self._install_in_torch()

    def _install_in_torch(self) -> None:
        import safetensors.torch
        from safetensors import SafetensorError

        from workbench import files

        serialize, exchange = safetensors.torch.serialize_file, files.exchange

        def serialized(tensors: Any, path: Any, *args: Any, **options: Any) -> None:
            def half() -> None:
                serialize(tensors, path, *args, **options)
                os.truncate(path, os.path.getsize(path) // 2)

            try:
                self._change("serialize", str(path), half=half)
            except OSError as error:  # as Rust tells it
                raise SafetensorError(f"I/O error: {error.strerror} (os error {error.errno})") from None
            serialize(tensors, path, *args, **options)
            with self._lock, self._open(path, "rb") as file:
                self._durable[self._inode(file.fileno())] = 0

        def exchanged(a: Path, b: Path) -> None:
            self._change("rename", str(b))
            exchange(a, b)

        safetensors.torch.serialize_file = serialized
        files.exchange = exchanged

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._off or (event != "open" and event not in _AUDITED):
            return
        if isinstance(arguments[0], int):
            return
        path = os.fsdecode(arguments[0])
        if event == "open":
            if arguments[2] & _CHANGES:
                self._change("open" if os.path.exists(path) else "create", path)
        elif event == "os.rename":
            self._change("rename", os.fsdecode(arguments[1]))
        else:
            self._change(_AUDITED[event], self._full_path(path, arguments[-1]))

    @staticmethod
    def _full_path(path: str, folder: Any) -> str:
        """shutil.rmtree removes relative to an open folder."""
        if isinstance(folder, int) and folder >= 0 and not os.path.isabs(path):
            return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
        return path

    def _opened(self, fd: int) -> None:
        with self._lock:
            inode, size = self._inode(fd), os.fstat(fd).st_size
            self._durable[inode] = min(self._durable.get(inode, size), size)

    def _written(self, fd: int, data: bytes, write: Callable[[bytes], int]) -> int:
        path = os.readlink(f"/proc/self/fd/{fd}")
        with self._lock:
            self._durable.setdefault(self._inode(fd), os.fstat(fd).st_size)
            cut = self._change("write", path, half=lambda: write(data[: len(data) // 2]))
            return cut if cut is not None else write(data)

    def _fsynced(self, fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        self._change("fsync", path)
        # No real fsync: only what comes after the fault is looked at, by processes of this machine.
        with self._lock:
            self._durable[self._inode(fd)] = os.fstat(fd).st_size

    def _change(self, what: str, path: str, half: Callable[[], Any] | None = None) -> int | None:
        """Count, and strike; what a short write has written."""
        with self._lock:
            real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
            if self._off or not any(real == root or real.startswith(root + os.sep) for root in self.roots):
                return None
            self.trace.append((what, real))
            if self.full and what in _NEED_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            if not self._strikes(what):
                return None
            self.count += 1
            if self.count != self.at:
                return None
            self.fired(f"{what} {real}")
            return self._strike(path, half)

    def _strikes(self, what: str) -> bool:
        if self.kind in ("torn", "short"):
            return what in _WRITES
        return self.kind not in ("full", "full once") or what in _NEED_SPACE

    def _strike(self, path: str, half: Callable[[], Any] | None) -> int | None:
        if self.kind == "short":
            return half() if half else None
        if self.kind == "full":
            self.full = True
            written = half() if half else None
            if isinstance(written, int) and written:
                return written
        if self.kind in ("full", "full once"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self._off = True
        if self.kind == "torn" and half:
            half()
        elif self.kind == "power":
            self._lose_what_is_not_safe()
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    def _lose_what_is_not_safe(self) -> None:
        for root in self.roots:
            for folder, _, names in os.walk(root):
                for name in names:
                    path = os.path.join(folder, name)
                    seen = os.lstat(path)
                    safe = self._durable.get((seen.st_dev, seen.st_ino))
                    if safe is not None and safe < seen.st_size:
                        os.truncate(path, safe)

    @staticmethod
    def _inode(fd: int) -> tuple[int, int]:
        seen = os.fstat(fd)
        return seen.st_dev, seen.st_ino
