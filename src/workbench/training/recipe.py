"""The recipe: a YAML file that says how to train, in TRL's and PEFT's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench import yaml_file


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class LoraSettings(_Section):
    """The adapter, as `peft.LoraConfig` names it."""

    r: int = Field(default=16, ge=1, le=1024)
    """Rank of the update matrices."""
    lora_alpha: float = Field(default=32, gt=0)
    """The update is scaled by lora_alpha / r."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the adapter's input; 0 allows the fast path."""
    target_modules: str | list[str] = "all-linear"
    """Names of the layers that get an adapter, or all-linear."""
    use_rslora: bool = False
    """Scale by lora_alpha / sqrt(r) instead (arXiv 2312.03732)."""


class ContextSettings(_Section):
    """Train each prompt with the passages that retrieval finds for it, as chat will build it (arXiv 2403.10131)."""

    index: str
    """Name of the index."""
    k: int = Field(default=4, ge=1, le=20)
    """Passages in a prompt."""
    without: float = Field(default=0.0, ge=0, le=1)
    """Share of the pairs whose right passage is withheld; their completion becomes `refusal`."""
    refusal: str | None = None
    """What to answer when the passages do not tell; default: what chat says."""


class SampleSettings(_Section):
    """Fixed prompts answered at every evaluation."""

    prompts: list[str] = []
    """The prompts; none takes `count` prompts of the eval split."""
    count: int = Field(default=3, ge=0, le=50)
    """How many of the eval split's prompts."""
    max_new_tokens: int = Field(default=48, ge=1, le=2048)
    """Tokens at most in a sample."""


class Recipe(_Section):
    """How to train one LoRA adapter by supervised fine-tuning."""

    method: Literal["sft"] = "sft"
    """Supervised fine-tuning on prompt and completion."""
    dataset: str
    """Name of the dataset; its accepted pairs are trained on."""
    model_name_or_path: str | None = None
    """The base model; default: the workspace's."""
    system_prompt: str | None = None
    """What the model is told before every prompt that has no system message; default: the workspace's."""
    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    """Peak learning rate of AdamW."""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    """How the learning rate falls."""
    warmup_steps: float = Field(default=0.05, ge=0)
    """Steps of linear warm-up; below 1 it is a share of all steps."""
    num_train_epochs: float = Field(default=1.0, gt=0)
    """Passes over the training pairs."""
    max_steps: int = -1
    """Optimizer steps; above 0 it overrules num_train_epochs."""
    per_device_train_batch_size: int = Field(default=8, ge=1)
    """Pairs in one forward pass."""
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    """Forward passes in one optimizer step."""
    max_length: int = Field(default=1024, ge=16)
    """Tokens at most in a pair; passages that do not fit are left out, then the pair is dropped and reported."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    test_size: float = Field(default=0.05, ge=0, lt=1)
    """Share of the pairs kept for evaluation; which ones depends on each pair alone."""
    eval_steps: int = Field(default=50, ge=1)
    """Optimizer steps between two evaluations; there is one at the end in any case."""
    save_steps: int = Field(default=50, ge=1)
    """Optimizer steps between two checkpoints."""
    save_total_limit: int = Field(default=2, ge=1)
    """Checkpoints kept."""
    logging_steps: int = Field(default=1, ge=1)
    """Optimizer steps between two metrics events."""
    seed: int = 42
    """Of initialisation, order and dropout."""
    bf16: bool | None = None
    """Compute in bfloat16; default: where the processor has it."""
    num_threads: int | None = Field(default=None, ge=1)
    """Threads of the CPU; 1 makes runs repeatable bit for bit; default: all cores."""
    lora: LoraSettings = LoraSettings()
    context: ContextSettings | None = None
    samples: SampleSettings = SampleSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.max_steps == 0 or self.max_steps < -1:
            raise ValueError("max_steps is -1 (use num_train_epochs) or at least 1")
        return self


def load(path: Path, changes: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe, with changes by dotted key laid over it, e.g. `{"lora.r": 8}`.

    Raises:
        UserError: the file cannot be read.
        Faults: every fault with its line and key.
    """
    return yaml_file.load(path, Recipe, changes=changes)
