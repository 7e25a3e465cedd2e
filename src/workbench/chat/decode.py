"""Decoders: a model and its key-value cache, giving the logits of the next token, one prompt at a time.

`PlainDecoder` runs any causal model of transformers. `LeanDecoder` runs the Llama family on a CPU 3 to 5 times faster:
at batch size 1 the time goes into Python and small kernels, so it calls few and large ones itself. Neither knows of
text, sampling or chats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

_CHUNK = 512  # prompt tokens between two looks whether the answer is still wanted
_BLOCK = 1024  # positions by which the lean decoder's cache grows
_CONTENDERS = 64  # tokens whose logits are computed in float32


class Decoder(ABC):
    """What all decoders share: reading a prompt in chunks, and keeping the cache of what the last prompt began with."""

    def __init__(self, context_length: int) -> None:
        self.context_length = context_length
        """Tokens at most, prompt and answer together."""
        self._seen: list[int] = []  # the tokens whose keys and values are in the cache

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
        kept = self._keep(same)
        self._seen = list(prompt[:kept])
        logits = None
        for begin in range(kept, len(prompt), _CHUNK):
            if cancelled():
                return None
            logits = self._read(prompt[begin : begin + _CHUNK])
        return logits

    def step(self, token: int) -> Tensor:
        """The logits after one more token, float32 [vocabulary]."""
        return self._read([token])

    def _read(self, tokens: Sequence[int]) -> Tensor:
        seen, self._seen = self._seen, []  # if the model fails in the middle, nothing of the cache is trusted
        with torch.inference_mode():
            logits = self._forward(tokens, len(seen))
        seen.extend(tokens)
        self._seen = seen
        return logits

    @abstractmethod
    def _keep(self, count: int) -> int:
        """Drop all but the first `count` tokens from the cache, or more; returns how many are left."""

    @abstractmethod
    def _forward(self, tokens: Sequence[int], position: int) -> Tensor:
        """Put `tokens` behind the `position` tokens in the cache; the logits after the last one."""


class PlainDecoder(Decoder):
    """Any causal language model, through its own `forward`."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(_context_length(model))
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

    def _forward(self, tokens: Sequence[int], position: int) -> Tensor:
        ids = torch.tensor([tokens], device=self._model.device)
        output = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        return output.logits[0, -1].float().cpu()


class _Widened:
    """Room for one float16 matrix in float32, used again for each: it stays in the processor's cache."""

    def __init__(self) -> None:
        self._room = torch.empty(0)
        self.always = False
        """Single tokens, too, go through float32 matrices."""

    def __call__(self, weight: Tensor) -> Tensor:
        """`weight` in float32, until the next call."""
        if self._room.numel() < weight.numel():
            self._room = torch.empty(weight.numel())
        return self._room[: weight.numel()].view_as(weight).copy_(weight)


class _Linear(NamedTuple):
    """A linear map whose weights are kept in float16: half the memory to hold, and to read for every token."""

    weight: Tensor  # [out, in] float16
    bias: Tensor | None  # [out] float32
    widened: _Widened

    def __call__(self, x: Tensor) -> Tensor:
        """[T, in] to [T, out], both float32."""
        if x.shape[0] > 1 or self.widened.always:  # few processors multiply float16 matrices fast
            return F.linear(x, self.widened(self.weight), self.bias)
        y = F.linear(x.half(), self.weight).float()
        return y if self.bias is None else y + self.bias


class _Layer(NamedTuple):
    norm1: Tensor  # [hidden]
    qkv: _Linear  # queries, keys and values of all heads
    out: _Linear
    norm2: Tensor
    gate_up: _Linear
    down: _Linear


