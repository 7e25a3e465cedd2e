"""What every trainer of TRL gets mixed in: the fast path, checkpoints that can be trusted, events, parts of a batch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from peft.optimizers import create_loraplus_optimizer
from transformers import PrinterCallback, Trainer, TrainerState

from workbench.errors import UserError
from workbench.jobs.context import Context
from workbench.training import checkpoint, together
from workbench.training.checkpoint import Progress
from workbench.training.model import Plan, take_fast_path
from workbench.training.recipe import Recipe
from workbench.training.steering import Steering

_PART = 1024  # tokens of a forward pass on CPU: larger ones take more memory and are not quicker

Sampler = Callable[[Any, Plan, int], list[dict[str, Any]]]


class Conducted(Trainer):
    """Mixed into a trainer of TRL."""

    # transformers declares these as what they are before `train`.
    model: Any
    optimizer: Any
    lr_scheduler: Any
    state: Any
    accelerator: Any

    fast: Any = None  # a FastPath as soon as the model is there: TRL's constructors already compute with it
    divisible = True
    """Whether the loss of a batch is the mean, or the sum, of the losses of its parts."""

    def __init__(
        self, *args: Any, context: Context, recipe: Recipe, plan: Plan, sampler: Sampler, resume: Path | None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        self._context, self._recipe, self.plan, self.sampler = context, recipe, plan, sampler
        self._tokens = 0  # read by this process in this attempt
        self._share = 1.0
        super().__init__(*args, **kwargs)
        self.prepare_model()
        self.progress = checkpoint.progress_in(resume) if resume else Progress()
        self._tokens_before = self.progress.tokens
        self._saved = self.progress.step if resume else -1
        self._best: tuple[int, dict[str, torch.Tensor]] | None = None  # where its checkpoint could not be written
        self.steering = Steering(self, context, recipe, self.progress)
        self.remove_callback(PrinterCallback)
        self.add_callback(self.steering)

    def prepare_model(self) -> None:
        """Take the fast path, once."""
        if self.fast is None:
            self.fast = take_fast_path(self.model, self.plan, self._recipe)

    # The data come as token ids

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    # A step

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        ratio = self._recipe.lora.loraplus_lr_ratio
        if ratio is None or self.optimizer is not None:
            return super().create_optimizer(model)
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        self.optimizer = create_loraplus_optimizer(
            self.model, kind, loraplus_lr_ratio=ratio, loraplus_weight_decay=self.args.weight_decay, **options
        )
        return self.optimizer

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        parts = list(self._parts(inputs))
        loss = torch.zeros((), device=self.args.device)
        for number, (part, share) in enumerate(parts, 1):
            last = number == len(parts)
            self._share = share
            with contextlib.nullcontext() if last else self.accelerator.no_sync(model):
                loss += super().training_step(model, part, num_items_in_batch)
            if self.steering.threads:
                self.steering.threads.adjust()
        return loss

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if self.model.training and isinstance(inputs, Mapping):
            self._tokens += sum(int(mask.sum()) for name, mask in inputs.items() if name.endswith("attention_mask"))
        loss: Any = super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[arg-type]
        return loss * self._share if self.model.training and self._share != 1.0 else loss

    def _parts(self, inputs: Any) -> Iterator[tuple[Any, float]]:
        """The batch in parts of about `_PART` tokens, and what share of the batch's mean each is."""
        mask = inputs.get("attention_mask") if isinstance(inputs, Mapping) else None
        pairs = self._pairs(inputs) if mask is not None and self.divisible else 1
        size = self.pairs_of_a_part(int(mask.sum()) if mask is not None else 0, pairs)
        parts = max(together.gathered(math.ceil(pairs / size)))  # TRL gathers within each: all processes have as many
        size = math.ceil(pairs / parts)
        if size >= pairs:
            yield inputs, 1.0
            return
        for start in range(0, pairs, size):
            yield self._rows(inputs, slice(start, start + size)), self._share_of(min(size, pairs - start), pairs)

    def pairs_of_a_part(self, tokens: int, pairs: int) -> int:
        """How many pairs of a batch with so many tokens are computed at once."""
        divided = self.divisible and self.plan.path == "packed"
        return math.ceil(pairs / max(1, math.ceil(tokens / _PART))) if divided else pairs

    def _pairs(self, inputs: Any) -> int:
        return len(inputs["input_ids"])

    def _rows(self, inputs: Any, rows: slice) -> dict[str, Any]:
        return {name: value[rows] for name, value in inputs.items()}

    def _share_of(self, pairs: int, all_pairs: int) -> float:
        return pairs / all_pairs

    def _clip_grad_norm(self, model: Any) -> Any:
        norm: Any = super()._clip_grad_norm(model)
        loss = float(self._tr_loss)  # type: ignore[arg-type]
        if not (math.isfinite(float(norm)) and math.isfinite(loss)):
            self._refuse_nan(loss, float(norm))
        return norm

    def _refuse_nan(self, loss: float, norm: float) -> NoReturn:
        step = self.state.global_step + 1
        saved = checkpoint.all_of(self._context.folder)
        self._context.event("nan", step=step, loss=str(loss), grad_norm=str(norm))
        raise UserError(
            f"the loss is {loss:g} and the gradient norm {norm:g} at step {step}",
            do="The run stopped before this step was taken"
            + (f"; {saved[-1].name} is the last checkpoint" if saved else "")
            + ". Lower learning_rate, or set bf16: false.",
        )

    # What goes on between steps

    def conduct(self, resume: Path | None) -> None:
        """Train to the end, from a whole checkpoint where there is one; nothing more where that one is the end."""
        if resume is None:
            self.train()
            return
        state = TrainerState.load_from_json(str(resume / checkpoint.TRAINER_STATE))
        if state.global_step < state.max_steps and not self.progress.early:
            self.train(resume_from_checkpoint=str(resume))
            return
        self.state = state
        self.steering.early = self.progress.early
        self._load_from_checkpoint(str(resume))

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        super()._maybe_log_save_evaluate(*args, **kwargs)
        self.steering.wait_while_paused(self.state, self.control)

    def agree(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What any process was asked, in all of them."""
        agreed = dict(asked)
        for each in together.gathered(asked):
            agreed |= {name: value for name, value in each.items() if value}
        return agreed

    def sums(self, **figures: float) -> dict[str, float]:
        """Figures of this process added over all, and `tokens`: those read, former attempts included."""
        everywhere = together.gathered({**figures, "tokens": self._tokens})
        added = {name: sum(each[name] for each in everywhere) for name in everywhere[0]}
        return {**added, "tokens": self._tokens_before + added["tokens"]}

    def answer_samples(self) -> list[dict[str, Any]]:
        """What the model answers to the sample prompts now; nothing in processes that have nobody to tell."""
        if not self._context.first and not self.is_fsdp_enabled:  # a sharded model answers with all of them only
            return []
        limit = self._recipe.samples.max_new_tokens
        return self.sampler(self.accelerator.unwrap_model(self.model), self.plan, limit)

    # Checkpoints

    @property
    def trained(self) -> dict[str, torch.nn.Parameter]:
        """The trainable parameters by name, in a stable order."""
        return {name: p for name, p in self.accelerator.unwrap_model(self.model).named_parameters() if p.requires_grad}

    def whole(self) -> dict[str, torch.Tensor]:
        """The trained parameters, put together where they are sharded; then all processes call it."""
        return {name: checkpoint.whole(parameter) for name, parameter in self.trained.items()}

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.write_checkpoint(self.steering.save_why)

    def unsaved(self) -> None:
        """What a checkpoint of this step holds has changed since it was written."""
        self._saved = -1

    def write_checkpoint(self, why: str) -> None:
        """Write a checkpoint of this moment and tell of it. A disk that is full is told, and the run goes on.

        Raises:
            UserError: it is the last one, and cannot be written.
        """
        states = together.gathered(checkpoint.random_state())
        self.progress.tokens = int(self.sums()["tokens"])
        if not self._context.first and not self.is_fsdp_enabled:
            return
        parameters = self.whole()
        moments = checkpoint.moments_of(self.trained, getattr(self.optimizer, "optimizer", self.optimizer))
        if not self._context.first or self._saved == self.state.global_step:
            return
        progress = self.progress
        progress.step, progress.scheduler = self.state.global_step, self.lr_scheduler.state_dict()
        self.state.stateful_callbacks = {}
        folder = self._context.folder
        try:
            self._context.sync_events()  # a checkpoint is never newer than the history that leads to it
            target = checkpoint.save_checkpoint(
                folder, progress, parameters, moments, _as_json(self.state), states, why
            )
        except OSError as error:
            if progress.best_step == progress.step:
                self._best = progress.step, {name: tensor.clone() for name, tensor in parameters.items()}
            if why in ("stop", "end"):
                raise UserError(
                    f"the checkpoint of step {progress.step} could not be written: {error.strerror or error}",
                    where=str(folder),
                    do="Free space, then resume: the run goes on from its newest whole checkpoint.",
                ) from None
            self._context.message(
                f"the checkpoint of step {progress.step} could not be written ({error.strerror or error}); training "
                "goes on, and the next one is tried in its turn",
                level="error",
            )
            return
        self._saved = progress.step
        self._context.event("checkpoint", step=progress.step, folder=target.name, why=why)
        kept = progress.best_step if self._recipe.load_best_model_at_end else None
        checkpoint.tidy(folder, progress.step, self._recipe.save_total_limit, kept)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        checkpoint.load_parameters(Path(resume_from_checkpoint), self.trained)
        self.fast.refresh()

    def _load_optimizer_and_scheduler(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is None:
            return
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        checkpoint.load_optimizer(Path(checkpoint_folder), self.trained, optimizer)
        self.lr_scheduler.load_state_dict(self.progress.scheduler)
        for group, rate in zip(optimizer.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate  # the scheduler sets it at its next step only

    def _load_rng_state(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is not None:
            checkpoint.load_random_state(Path(checkpoint_folder), self.accelerator.process_index)

    def load_best(self) -> None:
        """Bring back the adapter of the best evaluation, where its checkpoint verifies."""
        step, start = self.progress.best_step, self.progress.at_start
        better = self.steering.better
        if start is not None and self.progress.best is not None and not better(self.progress.best, start):
            self._context.message(
                f"no evaluation was better than the one before training: {start:.4g} then, {self.progress.best:.4g} at"
                f" step {step}",
                level="warning",
            )
        if not (self._recipe.load_best_model_at_end and step) or step == self.state.global_step:
            return
        folder = checkpoint.at_step(self._context.folder, step)
        if self._best and self._best[0] == step:
            with torch.no_grad():
                for name, parameter in self.trained.items():
                    parameter.copy_(self._best[1][name])
            self.fast.refresh()
        elif fault := checkpoint.fault_of(folder):
            self._context.message(f"the best adapter, of step {step}, is not used: {fault}", level="warning")
            return
        else:
            self._load_from_checkpoint(str(folder))
        self._context.message(f"the adapter is the one of step {step}, the best evaluation")


def _as_json(state: Any) -> str:
    """The Trainer's state as it reads it back."""
    import dataclasses
    import json

    return json.dumps(dataclasses.asdict(state), sort_keys=True)
