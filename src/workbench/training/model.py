"""What is trained: the base model with the kind of LoRA that a recipe asks for, and the path that it computes by.

packed: padded batches without their padding, shared beginnings once, LoRA as one product, only the trained tokens
scored (see `packing`, `augmented`, `head`, `elementwise`). plain: transformers, PEFT and TRL as they are. Both learn
the same; a model or a recipe that the packed path has not been checked for takes the plain one, and the run says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig

from workbench.errors import UserError
from workbench.models.load import device as best_device
from workbench.models.load import load_model
from workbench.training import head, packing
from workbench.training.augmented import AugmentedLinear, augment
from workbench.training.elementwise import slim
from workbench.training.recipe import ONLINE_METHODS, Recipe

_PACKABLE = {"llama", "qwen2", "qwen3", "mistral", "smollm3"}
"""Architectures whose attention is causal over the whole sequence, without soft caps; each is checked by a test."""


@dataclass
class Plan:
    """How a run computes, decided before its weights are loaded."""

    device: str
    """cuda, mps or cpu."""
    path: str
    """packed or plain."""
    why: str
    """Why not packed; empty if it is."""
    weights: str
    """dtype of the base in memory: float32 or bfloat16."""
    autocast: bool
    """Whether products are rounded to bfloat16 one by one; never with the packed path's own LoRA product."""

    @property
    def dtype(self) -> str:
        """What products are computed in."""
        return "bfloat16" if self.autocast or self.weights == "bfloat16" else "float32"


@dataclass
class FastPath:
    """The parts of a model that were exchanged; empty for the plain path."""

    augmented: list[AugmentedLinear] = field(default_factory=list)
    slimmed: int = 0

    def refresh(self) -> None:
        """Tell the layers that the adapter has changed; after every optimizer step and load."""
        for layer in self.augmented:
            layer.refresh()


def plan(recipe: Recipe, base_folder: Path) -> Plan:
    """Decide where and how to compute.

    Raises:
        UserError: the recipe needs a GPU that is not here.
    """
    place = best_device()
    if recipe.load_in_4bit and place != "cuda":
        raise UserError("4-bit training needs an NVIDIA GPU", where="load_in_4bit", do="Set it to false.")
    half = recipe.bf16 if recipe.bf16 is not None else bf16_is_fast(place)
    why = _why_plain(recipe, base_folder, place)
    # Layers that are trained whole are held in float32: most steps of AdamW are smaller than bfloat16's last bit.
    whole = recipe.method == "reward" or bool(recipe.lora.modules_to_save)
    if whole and place == "cpu" and recipe.bf16 is None:
        half = False
    elif whole and half and not why:
        why = "layers that are trained whole are held in float32"
    # bfloat16 weights would swallow a young adapter, unless it is part of the same product: on the plain path float32
    # weights under autocast do less harm.
    if place == "cpu" and not why:
        return Plan(place, "packed", why, "bfloat16" if half else "float32", autocast=False)
    return Plan(place, "plain", why, "bfloat16" if half and place != "cpu" and not whole else "float32", autocast=half)


def load_base(plan: Plan, recipe: Recipe, folder: Path) -> Any:
    """The frozen base: a causal language model, or for `method: reward` one that gives a score.

    Raises:
        UserError: it cannot be loaded, or bitsandbytes is not installed.
    """
    options: dict[str, Any] = {}
    if recipe.load_in_4bit:
        options["quantization_config"] = _four_bits()
    if recipe.method == "reward":
        torch.manual_seed(recipe.seed)  # its head is drawn
        options |= {"scores": True}
    return load_model(folder, dtype=plan.weights, device=plan.device, **options)


def lora_config(recipe: Recipe) -> LoraConfig:
    """The recipe's adapter in PEFT's own terms."""
    lora = recipe.lora
    return LoraConfig(
        task_type="SEQ_CLS" if recipe.method == "reward" else "CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=lora.lora_dropout,
        target_modules=lora.target_modules,
        exclude_modules=lora.exclude_modules,
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora,
        init_lora_weights=lora.init_lora_weights,  # type: ignore[arg-type]
        modules_to_save=lora.modules_to_save,
    )


def take_fast_path(model: Any, plan: Plan, recipe: Recipe) -> FastPath:
    """Exchange the parts of a PEFT model that the packed path computes otherwise; nothing for the plain path.

    Call it after the trainer was made: TRL adds the adapter and its own head.
    """
    if plan.path == "plain":
        return FastPath()
    lm = model.get_base_model()
    packing.pack(lm.base_model)
    layers = augment(model)
    slimmed = slim(lm)
    embedding = lm.get_output_embeddings()
    if recipe.method not in (*ONLINE_METHODS, "reward") and type(embedding) is torch.nn.Linear:
        head.add_head(lm)
    return FastPath(layers, slimmed)


def bf16_is_fast(place: str) -> bool:
    """Whether the processor multiplies bfloat16 faster than float32."""
    if place == "cuda":
        return torch.cuda.is_bf16_supported()
    return place == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _why_plain(recipe: Recipe, folder: Path, place: str) -> str:
    from transformers import AutoConfig

    if place != "cpu":
        return f"on {place} its own kernels are quicker"
    if recipe.launch.strategy == "fsdp":
        return "fsdp gathers the weights layer by layer"
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if config.model_type not in _PACKABLE:
        return f"the architecture {config.model_type} has not been checked for packing"
    windows = any("sliding" in kind for kind in getattr(config, "layer_types", None) or ())
    if windows or getattr(config, "use_sliding_window", False) or getattr(config, "attention_dropout", 0):
        return "its attention has a sliding window or dropout"
    if getattr(config, "sliding_window", None) and config.model_type == "mistral":
        return "its attention has a sliding window"
    if recipe.gradient_checkpointing:
        return "gradient_checkpointing computes layer by layer"
    if recipe.lora.use_dora:
        return "DoRA's magnitudes are no part of one product"
    if recipe.neftune_noise_alpha:
        return "NEFTune's noise goes by the padded length"
    return ""


def _four_bits() -> Any:
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        raise UserError("bitsandbytes is not installed", where="load_in_4bit", do="Install hybrid-workbench[cuda].")
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )  # fmt: skip
