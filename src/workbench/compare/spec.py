"""What a comparison is asked to do: its arms and how they are asked; fixed at the start and kept with the answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

MAIN = ("base", "tuned", "rag", "hybrid")
"""The arms of the 2x2, in their order."""
ORACLE = "oracle"
AGAIN = "again"
FEWEST = 30
"""Questions below which no arm is recommended: intervals of so few are too narrow to be trusted."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to answer the questions."""

    name: str
    """base, tuned, rag, hybrid, oracle, again, or the name that the user gave to another hybrid."""
    hybrid: str
    """The name of a hybrid; of a remote model its name there."""
    oracle: bool = False
    """It is given the right passage instead of what retrieval finds; questions whose passage is not known are left
    out."""
    repeats: str = ""
    """The arm that this one asks once more, with other seeds: what differs between the two is noise."""
    url: str = ""
    """Where a remote server listens that speaks the OpenAI API (without /v1); empty: this machine."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """All that decides the answers."""

    arms: tuple[Arm, ...]
    run: str | None = None
    """The run whose adapter is measured; None: there is no tuning to measure."""
    index: str | None = None
    """The index that is measured; None: there is no retrieval to measure."""
    question_set: str = ""
    """The set that the questions are drawn from; empty: the run's eval split."""
    set_sha256: str = ""
    """Of the whole set; see `question.set_hash`."""
    asked_sha256: str = ""
    """Of the questions drawn."""
    seed: int = 0
    """Of drawing the questions, and of sampled answers."""
    top_k: int = 4
    """Passages given to the model."""
    max_new_tokens: int = 128
    """Tokens at most in an answer."""
    temperature: float = 0.0
    """0 is greedy."""
    system_prompt: str = ""
    """What every arm is told before every question that has no system message of its own."""
    metric: str = "f1"
    """What the verdict is about; a key of `metrics.METRICS`."""
    refusals: tuple[str, ...] = ()
    """What counts as abstaining, besides `metrics.REFUSALS`: what the run was taught to say."""
    pinned: dict[str, Any] = field(default_factory=dict)
    """What the workspace held at the start and the answers go by, too: min_fit, min_similarity, reranker, top_p,
    index_revision, index_fingerprint, adapter_sha256, base_fingerprint. A comparison goes on with these or not."""
    cautions: tuple[str, ...] = ()
    """What was known at the start to limit what can be concluded; whole sentences."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Spec:
        """What `as_dict` gave, or what JSON made of it."""
        lists = {name: tuple(values[name]) for name in ("refusals", "cautions")}
        return cls(**{**values, **lists, "arms": tuple(Arm(**arm) for arm in values["arms"])})
