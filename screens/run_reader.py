"""Reading a run's folder as it is written. Plain objects: they know nothing of widgets."""

from __future__ import annotations

import os
from typing import Any

from screens.run_history import RunHistory
from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import EventReader
from workbench.text import for_terminal

_PRINTED_AT_FIRST = 64 * 1024  # bytes of job.log read at once, its end first


class RunReader:
    """Reads what a run wrote since the last time, by byte offset: its events, and what its process printed."""

    def __init__(self, folder: JobFolder) -> None:
        self.folder = folder
        self._events = EventReader(folder.events)
        self._printed = -1
        """Offset in job.log; -1 before the first look."""

    def first(self) -> RunHistory:
        """All there is, for the first time. May take a while on a long run: call it in a thread."""
        history = RunHistory()
        self.feed(history, *self.news())
        return history

    def recipe(self) -> str | None:
        """The recipe as the run took it; None before it is there."""
        try:
            return for_terminal((self.folder.path / "recipe.yaml").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            return None

    @property
    def unread(self) -> int:
        """Bytes of events that were written since the last time."""
        try:
            return self.folder.events.stat().st_size - self._events.offset
        except OSError:
            return 0

    def news(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The new events and the newly printed lines."""
        return self._events.read(), self._new_lines()

    @staticmethod
    def feed(history: RunHistory, events: list[dict[str, Any]], printed: list[str]) -> None:
        """Take the news into the history."""
        history.feed(events)
        for line in printed:
            history.add_printed(line)

    def _new_lines(self) -> list[str]:
        try:
            with self.folder.log.open("rb") as file:
                if self._printed < 0:
                    self._printed = max(0, file.seek(0, os.SEEK_END) - _PRINTED_AT_FIRST)
                file.seek(self._printed)
                data = file.read(_PRINTED_AT_FIRST)
        except OSError:
            return []
        whole = data.rfind(b"\n") + 1
        self._printed += whole
        lines = data[:whole].decode("utf-8", errors="replace").splitlines()
        return [line.rpartition("\r")[2] for line in lines if line.strip()]
