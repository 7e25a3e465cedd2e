"""From a prompt's token ids to a stream of text: choosing tokens, detokenising as they come, stopping.

It knows nothing of chats, passages or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workbench.chat.decode import Decoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen, and when to stop."""

    max_tokens: int
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    """Only the most probable tokens that together have this probability are drawn from."""
    seed: int | None = None
    """Makes drawing repeatable."""
    stop: tuple[str, ...] = ()
    """The answer ends before any of these."""


@dataclass(frozen=True)
class Piece:
    """What one token added."""

    text: str
    """May be empty: a character or a possible stop string is not complete yet."""
    finish_reason: str | None = None
    """stop or length, in the last piece, which may hold no token of its own."""


def generate(
    decoder: Decoder,
    tokenizer: PreTrainedTokenizerFast,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    ends: Collection[int],
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Piece]:
    """Yield one piece a token and a last one that says why it ended; after a cancellation there is no last one.

    Args:
        decoder: keeps its cache for the next prompt.
        prompt: token ids; with `sampling.max_tokens` it must fit into the decoder's context.
        ends: the tokens that end an answer.
        cancelled: asked at every token.
    """
    drawing = torch.Generator()
    drawing.manual_seed(sampling.seed) if sampling.seed is not None else drawing.seed()
    detokenizer = Detokenizer(tokenizer)
    stops = StopStrings(sampling.stop)
    logits = decoder.start(prompt, cancelled)
    for left in range(sampling.max_tokens, 0, -1):
        if logits is None or cancelled():
            return
        token = choose(logits, sampling, drawing)
        if token in ends:
            yield Piece(stops.end(detokenizer.end()), "stop")
            return
        text, found = stops.add(detokenizer.add(token))
        if found:
            yield Piece(text, "stop")
            return
        yield Piece(text)
        if left > 1:
            logits = decoder.step(token)
    yield Piece(stops.end(detokenizer.end()), "length")


def choose(logits: Tensor, sampling: Sampling, drawing: torch.Generator) -> int:
    """The next token.

    Args:
        logits: float32 [vocabulary].
        sampling: temperature 0 takes the most probable token; else softmax(logits / temperature), cut to the nucleus
            `top_p` (Holtzman et al., arXiv 1904.09751), is drawn from.
        drawing: where the randomness comes from.
    """
    if sampling.temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        ordered, tokens = probabilities.sort(descending=True)
        before = ordered.cumsum(0) - ordered  # the mass of what is more probable; 0 for the first, which so remains
        ordered[before >= sampling.top_p] = 0
        return int(tokens[torch.multinomial(ordered, 1, generator=drawing)])
    return int(torch.multinomial(probabilities, 1, generator=drawing))


class Detokenizer:
    """Text of tokens as they come: never half a character, never a space lost.

    A token's text depends on what stands before it (leading spaces, bytes of one character spread over tokens), so what
    is new is the difference between decoding a short window with the token and without it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._window = 0  # tokens before it need not be decoded again
        self._told = 0  # the text of tokens before it was returned

    def add(self, token: int) -> str:
        """The text that `token` completed; empty while a character is incomplete."""
        self._tokens.append(token)
        new = self._new()
        if not new or new.endswith("\ufffd"):
            return ""
        self._window, self._told = self._told, len(self._tokens)
        return new

    def end(self) -> str:
        """What is left: an incomplete character shows as U+FFFD."""
        return self._new()

    def _new(self) -> str:
        before = self._decode(self._tokens[self._window : self._told])
        return self._decode(self._tokens[self._window :])[len(before) :]

    def _decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class StopStrings:
    """Ends a text before the first of some strings; what might become one is held back."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [string for string in strings if string]
        self._held = ""

    def add(self, text: str) -> tuple[str, bool]:
        """What may be shown now, and whether a stop string was found (nothing may be shown afterwards)."""
        text = self._held + text
        found = [at for string in self._strings if (at := text.find(string)) >= 0]
        if found:
            self._held = ""
            return text[: min(found)], True
        keep = max((self._overlap(text, string) for string in self._strings), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def end(self, text: str) -> str:
        """What was held back, at the end of the answer, with the text that still came."""
        text, found = self.add(text)
        return text if found else text + self._held

    @staticmethod
    def _overlap(text: str, string: str) -> int:
        """How many characters at the end of `text` begin `string`."""
        longest = min(len(text), len(string) - 1)
        return next((length for length in range(longest, 0, -1) if text.endswith(string[:length])), 0)
