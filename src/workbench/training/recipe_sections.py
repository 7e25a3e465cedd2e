"""The sections of a recipe, in the names that TRL, PEFT and Accelerate give their keys. See `recipe`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

COMMON: dict[str, Any] = {"common": True}
"""Marks the keys that the form of the app shows at first; the others come with "all fields"."""

DpoLoss = Literal[
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
]  # fmt: skip


SCHEDULER_KWARGS: dict[str, tuple[set[str], set[str]]] = {
    "linear": (set(), set()),
    "constant": (set(), set()),
    "constant_with_warmup": (set(), set()),
    "cosine": ({"num_cycles"}, set()),
    "cosine_with_restarts": ({"num_cycles"}, set()),
    "cosine_with_min_lr": ({"num_cycles", "min_lr", "min_lr_rate"}, {"min_lr", "min_lr_rate"}),
    "polynomial": ({"lr_end", "power"}, set()),
    "inverse_sqrt": ({"timescale"}, set()),
    "warmup_stable_decay": (
        {"num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio", "num_cycles"},
        {"num_decay_steps"},
    ),
}
"""What each scheduler of transformers knows, and of which it needs one."""


class Section(BaseModel):
    """Refuses keys that it does not know; the docstring under a field is its help."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class LoraSettings(Section):
    """The adapter, as `peft.LoraConfig` names it."""

    r: int = Field(default=16, ge=1, le=1024, json_schema_extra=COMMON)
    """Rank of the update matrices."""
    lora_alpha: float = Field(default=32, gt=0, json_schema_extra=COMMON)
    """The update is scaled by lora_alpha / r."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1, json_schema_extra=COMMON)
    """Dropout on the adapter's input."""
    target_modules: str | list[str] = Field(default="all-linear", json_schema_extra=COMMON)
    """Names of the layers that get an adapter, or all-linear."""
    exclude_modules: list[str] | None = None
    """Names of layers that get none."""
    use_rslora: bool = False
    """Scale by lora_alpha / sqrt(r) instead (arXiv 2312.03732)."""
    use_dora: bool = False
    """Learn magnitude and direction apart (arXiv 2402.09353); slower."""
    init_lora_weights: bool | Literal["gaussian", "pissa", "olora", "orthogonal"] | str = True
    """How the adapter begins: true (B is zero), gaussian, orthogonal, olora, pissa or pissa_niter_16 (from the base's
    singular vectors, arXiv 2404.02948)."""
    modules_to_save: list[str] | None = None
    """Layers that are trained whole and saved with the adapter, e.g. [embed_tokens]."""
    loraplus_lr_ratio: float | None = Field(default=None, ge=1)
    """LoRA+: the learning rate of B over that of A (arXiv 2402.12354), e.g. 16."""

    @model_validator(mode="after")
    def _known_start(self) -> LoraSettings:
        start = self.init_lora_weights
        if isinstance(start, str) and start not in ("gaussian", "pissa", "olora", "orthogonal"):
            rounds = start.removeprefix("pissa_niter_")
            if rounds == start or not rounds.isdigit() or int(rounds) < 1:
                raise Contradictions(
                    {"init_lora_weights": "is true, gaussian, orthogonal, olora, pissa or pissa_niter_N"}
                )
        elif start is False:
            raise Contradictions({"init_lora_weights": "false would start from a random update; leave it out"})
        return self


class ContextSettings(Section):
    """Train each prompt with the passages that retrieval finds for it, as chat will build it (arXiv 2403.10131)."""

    index: str = Field(json_schema_extra=COMMON)
    """Name of the index."""
    k: int = Field(default=4, ge=1, le=20, json_schema_extra=COMMON)
    """Passages in a prompt."""
    without: float = Field(default=0.0, ge=0, le=1, json_schema_extra=COMMON)
    """Share of the pairs whose right passage is withheld; their completion becomes `refusal`."""
    refusal: str | None = None
    """What to answer when the passages do not tell; default: what chat says."""


class SampleSettings(Section):
    """Fixed prompts answered at every evaluation."""

    prompts: list[str] = []
    """The prompts; none takes `count` prompts of the eval split."""
    count: int = Field(default=3, ge=0, le=50)
    """How many of the eval split's prompts."""
    max_new_tokens: int = Field(default=48, ge=1, le=2048)
    """Tokens at most in a sample."""


class DpoSettings(Section):
    """Direct preference optimisation (arXiv 2305.18290), as `trl.DPOConfig` names it."""

    beta: float = Field(default=0.1, gt=0, json_schema_extra=COMMON)
    """How strongly the model is held to the base it starts from."""
    loss_type: list[DpoLoss] = Field(default=["sigmoid"], min_length=1, json_schema_extra=COMMON)
    """The loss, or several that are added: sigmoid is DPO's own; ipo, robust, apo_zero, sft, ... are TRL's variants."""
    loss_weights: list[float] | None = None
    """One weight for each of several losses."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of preferences taken to be the wrong way round; robust, exo_pair and aot only."""
    ld_alpha: float | None = Field(default=None, ge=0, le=1)
    """Weight of the tokens beyond the shorter answer's length (LD-DPO); default: 1."""
    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = "reverse_kl"
    """The divergence that holds the model to the base."""
    precompute_ref_log_probs: bool = True
    """Score the pairs with the base once, before the first step, not at every step."""

    @model_validator(mode="after")
    def _weights_match(self) -> DpoSettings:
        faults = {}
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            faults["loss_weights"] = f"has {len(self.loss_weights)} numbers for {len(self.loss_type)} losses"
        smoothed = {"robust", "exo_pair", "aot", "aot_unpaired"}
        if self.label_smoothing and not smoothed & set(self.loss_type):
            faults["label_smoothing"] = "is used by loss_type robust, exo_pair, aot and aot_unpaired only"
        if "exo_pair" in self.loss_type and not self.label_smoothing:
            faults["label_smoothing"] = "must be above 0 for loss_type exo_pair, e.g. 1.0e-3"
        if faults:
            raise Contradictions(faults)
        return self


