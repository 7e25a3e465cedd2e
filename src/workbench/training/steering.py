"""What happens between the steps of a run: events, evaluations, the best, saving, pausing, stopping.

It follows the Trainer as a callback and does the same for every method. What a user asks for while the run goes on
comes as files in its folder (see `control`); with several processes the first one reads them and tells the others.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from transformers import TrainerCallback

from workbench.jobs.context import Context
from workbench.jobs.memory import return_free_memory
from workbench.training.checkpoint import Progress
from workbench.training.control import LEARNING_RATE, SAVE
from workbench.training.recipe import ONLINE_METHODS, Recipe
from workbench.training.threads import ThreadPolicy

if TYPE_CHECKING:
    from workbench.training.conducted import Conducted

_TOLD = (
    "loss", "learning_rate", "grad_norm", "rewards/margins", "rewards/accuracies", "rewards/chosen", "rewards/rejected",
    "accuracy", "margin", "reward", "reward_std", "kl", "mean_token_accuracy", "completions/mean_length",
)  # fmt: skip
_SMOOTHING = 0.9  # of the train loss that overfitting is told by
_REASONS = ("schedule", "best", "asked", "stop", "end")  # for a checkpoint; of several at one step the last is told
_NOTHING = {"stop": False, "pause": False, "save": False, "learning_rate": None}
_TRIM = 5  # steps after which memory that is free goes back to the system
_PAUSE = 0.2  # seconds between two looks whether a pause is over


class Steering(TrainerCallback):
    """One run in this process, between its steps."""

    def __init__(self, trainer: Conducted, context: Context, recipe: Recipe, progress: Progress) -> None:
        self.trainer, self.context, self.recipe, self.progress = trainer, context, recipe, progress
        self.stopped = self.early = False
        self.paused_seconds = 0.0
        self._save_why = ""
        self._pause = False
        self._changes: dict[int, float] = {}  # learning rates, by the step after which they are set again
        self._began = self._took = 0.0
        self._tokens_then = progress.tokens
        self._process = psutil.Process()
        self._cpu_then = (time.monotonic(), self._cpu_seconds())
        self.threads = None
        if trainer.args.use_cpu and recipe.num_threads is None and trainer.accelerator.num_processes == 1:
            self.threads = ThreadPolicy(self._tell_threads)

    # What the Trainer calls

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.fast.refresh()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        self._took += time.perf_counter() - self._began
        if self.threads:
            self.threads.adjust()
        if args.use_cpu and state.global_step % _TRIM == 0:
            return_free_memory()
        last = state.global_step >= state.max_steps
        if (again := self._changes.pop(state.global_step, None)) is not None:
            self._change_learning_rate(again, state.global_step)
        asked = self._ask(state)
        self._pause = asked["pause"] and not asked["stop"]
        if asked["save"]:
            self._save(control, "asked")
        if state.global_step % self.recipe.save_steps == 0:
            self._save(control, "schedule")
        if asked["stop"] and not last:
            self.stopped = control.should_training_stop = True
            self._save(control, "stop")
        if last:
            control.should_evaluate = bool(self.trainer.eval_dataset)
            self._save(control, "end")
        self.context.progress(state.global_step, state.max_steps, unit="steps", message="Training")
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        state.log_history.clear()  # events.jsonl has it; the Trainer would write all of it with every checkpoint
        told = {name: value for name, value in (logs or {}).items() if name.removeprefix("eval_") in _TOLD}
        if "eval_loss" in (logs or {}):
            self.context.event("metrics", step=state.global_step, epoch=_epoch(state), **told)
        elif "loss" in told:
            self._tell_step(state, told)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **_: Any
    ) -> Any:
        figures = metrics or {}
        self.progress.eval_loss = figures.get("eval_loss")
        for sample in self.trainer.answer_samples():
            self.context.event("sample", step=state.global_step, **sample)
        self._judge(figures, state.global_step, control)
        self.context.progress(
            state.global_step, state.max_steps, unit="steps", message="Evaluated", eval_loss=self.progress.eval_loss
        )
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._save_why = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        done = sorted(step for step in self._changes if step <= state.global_step)
        rates = [self._changes.pop(step) for step in done]
        if rates and rates[-1] != self.progress.learning_rate:  # given in a pause, after the checkpoint was written
            self._set_learning_rate(rates[-1])

    # What the trainer asks

    def wait_while_paused(self, state: Any, control: Any) -> None:
        """Wait as long as the user wants, once all of a step is told: a checkpoint of this moment lacks nothing."""
        if not self._pause or control.should_training_stop:
            return
        self._pause = False
        self.context.event("paused", step=state.global_step)
        self.context.progress(state.global_step, state.max_steps, unit="steps", message="Paused")
        while True:
            asked = self._ask(state)
            if asked["stop"]:
                self.stopped = control.should_training_stop = True
                self.trainer.write_checkpoint("stop")
                return
            if asked["save"]:
                self.trainer.write_checkpoint("asked")
            if not asked["pause"]:
                break
            time.sleep(_PAUSE)
            self.paused_seconds += _PAUSE
        self.context.event("continued", step=state.global_step)
        self.context.progress(state.global_step, state.max_steps, unit="steps", message="Training")

    def repeat(self, changes: Mapping[int, float]) -> None:
        """Let a run that goes on take over the learning rates that it was given before.

        Args:
            changes: each by its step. Those of undone steps are done again after the same steps.
        """
        self._changes = dict(changes)
        if changes:
            self._forget(changes[max(changes)])  # it was told of, and perhaps not yet removed

    def better(self, value: float, than: float) -> bool:
        """Whether an evaluation is: a lower loss, or for an online method a higher reward."""
        return value > than if self.recipe.method in ONLINE_METHODS else value < than

    @property
    def save_why(self) -> str:
        """Why a checkpoint is being written."""
        return self._save_why or "schedule"

    # The parts

    def _save(self, control: Any, why: str) -> None:
        control.should_save = True
        self._save_why = max(self.save_why, why, key=_REASONS.index)

    def _tell_step(self, state: Any, figures: dict[str, Any]) -> None:
        now = (time.monotonic(), self._cpu_seconds())
        cores = (now[1] - self._cpu_then[1]) / max(1e-9, now[0] - self._cpu_then[0])
        self._cpu_then = now
        sums = self.trainer.sums(cores=cores, memory=self._memory())
        tokens = int(sums["tokens"])
        rate = (tokens - self._tokens_then) / self._took if self._took else 0.0
        self._tokens_then, self._took, self.progress.tokens = tokens, 0.0, tokens
        loss = figures["loss"]
        if isinstance(loss, float) and math.isfinite(loss):
            before = self.progress.train_loss
            self.progress.train_loss = loss if before is None else _SMOOTHING * before + (1 - _SMOOTHING) * loss
        more = _gpu_load() if self.trainer.args.device.type == "cuda" else {}
        self.context.event(
            "metrics", step=state.global_step, epoch=_epoch(state), **figures, tokens=tokens,
            tokens_per_second=round(rate, 1), memory_bytes=int(sums["memory"]), cpu=round(sums["cores"], 2), **more,
        )  # fmt: skip
        self.context.progress(
            state.global_step, state.max_steps, unit="steps", message="Training", loss=loss,
            tokens_per_second=round(rate, 1),
        )  # fmt: skip

    def _judge(self, figures: dict[str, float], step: int, control: Any) -> None:
        """Keep the best, tell of overfitting, end early; nothing where nothing was evaluated."""
        progress, online = self.progress, self.recipe.method in ONLINE_METHODS
        name = "eval_reward" if online else "eval_loss"
        value = figures.get(name)
        if value is None or not math.isfinite(value):
            return
        if not step:
            progress.at_start = value
            return
        if progress.best is None or self.better(value, progress.best):
            progress.best, progress.best_step, progress.evals_since_best = value, step, 0
            progress.overfitting = False
            self.context.event("best", step=step, **{name: value})
            if self.recipe.load_best_model_at_end:
                self._save(control, "best")
        else:
            progress.evals_since_best += 1
            falling = None not in (progress.train_loss, progress.train_loss_then) and (
                progress.train_loss < progress.train_loss_then  # type: ignore[operator]
            )
            if falling and not progress.overfitting and not online:
                progress.overfitting = True
                self.context.event("overfitting", step=step, best_step=progress.best_step)
                self.context.message(
                    f"overfitting: the eval loss rises while the train loss falls; best at step {progress.best_step}",
                    level="warning",
                )
        progress.train_loss_then = progress.train_loss
        patience = self.recipe.early_stopping_patience
        if patience and progress.evals_since_best >= patience and not control.should_training_stop:
            self.early = progress.early = control.should_training_stop = True
            self._save(control, "end")
            self.context.event("early_stop", step=step, best_step=progress.best_step)

    def _ask(self, state: Any) -> dict[str, Any]:
        """What the user asks for at this moment; a new learning rate is taken over at once."""
        asked = self.trainer.agree(self._look() if self.context.first else _NOTHING)
        if asked["learning_rate"] is not None:
            self._changes.clear()
            self._change_learning_rate(asked["learning_rate"], state.global_step)
        return asked

    def _look(self) -> dict[str, Any]:
        folder = self.context.folder
        return {
            "stop": self.context.stop_requested(),
            "pause": self.context.job.pause_file.exists(),
            "save": _remove(folder / SAVE),
            "learning_rate": _number(folder / LEARNING_RATE),
        }

    def _change_learning_rate(self, wanted: float, step: int) -> None:
        before = self.progress.learning_rate or self.recipe.learning_rate
        self._set_learning_rate(wanted)
        self.context.event("learning_rate", step=step, before=before, after=wanted)
        self.context.message(f"learning rate changed from {before:g} to {wanted:g} after step {step}")
        if self.context.first:
            with contextlib.suppress(OSError):
                self.context.sync_events()  # the request may go once the history has it, see `repeat`
            self._forget(wanted)

    def _forget(self, rate: float) -> None:
        """Remove the request for this learning rate; a newer one stays."""
        if self.context.first and _number(self.context.folder / LEARNING_RATE) == rate:
            _remove(self.context.folder / LEARNING_RATE)

    def _set_learning_rate(self, wanted: float) -> None:
        factor = wanted / (self.progress.learning_rate or self.recipe.learning_rate)
        scheduler = self.trainer.lr_scheduler
        scheduler = getattr(scheduler, "scheduler", scheduler)
        scheduler.base_lrs = [rate * factor for rate in scheduler.base_lrs]
        scheduler._last_lr = [rate * factor for rate in scheduler.get_last_lr()]
        for group in self.trainer.optimizer.param_groups:
            group["lr"] *= factor
        self.progress.learning_rate = wanted
        self.trainer.unsaved()

    def _tell_threads(self, threads: int, others: float) -> None:
        self.context.message(f"{threads} threads from here on: other processes use {others:.1f} cores")

    def _cpu_seconds(self) -> float:
        used = self._process.cpu_times()
        return used.user + used.system

    def _memory(self) -> int:
        """Bytes: of the GPU's peak where there is one, else resident memory of this process."""
        if self.trainer.args.device.type == "cuda":
            return torch.cuda.max_memory_allocated()
        return self._process.memory_info().rss


def _gpu_load() -> dict[str, float]:
    """What share of the last moments the GPU was busy; nothing where nvidia-ml-py is not there to tell."""
    try:
        return {"gpu": torch.cuda.utilization() / 100}
    except (ImportError, RuntimeError):
        return {}


def _remove(path: Path) -> bool:
    """Remove a request; whether there was one."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _number(path: Path) -> float | None:
    """The number that a request holds; one that holds none is removed."""
    try:
        value = float(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        return None
    except (ValueError, TypeError):
        value = math.nan
    if math.isfinite(value) and value > 0:
        return value
    _remove(path)
    return None


def _epoch(state: Any) -> float:
    return round(state.epoch or 0.0, 4)
