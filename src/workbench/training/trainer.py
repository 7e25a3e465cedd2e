"""The training loop: steps, evaluations, samples and checkpoints, in the order in which they happen.

It knows nothing of where the pairs came from. Which pairs a step sees follows from the seed and the step's number
alone, so a resumed run goes on exactly where its checkpoint was made.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil
import torch
from transformers import get_scheduler

from workbench.errors import UserError
from workbench.jobs.context import Context, StopRequested
from workbench.training import checkpoint
from workbench.training.checkpoint import TrainerState
from workbench.training.data import Example, batches
from workbench.training.model import TrainedModel
from workbench.training.recipe import Recipe
from workbench.training.threads import ThreadPolicy


@dataclass
class Sample:
    """A fixed prompt and what it should give, if known."""

    prompt: str
    """The whole prompt, as the chat template writes it."""
    question: str
    reference: str


class Trainer:
    """One run in this process."""

    def __init__(
        self,
        context: Context,
        recipe: Recipe,
        model: TrainedModel,
        tokenizer: Any,
        training: Sequence[Example],
        evaluation: Sequence[Example],
        samples: Sequence[Sample],
    ) -> None:
        self.context, self.recipe, self.model, self.tokenizer = context, recipe, model, tokenizer
        self.training, self.evaluation, self.samples = training, evaluation, samples
        per_step = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps
        self.steps_per_epoch = math.ceil(len(training) / per_step)
        self.steps = (
            recipe.max_steps if recipe.max_steps > 0 else math.ceil(recipe.num_train_epochs * self.steps_per_epoch)
        )
        self.optimizer = torch.optim.AdamW(
            list(model.parameters.values()), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        warmup = recipe.warmup_steps
        self.scheduler = get_scheduler(
            recipe.lr_scheduler_type,
            self.optimizer,
            num_warmup_steps=math.ceil(warmup * self.steps) if warmup < 1 else int(warmup),
            num_training_steps=self.steps,
        )
        self.step = 0
        self.tokens = 0
        self.eval_loss: float | None = None
        self._process = psutil.Process()
        self._threads = None
        if model.device == "cpu" and recipe.num_threads is None:
            self._threads = ThreadPolicy(self._tell_threads)

    def resume(self) -> None:
        """Go back to the newest checkpoint that verifies, if there is one."""
        run = self.context.folder
        folder = checkpoint.newest_whole(run, lambda fault: self.context.message(fault, level="warning"))
        if folder is None:
            if self.context.attempt > 1:
                self.context.event("resumed", step=-1)  # from the very beginning
            return
        state = checkpoint.load(folder, self.model, self.optimizer)
        self.step, self.tokens, self.eval_loss = state.step, state.tokens, state.eval_loss
        self.scheduler.load_state_dict(state.scheduler)
        for group, rate in zip(self.optimizer.param_groups, self.scheduler.get_last_lr(), strict=True):
            group["lr"] = rate  # the scheduler sets it at its next step only
        self.context.event("resumed", step=self.step)

    def fit(self) -> None:
        """Train to the last step, or raise StopRequested with the work saved.

        Raises:
            UserError: the loss or the gradient is not finite any more.
            StopRequested: the user asked to stop; a checkpoint was written.
        """
        recipe = self.recipe
        if self.step == 0:
            self.evaluate()
        while self.step < self.steps:
            if self.context.stop_requested():
                self.save()
                raise StopRequested
            self._train_step()
            if self.step % recipe.eval_steps == 0 or self.step == self.steps:
                self.evaluate()
            if self.step % recipe.save_steps == 0 or self.step == self.steps:
                self.save()

    def evaluate(self) -> None:
        """Loss over the eval split, and the samples."""
        if self.evaluation:
            self.model.peft.eval()
            tokens = sum(example.trained_tokens for example in self.evaluation)
            size = self.recipe.per_device_train_batch_size
            with torch.no_grad():
                total = sum(
                    self.model.loss(batch, tokens).item()
                    for batch in batches(self.evaluation, size, range(len(self.evaluation)))
                )
            self.model.peft.train()
            if not math.isfinite(total):
                self._refuse_nan(f"the eval loss is {total:g} after step {self.step}", loss=total)
            self.eval_loss = total
            self.context.event("metrics", step=self.step, epoch=self._epoch(), eval_loss=total)
            self.context.progress(self.step, self.steps, unit="steps", message="Evaluated", eval_loss=total)
        for sample, answer in zip(self.samples, self._answers(), strict=True):
            self.context.event(
                "sample", step=self.step, prompt=sample.question, answer=answer, reference=sample.reference
            )

    def save(self) -> Path:
        """Write a checkpoint and tell of it."""
        state = TrainerState(self.step, self.tokens, self.eval_loss, self.scheduler.state_dict())
        folder = checkpoint.save(self.context.folder, self.model, self.optimizer, state, self.recipe.save_total_limit)
        self.context.event("checkpoint", step=self.step, folder=folder.name)
        return folder

    def _train_step(self) -> None:
        started = time.perf_counter()
        accumulated = self._batches_of(self.step)
        trained = sum(example.trained_tokens for batch in accumulated for example in batch)
        loss = 0.0
        for batch in accumulated:
            part = self.model.loss(batch, trained)
            part.backward()
            loss += part.item()
        parameters = list(self.model.parameters.values())
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.recipe.max_grad_norm).item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._refuse_nan(
                f"the loss is {loss:g} and the gradient norm {norm:g} at step {self.step + 1}",
                loss=loss,
                grad_norm=norm,
            )
        learning_rate = self.scheduler.get_last_lr()[0]
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.model.refresh()
        self.step += 1
        if self._threads:
            self._threads.adjust()
        seen = sum(len(example.input_ids) for batch in accumulated for example in batch)
        self.tokens += seen
        rate = seen / (time.perf_counter() - started)
        if self.step % self.recipe.logging_steps == 0 or self.step == self.steps:
            self.context.event(
                "metrics", step=self.step, epoch=self._epoch(), loss=loss, learning_rate=learning_rate, grad_norm=norm,
                tokens=self.tokens, tokens_per_second=round(rate, 1), memory_bytes=self._memory(),
            )  # fmt: skip
        self.context.progress(
            self.step, self.steps, unit="steps", message="Training",
            loss=loss, tokens_per_second=round(rate, 1),
        )  # fmt: skip

    def _batches_of(self, step: int) -> list[list[Example]]:
        epoch, inside = divmod(step, self.steps_per_epoch)
        order = list(range(len(self.training)))
        random.Random(f"{self.recipe.seed}:{epoch}").shuffle(order)
        size, accumulation = self.recipe.per_device_train_batch_size, self.recipe.gradient_accumulation_steps
        start = inside * size * accumulation
        return batches(self.training, size, order[start : start + size * accumulation])

    def _refuse_nan(self, what: str, **figures: float) -> NoReturn:
        saved = checkpoint.all_of(self.context.folder)
        self.context.event("nan", step=self.step + 1, **{name: str(value) for name, value in figures.items()})
        raise UserError(
            what,
            do="The run stopped before an adapter was written"
            + (f"; {saved[-1].name} is the last checkpoint" if saved else "")
            + ". Lower learning_rate, or set bf16: false.",
        )

    def _answers(self) -> list[str]:
        if not self.samples:
            return []
        self.context.progress(self.step, self.steps, unit="steps", message="Answering samples")
        tokenizer = self.tokenizer
        inputs = tokenizer(
            [sample.prompt for sample in self.samples],
            add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt",
        ).to(self.model.device)  # fmt: skip
        # The random state stays as it is: greedy decoding draws nothing.
        with self.model.generating() as model:
            output = model.generate(
                **inputs, max_new_tokens=self.recipe.samples.max_new_tokens, do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
        return tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    def _tell_threads(self, threads: int, others: float) -> None:
        self.context.message(f"{threads} threads from here on: other processes use {others:.1f} cores")

    def _epoch(self) -> float:
        return round(self.step / self.steps_per_epoch, 4)

    def _memory(self) -> int:
        """Bytes: of the GPU's peak where there is one, else resident memory of this process."""
        if self.model.device == "cuda":
            return torch.cuda.max_memory_allocated()
        return self._process.memory_info().rss
