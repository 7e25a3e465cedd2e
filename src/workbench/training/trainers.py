"""TRL's trainers as a run needs them, one for each method. What a method computes is TRL's: no loss is written here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.utils.data
from trl import DPOTrainer, GRPOTrainer, KTOTrainer, RewardTrainer, RLOOTrainer, SFTTrainer  # pyright: ignore
from trl.trainer.utils import RepeatSampler

from workbench.training.conducted import Conducted
from workbench.training.recipe import Recipe

_OF_THE_BATCH = {"aot", "aot_unpaired", "sft"}
"""Losses of DPO that are not the mean over pairs: they sort the batch, or are the mean over its tokens."""


class Sft(Conducted, SFTTrainer):
    """Supervised fine-tuning; the eval loss is the mean over tokens, whatever the batches."""

    def _share_of(self, pairs: int, all_pairs: int) -> float:
        return 1.0  # the loss of a part is a sum over its tokens, divided by the tokens of the whole step

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        model = self.model
        was_training = model.training
        model.eval()
        sums = torch.zeros(3, device=self.args.device)
        with torch.no_grad(), self.compute_loss_context_manager():
            for inputs in self.get_eval_dataloader(eval_dataset):
                out = model(**self._prepare_inputs(inputs), use_cache=False, fused_lm_head=True)
                rows = torch.stack([-out.log_probs.sum(1), out.is_top1.sum(1), out.label_mask.sum(1)], dim=1)
                sums += self.accelerator.gather_for_metrics(rows.float()).sum(0)
        loss, right, tokens = sums.tolist()
        if not math.isfinite(loss):
            self._refuse_nan(loss, math.nan)
        metrics = {"eval_loss": loss / max(1, tokens), "eval_mean_token_accuracy": right / max(1, tokens)}
        self._metrics["eval"].clear()
        self.log(dict(metrics))
        model.train(was_training)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class Dpo(Conducted, DPOTrainer):
    """Direct preference optimisation."""

    _to_score = _scored = 0  # pairs, while the base scores all of them before the first step

    def __init__(self, *args: Any, recipe: Recipe, **kwargs: Any) -> None:
        assert recipe.dpo
        self.divisible = not _OF_THE_BATCH & set(recipe.dpo.loss_type)
        super().__init__(*args, recipe=recipe, **kwargs)

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        self.prepare_model()
        self._scored, self._to_score = 0, len(dataset)
        try:
            return super()._precompute_ref_logps(dataset, name, batch_size)
        finally:
            self._to_score = 0

    def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
        if self._to_score:
            self._context.check_stop()
            self._context.progress(self._scored, self._to_score, unit="pairs", message="Scoring the pairs by the base")
            self._scored += self._pairs(inputs)
        return super().compute_ref_log_probs(model, inputs)

    def _pairs(self, inputs: Any) -> int:
        return len(inputs["input_ids"]) // 2

    def _rows(self, inputs: Any, rows: slice) -> dict[str, Any]:
        return _both_halves(inputs, rows)


class Kto(Conducted, KTOTrainer):
    """Kahneman-Tversky optimisation; its KL term is over the whole batch, which is therefore not divided."""

    divisible = False


class Reward(Conducted, RewardTrainer):
    """A reward model."""

    def _pairs(self, inputs: Any) -> int:
        return len(inputs["input_ids"]) // 2

    def _rows(self, inputs: Any, rows: slice) -> dict[str, Any]:
        return _both_halves(inputs, rows)


class _EachEpochAnew(torch.utils.data.Sampler[int]):
    """TRL's order of prompts, drawn anew for each epoch by its number: a run that goes on in any of them finds it."""

    def __init__(self, prompts: RepeatSampler, seed: int) -> None:
        self._prompts, self._seed, self._epoch = prompts, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Accelerate before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._prompts)

    def __iter__(self) -> Iterator[int]:
        self._prompts.generator.manual_seed(self._seed + self._epoch)
        return iter(self._prompts)


class _Online(Conducted):
    divisible = False

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        prompts: Any = super()._get_train_sampler(dataset)
        return _EachEpochAnew(prompts, self._recipe.seed)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        # Answers that are there already are not given again.
        return generation_batch if isinstance(generation_batch, Mapping) else super()._prepare_inputs(generation_batch)

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        # The chat template has written them, special tokens included.
        return self.processing_class(text=prompts, add_special_tokens=False)["input_ids"], None, {}  # type: ignore

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if self.model.training and isinstance(inputs, Mapping):
            self._tokens += int(inputs["prompt_mask"].sum() + inputs["completion_mask"].sum())
        return super().compute_loss(model, inputs, *args, **kwargs)


class Grpo(_Online, GRPOTrainer):
    """Group relative policy optimisation."""


class Rloo(_Online, RLOOTrainer):
    """REINFORCE leave-one-out."""


def _both_halves(inputs: Any, rows: slice) -> dict[str, Any]:
    """Rows of a batch whose tensors hold the chosen and then the rejected, or one value a pair."""
    pairs = len(inputs["input_ids"]) // 2
    return {
        name: torch.cat([value[:pairs][rows], value[pairs:][rows]]) if len(value) == 2 * pairs else value[rows]
        for name, value in inputs.items()
    }
