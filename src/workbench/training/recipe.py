"""The recipe: a YAML file that says how to train, in TRL's and PEFT's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from workbench import yaml_file
from workbench.training.recipe_sections import (
    COMMON,
    SCHEDULER_KWARGS,
    ContextSettings,
    Contradictions,
    DpoSettings,
    KtoSettings,
    LaunchSettings,
    LoraSettings,
    OnlineSettings,
    RewardSettings,
    SampleSettings,
    Section,
)

PREFERENCE_METHODS = ("dpo", "kto", "reward")
"""They learn from preference pairs; the others from prompts and completions."""
ONLINE_METHODS = ("grpo", "rloo")
"""They learn from answers that the model gives while it is trained."""
_OWN_SECTIONS = {"dpo": DpoSettings, "kto": KtoSettings, "reward": RewardSettings, "grpo": None, "rloo": None}


class Recipe(Section):
    """How to train one LoRA adapter."""

    method: Literal["sft", "dpo", "kto", "reward", "grpo", "rloo"] = Field(default="sft", json_schema_extra=COMMON)
    """sft learns completions; dpo and kto preferences; reward a reward model; grpo and rloo from rewarded answers."""
    dataset: str = Field(json_schema_extra=COMMON)
    """Name of the dataset; its accepted pairs are trained on."""
    model_name_or_path: str | None = Field(default=None, json_schema_extra=COMMON)
    """The base model; default: the workspace's."""
    system_prompt: str | None = None
    """What the model is told before every prompt that has no system message; default: the workspace's."""
    learning_rate: float = Field(default=2e-4, gt=0, le=1, json_schema_extra=COMMON)
    """Peak learning rate of AdamW."""
    lr_scheduler_type: Literal[
        "linear", "cosine", "constant", "constant_with_warmup", "cosine_with_restarts", "cosine_with_min_lr",
        "polynomial", "inverse_sqrt", "warmup_stable_decay",
    ] = Field(default="cosine", json_schema_extra=COMMON)  # fmt: skip
    """How the learning rate falls; constant has no warm-up."""
    lr_scheduler_kwargs: dict[str, float | str] = Field(default={})
    """More of the scheduler, e.g. {min_lr_rate: 0.1} for cosine_with_min_lr."""
    warmup_steps: float = Field(default=0.05, ge=0, json_schema_extra=COMMON)
    """Steps of linear warm-up; below 1 it is a share of all steps."""
    num_train_epochs: float = Field(default=1.0, gt=0, json_schema_extra=COMMON)
    """Passes over the training pairs."""
    max_steps: int = Field(default=-1, json_schema_extra=COMMON)
    """Optimizer steps; above 0 it overrules num_train_epochs."""
    per_device_train_batch_size: int = Field(default=8, ge=1, json_schema_extra=COMMON)
    """Pairs in one forward pass; for kto and the online methods, answers."""
    gradient_accumulation_steps: int = Field(default=1, ge=1, json_schema_extra=COMMON)
    """Forward passes in one optimizer step."""
    max_length: int = Field(default=1024, ge=16, json_schema_extra=COMMON)
    """Tokens at most in a pair; passages that do not fit are left out, then the pair is dropped and reported."""
    weight_decay: float = Field(default=0.0, ge=0, json_schema_extra=COMMON)
    """AdamW's decoupled weight decay."""
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's decay of the first moment."""
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    """AdamW's decay of the second moment."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    neftune_noise_alpha: float | None = Field(default=None, gt=0)
    """NEFTune: noise on the embeddings of the prompt and completion (arXiv 2310.05914), e.g. 5; sft only."""
    test_size: float = Field(default=0.05, ge=0, lt=1, json_schema_extra=COMMON)
    """Share of the pairs kept for evaluation; which ones depends on each pair alone."""
    eval_steps: int = Field(default=50, ge=1, json_schema_extra=COMMON)
    """Optimizer steps between two evaluations; there is one at the end in any case."""
    save_steps: int = Field(default=50, ge=1, json_schema_extra=COMMON)
    """Optimizer steps between two checkpoints."""
    save_total_limit: int = Field(default=2, ge=1)
    """Checkpoints kept, besides the one with the lowest eval loss."""
    load_best_model_at_end: bool = True
    """The adapter is the one of the evaluation with the lowest loss, not of the last step."""
    early_stopping_patience: int | None = Field(default=None, ge=1, json_schema_extra=COMMON)
    """Evaluations without a lower loss after which the run ends; default: it does not."""
    logging_steps: int = Field(default=1, ge=1)
    """Optimizer steps between two metrics events."""
    seed: int = Field(default=42, ge=0, json_schema_extra=COMMON)
    """Of initialisation, order and dropout."""
    bf16: bool | None = Field(default=None, json_schema_extra=COMMON)
    """Compute in bfloat16; default: where the processor has it."""
    load_in_4bit: bool = False
    """QLoRA: hold the base in 4 bits (bitsandbytes, NVIDIA GPUs only)."""
    use_liger_kernel: bool | None = None
    """Liger's fused kernels on an NVIDIA GPU; default: where they are installed."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: about half the memory, half the speed."""
    num_threads: int | None = Field(default=None, ge=1)
    """Threads of the CPU; 1 makes runs repeatable bit for bit; default: all cores."""
    lora: LoraSettings = LoraSettings()
    context: ContextSettings | None = None
    samples: SampleSettings = SampleSettings()
    dpo: DpoSettings | None = None
    kto: KtoSettings | None = None
    reward: RewardSettings | None = None
    grpo: OnlineSettings | None = None
    rloo: OnlineSettings | None = None
    launch: LaunchSettings = LaunchSettings()

    @property
    def prompts_a_round(self) -> int:
        """Different prompts that an online method answers before it learns from the answers; 0 for the others."""
        if not self.online:
            return 0
        answers = self.per_device_train_batch_size * self.gradient_accumulation_steps * self.launch.num_processes
        return answers // self.online.num_generations

    @property
    def online(self) -> OnlineSettings | None:
        """The section of an online method."""
        return {"grpo": self.grpo, "rloo": self.rloo}.get(self.method)

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        faults: dict[str, str] = {}
        if self.max_steps == 0 or self.max_steps < -1:
            faults["max_steps"] = "is -1 (use num_train_epochs) or at least 1"
        for section, settings in _OWN_SECTIONS.items():
            if section != self.method and getattr(self, section) is not None:
                faults[section] = f"belongs to method {section}, and the method is {self.method}"
            elif section == self.method and getattr(self, section) is None and settings:
                setattr(self, section, settings())
        online = self.online
        if self.method in ONLINE_METHODS and online is None:
            faults["method"] = f"{self.method} needs a section {self.method} with its rewards"
        elif online and self.per_device_train_batch_size % online.num_generations:
            faults["per_device_train_batch_size"] = (
                f"counts answers: make it a multiple of num_generations, {online.num_generations}"
            )
        known, needed = SCHEDULER_KWARGS[self.lr_scheduler_type]
        if unknown := set(self.lr_scheduler_kwargs) - known:
            of = f"knows {', '.join(sorted(known))}" if known else "has none"
            faults["lr_scheduler_kwargs"] = f"{', '.join(sorted(unknown))}: {self.lr_scheduler_type} {of}"
        elif needed and not needed & set(self.lr_scheduler_kwargs):
            faults["lr_scheduler_kwargs"] = f"{self.lr_scheduler_type} needs {' or '.join(sorted(needed))}"
        if self.neftune_noise_alpha and self.method != "sft":
            faults["neftune_noise_alpha"] = "is for method sft"
        if self.early_stopping_patience and not self.test_size:
            faults["early_stopping_patience"] = "needs an eval split; set test_size above 0"
        if self.lora.modules_to_save and self.load_in_4bit:
            faults["load_in_4bit"] = "cannot train modules_to_save, which stay in 4 bits"
        if self.load_in_4bit and self.lora.init_lora_weights not in (True, "gaussian"):
            faults["load_in_4bit"] = "cannot start from lora.init_lora_weights, which reads the base's weights"
        taken_out = str(self.lora.init_lora_weights).startswith(("pissa", "olora"))
        if taken_out and self.method in ("dpo", "kto", *ONLINE_METHODS):
            faults["lora"] = (
                f"init_lora_weights {self.lora.init_lora_weights} changes the base, and method {self.method} holds the "
                "model to the base; leave it out"
            )
        if self.launch.strategy == "fsdp" and self.launch.num_processes == 1:
            faults["launch"] = "strategy fsdp shards over several processes; set num_processes"
        elif self.launch.strategy == "fsdp" and str(self.lora.init_lora_weights).startswith(("pissa", "olora")):
            faults["launch"] = (
                "strategy fsdp cannot take the beginning of lora.init_lora_weights out of a shared adapter"
            )
        if faults:
            raise Contradictions(faults)
        return self


def load(path: Path, changes: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe, with changes by dotted key laid over it, e.g. `{"lora.r": 8}`.

    Raises:
        UserError: the file cannot be read.
        Faults: every fault with its line and key.
    """
    return yaml_file.load(path, Recipe, changes=changes)
