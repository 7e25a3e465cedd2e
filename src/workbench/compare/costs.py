"""What a run and an index cost before the first question, from the folders of their jobs, and on which machine.

What a folder does not tell is None: costs are reported beside a verdict and never keep it from being made.
"""

from __future__ import annotations

import math
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.folder import ENDED, JobFolder, Status
from workbench.jobs.follow import EventReader
from workbench.library.store import FILE, Store
from workbench.workspace import Workspace


def upfront(workspace: Workspace, run: str | None, index: str | None) -> dict[str, Any]:
    """What was paid before the first question could be asked.

    Seconds are those that the job was running in all its attempts, its start and the loading of models included, not
    those that it waited for its turn. Peak memory is the process's (see `workbench.jobs.memory`), not a GPU's.

    Returns:
        run: name, seconds, peak_memory_bytes, tokens (trained on, prompts included); None where there is no such run.
        index: name, seconds, peak_memory_bytes, documents, chunks; None where there is no such index. Of the newest
            job that built it from nothing. Where none is left that did (the index was copied here, or its builds
            found most of its embeddings made), seconds and memory are None, for no update's can stand for them.
    """
    return {"run": _run(workspace, run) if run else None, "index": _index(workspace, index) if index else None}


def machine() -> dict[str, Any]:
    """processor; cores (logical ones that this process may use); memory_bytes; gpu, by name, the first one's."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": _gpu(),
    }


def _run(workspace: Workspace, name: str) -> dict[str, Any] | None:
    try:
        job = JobFolder(workspace.run(name))
    except UserError:
        return None
    if not (job.path / "spec.json").is_file():
        return None
    status, events = _status(job), _events(job)
    metrics = [event for event in events if event.get("type") == "metrics"]
    return {
        "name": name,
        "seconds": _seconds(status, events),
        "peak_memory_bytes": _number(status.figures, "peak_memory_bytes") or _highest(metrics, "memory_bytes"),
        "tokens": _number(status.result, "tokens") or _highest(metrics, "tokens"),
    }


def _index(workspace: Workspace, name: str) -> dict[str, Any] | None:
    documents, chunks = _counts(workspace, name)
    for job in control.jobs(workspace):  # newest first
        status = _status(job)
        if _built_from_nothing(job, name, status):
            return {
                "name": name,
                "seconds": _seconds(status, _events(job)),
                "peak_memory_bytes": _number(status.figures, "peak_memory_bytes"),
                "documents": _number(status.result, "documents"),
                "chunks": _number(status.result, "chunks"),
            }
    if documents is None:
        return None
    return {"name": name, "seconds": None, "peak_memory_bytes": None, "documents": documents, "chunks": chunks}


def _built_from_nothing(job: JobFolder, index: str, status: Status) -> bool:
    """Whether a job is a finished build of the index that made most of its embeddings itself.

    Half is most: equal chunks share an embedding. A build that was resumed tells what its last attempt embedded only.
    """
    try:
        spec = job.spec
    except UserError:
        return False
    arguments = spec["arguments"]
    if spec["kind"] != "index" or not isinstance(arguments, dict) or arguments.get("name") != index:
        return False
    if status.state != "done" or arguments.get("update") or arguments.get("add"):
        return False
    embedded, chunks = _number(status.result, "embedded"), _number(status.result, "chunks")
    return status.attempt != 1 or (embedded is not None and chunks is not None and 2 * embedded >= chunks)


def _counts(workspace: Workspace, index: str) -> tuple[int | None, int | None]:
    """Documents and chunks that an index holds now."""
    try:
        folder = workspace.index(index)
        if (folder / FILE).is_file():
            with Store(folder) as store:
                return store.counts()
    except (UserError, OSError, sqlite3.Error):
        pass
    return None, None


def _status(job: JobFolder) -> Status:
    try:
        return job.status()
    except (OSError, TypeError, ValueError):  # numbers that are none, where a pid or a time should be
        return Status(state="lost")


def _events(job: JobFolder) -> list[dict[str, Any]]:
    try:
        return EventReader(job.events).read()
    except OSError:
        return []


def _seconds(status: Status, events: Iterable[dict[str, Any]]) -> float | None:
    """How long a job was running: as its status tells, else (a job of an older version) from its changes of state."""
    told = _number(status.figures, "seconds")
    if told is not None:
        return told
    total, since, last = 0.0, None, None
    for event in events:
        at = _number(event, "time")
        if at is None:
            continue
        if event.get("type") == "state":
            if since is not None:  # killed, if it did not end: its last sign of life counts, not when it was resumed
                total += (at if event.get("state") in ENDED else last or at) - since
            since = at if event.get("state") == "running" else None
        last = at
    if since is not None and last is not None:
        total += last - since
    return total if total > 0 else None


def _highest(events: Iterable[dict[str, Any]], name: str) -> float | None:
    return max((value for event in events if (value := _number(event, name)) is not None), default=None)


def _number(values: Any, name: str) -> Any:
    """The number under a name, or None where something else is there."""
    value = values.get(name) if isinstance(values, dict) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if is_number else None


def _processor() -> str | None:
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine() or None


def _gpu() -> str | None:
    """What torch computes on, where it is loaded; else what NVIDIA's driver for Linux shows."""
    if torch := sys.modules.get("torch"):
        if torch.cuda.is_available():
            return torch.cuda.get_device_name(0)
        return _processor() if torch.backends.mps.is_available() else None
    try:
        for folder in sorted(Path("/proc/driver/nvidia/gpus").glob("*")):
            for line in (folder / "information").read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("Model:"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return None
