"""What a run's events say, as curves, samples and log lines. A plain object: it knows nothing of widgets."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import EventReader
from workbench.text import for_terminal

SERIES = ("loss", "eval_loss", "learning_rate")
_LOG_LINES = 5000
_PRINTED_AT_FIRST = 64 * 1024  # bytes of job.log read at once, its end first
Point = tuple[float, float]


@dataclass
class RunHistory:
    """Fed with events in their order; what it holds is safe to paint."""

    series: dict[str, list[Point]] = field(default_factory=lambda: {name: [] for name in SERIES})
    """(step, value) of each curve, steps ascending."""
    samples: dict[str, dict[int, str]] = field(default_factory=dict)
    """prompt -> step -> answer."""
    references: dict[str, str] = field(default_factory=dict)
    """prompt -> the completion of the pair, where the prompt is one of the eval split's."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The latest value of everything that was measured."""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))
    """Lines for a person."""
    lines_ever: int = 0
    """How many lines `log` was given, those it has dropped included."""

    def feed(self, events: Iterable[dict[str, Any]]) -> None:
        """Take in events; those that a newer version wrote and this one does not know are passed over."""
        for event in events:
            match event.get("type"):
                case "metrics" if isinstance(event.get("step"), int | float):
                    self._metrics(event)
                case "resumed" if isinstance(event.get("step"), int | float):
                    self._forget_after(event["step"])
                case "sample" if isinstance(event.get("step"), int):
                    prompt = for_terminal(str(event.get("prompt", "")))
                    self.samples.setdefault(prompt, {})[event["step"]] = for_terminal(str(event.get("answer", "")))
                    if event.get("reference"):
                        self.references[prompt] = for_terminal(str(event["reference"]))
            if line := describe(event):
                self.add_line(line)

    def add_line(self, line: str) -> None:
        """One more line of the log; the oldest ones are dropped beyond some thousands."""
        self.log.append(line)
        self.lines_ever += 1

    @property
    def sample_steps(self) -> list[int]:
        """The steps at which samples were taken, ascending."""
        return sorted({step for answers in self.samples.values() for step in answers})

    def _metrics(self, event: dict[str, Any]) -> None:
        step = event["step"]
        for name, value in event.items():
            if isinstance(value, int | float) and name != "time":
                self.figures[name] = value
        for name, points in self.series.items():
            if isinstance(event.get(name), int | float):
                points.append((step, float(event[name])))

    def _forget_after(self, step: float) -> None:
        """A resumed run does the steps since its last checkpoint again: what it did then counts."""
        for points in self.series.values():
            while points and points[-1][0] > step:
                points.pop()
        for answers in self.samples.values():
            for later in [taken for taken in answers if taken > step]:
                del answers[later]


def describe(event: dict[str, Any]) -> str | None:
    """One event as a line of the log; None for what is shown elsewhere."""
    match event.get("type"):
        case "message":
            level = event.get("level", "info")
            text = ("" if level == "info" else f"{level}: ") + str(event.get("text", ""))
        case "state":
            text = str(event.get("state")) + (f": {event['error']}" if event.get("error") else "")
        case "resumed":
            text = f"goes on from step {event.get('step')}"
        case "nan":
            text = f"error: step {event.get('step')} is not finite: loss {event.get('loss')}"
        case "checkpoint":
            text = f"step {event.get('step')}: checkpoint saved"
        case "metrics":
            parts = [f"step {event.get('step')}"]
            for name, form in _FORMS.items():
                if isinstance(event.get(name), int | float):
                    parts.append(form.format(event[name]))
            text = "  ".join(parts)
        case _:
            return None
    clock = time.strftime("%H:%M:%S", time.localtime(event["time"])) if event.get("time") else " " * 8
    return f"{clock}  {for_terminal(text, one_line=True)}"


_FORMS = {
    "loss": "loss {:.4f}",
    "eval_loss": "eval loss {:.4f}",
    "learning_rate": "lr {:.2e}",
    "grad_norm": "gradient {:.2f}",
    "tokens_per_second": "{:.0f} tokens/s",
}


def thin(points: list[Point], most: int) -> list[Point]:
    """At most about `most` points that look the same when drawn: of each stretch its lowest and its highest."""
    if len(points) <= most:
        return points
    stretch = -(-2 * len(points) // most)
    kept: list[Point] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        low, high = min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])
        kept += [low] if low == high else sorted((low, high))
    return kept


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

    def recipe(self) -> str:
        """The recipe as the run took it."""
        try:
            return for_terminal((self.folder.path / "recipe.yaml").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            return "The run writes its recipe here when it starts."

    def news(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The new events and the newly printed lines."""
        return self._events.read(), self._new_lines()

    @staticmethod
    def feed(history: RunHistory, events: list[dict[str, Any]], printed: list[str]) -> None:
        """Take the news into the history."""
        history.feed(events)
        for line in printed:
            history.add_line(f"          {line}")

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
        return [for_terminal(line.rpartition("\r")[2], one_line=True) for line in lines if line.strip()]
