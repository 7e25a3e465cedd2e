"""The app's view of all jobs: a plain object that looks at their folders. It knows nothing of screens.

`look` is cheap enough for a few calls a second: it asks the disk for times and sizes, and reads what changed.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.jobs import control
from workbench.jobs.folder import JobFolder, Status
from workbench.training.tags import FILE as TAGS
from workbench.training.tags import read as read_tags
from workbench.workspace import Workspace

_LOOK_AT_ENDED = 2.0  # seconds between two looks at jobs that have ended (somebody may resume them)


@dataclass(frozen=True)
class Job:
    """One job as it was at the last look."""

    folder: JobFolder
    kind: str
    title: str
    arguments: dict[str, Any]
    created_at: float
    status: Status
    events_size: int
    """Bytes in events.jsonl: when it grew there is something to read."""
    tags: tuple[str, ...] = ()
    """Of a run."""

    @property
    def id(self) -> str:
        return self.folder.id

    @property
    def live(self) -> bool:
        return self.status.live


@dataclass
class JobBoard:
    """All jobs of a workspace, newest first."""

    workspace: Workspace
    jobs: list[Job] = field(default_factory=list)
    ended: list[Job] = field(default_factory=list)
    """Those that ended between the last look and the one before, also if they began after it."""
    turned: bool = False
    """Whether the last look found a job that is new, gone, or in another state; else jobs have only gone on."""
    _seen: dict[Path, Job] = field(default_factory=dict)
    _stamps: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    _looked_at_ended: float = 0.0
    _looked: bool = False

    @property
    def live(self) -> list[Job]:
        """Queued, running or stopping; the running ones first, then in the order in which they came."""
        going = [job for job in self.jobs if job.live]
        return sorted(going, key=lambda job: (job.status.state == "queued", job.status.queued_mark or 0.0))

    def find(self, id: str) -> Job | None:
        """The job with this id; for a run, its name."""
        return next((job for job in self.jobs if job.id == id), None)

    def look(self, *, everything: bool = False) -> bool:
        """Bring `jobs` up to date; True when something changed.

        Args:
            everything: also look at jobs that have ended, which otherwise waits for its time.
        """
        now = time.monotonic()
        all_of_them = everything or now - self._looked_at_ended >= _LOOK_AT_ENDED
        if all_of_them:
            self._looked_at_ended = now
        folders = [folder for place in (self.workspace.jobs, self.workspace.runs) for folder in _subfolders(place)]
        changed = self.turned = False
        self.ended = []
        for folder in folders:
            before = self._seen.get(folder)
            if before is not None and not before.live and not all_of_them:
                continue
            stamp = _stamp(folder)
            # A live job is read even when its files are still: its process may have died without a word.
            if before is not None and stamp == self._stamps.get(folder) and not (before.live and all_of_them):
                continue
            job = _read(folder, before, events_size=stamp[-1])
            self._stamps[folder] = stamp
            if job is None or job == before:
                continue
            self._seen[folder] = job
            changed = True
            self.turned |= before is None or job.status.state != before.status.state
            if not job.live and (before.live if before else self._looked):
                self.ended.append(job)
        for gone in self._seen.keys() - set(folders):
            del self._seen[gone]
            changed = self.turned = True
        self._looked = True
        if changed:
            self.jobs = sorted(self._seen.values(), key=lambda job: job.created_at, reverse=True)
            control.reap()
        return changed


def _subfolders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return []


def _stamp(folder: Path) -> tuple[int, ...]:
    stamp = []
    for name in ("status.json", "stop", "pause", TAGS):
        try:
            stamp.append(os.stat(folder / name).st_mtime_ns)  # noqa: PTH116 - a few hundred of these a second
        except OSError:
            stamp.append(0)
    try:
        stamp.append(os.stat(folder / "events.jsonl").st_size)  # noqa: PTH116
    except OSError:
        stamp.append(0)
    return tuple(stamp)


def _read(folder: Path, before: Job | None, *, events_size: int) -> Job | None:
    job = JobFolder(folder)
    if before is not None:
        spec = {
            "kind": before.kind,
            "title": before.title,
            "arguments": before.arguments,
            "created_at": before.created_at,
        }
    else:
        spec = job.listed
        if spec is None:
            return None
    return Job(
        job,
        spec["kind"],
        spec["title"],
        spec["arguments"],
        spec["created_at"],
        job.status(),
        events_size,
        read_tags(folder).tags if job.is_run else (),
    )
