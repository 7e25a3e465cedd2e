"""One heavy job at a time on this machine; the others wait in the order in which they came, or were put.

No daemon: every queued job is a small waiting process. Its ticket, which only it writes, says that it waits; the file
`order` says in which order, for those that somebody has moved; the operating system's file lock says who runs. A killed
process loses ticket and lock by itself, and a killed mover leaves the old order or the new one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from workbench import files
from workbench.errors import UserError
from workbench.jobs.folder import JobFolder, process_of, start_mark
from workbench.workspace import state_folder

_POLL = 0.2  # seconds
MOVES = ("up", "down", "first", "last")


@dataclass(frozen=True)
class Place:
    """One job in the queue."""

    ticket: str
    """The name of its file."""
    job: JobFolder | None
    """None for a process that is no job's."""
    running: bool
    """It has its turn; the others wait."""
    since: float
    """When it came, in seconds since the epoch."""


@contextmanager
def heavy_turn(
    check_stop: Callable[[], None], waiting: Callable[[int], None], job: JobFolder | None = None
) -> Iterator[None]:
    """Wait for this process's turn, and hold it.

    Args:
        check_stop: called while waiting; raises to leave the queue.
        waiting: called with the number of jobs ahead, whenever it changes.
        job: whose turn it is, for who looks at the queue.
    """
    queue = _folder()
    me = psutil.Process()
    owner = {"pid": me.pid, "started": start_mark(me), "job": str(job.path) if job else None, "since": time.time()}
    ticket = _draw(queue, owner)
    lock = FileLock(queue / "lock")
    ahead_shown = -1
    try:
        while True:
            check_stop()
            names = [place.ticket for place in line_up()]
            ahead = names.index(ticket.name) if ticket.name in names else 0
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
        with _writing(queue):
            files.write_json(ticket, {**owner, "running": True}, durable=False)
        yield
    finally:
        ticket.unlink(missing_ok=True)
        lock.release()


def line_up() -> list[Place]:
    """The jobs of all workspaces in the order in which they get their turn; the one that has it is the first."""
    queue = _folder()
    put = {name: number for number, name in enumerate(_order(queue))}
    found = [place for ticket in queue.glob("*.ticket") if (place := _living(ticket))]
    # Who was never moved comes after all who were in the line at the last move, in the order of coming.
    return sorted(found, key=lambda place: (not place.running, put.get(place.ticket, len(put)), place.ticket))


def move(job: JobFolder, where: str) -> list[Place]:
    """Put a waiting job elsewhere in the queue; the new line.

    Args:
        job: it must wait for its turn.
        where: one of `MOVES`.

    Raises:
        UserError: it does not wait in the queue.
    """
    assert where in MOVES, where
    queue = _folder()
    with _writing(queue):
        line = line_up()
        waiting = [place for place in line if not place.running]
        path = job.path.resolve()
        at = next((n for n, place in enumerate(waiting) if place.job and place.job.path == path), None)
        if at is None:
            state = job.status().state
            told = "has not come to the queue yet" if state == "queued" else f"is {state}, and does not wait"
            raise UserError(f"{job.id} {told}", do="See `workbench jobs queue`.")
        moved = waiting.pop(at)
        to = {"up": max(0, at - 1), "down": at + 1, "first": 0, "last": len(waiting)}[where]
        waiting.insert(to, moved)
        line = [place for place in line if place.running] + waiting
        files.write_json(queue / "order", [place.ticket for place in line])
        return line


def _folder() -> Path:
    queue = state_folder() / "heavy"
    queue.mkdir(parents=True, exist_ok=True)
    return queue


def _draw(queue: Path, owner: dict[str, Any]) -> Path:
    """Take the next ticket. They are counted, not timed: when the clock is set back, nobody overtakes."""
    with _writing(queue):
        files.remove_asides(queue)
        drawn = [path.name.partition("-")[0] for path in queue.glob("*.ticket")]
        number = max((int(digits) for digits in drawn if digits.isdigit()), default=0) + 1
        ticket = queue / f"{number:020d}-{owner['pid']}.ticket"
        files.write_json(ticket, owner, durable=False)
    return ticket


def _writing(queue: Path) -> FileLock:
    """Held by whoever writes in the queue's folder: one after the other."""
    return FileLock(queue / "order.lock")


def _order(queue: Path) -> list[str]:
    try:
        order = json.loads((queue / "order").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in order if isinstance(name, str)] if isinstance(order, list) else []


def _living(ticket: Path) -> Place | None:
    try:
        owner = json.loads(ticket.read_text(encoding="utf-8"))
        lives = process_of(owner["pid"], owner["started"]) is not None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not lives:
        ticket.unlink(missing_ok=True)
        return None
    job = JobFolder(Path(owner["job"])) if owner.get("job") else None
    return Place(ticket.name, job, bool(owner.get("running")), owner.get("since") or 0.0)
