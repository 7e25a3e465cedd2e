"""Words for what is waited for, with the seconds that it takes."""

from __future__ import annotations

import time

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_EVERY = 0.1  # seconds


class Waiting(Static):
    """Shows nothing until `wait_for`; any `update` after it ends the waiting."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._words, self._since = "", 0.0
        self._timer: Timer | None = None

    def wait_for(self, words: str) -> None:
        """Begin to wait, or change the words; the seconds go on."""
        self._words = words
        if self._timer is None:
            self._since = time.monotonic()
            self._timer = self.set_interval(_EVERY, self._paint)
        self._paint()

    def say(self, content: Content) -> None:
        """End the waiting with a word."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self.update(content)

    def _paint(self) -> None:
        seconds = time.monotonic() - self._since
        frame = _FRAMES[int(seconds / _EVERY) % len(_FRAMES)]
        self.update(
            Content.from_markup(
                "[$primary]$frame[/] [$foreground-muted]$words $seconds[/]",
                frame=frame,
                words=self._words,
                seconds=f"{seconds:.0f} s" if seconds >= 1 else "",
            )
        )
