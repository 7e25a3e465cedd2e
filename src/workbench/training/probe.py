"""The measured part of the pre-flight: how long the run will take, and how much memory it will hold.

In the run's own process, when all is made and before the first step: forward and backward passes over batches that the
run will meet, the largest one included, with as much held beside them as the optimizer will hold. No parameter is
touched, and gradients, counters and random states are put back, so that the run is the same bit for bit as without.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from workbench.errors import UserError
from workbench.jobs.context import Context
from workbench.output import duration
from workbench.training import preflight
from workbench.training.measurement import Measurement, nothing_happened, steps_an_epoch
from workbench.training.model import Plan
from workbench.training.preflight import Counted
from workbench.training.recipe import Recipe
from workbench.training.watching import available_bytes, out_of_memory, peak_bytes, place


class Probe(TrainerCallback):
    """Measures at the moment before the first step, tells the pre-flight, and refuses what cannot fit."""

    def __init__(
        self, trainer: Any, context: Context, recipe: Recipe, training: Counted, evaluation: Counted, *, dry: bool
    ) -> None:
        """
        Args:
            trainer: whose run it is.
            context: the job's.
            recipe: the run's.
            training: what is learned from.
            evaluation: what is evaluated on.
            dry: end here, by raising `Measured`.
        """
        self.trainer, self.context, self.recipe, self.dry = trainer, context, recipe, dry
        self.counted = preflight.figures(training, evaluation)
        self.rows = preflight.rows(training.examples, recipe), preflight.rows(evaluation.examples, recipe)
        self.expected: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.context.progress(state.global_step, message="Measuring some passes")
        figures = {**self.counted, **self._figures()}
        with nothing_happened(self.trainer):
            try:
                measured = Measurement(self.trainer, self.context, self.recipe, self.rows)
                figures |= measured.figures()
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                raise UserError(
                    "a forward and backward pass over a batch of this run does not fit into memory",
                    do=preflight.LESS_MEMORY,
                ) from None
        figures = self.trainer.agree(figures)
        self.expected = {name: figures[name] for name in ("peak_memory_bytes", "seconds")}
        self.context.event("preflight", step=state.global_step, **figures)
        self.context.progress(
            state.global_step, message="Ready", expected_seconds=figures["seconds"],
            expected_peak_memory_bytes=figures["peak_memory_bytes"],
        )  # fmt: skip
        took = duration(figures["seconds"])
        peak = preflight.gigabytes(figures["peak_memory_bytes"])
        self.context.message(f"pre-flight: {figures['steps']} steps, expected to take {took} in all and {peak} at most")
        preflight.refuse_memory(figures["peak_memory_bytes"], figures["available"], place(self.trainer.plan.device))
        if self.dry:
            raise preflight.Measured(figures)

    def check(self) -> None:
        """After the run: tell what was expected and what it was; and why something cannot be compared."""
        if not self.expected:
            return
        actual: dict[str, float] = {
            "peak_memory_bytes": peak_bytes(self.trainer),
            "seconds": round(self.context.seconds, 1),
        }
        reasons = []
        steering = self.trainer.steering
        if steering.stopped or steering.early:
            del actual["seconds"]
            reasons.append(f"the duration, for the run was ended after step {self.trainer.state.global_step}")
        elif steering.paused_seconds:
            actual["seconds"] = round(actual["seconds"] - steering.paused_seconds, 1)
            reasons.append(f"{duration(steering.paused_seconds)} of pause")
        if self.context.attempt > 1:
            reasons.append("the attempts before this one")
        expected = {name: self.expected[name] for name in actual}
        ratio = {name: round(value / expected[name], 3) for name, value in actual.items()}
        self.context.event("preflight_check", expected=expected, actual=actual, ratio=ratio, not_compared=reasons)
        for name, text in preflight.check_lines({"expected": expected, "actual": actual, "ratio": ratio}):
            self.context.message(f"{name}: {text}")

    def _figures(self) -> dict[str, Any]:
        state, model = self.trainer.state, self.trainer.accelerator.unwrap_model(self.trainer.model)
        trained = sum(parameter.numel() for parameter in self.trainer.trained.values())
        return {
            "steps": state.max_steps - state.global_step,
            "epochs": round(state.max_steps / steps_an_epoch(self.trainer), 2),
            "trainable_parameters": trained,
            "trainable_share": trained / sum(parameter.numel() for parameter in model.parameters()),
            "available": available_bytes(self.trainer.plan.device),
            "guess": bool(self.recipe.online),
        }


def refuse_weights(plan: Plan, recipe: Recipe, folder: Path) -> None:
    """See that the weights alone fit, before they are loaded.

    Raises:
        UserError: they do not.
    """
    available = available_bytes(plan.device)
    preflight.refuse_weights(folder, plan.weights, recipe.load_in_4bit, available, place(plan.device))
