"""Decoders: a model and its key-value cache, giving the logits of the next token, one prompt at a time.

It knows nothing of text, sampling or chats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workbench.chat.threads import Threads

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

_CHUNK = 256  # tokens of a prompt that are read at once, and kept or dropped together


class Decoder(ABC):
    """What all decoders share: reading a prompt in chunks, and keeping the cache of what the last prompt began with.

    The same prompt gives the same logits, bit for bit, whatever was asked before: products of other sizes round
    otherwise, so only whole chunks are kept, and nothing of an answer, whose tokens were read one by one.
    """

    def __init__(self, context_length: int) -> None:
        self.context_length = context_length
        """Tokens at most, prompt and answer together."""
        self._seen: list[int] = []  # the prompt's tokens whose keys and values are in the cache
        self._position = 0  # how many tokens are in it, the answer's too
        self._threads = Threads()

    def start(self, prompt: Sequence[int], cancelled: Callable[[], bool] = lambda: False) -> Tensor | None:
        """Read a prompt; what it has in common with the beginning of the last one is not read again.

        Args:
            prompt: token ids, at least one.
            cancelled: asked between chunks.

        Returns:
            The logits of the next token, float32 [vocabulary], or None if cancelled.
        """
        # One token at least is read again: its logits are wanted, and the cache does not hold logits.
        same = 0
        for old, new in zip(self._seen, prompt[:-1], strict=False):
            if old != new:
                break
            same += 1
        self._threads.for_a_prompt()
        # If the model fails in the middle, nothing beyond these is trusted.
        self._position = self._keep(same - same % _CHUNK)
        self._seen = list(prompt[: self._position])
        logits = None
        for begin in range(self._position, len(prompt), _CHUNK):
            if cancelled():
                return None
            chunk = prompt[begin : begin + _CHUNK]
            logits = self._read(chunk, exact=True)
            self._seen += chunk
        return logits

    def forget(self) -> None:
        """Read the next prompt from its first token on, whatever the last one was."""
        self._seen = []

    def step(self, token: int) -> Tensor:
        """The logits after one more token, float32 [vocabulary]."""
        with self._threads.for_a_token():
            return self._read([token], exact=False)

    def _read(self, tokens: Sequence[int], *, exact: bool) -> Tensor:
        with torch.inference_mode():
            logits = self._forward(tokens, self._position, exact)
        self._position += len(tokens)
        return logits

    @abstractmethod
    def _keep(self, count: int) -> int:
        """Drop all but the first `count` tokens from the cache, or more; returns how many are left."""

    @abstractmethod
    def _forward(self, tokens: Sequence[int], position: int, exact: bool) -> Tensor:
        """Put `tokens` behind the `position` tokens in the cache; the logits after the last one.

        `exact`: they are a prompt's.
        """


class PlainDecoder(Decoder):
    """Any causal language model, through its own `forward`."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(context_length(model))
        self._model = model
        self._cache = self._empty()

    def _empty(self) -> DynamicCache:
        from transformers import DynamicCache

        return DynamicCache(config=self._model.config)

    def _keep(self, count: int) -> int:
        surplus = self._cache.get_seq_length() - count
        # A sliding window or a recurrent state cannot be taken back.
        croppable = all(type(layer).__name__ == "DynamicLayer" for layer in self._cache.layers)
        if count == 0 or surplus < 0 or not croppable:
            self._cache = self._empty()
            return 0
        self._cache.crop(-surplus)
        return count

    def _forward(self, tokens: Sequence[int], position: int, exact: bool) -> Tensor:
        ids = torch.tensor([tokens], device=self._model.device)
        output = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        return output.logits[0, -1].float().cpu()


def decoder_for(model: PreTrainedModel) -> Decoder:
    """The fastest decoder that computes what `model` does."""
    from workbench.chat.lean import LeanDecoder

    return LeanDecoder(model) if LeanDecoder.knows(model) else PlainDecoder(model)


def context_length(model: PreTrainedModel) -> int:
    """Tokens at most that a model can read."""
    return getattr(model.config, "max_position_embeddings", None) or 2048
