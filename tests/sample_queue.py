"""Jobs that wait for their turn in processes of their own, without the work."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.jobs import queue

# A process that waits for its turn as a job does, says that it has it, and ends. It imports nothing heavy.
_WAITER = """
import os, sys
from pathlib import Path
from workbench.jobs.folder import JobFolder, Status
from workbench.jobs.queue import heavy_turn
job = JobFolder(Path(sys.argv[1]))
job.write_status(Status("queued", os.getpid()))
def stop():
    if job.stop_file.exists():
        sys.exit("left the queue")
with heavy_turn(stop, lambda ahead: None, job):
    with open(sys.argv[2], "a") as file:
        file.write(job.id + "\\n")
"""


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Poll, for another process has to get somewhere."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def waiting() -> list[str]:
    """The jobs in the line, without the one that has its turn."""
    return [place.job.id for place in queue.line_up() if place.job and not place.running]


def names_in(path: Path) -> list[str]:
    """The jobs that had their turn, in order; `path` as given to `waiting_jobs`."""
    return path.read_text().split()


@contextmanager
def busy() -> Iterator[None]:
    """This process has its turn, so that all others wait."""
    with queue.heavy_turn(lambda: None, lambda ahead: None):
        yield


@contextmanager
def waiting_jobs(place: Path, ran: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """A function that starts a job by its name and waits until it stands in the line; they end with the block.

    Args:
        place: where the jobs' folders lie; those that are not there yet are made.
        ran: a file in which each writes its name when it has its turn.
    """
    processes: list[subprocess.Popen[bytes]] = []
    ran.touch()

    def start(name: str) -> subprocess.Popen[bytes]:
        folder = place / name
        if not folder.exists():
            folder.mkdir()
            spec = {"kind": "train", "title": f"train {name}", "arguments": {}, "created_at": len(processes)}
            (folder / "spec.json").write_text(json.dumps(spec))
        command = [sys.executable, "-P", "-c", _WAITER, str(folder), str(ran)]
        processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        until(lambda: name in waiting())
        return processes[-1]

    try:
        yield start
    finally:
        for process in processes:
            process.kill()
            process.wait(10)
