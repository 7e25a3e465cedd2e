"""What a job's function is given: its arguments, and how to tell progress, metrics and messages."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from workbench import files
from workbench.errors import UserError, in_words
from workbench.jobs.folder import JobFolder, Progress, Status
from workbench.jobs.memory import peak_memory_bytes
from workbench.workspace import Workspace

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_BEAT = 2.0  # seconds between heartbeats
_SHOW = 0.25  # seconds at least between two writes of progress
Value = TypeVar("Value")


class StopRequested(Exception):
    """Raised by a job's function after it saved what it could: the job ends as "stopped"."""


class Context:
    """One running job. Safe to use from several threads."""

    def __init__(self, job: JobFolder, status: Status) -> None:
        self.job = job
        self.folder = job.path
        self.arguments: dict[str, Any] = job.spec["arguments"]
        self.workspace = Workspace(job.workspace_root)
        self._status = status
        self._earlier = dict(status.figures)  # what the attempts before this one took
        self._running_since: float | None = None
        self._others_peak = 0
        self._lock = threading.RLock()
        self._shown = 0.0
        self._rate_from: tuple[float, float] | None = None
        self._terminated = threading.Event()
        self._ended = threading.Event()
        self._events = job.events.open("ab", buffering=0)
        self._unwritten = b""  # whole events, and the rest of one, that a full disk keeps from the file
        if self._events.tell() and not _ends_with_newline(job):
            self._unwritten = b"\n"  # a line torn by kill -9 stays one bad line

    # What a job's function calls

    @property
    def attempt(self) -> int:
        """1 at the first start, one more at every resume."""
        return self._status.attempt

    @property
    def seconds(self) -> float:
        """How long this attempt has been running, not counting the time in the queue."""
        return 0.0 if self._running_since is None else time.monotonic() - self._running_since

    @property
    def first(self) -> bool:
        """Whether this process writes to the job's folder; of several that do one job, one does."""
        return True

    def in_turn(self, work: Callable[[], Value]) -> Value:
        """Do `work`; where several processes do one job, in the first one first, then in the others."""
        return work()

    def progress(
        self, done: float, total: float | None = None, *, unit: str = "", message: str = "", **figures: Any
    ) -> None:
        """Show how far the job is; figures (loss, tokens_per_second, ...) go to the status lines.

        Cheap: written at most four times a second.
        """
        with self._lock:
            now = time.monotonic()
            previous = self._status.progress
            if self._rate_from is None or unit != previous.unit or total != previous.total or done < previous.done:
                self._rate_from = (now, done)
            since, done_then = self._rate_from
            left = None
            if total and done > done_then:
                left = (now - since) * max(0.0, total - done) / (done - done_then)
            self._status = replace(
                self._status,
                progress=Progress(done, total, unit, message or previous.message, left),
                figures={**self._status.figures, **figures},
            )
            if now - self._shown >= _SHOW or (total is not None and done >= total):
                self._shown = now
                self._show()

    def event(self, type: str, **fields: Any) -> None:
        """Append one event; it is in the file (see `sync_events`) when this returns. NaN and infinity become null.

        While the disk is full, events wait in memory and are written in their order with a later one.
        """
        line = files.strict_json({"time": round(time.time(), 3), "type": type, **fields})
        with self._lock:
            self._unwritten += line.encode() + b"\n"
            with contextlib.suppress(OSError):
                self._write_events()

    def sync_events(self) -> None:
        """Make all events so far durable: what is written after this may count on them.

        Raises:
            OSError: the disk is full or fails.
        """
        with self._lock:
            self._write_events()
            os.fsync(self._events.fileno())

    def message(self, text: str, *, level: str = "info") -> None:
        """Tell the user something: level info, warning or error."""
        self.event("message", level=level, text=text)

    def stop_requested(self) -> bool:
        """Whether the user asked the job to stop, or the system sent SIGTERM."""
        return self._terminated.is_set() or self.job.stop_file.exists()

    def check_stop(self) -> None:
        """Raise StopRequested if so; call where nothing is half done.

        Raises:
            StopRequested: the user asked the job to stop.
        """
        if self.stop_requested():
            raise StopRequested

    def held_by_others(self, peak_memory_bytes: int) -> None:
        """Tell the most memory that processes which do this job's work have held together."""
        self._others_peak = max(self._others_peak, peak_memory_bytes)

    # What the process around it calls

    def terminate(self) -> None:
        """SIGTERM came."""
        self._terminated.set()

    def set_state(self, state: str, **changes: Any) -> None:
        """Tell a new state as an event and write it durably.

        Raises:
            OSError: the disk is full or fails.
        """
        with self._lock:
            self.event("state", state=state, **({"error": changes["error"]} if changes.get("error") else {}))
            if state == "running":
                self._running_since = time.monotonic()
            self._status = replace(self._status, state=state, **changes)
            self._write(durable=True)

    def beat(self) -> None:
        """Write heartbeats until `end`, in a thread of its own."""
        while not self._ended.wait(_BEAT):
            with self._lock:
                if not self._ended.is_set():
                    self._show()

    def end(self, state: str, **changes: Any) -> None:
        """Stop the heartbeat, make the events durable, and only then write the last state.

        Raises:
            OSError: the disk is full or fails; the job will be found lost, and can be resumed.
        """
        with self._lock:
            self._ended.set()
            self.sync_events()
            self.set_state(state, finished_at=time.time(), **changes)

    def _write_events(self) -> None:
        while self._unwritten:
            written = self._events.write(self._unwritten) or 0
            self._unwritten = self._unwritten[written:]

    def _show(self) -> None:
        with contextlib.suppress(OSError):  # who looks on sees the last one; a full disk ends what saves, not this
            self._write(durable=False)

    def _write(self, *, durable: bool) -> None:
        figures = {**self._status.figures, **self._taken()}
        self._status = replace(self._status, heartbeat=time.time(), figures=figures)
        self.job.write_status(self._status, durable=durable)

    def _taken(self) -> dict[str, Any]:
        """What the job has taken in all its attempts. With every heartbeat, so that one that is killed has told it."""
        if self._running_since is None:
            return {}
        seconds = (self._earlier.get("seconds") or 0.0) + time.monotonic() - self._running_since
        peaks = (self._earlier.get("peak_memory_bytes"), peak_memory_bytes(), self._others_peak)
        return {
            "seconds": round(seconds, 3),
            "peak_memory_bytes": max((peak for peak in peaks if peak), default=None),
        }


def told(error: BaseException, job: JobFolder) -> str:
    """What the user reads of an error that ends a job; the traceback of one nobody foresaw goes to the log."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory. Use a smaller model, batch or max_length."
    if isinstance(error, OSError) and error.errno in _DISK:
        return of_the_disk(error)
    with contextlib.suppress(OSError):
        traceback.print_exception(error)
    return f"{type(error).__name__}: {error} (the details are in {job.log})"


def of_the_disk(error: OSError) -> str:
    """What the user reads of a disk that is full or fails."""
    return f"{in_words(error)}. Free space or mend the disk, then resume."


def _ends_with_newline(job: JobFolder) -> bool:
    with job.events.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
