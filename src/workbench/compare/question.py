"""A question of a comparison: what is asked, what is right, and where that stands. It knows nothing of files."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question; what is not known of it is left out, and the metrics that need it are then not computed."""

    messages: tuple[dict[str, str], ...]
    """The chat, `{"role", "content"}`; the last one is the user's."""
    answers: tuple[str, ...] = ()
    """Reference answers, any of which is right."""
    answerable: bool | None = None
    """Whether the library tells the answer; None where that is not known."""
    document: str = ""
    """The document that tells it, by its name or the end of its path; empty where that is not known."""
    context: str = ""
    """The passage of the document that tells it, word for word; empty where that is not known."""
    pattern: str = ""
    """A regular expression (Python's) that the whole answer must match; empty: none."""
    schema: dict[str, Any] | None = field(default=None, hash=False)
    """A JSON schema that the answer must hold; None: none."""

    @property
    def text(self) -> str:
        """What is asked: the user's last message."""
        return self.messages[-1]["content"]

    @property
    def key(self) -> str:
        """32 hexadecimal digits from the sha256 of everything in it."""
        content = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is not known is left out."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None, (), [])}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Question:
        """What `as_dict` gave."""
        return cls(**{**values, "messages": tuple(values["messages"]), "answers": tuple(values.get("answers", ()))})


def set_hash(questions: Iterable[Question]) -> str:
    """64 hexadecimal digits that stand for a set of questions, whatever their order."""
    return hashlib.sha256("\n".join(sorted(question.key for question in questions)).encode()).hexdigest()


def sample(questions: Sequence[Question], count: int | None, seed: int) -> list[Question]:
    """`count` of the questions drawn without replacement, or all; the same ones in the same order for the same set and
    seed, in whichever order the set is given."""
    ordered = sorted(questions, key=lambda question: question.key)
    return random.Random(seed).sample(ordered, min(len(ordered), count or len(ordered)))
