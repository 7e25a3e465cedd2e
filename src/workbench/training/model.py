"""The model that is trained: base, adapter, and the path by which it computes.

The packed path (CPU, architectures with plain causal attention) packs sequences without padding, computes LoRA as one
product and never keeps the logits. Everything else takes the plain path: padded batches, PEFT's own layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model

from workbench.errors import UserError
from workbench.models.load import device as best_device
from workbench.models.load import load_model
from workbench.training import attention
from workbench.training.augmented import AugmentedLinear, augment
from workbench.training.data import Example
from workbench.training.loss import chunked_cross_entropy
from workbench.training.recipe import Recipe

_PACKABLE = {"llama", "qwen2", "qwen3"}
"""Architectures whose attention is causal over the whole sequence, without soft caps; each is checked by a test."""


@dataclass
class TrainedModel:
    """A PEFT model with the path it computes by."""

    peft: PeftModel
    path: str
    """packed or plain."""
    why: str
    """Why not packed; empty if it is."""
    dtype: torch.dtype
    device: str
    augmented: list[AugmentedLinear] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """The trainable ones by name, in a stable order."""
        return {name: p for name, p in self.peft.named_parameters() if p.requires_grad}

    def refresh(self) -> None:
        """Tell the layers that the adapter has changed; after every optimizer step and load."""
        for layer in self.augmented:
            layer.refresh()

    def loss(self, batch: Sequence[Example], denominator: float) -> torch.Tensor:
        """Summed cross-entropy of the completions of a batch over `denominator`, a float32 scalar."""
        return (self._packed_loss if self.path == "packed" else self._padded_loss)(batch, denominator)

    def _packed_loss(self, batch: Sequence[Example], denominator: float) -> torch.Tensor:
        bounds, ids, positions, predicting, targets = [0], [], [], [], []
        for example in batch:
            start, n = bounds[-1], len(example.input_ids)
            ids += example.input_ids
            positions += range(n)
            predicting += range(start + example.trained_from - 1, start + n - 1)
            targets += example.input_ids[example.trained_from :]
            bounds.append(start + n)
        lm: Any = self.peft.get_base_model()
        hidden = lm.base_model(
            input_ids=torch.tensor([ids]), position_ids=torch.tensor([positions]), cu_seq_lens_q=bounds, use_cache=False
        ).last_hidden_state
        return chunked_cross_entropy(
            hidden[0, predicting], lm.get_output_embeddings().weight, torch.tensor(targets), denominator
        )

    def _padded_loss(self, batch: Sequence[Example], denominator: float) -> torch.Tensor:
        longest = max(len(example.input_ids) for example in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for row, example in enumerate(batch):
            n = len(example.input_ids)
            ids[row, :n] = torch.tensor(example.input_ids)
            mask[row, :n] = 1
            labels[row, example.trained_from : n] = ids[row, example.trained_from : n]
        with self._autocast():
            logits = self.peft(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device), use_cache=False
            ).logits
        flat = logits[:, :-1].flatten(0, 1).float()
        return F.cross_entropy(flat, labels[:, 1:].flatten().to(self.device), reduction="sum") / denominator

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.dtype == torch.bfloat16:
            return torch.autocast(self.device, dtype=torch.bfloat16)
        return nullcontext()

    @contextmanager
    def generating(self) -> Any:
        """While open, the model attends as transformers does, with a cache, for evaluation; yields the PEFT model."""
        lm: Any = self.peft.get_base_model()
        before = lm.config._attn_implementation
        self.peft.eval()
        lm.set_attn_implementation("sdpa")
        try:
            with torch.inference_mode(), self._autocast() if self.path == "plain" else nullcontext():
                yield self.peft
        finally:
            lm.set_attn_implementation(before)
            self.peft.train()


def build(recipe: Recipe, base_folder: Path, base_name: str) -> TrainedModel:
    """Load the base and add a fresh adapter, seeded by the recipe.

    Raises:
        UserError: the model cannot be loaded or has none of the target modules.
    """
    place = best_device()
    half = recipe.bf16 if recipe.bf16 is not None else _bf16_is_fast(place)
    why = _why_not_packed(base_folder, place)
    # On the plain path the base stays float32 under autocast on CPU; a GPU holds it in bfloat16.
    dtype = "bfloat16" if half and (not why or place != "cpu") else "float32"
    model = load_model(base_folder, dtype=dtype, device=place)
    torch.manual_seed(recipe.seed)
    try:
        peft = get_peft_model(model, _lora_config(recipe, base_name), autocast_adapter_dtype=True)
    except ValueError as error:
        raise UserError(
            str(error).splitlines()[0], where="lora.target_modules", do="Name layers of this model."
        ) from None
    peft.peft_config["default"].base_model_name_or_path = base_name  # PEFT put this machine's folder there
    trained = TrainedModel(peft, "plain" if why else "packed", why, torch.bfloat16 if half else torch.float32, place)
    if not why:
        attention.register()
        model.set_attn_implementation(attention.NAME)
        trained.augmented = augment(peft)
    peft.train()
    return trained


def _lora_config(recipe: Recipe, base_name: str) -> LoraConfig:
    lora = recipe.lora
    return LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=base_name,
        r=lora.r,
        lora_alpha=lora.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=lora.lora_dropout,
        target_modules=lora.target_modules,
        use_rslora=lora.use_rslora,
    )


def _bf16_is_fast(place: str) -> bool:
    if place == "cuda":
        return torch.cuda.is_bf16_supported()
    return place == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _why_not_packed(folder: Path, place: str) -> str:
    from transformers import AutoConfig

    if place != "cpu":
        return f"on {place} padded batches are quicker"
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if config.model_type not in _PACKABLE:
        return f"the architecture {config.model_type} has not been checked for packing"
    if getattr(config, "use_sliding_window", False) or getattr(config, "attention_dropout", 0):
        return "its attention has a sliding window or dropout"
    if getattr(config, "logits_scaling", 1) != 1:
        return "it scales its logits"
    return ""
