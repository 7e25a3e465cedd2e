"""From chat messages and passages to a prompt that fits into the model's context.

Earlier turns stand in it as they were sent, with their passages: so a turn's prompt begins with the whole one of the
turn before, whose keys and values are kept, and only what is new has to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from workbench.chat.answer import Cut, TooLong
from workbench.library.grounding import Passage, grounded_messages

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Messages = Sequence[dict[str, str]]
HISTORY = 4096
"""Tokens up to which earlier turns keep their passages."""
_TOGETHER = 4  # turns that lose their passages at once: every loss means reading all that follows again
QUOTED = "(quoted above)"
"""What stands for a passage that an earlier turn of the same prompt holds."""


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
    earlier: Mapping[int, Sequence[Passage]] = MappingProxyType({}),
) -> Prompt:
    """Build the prompt; what does not fit is left out: the passages of earlier turns, then the last question's from the
    last on but for the best one, then the oldest turns, then the best passage. The system message and the last question
    always stay.

    Args:
        messages: the chat, `{"role", "content"}`; the last one is the user's.
        passages: best first.
        room: tokens at most.
        nonce: fences the passages.
        system: the system prompt, unless the chat begins with one of its own.
        earlier: by the index of their message, the passages that the user's earlier messages were sent with.

    Raises:
        TooLong: even the question alone does not fit.
    """
    added = list(tokenizer.get_added_vocab())
    first = 1 if messages[0]["role"] == "system" else 0
    last = len(messages) - 1

    def prompt_of(begin: int, quoted: Mapping[int, Sequence[Passage]]) -> list[int]:
        chat = [*messages[:first], *messages[begin:]]
        # What the fences cannot be closed by is the same for all of them, and stays so from turn to turn.
        sent = grounded_messages(chat, (), added_tokens=added, nonce=nonce, system=system)
        offset, shown = len(sent) - len(messages), set[Passage]()
        for index in sorted(quoted):
            told = [replace(each, text=QUOTED) if each in shown else each for each in quoted[index]]
            shown.update(quoted[index])
            sent[index + offset] = grounded_messages([messages[index]], told, added_tokens=added, nonce=nonce)[0]
        text = tokenizer.apply_chat_template(sent, add_generation_prompt=True, tokenize=False)
        return tokenizer(str(text), add_special_tokens=False)["input_ids"]

    grounded = sorted(earlier)
    for oldest in range(0, len(grounded), _TOGETHER):
        ids = prompt_of(first, {index: earlier[index] for index in grounded[oldest:]} | {last: passages})
        if len(ids) <= min(room, HISTORY):
            return Prompt(ids, len(passages), None)
    steps = [(kept, 0) for kept in range(len(passages), 0, -1)] or [(0, 0)]
    steps += [(steps[-1][0], dropped) for dropped in _turn_starts(messages, first)]
    steps += [(0, steps[-1][1])] if passages else []
    needed = 0
    for kept, dropped in steps:
        ids = prompt_of(first + dropped, {last: passages[:kept]} if kept else {})
        if len(ids) <= room:
            cut = Cut(len(passages) - kept, dropped)
            return Prompt(ids, kept, cut if cut != Cut() else None)
        needed = len(ids)
    raise TooLong(f"the question has {needed} tokens, and the model has room for {room}", do="Ask with a shorter text.")


def _turn_starts(messages: Messages, first: int) -> list[int]:
    """How many of the oldest messages can be dropped so that what is left begins with a user's message."""
    return [index - first for index in range(first + 1, len(messages)) if messages[index]["role"] == "user"]
