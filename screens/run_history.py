"""What a run's events say, as curves, samples, flags and log lines. A plain object: it knows nothing of widgets."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from screens.event_lines import describe, is_number
from screens.run_series import Point, Series
from workbench.text import for_terminal

_LOG_LINES = 5000
_SAMPLE_STEPS = 200  # evaluations whose samples are kept: beyond it every second one is left out
_NO_CURVES = ("time", "step", "epoch", "tokens")
_JUDGED = ("eval_loss", "eval_reward")  # the figures that a run can be judged by
_MOST_CURVES = 64  # names of figures that a run may bring


class Overfitting(NamedTuple):
    """From which step on eval loss rises while the training loss falls, and which step was the best before."""

    step: float
    best_step: float


class RateChange(NamedTuple):
    """The learning rate's peak was changed while the run went on."""

    step: float
    before: float
    after: float


@dataclass
class RunHistory:
    """Fed with events in their order; what it holds is safe to paint."""

    series: dict[str, Series] = field(default_factory=lambda: {"loss": Series(), "eval_loss": Series()})
    """Each figure that was measured, by TRL's name of it."""
    samples: dict[str, dict[int, str]] = field(default_factory=dict)
    """prompt -> step -> answer."""
    references: dict[str, str] = field(default_factory=dict)
    """prompt -> the completion of the pair, where the prompt is one of the eval split's."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The latest value of everything that was measured."""
    best: Point | None = None
    """(step, value) of the best evaluation: of the lowest eval loss, or of the highest reward where the run learns by
    rewards."""
    best_of: str = "eval_loss"
    """Which figure that is."""
    overfits: list[Overfitting] = field(default_factory=list)
    """Each time that it was flagged."""
    rate_changes: list[RateChange] = field(default_factory=list)
    """Each change of the learning rate by the user."""
    stopped_early: Overfitting | None = None
    """Where early stopping ended it, and the step that was the best."""
    preflight: dict[str, Any] = field(default_factory=dict)
    """What was estimated before the first step."""
    preflight_check: dict[str, Any] = field(default_factory=dict)
    """What of it was expected, and what came: known at the end."""
    told_ever: int = 0
    """How many events and printed lines were taken in for the log, those it has dropped included."""
    _bests: list[tuple[Point, str]] = field(default_factory=list)
    """Each best that was told, and of which figure; every one is better than the one before."""
    _told: deque[dict[str, Any] | str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))
    """Put in words when they are looked at: a long run has many that nobody reads."""
    _zero: float | None = None
    """The time that counts as second 0: later than the run's start by what it has waited."""
    _paused_at: float | None = None

    def feed(self, events: Iterable[dict[str, Any]]) -> None:
        """Take in events; those that a newer version wrote and this one does not know are passed over."""
        for event in events:
            if is_number(event.get("step")):
                self._take(event, event["step"])
            elif event.get("type") == "preflight":
                self.preflight = event
            elif event.get("type") == "preflight_check":
                self.preflight_check = event
            if event.get("type") != "sample":
                self._tell(event)

    def add_printed(self, line: str) -> None:
        """One more line that the run's process printed."""
        self._tell(f"{' ' * 10}{for_terminal(line, one_line=True)}")

    def log(self, after: int = 0) -> list[str]:
        """The log for a person, its latest thousands of lines; of what came after `told_ever` was `after`."""
        new = islice(self._told, max(0, len(self._told) - (self.told_ever - after)), None)
        lines = (told if isinstance(told, str) else describe(told) for told in new)
        return [line for line in lines if line is not None]

    def _tell(self, told: dict[str, Any] | str) -> None:
        self._told.append(told)
        self.told_ever += 1

    @property
    def sample_steps(self) -> list[int]:
        """The steps at which samples were taken, ascending."""
        return sorted({step for answers in self.samples.values() for step in answers})

    @property
    def overfitting(self) -> Overfitting | None:
        """The latest flag, unless there was a new best since."""
        if not self.overfits or (self.best and self.best[0] > self.overfits[-1].step):
            return None
        return self.overfits[-1]

    def _take(self, event: dict[str, Any], step: float) -> None:
        best_step = event["best_step"] if is_number(event.get("best_step")) else step
        match event.get("type"):
            case "metrics":
                self._metrics(event, step)
            case "resumed":
                self._forget_after(step)
                if is_number(event.get("time")):
                    self._zero = event["time"] - max((s.seconds[-1] for s in self.series.values() if s), default=0.0)
                self._paused_at = None
            case "sample":
                self._sample(event, int(step))
            case "best":
                self._bests += [((step, float(event[key])), key) for key in _JUDGED if is_number(event.get(key))][:1]
                self._find_best()
            case "overfitting":
                self.overfits.append(Overfitting(step, best_step))
            case "early_stop":
                self.stopped_early = Overfitting(step, best_step)
            case "learning_rate" if is_number(event.get("before")) and is_number(event.get("after")):
                self.rate_changes.append(RateChange(step, event["before"], event["after"]))
            case "paused" if is_number(event.get("time")):
                self._paused_at = event["time"]
            case "continued" if is_number(event.get("time")):
                self._end_pause(event["time"])

    def _end_pause(self, moment: float) -> None:
        if self._zero is not None and self._paused_at is not None:
            self._zero += moment - self._paused_at
        self._paused_at = None

    def _metrics(self, event: dict[str, Any], step: float) -> None:
        moment = event.get("time")
        if self._zero is None and is_number(moment):
            self._zero = moment
        seconds = max(0.0, moment - self._zero) if is_number(moment) and self._zero is not None else 0.0
        for name, value in event.items():
            if not is_number(value) or name == "time":
                continue
            self.figures[name] = value
            if name not in _NO_CURVES and (name in self.series or len(self.series) < _MOST_CURVES):
                self.series.setdefault(name, Series()).add(step, seconds, float(value))
        loss = event.get("eval_loss")
        if is_number(loss) and not self._bests and (self.best is None or loss < self.best[1]):
            self.best = (step, float(loss))  # older versions tell no "best"

    def _find_best(self) -> None:
        if self._bests:
            self.best, self.best_of = self._bests[-1]
        else:
            self.best_of = "eval_loss"
            self.best = min(self.series["eval_loss"], key=lambda point: point[1], default=None)

    def _sample(self, event: dict[str, Any], step: int) -> None:
        prompt = for_terminal(str(event.get("prompt", "")))
        self.samples.setdefault(prompt, {})[step] = for_terminal(str(event.get("answer", "")))
        if event.get("reference"):
            self.references[prompt] = for_terminal(str(event["reference"]))
        answers = self.samples[prompt]
        if len(answers) > _SAMPLE_STEPS:
            best = self.best[0] if self.best else None
            for left_out in [taken for taken in sorted(answers)[1:-1:2] if taken != best]:
                del answers[left_out]

    def _forget_after(self, step: float) -> None:
        """A resumed run does the steps since its last checkpoint again: what it did then counts."""
        for series in self.series.values():
            series.forget_after(step)
        for answers in self.samples.values():
            for later in [taken for taken in answers if taken > step]:
                del answers[later]
        self._bests = [told for told in self._bests if told[0][0] <= step]
        self._find_best()
        self.overfits = [flag for flag in self.overfits if flag.step <= step]
        self.rate_changes = [change for change in self.rate_changes if change.step <= step]
        self.stopped_early, self.preflight_check = None, {}
