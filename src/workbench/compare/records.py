"""What the store of comparisons keeps and gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SetSummary:
    """A question set in a list."""

    name: str
    questions: int
    answerable: int
    unanswerable: int
    with_answers: int
    with_place: int
    with_format: int
    sha256: str


@dataclass(frozen=True)
class Comparison:
    """A comparison as it was asked for, and what came of it so far."""

    id: int
    name: str
    created_at: float
    """Seconds since the epoch."""
    spec: dict[str, Any]
    """The fields of `workbench.compare.spec.Spec`."""
    questions: int
    answers: int
    costs: dict[str, Any]
    """What `workbench.compare.costs` measured."""
    verdict: dict[str, Any] | None
    """What `workbench.compare.verdict.build` gave; None before there is one."""
    placed: int = 0
    """Questions whose right passage, or its document, is known."""

    @property
    def expected(self) -> int:
        """Answers that it has when it is done; fewer where an oracle's document holds nothing that was found."""
        oracles = sum(bool(arm.get("oracle")) for arm in self.spec["arms"])
        return self.questions * (len(self.spec["arms"]) - oracles) + self.placed * oracles

    @property
    def arms(self) -> list[str]:
        """The names of its arms, in their order."""
        return [arm["name"] for arm in self.spec["arms"]]


@dataclass(frozen=True)
class Ranking:
    """What a search of the index found for a question, deeper than the model is shown."""

    right: tuple[int, ...] | None
    """The ranks, from 1, of the passages that hold the known place; None where the place is not known."""
    hits: tuple[dict[str, Any], ...] = ()
    """document, place, similarity of each, best first."""

    @property
    def rank(self) -> int | None:
        """The best rank of a right passage; None where none was found or the place is not known."""
        return min(self.right) if self.right else None


@dataclass(frozen=True)
class Answered:
    """One arm's answer to one question."""

    number: int
    """Of the question, from 0."""
    arm: str
    text: str
    citations: tuple[dict[str, Any], ...] = ()
    """The passages that the model was given, as `workbench.chat.answer.Citation` names their fields."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The fields of `workbench.chat.answer.Figures`, seconds, joules, not_in_library."""
    scores: dict[str, float | None] = field(default_factory=dict)
    """By metric; see `workbench.compare.metrics`. None: the metric says nothing of this answer."""