class KtoSettings(Section):
    """Kahneman-Tversky optimisation (arXiv 2402.01306), as `trl.KTOConfig` names it."""

    beta: float = Field(default=0.1, gt=0, json_schema_extra=COMMON)
    """How strongly the model is held to the base it starts from."""
    loss_type: Literal["kto", "apo_zero_unpaired"] = "kto"
    """The loss."""
    desirable_weight: float = Field(default=1.0, gt=0)
    """Weight of the answers that are wanted."""
    undesirable_weight: float = Field(default=1.0, gt=0)
    """Weight of the answers that are not."""


class RewardSettings(Section):
    """A reward model (Bradley-Terry), as `trl.RewardConfig` names it."""

    center_rewards_coefficient: float | None = Field(default=None, gt=0)
    """Holds the mean reward near zero (arXiv 2312.09244), e.g. 0.01."""


class RewardFunction(Section):
    """What an answer is worth: one of a few measures, or a reward model that was trained here."""

    function: Literal["pattern", "reference", "length", "json"] | None = None
    """pattern: 1 where the answer matches; reference: token F1 with the pair's completion; length: 1 down to 0 at
    twice `max_words`; json: 1 where it is a JSON object."""
    pattern: str | None = None
    """A regular expression that the whole answer should match."""
    max_words: int | None = Field(default=None, ge=1)
    """Words up to which an answer is not too long."""
    run: str | None = None
    """A run of `method: reward` whose model scores the answer."""
    weight: float = 1.0
    """Its share in the sum."""

    @model_validator(mode="after")
    def _one_measure(self) -> RewardFunction:
        faults = {}
        if (self.function is None) == (self.run is None):
            faults["function"] = "give either a function or a run"
        if (self.function == "pattern") != (self.pattern is not None):
            faults["pattern"] = "belongs to function pattern, which needs it"
        if (self.function == "length") != (self.max_words is not None):
            faults["max_words"] = "belongs to function length, which needs it"
        if faults:
            raise Contradictions(faults)
        return self


class OnlineSettings(Section):
    """Online RLHF: the model answers, the answers are rewarded. As `trl.GRPOConfig` and `trl.RLOOConfig` name it."""

    rewards: list[RewardFunction] = Field(min_length=1, json_schema_extra=COMMON)
    """What an answer is worth; the weighted sum counts."""
    num_generations: int = Field(default=4, ge=2, le=64, json_schema_extra=COMMON)
    """Answers to each prompt; per_device_train_batch_size counts answers, and is a multiple of it."""
    max_completion_length: int = Field(default=64, ge=1, json_schema_extra=COMMON)
    """Tokens at most in an answer."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the sampling."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus of the sampling."""
    beta: float = Field(default=0.0, ge=0, json_schema_extra=COMMON)
    """Weight of the KL divergence from the base."""
    num_iterations: int = Field(default=1, ge=1)
    """Optimizer passes over each batch of answers; a run that goes on from amid them has the prompts answered anew."""


class LaunchSettings(Section):
    """More than one process, as `accelerate launch` names it.

    With several machines, give the same command on each, with its machine_rank and a name of its own. Each needs the
    workspace (on a shared disk, or a copy made now) and the base model, and reaches main_process_port of the first.
    """

    num_processes: int = Field(default=1, ge=1)
    """Processes of all machines together, on GPUs one for each. Each takes per_device_train_batch_size pairs a step,
    so halve it to double the processes; an epoch's last, smaller batch is filled up with pairs from its beginning."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """Data parallel (every process holds the model), or fully sharded (GPUs only)."""
    num_machines: int = Field(default=1, ge=1)
    """Machines."""
    machine_rank: int = Field(default=0, ge=0)
    """Which of them this one is."""
    main_process_ip: str | None = None
    """Address of the machine of rank 0; needed with several."""
    main_process_port: int | None = Field(default=None, ge=1, le=65535)
    """Its port; default: a free one."""

    @model_validator(mode="after")
    def _machines_fit(self) -> LaunchSettings:
        faults = {}
        if self.num_processes < self.num_machines:
            faults["num_processes"] = f"is {self.num_processes} for {self.num_machines} machines"
        if self.machine_rank >= self.num_machines:
            faults["machine_rank"] = f"is below num_machines, {self.num_machines}"
        if self.num_machines > 1 and not (self.main_process_ip and self.main_process_port):
            faults["main_process_ip"] = "and main_process_port are needed with several machines"
        if faults:
            raise Contradictions(faults)
        return self


class Contradictions(ValueError):
    """Keys that cannot stand together; `faults` says of each what is wrong with it."""

    def __init__(self, faults: dict[str, str]) -> None:
        super().__init__("; ".join(f"{key} {reason}" for key, reason in faults.items()))
        self.faults = faults
