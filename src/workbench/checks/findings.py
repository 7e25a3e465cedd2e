"""What a flag tells: a JSON object in `Flag.detail`, for people (`says`) and for dialogs (who the partner is)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

WORDS = {
    "near-duplicate": "says the same as another pair",
    "exact-duplicate": "is in another dataset, too",
    "leak-train-eval": "is learned here and evaluated there",
    "leak-eval-library": "is evaluated, and stands in the library",
    "leak-train-library": "is learned, and stands in the library",
    "too-long": "is longer than the recipe's max_length",
    "empty": "has a side with nothing to read",
    "same-both-sides": "has the prompt as its answer",
    "format": "does not hold the format that the dataset, or the model, asks for",
    "control-tokens": "has control tokens of the model in its text",
    "secret": "has a key or a password in it",
    "personal-data": "has personal data in it",
    "language": "is in another language than the dataset",
    "contradiction": "answers the same prompt otherwise than another pair",
    "length-bias": "teaches that longer is better",
    "identical-sides": "has the same answer as chosen and rejected",
    "ungrounded": "says what its passage does not",
}
"""Each flag in words that follow "this pair"."""


@dataclass(frozen=True)
class Detail:
    """What is told beside a flag's name."""

    says: str
    """For people."""
    pair: int | None = None
    """The other pair that it is about."""
    dataset: str = ""
    """The other pair's, where it is another one."""
    likeness: float | None = None
    """Of the two prompts, 0 to 1."""
    representative: int | None = None
    """The pair that stands for the whole cluster of near-duplicates."""
    size: int | None = None
    """How many pairs the cluster has."""
    document: str = ""
    """Of the library, which holds it."""

    def __str__(self) -> str:
        """As it is kept."""
        told = {name: value for name, value in asdict(self).items() if value not in (None, "")}
        return json.dumps(told, ensure_ascii=False)

    @classmethod
    def read(cls, detail: str) -> Detail:
        """What was kept; a detail that is no such JSON is what it says."""
        try:
            told: Any = json.loads(detail)
            return cls(**told)
        except (ValueError, TypeError):
            return cls(detail)
