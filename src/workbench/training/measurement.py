"""What passes over a run's own batches take, measured before its first step. See `probe`."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import combinations, count
from typing import Any

import torch
from safetensors.torch import save

from workbench import files
from workbench.jobs.context import Context
from workbench.training import checkpoint, preflight
from workbench.training.recipe import Recipe
from workbench.training.watching import Watch, available_bytes, held_bytes, peak_bytes, place

_BUDGET, _LONGEST = 0.05, 20.0  # of the expected duration, and seconds, that passes over typical batches may take
_PASSES = 3  # over typical batches, at least
_QUANTILES = (0.2, 0.5, 0.8, 0.35, 0.65, 0.1, 0.9)  # of all batches by size: which ones are typical
_SPREAD = 1.25  # batches of other lengths leave gaps in the heap: what they take in the end over what one pass takes
_NEW_TOKENS = 8  # that a sample is timed by


@dataclass
class _Line:
    """Seconds of a batch by its size: a + b * size, by medians (Theil and Sen), which one slow pass does not move."""

    points: list[tuple[float, float]] = field(default_factory=list)

    def at(self, size: float) -> float:
        """Seconds that a batch of this size takes."""
        slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(self.points, 2) if a[0] != b[0]]
        steepest = statistics.median(seconds / size for size, seconds in self.points)
        slope = min(max(0.0, statistics.median(slopes or [0.0])), steepest)  # no batch takes less than no time
        return slope * size + statistics.median(seconds - slope * size for size, seconds in self.points)


class Measurement:
    """One measurement of a trainer that is about to begin."""

    def __init__(
        self, trainer: Any, context: Context, recipe: Recipe,
        rows: tuple[list[tuple[int, ...]], list[tuple[int, ...]]],
    ) -> None:  # fmt: skip
        self.trainer, self.context, self.recipe = trainer, context, recipe
        self.training, self.evaluation = rows
        self.steps = list(_planned(trainer))
        self.batches = [batch for step in self.steps for batch in step]
        evaluated = trainer.get_eval_dataloader().batch_sampler if self.evaluation else ()
        self.eval_batches = [list(batch) for batch in evaluated]
        self.answering: list[float] = []  # seconds of the answers that an online method learns from
        self.before = self.peak = held_bytes(trainer)
        self.load = 0.0  # of the passes so far, the most

    def figures(self) -> dict[str, Any]:
        """tokens_to_read, seconds and peak_memory_bytes of the whole run."""
        trainer = self.trainer
        held, update = self._update()
        train = self._passes()
        evaluations = self._evaluations()
        write = self._checkpoint(held)
        seconds = sum(train.at(self._size(self.training, batch)) for batch in self.batches) + len(self.steps) * update
        if self.recipe.online:
            seconds += statistics.fmean(self.answering) * math.ceil(len(self.steps) / self.recipe.online.num_iterations)
        seconds += evaluations + (1 + self._checkpoints()) * write
        del held
        trainer.model.zero_grad()
        read = sum(sum(self.training[row]) for batch in self.batches for row in batch)
        return {
            "tokens_to_read": None if self.recipe.online else read,
            "seconds": round(self.context.seconds + seconds, 1),
            "peak_memory_bytes": max(self._spread(), peak_bytes(trainer)),
        }

    # The parts of a run

    def _update(self) -> tuple[list[Any], float]:
        """What an optimizer will hold, and the seconds of one step of it; on copies that are thrown away."""
        trainer = self.trainer
        kind, options = trainer.get_optimizer_cls_and_kwargs(trainer.args, trainer.model)
        copies = [parameter.detach().clone().requires_grad_() for parameter in trainer.trained.values()]
        for parameter in copies:
            parameter.grad = torch.zeros_like(parameter)
        optimizer = kind(copies, **options)
        seconds = []
        for _ in range(2):
            with self._watched() as watch:
                torch.nn.utils.clip_grad_norm_(copies, self.recipe.max_grad_norm)
                optimizer.step()
                trainer.fast.refresh()
            seconds.append(watch.seconds)
        real = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
        held = [] if real.state else [state[key] for state in optimizer.state.values() for key in state]
        return held, seconds[-1]

    def _passes(self) -> _Line:
        """Forward and backward passes over typical batches, then over the one that takes the most memory."""
        by_size = sorted(self.batches, key=lambda batch: self._size(self.training, batch))
        typical = [by_size[round(quantile * (len(by_size) - 1))] for quantile in _QUANTILES]
        line = _Line()
        allowed = self._pass(typical[0]).seconds * len(self.batches) * _BUDGET  # the first pass warms caches up
        for number, batch in enumerate(typical):
            enough = number >= _PASSES and sum(seconds for _, seconds in line.points) >= min(allowed, _LONGEST)
            if self.trainer.agree({"enough": enough})["enough"]:
                break
            threads = torch.get_num_threads()
            seconds = self._pass(batch).seconds
            if torch.get_num_threads() != threads:  # it was their number that made it slow
                line.points.clear()
            else:
                line.points.append((self._size(self.training, batch), seconds))
        largest = max(self.batches, key=self._load)
        for _ in range(2):  # what the allocator has kept of other lengths fits the second time only
            line.points.append((self._size(self.training, largest), self._pass(largest).seconds))
        return line

    def _pass(self, batch: Sequence[int]) -> Watch:
        trainer = self.trainer
        self._refuse_extrapolated(batch)
        answered = self._answered(batch) if self.recipe.online else None
        with self._watched() as watch, trainer.accelerator.no_sync(trainer.model_wrapped):
            inputs = answered or _collated(trainer, trainer.train_dataset, batch)
            trainer.training_step(trainer.model_wrapped, inputs, None)
        self.load = max(self.load, self._load(batch))
        if trainer.steering.threads:
            trainer.steering.threads.adjust()
        return watch

    def _refuse_extrapolated(self, batch: Sequence[int]) -> None:
        """Refuse a batch that would end this process, before it is tried.

        Raises:
            UserError: what the passes so far took, in proportion for this one, is more than there is.
        """
        if self.load:
            expected = self.before + (self.peak - self.before) * self._load(batch) / self.load
            device = self.trainer.plan.device
            preflight.refuse_memory(int(expected), available_bytes(device), place(device))

    def _evaluations(self) -> float:
        """Seconds of all evaluations and their samples."""
        trainer, recipe = self.trainer, self.recipe
        if not self.eval_batches:
            return 0.0
        line = _Line()
        sizes = sorted(self.eval_batches, key=lambda batch: self._size(self.evaluation, batch))
        for batch in (sizes[len(sizes) // 2], sizes[-1]):
            inputs = _collated(trainer, trainer.eval_dataset, batch)
            trainer.model.eval()
            with self._watched() as watch, torch.no_grad(), trainer.compute_loss_context_manager():
                trainer.compute_loss(trainer.model_wrapped, trainer._prepare_inputs(inputs))
            line.points.append((self._size(self.evaluation, batch), watch.seconds))
        one = sum(line.at(self._size(self.evaluation, batch)) for batch in self.eval_batches) + self._samples()
        done, last = trainer.state.global_step, trainer.state.max_steps
        at_start = int(trainer.args.eval_on_start)
        return one * (at_start + len(_every(recipe.eval_steps, done, last)))

    def _samples(self) -> float:
        """Seconds of answering the samples; at their longest, for how long the answers will be is not known."""
        trainer, wanted = self.trainer, self.recipe.samples.max_new_tokens
        if not trainer.is_world_process_zero():
            return 0.0
        model = trainer.accelerator.unwrap_model(trainer.model)
        seconds = []
        for tokens in (1, min(_NEW_TOKENS, wanted)):
            with self._watched() as watch:
                trainer.sampler(model, trainer.plan, tokens)
            seconds.append(watch.seconds)
        each = max(0.0, seconds[1] - seconds[0]) / max(1, min(_NEW_TOKENS, wanted) - 1)
        return seconds[0] + each * (wanted - 1)

    def _answered(self, batch: Sequence[int]) -> Any:
        """A batch of an online method with its answers. They will change in length, so their seconds are a guess."""
        trainer = self.trainer
        trainer._buffered_inputs = None
        trainer.model.train()
        with self._watched() as watch:
            inputs = trainer._prepare_inputs(_collated(trainer, trainer.train_dataset, batch))
        self.answering.append(watch.seconds)
        return inputs

    def _checkpoint(self, held: Sequence[torch.Tensor]) -> float:
        """Seconds of writing what a checkpoint holds."""
        path = self.context.folder / ".preflight"
        real = getattr(self.trainer.optimizer, "optimizer", self.trainer.optimizer)
        states = held or [value for state in real.state.values() for value in state.values()]
        with self._watched() as watch, suppress(OSError):  # of a full disk the checkpoints themselves will tell
            contents = [
                save({name: tensor.detach().cpu().contiguous() for name, tensor in self.trainer.trained.items()}),
                save({str(number): tensor.cpu().contiguous() for number, tensor in enumerate(states)}),
            ]
            for data in contents:
                files.write_new(path, data)
                path.unlink()
        path.unlink(missing_ok=True)
        return watch.seconds

    def _checkpoints(self) -> int:
        trainer, recipe = self.trainer, self.recipe
        done, last = trainer.state.global_step, trainer.state.max_steps
        steps = _every(recipe.save_steps, done, last)
        if self.eval_batches and recipe.load_best_model_at_end:  # as if each evaluation were the best so far
            steps |= _every(recipe.eval_steps, done, last)
        return len(steps)

    def _spread(self) -> int:
        """Bytes at the peak, with what the allocator will keep between batches."""
        if self.trainer.plan.device == "cuda":
            return self.peak  # counted in tensors there
        return int(self.before + _SPREAD * (self.peak - self.before))

    # What a batch costs

    def _size(self, rows: list[tuple[int, ...]], batch: Sequence[int]) -> float:
        """Tokens that are computed for a batch: with their padding where it is computed."""
        lengths = [length for row in batch for length in rows[row]]
        return sum(lengths) if self.trainer.plan.path == "packed" else len(lengths) * max(lengths)

    def _load(self, batch: Sequence[int]) -> float:
        """Tokens of a batch that are in memory at once."""
        if self.trainer.plan.path != "packed":
            return self._size(self.training, batch)
        lengths = [sum(self.training[row]) for row in batch]
        size = self.trainer.pairs_of_a_part(sum(lengths), len(lengths))
        return max(sum(lengths[start : start + size]) for start in range(0, len(lengths), size))

    @contextmanager
    def _watched(self) -> Iterator[Watch]:
        watch = Watch(self.trainer)
        with watch:
            yield watch
        self.peak = max(self.peak, watch.peak)


@contextmanager
def nothing_happened(trainer: Any) -> Iterator[None]:
    """Put everything back that passes leave behind in a trainer, but what they have taught its caches."""
    random = checkpoint.random_state()
    plain = {name: value for name, value in vars(trainer).items() if value is None or isinstance(value, int | float)}
    logs = copy.deepcopy(getattr(trainer, "_logs", None))
    seen = trainer.state.num_input_tokens_seen
    training = trainer.model.training
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    try:
        yield
    finally:
        vars(trainer).update(plain)
        if logs is not None:
            trainer._logs = logs
        for metrics in trainer._metrics.values():
            metrics.clear()
        trainer.state.num_input_tokens_seen = seen
        trainer.model.train(training)
        trainer.model.zero_grad()
        checkpoint.set_random_state(random)


def _planned(trainer: Any) -> Iterator[list[list[int]]]:
    """The rows of the batches of each step that is left, in the order in which this process will meet them."""
    loader, state = trainer.callback_handler.train_dataloader, trainer.state
    size = trainer.args.gradient_accumulation_steps
    an_epoch = steps_an_epoch(trainer)
    for epoch in count(state.global_step // an_epoch):
        loader.set_epoch(epoch)
        batches = [list(batch) for batch in loader.batch_sampler]
        for step, start in enumerate(range(0, len(batches), size), epoch * an_epoch + 1):
            if step > state.max_steps:
                return
            if step > state.global_step:
                yield batches[start : start + size]
        if not batches or (epoch + 1) * an_epoch >= state.max_steps:
            return


def steps_an_epoch(trainer: Any) -> int:
    batches = len(trainer.callback_handler.train_dataloader)
    return max(1, math.ceil(batches / trainer.args.gradient_accumulation_steps))


def _collated(trainer: Any, dataset: Any, batch: Sequence[int]) -> Any:
    rows = trainer._remove_unused_columns(dataset).select(batch)
    return trainer.data_collator(list(rows))


def _every(steps: int, done: int, last: int) -> set[int]:
    """The steps after `done` that are multiples of `steps`, and the last one."""
    return {*range(steps * (done // steps + 1), last + 1, steps), last}
