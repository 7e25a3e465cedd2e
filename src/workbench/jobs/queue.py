"""One heavy job at a time on this machine; the others wait in the order in which they came.

No daemon: every queued job is a small waiting process. A ticket says who came first, the operating system's file lock
says who runs; a killed process loses both by itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from workbench import files
from workbench.jobs.folder import process_of, start_mark
from workbench.workspace import state_folder

_POLL = 0.2  # seconds


@contextmanager
def heavy_turn(check_stop: Callable[[], None], waiting: Callable[[int], None]) -> Iterator[None]:
    """Wait for this process's turn, and hold it.

    Args:
        check_stop: called while waiting; raises to leave the queue.
        waiting: called with the number of jobs ahead, whenever it changes.
    """
    queue = state_folder() / "heavy"
    queue.mkdir(parents=True, exist_ok=True)
    ticket = _draw(queue)
    lock = FileLock(queue / "lock")
    ahead_shown = -1
    try:
        while True:
            check_stop()
            ahead = sum(1 for other in sorted(queue.glob("*.ticket")) if other.name < ticket.name and _lives(other))
            if ahead == 0:
                try:
                    lock.acquire(timeout=0)
                    break
                except Timeout:
                    pass
            if ahead != ahead_shown:
                ahead_shown = ahead
                waiting(ahead)
            time.sleep(_POLL)
        yield
    finally:
        ticket.unlink(missing_ok=True)
        lock.release()


def _draw(queue: Path) -> Path:
    """The next ticket. They are counted, not timed: a clock that is set back lets nobody overtake."""
    me = psutil.Process()
    with FileLock(queue / "drawing"):
        files.remove_asides(queue)
        drawn = [path.name.partition("-")[0] for path in queue.glob("*.ticket")]
        number = max((int(digits) for digits in drawn if digits.isdigit()), default=0) + 1
        ticket = queue / f"{number:020d}-{me.pid}.ticket"
        files.write_json(ticket, {"pid": me.pid, "started": start_mark(me)}, durable=False)
    return ticket


def _lives(ticket: Path) -> bool:
    try:
        owner = json.loads(ticket.read_text(encoding="utf-8"))
        lives = process_of(owner["pid"], owner["started"]) is not None
    except (OSError, ValueError, KeyError):
        return False
    if not lives:
        ticket.unlink(missing_ok=True)
    return lives
