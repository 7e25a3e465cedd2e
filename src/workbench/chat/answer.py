"""What a question and its answer consist of: the engine yields it, the server sends it, the client reads it.

Nothing heavy is imported here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from workbench.errors import UserError
from workbench.library.grounding import Passage

LONGEST_QUERY = 32_768
"""Characters of a search at most; of a longer question in a chat this much is searched for."""


class UnknownModel(UserError):
    """No hybrid goes by that name here: its base, run or index is absent."""


class TooLong(UserError):
    """The question alone does not fit into the model's context."""


@dataclass(frozen=True)
class Question:
    """What the engine is asked. None stands for the workspace's setting."""

    model: str
    """The name of a hybrid."""
    messages: tuple[dict[str, str], ...]
    """The chat, `{"role", "content"}`; the last one is the user's."""
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_k: int | None = None
    """Passages given to the model, where the hybrid has an index."""
    passages: tuple[Passage, ...] | None = None
    """Given to the model instead of what retrieval finds; None: it searches."""
    min_fit: float | None = None
    """Probability below which nothing that is found is given to the model; where the embedding model is not calibrated,
    or this is 0, `min_similarity` decides. None: the setting, unless `min_similarity` is given."""
    min_similarity: float | None = None
    """Cosine below which nothing that is found is given to the model; None: the setting."""
    system: str | None = None
    """What the model is told before the chat, empty for nothing; None: what its adapter was trained with, else the
    setting."""
    fresh: bool = False
    """Read the whole prompt, also what it has in common with earlier ones, and give only the last question passages:
    for measuring arms that are told the same."""
    asked_at: float = field(default_factory=time.monotonic)


class Least(NamedTuple):
    """What the best passage must reach, else the question is not in the library."""

    fit: float
    """Probability that it is about the question; 0 goes by the similarity."""
    similarity: float
    """Cosine, where there is no such probability."""


@dataclass(frozen=True)
class Citation:
    """A passage that was given to the model, under the number by which the answer may name it."""

    number: int
    """1 is the best; the model saw the same number."""
    document: str
    """The document's path in its index."""
    place: str
    """Where in the document, for a person: headings, lines or page."""
    text: str
    score: float
    """The fused score (reciprocal rank)."""
    similarity: float | None = None
    """Cosine with the question."""
    dense_rank: int | None = None
    lexical_rank: int | None = None
    start_line: int | None = None
    end_line: int | None = None
    page: int | None = None

    @classmethod
    def of(cls, number: int, hit: object) -> Citation:
        """The citation of a hit of `workbench.library.search`."""
        names = [field.name for field in fields(cls) if field.name != "number"]
        return cls(number, **{name: getattr(hit, name) for name in names if hasattr(hit, name)})

    @classmethod
    def given(cls, number: int, passage: Passage) -> Citation:
        """The citation of a passage that no search found."""
        return cls(number, passage.document, passage.place, passage.text, 0.0)


@dataclass(frozen=True)
class Figures:
    """What an answer cost. Known when it has ended."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds_to_first_token: float | None = None
    """Retrieval and reading the prompt; not the time spent waiting for other answers or loading weights."""
    tokens_per_second: float | None = None
    """Of the tokens after the first."""
    seconds_waited: float = 0.0
    """Waiting for other answers, and loading weights that were not loaded yet."""
    finish_reason: str = "stop"
    """stop, or length when max_tokens or the model's context was reached."""
    cached_tokens: int = 0
    """Of the prompt, those that did not have to be read: an earlier prompt began with them."""
    path: str | None = None
    """Who computed: lean (with other weights: "lean, int8"), or transformers where the lean decoder does not know the
    model; None: nobody, or a server that does not tell."""


@dataclass(frozen=True)
class Cut:
    """What was left out so that the prompt fits into the model's context."""

    passages: int = 0
    turns: int = 0
    """Messages, the oldest ones."""


@dataclass(frozen=True)
class Delta:
    """A piece of an answer. The first one carries the citations and no text, the last one the figures."""

    text: str = ""
    citations: tuple[Citation, ...] = ()
    not_in_library: bool = False
    """Retrieval found nothing good enough: the model was not asked."""
    cut: Cut | None = None
    figures: Figures | None = None


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    text: str
    citations: tuple[Citation, ...]
    not_in_library: bool
    cut: Cut | None
    figures: Figures


def known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that a dataclass has a field for: what a newer server adds is passed over."""
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in values.items() if key in names}
