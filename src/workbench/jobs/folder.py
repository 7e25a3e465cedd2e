"""The folder that is a job: spec.json, status.json, events.jsonl, job.log, stop.

Only the job's own process writes status.json and events.jsonl once it lives; everybody else reads. "lost" is never
written: it is what a reader concludes when the process is gone without a last word.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from workbench import files
from workbench.errors import UserError

LIVE = ("queued", "running", "paused", "stopping")
ENDED = ("done", "stopped", "failed", "lost")
_START_GRACE = 30.0  # seconds that a new process may take to write its pid


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    done: float = 0
    total: float | None = None
    unit: str = ""
    message: str = ""
    seconds_left: float | None = None

    @property
    def fraction(self) -> float | None:
        """0 to 1, or None where the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None


@dataclass(frozen=True)
class Status:
    """What status.json holds. Times are seconds since the epoch, and only shown; nothing is ordered by them."""

    state: str = "queued"
    pid: int | None = None
    pid_started: float | None = None
    """See `start_mark`."""
    attempt: int = 1
    queued_at: float = 0.0
    queued_mark: float | None = None
    """`time.monotonic()` then, the same for all processes since the machine was started."""
    started_at: float | None = None
    finished_at: float | None = None
    heartbeat: float | None = None
    progress: Progress = field(default_factory=Progress)
    figures: dict[str, Any] = field(default_factory=dict)
    """The latest figures worth a status line, e.g. {"loss": 1.2, "tokens_per_second": 410}; and what the job has taken:
    `seconds` that it was running, the sum of its attempts, and `peak_memory_bytes`, the most of them (see
    `workbench.jobs.memory`), absent before it runs and in jobs of older versions."""
    error: str | None = None
    result: dict[str, Any] | None = None

    @property
    def live(self) -> bool:
        """Queued, running, paused or stopping."""
        return self.state in LIVE


@dataclass(frozen=True)
class JobFolder:
    """A job by its folder. Cheap to make; every property reads the disk."""

    path: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def workspace_root(self) -> Path:
        """A job lies in WORKSPACE/jobs/ID or WORKSPACE/runs/ID, so it can be copied to another workspace."""
        return self.path.parents[1]

    @property
    def is_run(self) -> bool:
        """Whether it lies in runs/."""
        return self.path.parent.name == "runs"

    @property
    def spec(self) -> dict[str, Any]:
        """What was asked: kind, title, arguments, created_at.

        Raises:
            UserError: the folder is not a job's.
        """
        try:
            spec = json.loads((self.path / "spec.json").read_text(encoding="utf-8"))
            return {"kind": spec["kind"], "title": spec["title"], "arguments": spec["arguments"], **spec}
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError("is not a job's folder", where=str(self.path)) from None

    @property
    def listed(self) -> dict[str, Any] | None:
        """`spec`, where it is sound enough for a list of jobs; else None: not (yet) a job's folder, or damaged."""
        try:
            spec = self.spec
        except UserError:
            return None
        created = spec.get("created_at")
        sound = (
            isinstance(spec["kind"], str)
            and isinstance(spec["title"], str)
            and isinstance(spec["arguments"], dict)
            and isinstance(created, int | float)
        )
        return spec if sound else None

    @property
    def events(self) -> Path:
        """Metrics and messages, one JSON object a line, append-only."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.path / "job.log"

    @property
    def stop_file(self) -> Path:
        """Its presence asks the job to stop."""
        return self.path / "stop"

    @property
    def pause_file(self) -> Path:
        """While it is there, a job that can pause waits before its next step."""
        return self.path / "pause"

    def status(self) -> Status:
        """The truth: status.json, or "lost" when it speaks of a process that is gone."""
        status = self._read()
        if status.live and not self._process_lives(status):
            return replace(status, state="lost", finished_at=status.heartbeat)
        if status.state == "running" and self.stop_file.exists():
            return replace(status, state="stopping")
        if status.state == "running" and self.pause_file.exists():
            return replace(status, state="paused")
        return status

    def to_be_started(self) -> Status | None:
        """Its status, if it was queued and no process has taken it up yet."""
        status = self._read()
        return status if status.state == "queued" and status.pid is None else None

    def write_status(self, status: Status, *, durable: bool = True) -> None:
        """Replace status.json; heartbeats need not be durable."""
        files.write_json(self.path / "status.json", asdict(status), durable=durable)

    def process(self) -> psutil.Process | None:
        """The process that does this job, if it lives."""
        status = self._read()
        return process_of(status.pid, status.pid_started)

    def _read(self) -> Status:
        try:
            data = json.loads((self.path / "status.json").read_text(encoding="utf-8"))
            data["progress"] = Progress(**data["progress"])
            return Status(**data)
        except (OSError, ValueError, TypeError, KeyError):
            return Status(state="lost")

    def _process_lives(self, status: Status) -> bool:
        if status.pid is None:
            return status.queued_mark is not None and 0 <= time.monotonic() - status.queued_mark < _START_GRACE
        return process_of(status.pid, status.pid_started) is not None


def process_of(pid: int | None, started: float | None) -> psutil.Process | None:
    """The living process with this pid AND this start mark (pids are reused), zombies excluded."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if started is not None and abs(start_mark(process) - started) > 0.5:
            return None
        return process
    except (psutil.Error, OSError):
        return None


def start_mark(process: psutil.Process) -> float:
    """When a process started, in seconds by a clock that nobody sets, so that it stays the same for its life.

    On Linux since boot: the time of day that psutil tells there moves when the clock is set.

    Raises:
        psutil.Error, OSError: it is gone.
    """
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except FileNotFoundError:
        return process.create_time()
