"""Decoders: a model and its key-value cache, giving the logits of the next token, one prompt at a time.

It knows nothing of text, sampling or chats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from workbench.chat.prefixes import BLOCK, Block, Prefixes, names
from workbench.chat.threads import Threads

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel


class Decoder(ABC):
    """What all decoders share: reading a prompt in blocks, and keeping the cache of what earlier prompts began with.

    The same prompt gives the same logits, bit for bit, whatever was asked before: products of other sizes round
    otherwise, so only whole blocks are kept, and nothing of an answer, whose tokens were read one by one.
    """

    path: str
    """Who computes: lean, with other weights than float16 named behind a comma, or transformers."""

    def __init__(self, context_length: int, prefixes: Prefixes | None = None) -> None:
        self.context_length = context_length
        """Tokens at most, prompt and answer together."""
        self._prefixes = Prefixes() if prefixes is None else prefixes
        self._owner = self._prefixes.owner()
        self._seen: list[bytes] = []  # the names of the blocks in the cache, from the first on
        self._position = 0  # how many tokens are in it, the answer's too
        self._threads = Threads()
        self.tokens_reused = 0
        """How many of the last prompt's tokens did not have to be read."""

    def start(self, prompt: Sequence[int], cancelled: Callable[[], bool] = lambda: False) -> Tensor | None:
        """Read a prompt; what it has in common with the beginning of an earlier one is not read again.

        Args:
            prompt: token ids, at least one.
            cancelled: asked between blocks.

        Returns:
            The logits of the next token, float32 [vocabulary], or None if cancelled.
        """
        blocks = names(prompt)
        self._threads.for_a_prompt()
        # One token at least is read again: its logits are wanted, and the cache does not hold logits.
        with torch.inference_mode():  # in which the cache was made
            self.tokens_reused = self._reuse(blocks[: (len(prompt) - 1) // BLOCK])
        logits = None
        for begin in range(self.tokens_reused, len(prompt), BLOCK):
            if cancelled():
                return None
            logits = self._read(prompt[begin : begin + BLOCK], exact=True)
            if self._position == begin + BLOCK:
                self._seen.append(blocks[begin // BLOCK])
                if block := self._taken(begin, begin + BLOCK):
                    self._prefixes.put(self._owner, self._seen[-1], block)
        self._prefixes.find(self._owner, self._seen)  # used just now, the first blocks last of all
        return logits

    def _reuse(self, wanted: Sequence[bytes]) -> int:
        """Have as many as possible of these blocks in the cache, and nothing behind them; how many tokens that are."""
        same = next((at for at, pair in enumerate(zip(self._seen, wanted, strict=False)) if pair[0] != pair[1]), None)
        same = min(len(self._seen), len(wanted)) if same is None else same
        kept = self._prefixes.find(self._owner, wanted)
        # If the model fails in the middle, nothing beyond these is trusted.
        del self._seen[same:]
        self._position = self._keep(same * BLOCK)
        for block in kept[self._position // BLOCK :]:
            self._put_back(block, self._position)
            self._position += BLOCK
        self._seen = list(wanted[: self._position // BLOCK])
        return self._position

    def forget(self) -> None:
        """Read the next prompt from its first token on, whatever the last ones were."""
        self._seen = []
        self._prefixes.forget(self._owner)

    def step(self, token: int) -> Tensor:
        """The logits after one more token, float32 [vocabulary]."""
        with self._threads.for_a_token():
            return self._read([token], exact=False)

    def _read(self, tokens: Sequence[int], *, exact: bool) -> Tensor:
        with torch.inference_mode():
            logits = self._forward(tokens, self._position, exact)
        self._position += len(tokens)
        return logits

    def share(self, other: Decoder) -> None:  # noqa: B027 - what cannot share need not
        """Hold the weights of `other` in place of own ones that are equal."""

    def held(self) -> Iterable[tuple[int, int]]:
        """What takes memory here, weights and the cache in use: addresses, and how many bytes lie there."""
        return ()

    @abstractmethod
    def _keep(self, count: int) -> int:
        """Drop all but the first `count` tokens from the cache, or all; returns how many are left."""

    def _taken(self, begin: int, end: int) -> Block | None:
        """A copy of the keys and values from one position to another; None if they cannot be put back."""
        return None

    def _put_back(self, block: Block, position: int) -> None:
        """What was taken at `position`, behind the tokens in the cache."""
        raise NotImplementedError

    @abstractmethod
    def _forward(self, tokens: Sequence[int], position: int, exact: bool) -> Tensor:
        """Put `tokens` behind the `position` tokens in the cache; the logits after the last one.

        `exact`: they are a prompt's.
        """


class PlainDecoder(Decoder):
    """Any causal language model, through its own `forward`."""

    path = "transformers"

    def __init__(self, model: PreTrainedModel, prefixes: Prefixes | None = None) -> None:
        super().__init__(context_length(model), prefixes)
        self._model = model
        self._cache = self._empty()

    def share(self, other: Decoder) -> None:
        if isinstance(other, PlainDecoder):
            theirs = dict(other._model.named_parameters())
            for name, mine in self._model.named_parameters():
                if name in theirs and same(mine.data, theirs[name].data):
                    mine.data = theirs[name].data

    def held(self) -> Iterable[tuple[int, int]]:
        for tensor in (*self._model.parameters(), *self._model.buffers(), *(self._kept() or ())):
            storage = tensor.untyped_storage()
            yield storage.data_ptr(), storage.nbytes()

    def _empty(self) -> DynamicCache:
        from transformers import DynamicCache

        return DynamicCache(config=self._model.config)

    def _kept(self) -> list[Tensor] | None:
        """Keys and values [1, heads, tokens, width] of one layer after the other; None if they are of another kind: a
        sliding window or a recurrent state cannot be taken back."""
        layers: list[Any] = self._cache.layers
        if any(type(layer).__name__ != "DynamicLayer" for layer in layers):
            return None
        return [kept for layer in layers for kept in (layer.keys, layer.values) if kept is not None]

    def _keep(self, count: int) -> int:
        surplus = self._cache.get_seq_length() - count
        if count == 0 or surplus < 0 or self._kept() is None:
            self._cache = self._empty()
            return 0
        self._cache.crop(-surplus)
        return count

    def _taken(self, begin: int, end: int) -> Block | None:
        kept = self._kept()
        return None if kept is None else tuple(each[:, :, begin:end].clone() for each in kept)

    def _put_back(self, block: Block, position: int) -> None:
        for layer, (keys, values) in enumerate(zip(block[::2], block[1::2], strict=True)):
            self._cache.update(keys, values, layer)

    def _forward(self, tokens: Sequence[int], position: int, exact: bool) -> Tensor:
        ids = torch.tensor([tokens], device=self._model.device)
        output = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        return output.logits[0, -1].float().cpu()


def decoder_for(model: PreTrainedModel, prefixes: Prefixes | None = None, weights: str = "float16") -> Decoder:
    """The fastest decoder that computes what `model` does; `weights` (float16 or int8) are for those it knows."""
    from workbench.chat.lean import LeanDecoder

    return LeanDecoder(model, prefixes, weights) if LeanDecoder.knows(model) else PlainDecoder(model, prefixes)


def context_length(model: PreTrainedModel) -> int:
    """Tokens at most that a model can read."""
    return getattr(model.config, "max_position_embeddings", None) or 2048


def same(mine: Tensor, other: Tensor) -> bool:
    """Whether two tensors could be one."""
    return mine.shape == other.shape and mine.dtype == other.dtype and torch.equal(mine, other)
