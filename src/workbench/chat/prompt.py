"""From chat messages and passages to a prompt that fits into the model's context.

Earlier turns stand in it as they were sent, with their passages: so a turn's prompt begins with the whole one of the
turn before, whose keys and values are kept, and only what is new has to be read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from workbench.chat.answer import Cut, TooLong
from workbench.errors import UserError
from workbench.library.grounding import Passage, grounded_messages
from workbench.models.load import control_strings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Messages = Sequence[dict[str, str]]
HISTORY = 4096
"""Tokens up to which earlier turns keep their passages."""
TOGETHER = 4
"""Turns that lose their passages at once: every loss means reading all that follows again."""
QUOTED = "(quoted in full above)"
"""What follows the first words of a passage that an earlier turn of the same prompt holds."""
_FIRST = 12  # of these words: by them it is known among others of the same heading


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
        UserError: the model's template refuses such a chat, or a text in it would be read as a control token.
    """
    control = control_strings(tokenizer)
    first = 1 if messages[0]["role"] == "system" else 0
    last = len(messages) - 1

    def prompt_of(begin: int, quoted: Mapping[int, Sequence[Passage]]) -> list[int]:
        chat = [*messages[:first], *messages[begin:]]
        # What the fences cannot be closed by is the same for all of them, and stays so from turn to turn.
        sent = grounded_messages(chat, (), added_tokens=control, nonce=nonce, system=system)
        offset, shown = len(sent) - len(messages), set[Passage]()
        for index in sorted(quoted):
            told = [_reminder(each) if each in shown else each for each in quoted[index]]
            shown.update(quoted[index])
            sent[index + offset] = grounded_messages([messages[index]], told, added_tokens=control, nonce=nonce)[0]
        return _ids(tokenizer, sent)

    grounded = sorted(earlier)
    for oldest in range(0, len(grounded), TOGETHER):
        ids = prompt_of(first, {index: earlier[index] for index in grounded[oldest:]} | {last: passages})
        if len(ids) <= min(room, HISTORY):
            return Prompt(ids, len(passages), None)
    steps = [(kept, 0) for kept in range(len(passages), 0, -1)] or [(0, 0)]
    steps += [(steps[-1][0], dropped) for dropped in _turn_starts(messages, first)]
    steps += [(0, steps[-1][1])] if passages else []

    @cache
    def read(step: tuple[int, int]) -> list[int]:
        kept, dropped = step
        return prompt_of(first + dropped, {last: passages[:kept]} if kept else {})

    at = 0
    if len(read(steps[0])) > room:
        # Every step leaves out more than the one before it; thousands of turns are not tried one by one.
        at = bisect_left(steps, True, lo=1, key=lambda step: len(read(step)) <= room)
        at = min(at, len(steps) - 1)
    ids = read(steps[at])
    if len(ids) > room:
        raise TooLong(
            f"the question has {len(ids):,} tokens, and the model has room for {room:,}", do="Ask with a shorter text."
        )
    kept, dropped = steps[at]
    cut = Cut(len(passages) - kept, dropped)
    return Prompt(ids, kept, cut if cut != Cut() else None)


def _reminder(passage: Passage) -> Passage:
    words = passage.text.split()
    if len(words) <= _FIRST + len(QUOTED.split()):
        return passage
    return replace(passage, text=f"{' '.join(words[:_FIRST])} … {QUOTED}")


def _ids(tokenizer: PreTrainedTokenizerFast, grounded: list[dict[str, str]]) -> list[int]:
    from jinja2 import TemplateError

    try:
        text = tokenizer.apply_chat_template(grounded, add_generation_prompt=True, tokenize=False)
    except TemplateError as error:
        raise UserError(
            f"the model's chat template refuses these messages: {error}",
            do='Ask without a system prompt (`system_prompt: ""` in configs/settings.yaml), in turns.',
        ) from None
    if tokenizer.backend_tokenizer.normalizer is not None:
        _check_folded(tokenizer, grounded)
    return tokenizer(str(text), add_special_tokens=False)["input_ids"]


def _check_folded(tokenizer: PreTrainedTokenizerFast, grounded: list[dict[str, str]]) -> None:
    """Refuse what a tokenizer makes a control token of by folding its input in a way that we do not know."""
    special = {number: token.content for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    special = {number: token for number, token in special.items() if token.strip() and len(token) > 1}
    for turn in grounded:
        for number in tokenizer(turn["content"], add_special_tokens=False)["input_ids"]:
            if number in special:
                raise UserError(
                    f"a text in this chat would be read as the control token {special[number]!r}",
                    do="Leave that text out, or take a model whose tokenizer keeps its input as it is.",
                )


def _turn_starts(messages: Messages, first: int) -> list[int]:
    """How many of the oldest messages can be dropped so that what is left begins with a user's message."""
    return [index - first for index in range(first + 1, len(messages)) if messages[index]["role"] == "user"]
