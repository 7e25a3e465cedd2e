"""From chat messages and passages to a prompt that fits into the model's context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.chat.answer import Cut, TooLong
from workbench.library.grounding import Passage, grounded_messages

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Messages = Sequence[dict[str, str]]


@dataclass(frozen=True)
class Prompt:
    """What the model reads."""

    ids: list[int]
    passages: int
    """How many of the passages are in it: the best ones."""
    cut: Cut | None
    """What was left out; None if nothing was."""


def fit(
    tokenizer: PreTrainedTokenizerFast,
    messages: Messages,
    passages: Sequence[Passage],
    *,
    room: int,
    nonce: str,
    system: str,
) -> Prompt:
    """Build the prompt; what does not fit is left out: passages from the last on but for the best one, then the
    oldest turns, then the best passage. The system message and the last question always stay.

    Args:
        messages: the chat, `{"role", "content"}`; the last one is the user's.
        passages: best first.
        room: tokens at most.
        nonce: fences the passages.
        system: the system prompt, unless the chat begins with one of its own.

    Raises:
        TooLong: even the question alone does not fit.
    """
    added = list(tokenizer.get_added_vocab())
    first = 1 if messages[0]["role"] == "system" else 0
    oldest = _turn_starts(messages, first)
    steps = [(kept, 0) for kept in range(len(passages), 0, -1)] or [(0, 0)]
    steps += [(steps[-1][0], dropped) for dropped in oldest]
    steps += [(0, steps[-1][1])] if passages else []
    needed = 0
    for kept, dropped in steps:
        chat = [*messages[:first], *messages[first + dropped :]]
        grounded = grounded_messages(chat, passages[:kept], added_tokens=added, nonce=nonce, system=system)
        text = tokenizer.apply_chat_template(grounded, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(str(text), add_special_tokens=False)["input_ids"]
        if len(ids) <= room:
            cut = Cut(len(passages) - kept, dropped)
            return Prompt(ids, kept, cut if cut != Cut() else None)
        needed = len(ids)
    raise TooLong(f"the question has {needed} tokens, and the model has room for {room}", do="Ask with a shorter text.")


def _turn_starts(messages: Messages, first: int) -> list[int]:
    """How many of the oldest messages can be dropped so that what is left begins with a user's message."""
    return [index - first for index in range(first + 1, len(messages)) if messages[index]["role"] == "user"]
