"""Reading a job's events as they come, by byte offset."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.jobs.folder import JobFolder


class EventReader:
    """Reads what was appended to an events.jsonl since the last call; a half-written last line waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        """Bytes that were read."""

    def read(self) -> list[dict[str, Any]]:
        """The new events, in order. Lines torn by a crash are passed over."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data.rfind(b"\n") + 1
        self.offset += whole
        events = []
        for line in data[:whole].splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                events.append(event)
        return events


def follow(job: JobFolder, *, every: float = 0.2) -> Iterator[dict[str, Any]]:
    """Yield a job's events from the first on, and its progress when it changes, until it has ended.

    Args:
        every: seconds between two looks.
    """
    reader = EventReader(job.events)
    shown = None
    while True:
        status = job.status()
        yield from reader.read()
        if status.progress != shown and status.live:
            shown = status.progress
            yield {
                "time": status.heartbeat,
                "type": "progress",
                "done": shown.done,
                "total": shown.total,
                "unit": shown.unit,
                "message": shown.message,
                "seconds_left": shown.seconds_left,
                **status.figures,
            }
        if not status.live:
            yield from reader.read()
            return
        time.sleep(every)
