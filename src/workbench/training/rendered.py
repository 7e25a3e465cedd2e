"""What a pair looks like to the model, as figures and tokens. Light: it knows nothing of how they are made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

TRAINED, CONTEXT, CUT, OMITTED = "trained", "context", "cut", "omitted"
"""What becomes of a token: the loss is over it; it is only read; it lies beyond max_length; it is not shown here."""


@dataclass(frozen=True)
class Part:
    """The prompt, or one of the answers that stand behind it."""

    name: str
    """prompt, completion, chosen or rejected."""
    tokens: int
    trained: int
    cut: int
    """Of its tokens, those beyond the limit."""
    shown: list[tuple[str, str]]
    """(text, what becomes of it) of each token, in order. Of a character that several tokens make, the last one has the
    text. In a long part, one entry `omitted` says how many tokens are left out in its middle."""


@dataclass(frozen=True)
class SeenPassage:
    """A passage that stands in the prompt."""

    document: str
    place: str
    right: bool
    """Whether it is the one that tells the completion."""


@dataclass(frozen=True)
class Rendering:
    """One pair as a run of a recipe would take it."""

    pair: int
    recipe: str
    base: str
    method: str
    max_length: int
    fate: str
    """learned, evaluated, too long, or not used."""
    tokens: int
    """Of the prompt with its longest answer: what is held against `max_length`."""
    notes: list[str]
    """What is worth knowing, for a person."""
    passages: list[SeenPassage]
    parts: list[Part]
    """The prompt, then its answers; each answer follows the prompt directly."""

    @property
    def counts(self) -> dict[str, int]:
        """Tokens: of the prompt, of the answers, trained, beyond the limit."""
        prompt, *answers = self.parts
        return {
            "prompt": prompt.tokens,
            "completion": sum(part.tokens for part in answers),
            "trained": sum(part.trained for part in self.parts),
            "cut": sum(part.cut for part in self.parts),
        }

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` takes it back."""
        return {**asdict(self), "counts": self.counts}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Rendering:
        """What `as_dict` gave."""
        known = {key: value for key, value in data.items() if key != "counts"}
        known["passages"] = [SeenPassage(**passage) for passage in data["passages"]]
        known["parts"] = [
            Part(**{**part, "shown": [(text, kind) for text, kind in part["shown"]]}) for part in data["parts"]
        ]
        return cls(**known)