class LeanDecoder(Decoder):
    """Llama, Mistral and Qwen2 on a CPU, with fused projections and a preallocated float32 cache.

    Weights are float16, everything else (residual stream, norms, attention, cache, products of a prompt) is float32.
    Greedy decoding then picks the tokens that float32 picks, which with bfloat16 it does not. The model given is used
    up: its weights are let go of as they are taken over.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        assert self.knows(model)
        super().__init__(_context_length(model))
        config = model.config
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._width = getattr(config, "head_dim", None) or config.hidden_size // self._heads
        self._eps = config.rms_norm_eps
        decoder = model.model
        self._widened = widened = _Widened()
        self._layers = [
            _Layer(
                layer.input_layernorm.weight.data,
                _fused(layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj, widened=widened),
                _fused(layer.self_attn.o_proj, widened=widened),
                layer.post_attention_layernorm.weight.data,
                _fused(layer.mlp.gate_proj, layer.mlp.up_proj, widened=widened),
                _fused(layer.mlp.down_proj, widened=widened),
            )
            for layer in decoder.layers
        ]
        self._norm = decoder.norm.weight.data
        tied = model.lm_head.weight is decoder.embed_tokens.weight
        self._head = _fused(model.lm_head, widened=widened)
        self._embeddings = self._head.weight if tied else decoder.embed_tokens.weight.data.half()
        self._rotary = decoder.rotary_emb
        self._grow(_BLOCK)

    @staticmethod
    def knows(model: PreTrainedModel) -> bool:
        """Whether this decoder computes what `model` does."""
        config = model.config
        layers = getattr(config, "layer_types", None)
        whole = set(layers) == {"full_attention"} if layers else not getattr(config, "sliding_window", None)
        rope = getattr(config, "rope_parameters", None) or {}
        return (
            config.model_type in ("llama", "mistral", "qwen2")
            and model.device.type == "cpu"
            and model.dtype == torch.float32
            and config.hidden_act == "silu"
            and rope.get("rope_type", "default") in ("default", "linear", "llama3")
            and "partial_rotary_factor" not in rope
            and whole
        )

    def _grow(self, positions: int) -> None:
        """Make room for at least `positions` positions."""
        room = -(-positions // _BLOCK) * _BLOCK
        old = getattr(self, "_cache", None)
        self._cache = torch.zeros(len(self._layers), 2, self._kv_heads, room, self._width)
        if old is not None:
            self._cache[:, :, :, : old.shape[3]] = old
        cos, sin = self._rotary(torch.zeros(1), torch.arange(room)[None])  # each [1, positions, width]
        self._cos = cos[0, :, None].contiguous()
        # rotate_half(x) * sin, as one roll: the sign of its first half is folded into the sine.
        signs = torch.ones(self._width)
        signs[: self._width // 2] = -1
        self._sin = (sin[0, :, None] * signs).contiguous()

    def _keep(self, count: int) -> int:
        return count  # positions beyond are written over

    def _forward(self, tokens: Sequence[int], position: int) -> Tensor:
        count, end = len(tokens), position + len(tokens)
        if end > self._cache.shape[3]:
            self._grow(end)
        x = self._embeddings[torch.tensor(tokens)].float()
        cos, sin = self._cos[position:end], self._sin[position:end]
        # Token i of these sees the `position` tokens before them and the first i + 1 of these.
        mask = torch.ones(count, end, dtype=torch.bool).tril(position) if count > 1 else None
        for layer, cache in zip(self._layers, self._cache, strict=True):
            x = x + layer.out(self._attend(layer.qkv(self._rms(x, layer.norm1)), cache, cos, sin, mask, position, end))
            gate, up = layer.gate_up(self._rms(x, layer.norm2)).chunk(2, dim=-1)
            x = x + layer.down(F.silu(gate) * up)
        logits = self._logits(self._rms(x[-1:], self._norm))
        if not self._widened.always and not logits.isfinite().all():
            self._widened.always = True  # this model computes with numbers that float16 does not hold
            return self._forward(tokens, position)
        return logits

    def _logits(self, x: Tensor) -> Tensor:
        """[1, hidden] to [vocabulary]. float16 tells a logit of 20 from one of 20.01 no more, and near ties are
        common, so those that may be chosen are computed again."""
        logits = self._head(x)[0]
        best = logits.topk(min(_CONTENDERS, len(logits))).indices
        bias = None if self._head.bias is None else self._head.bias[best]
        logits[best] = F.linear(x[0], self._head.weight[best].float(), bias)
        return logits

    def _attend(
        self, qkv: Tensor, cache: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, position: int, end: int
    ) -> Tensor:
        """Attention of new tokens over all tokens so far; [T, (heads + 2 kv_heads) * width] to [T, heads * width]."""
        heads, kv_heads, width = self._heads, self._kv_heads, self._width
        qkv = qkv.view(-1, heads + 2 * kv_heads, width)
        rotated = qkv[:, : heads + kv_heads]
        rotated = rotated * cos + torch.roll(rotated, width // 2, -1) * sin
        cache[0, :, position:end] = rotated[:, heads:].transpose(0, 1)
        cache[1, :, position:end] = qkv[:, heads + kv_heads :].transpose(0, 1)
        keys, values = cache[0, None, :, :end], cache[1, None, :, :end]  # [1, kv_heads, end, width]
        if mask is None:
            # The query heads that share a key head stand as rows of one product: no key is copied.
            query = rotated[0, :heads].view(1, kv_heads, heads // kv_heads, width)
            return F.scaled_dot_product_attention(query, keys, values).reshape(1, heads * width)
        query = rotated[:, :heads].transpose(0, 1)[None]
        attended = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, enable_gqa=True)
        return attended[0].transpose(0, 1).reshape(-1, heads * width)

    def _rms(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self._eps)


def decoder_for(model: PreTrainedModel) -> Decoder:
    """The fastest decoder that computes what `model` does."""
    return LeanDecoder(model) if LeanDecoder.knows(model) else PlainDecoder(model)


def _fused(*projections: Any, widened: _Widened) -> _Linear:
    """One linear map with the outputs of several; their weights are let go of."""
    weight = torch.cat([projection.weight.data.half() for projection in projections])
    biases = [projection.bias.data for projection in projections if projection.bias is not None]
    for projection in projections:
        projection.weight.data = torch.empty(0)
    return _Linear(weight, torch.cat(biases) if biases else None, widened)


def _context_length(model: PreTrainedModel) -> int:
    return getattr(model.config, "max_position_embeddings", None) or 2048
