"""The Llama family on a CPU, 3 to 5 times faster than through transformers, for one answer at a time.

At batch size 1 the time goes into Python and small kernels, so this calls few and large ones itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.chat.decode import Decoder, context_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BLOCK = 1024  # positions by which the cache grows
_CONTENDERS = 64  # tokens whose logits are computed in float32


class _Widened:
    """Room for one float16 matrix in float32, used again for each: it stays in the processor's cache."""

    def __init__(self) -> None:
        self._room = torch.empty(0)

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

    def exactly(self, x: Tensor) -> Tensor:
        """[T, in] to [T, out], in float32 throughout; for many tokens the fastest, too."""
        return F.linear(x, self.widened(self.weight), self.bias)

    def fast(self, x: Tensor) -> Tensor:
        """[1, in] to [1, out], both float32; the product is rounded to float16."""
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

    Weights are float16, and so are the products with single tokens; everything else (residual stream, norms, attention,
    cache, products with a prompt) is float32. Greedy decoding then picks the tokens that float32 picks, which with
    bfloat16 it does not. The model given is used up: its weights are let go of as they are taken over.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        assert self.knows(model)
        super().__init__(context_length(model))
        config = model.config
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._width = getattr(config, "head_dim", None) or config.hidden_size // self._heads
        self._eps = config.rms_norm_eps
        decoder = model.model
        widened = _Widened()
        self._overflowed = False  # float16 does not hold the numbers that this model computes with
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

    def _forward(self, tokens: Sequence[int], position: int, exact: bool) -> Tensor:
        count, end = len(tokens), position + len(tokens)
        if end > self._cache.shape[3]:
            self._grow(end)
        through = _Linear.exactly if exact or self._overflowed else _Linear.fast
        x = self._embeddings[torch.tensor(tokens)].float()
        cos, sin = self._cos[position:end], self._sin[position:end]
        # Token i of these sees the `position` tokens before them and the first i + 1 of these.
        mask = torch.ones(count, end, dtype=torch.bool).tril(position) if count > 1 else None
        for layer, cache in zip(self._layers, self._cache, strict=True):
            qkv = through(layer.qkv, self._rms(x, layer.norm1))
            x = x + through(layer.out, self._attend(qkv, cache, cos, sin, mask, position, end))
            gate, up = through(layer.gate_up, self._rms(x, layer.norm2)).chunk(2, dim=-1)
            x = x + through(layer.down, F.silu(gate) * up)
        logits = self._logits(self._rms(x[-1:], self._norm))
        if through is _Linear.fast and not logits.isfinite().all():
            self._overflowed = True
            return self._forward(tokens, position, exact)
        return logits

    def _logits(self, x: Tensor) -> Tensor:
        """[1, hidden] to [vocabulary]. float16 holds a logit of 20 to 1/64 only, and nearer ties are common: those
        that may be chosen are computed again in float32."""
        logits = self._head.fast(x)[0]
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
            # The query heads that share a key head stand as rows of one product: no key is copied. Written out,
            # because torch's own divides the keys among its threads and so rounds by their number.
            query = rotated[0, :heads].view(kv_heads, heads // kv_heads, width) * width**-0.5
            weights = torch.softmax(torch.bmm(query, keys[0].transpose(1, 2)), dim=-1)
            return torch.bmm(weights, values[0]).view(1, heads * width)
        query = rotated[:, :heads].transpose(0, 1)[None]
        attended = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, enable_gqa=True)
        return attended[0].transpose(0, 1).reshape(-1, heads * width)

    def _rms(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self._eps)


def _fused(*projections: Any, widened: _Widened) -> _Linear:
    """One linear map with the outputs of several; their weights are let go of."""
    weight = torch.cat([projection.weight.data.half() for projection in projections])
    biases = [projection.bias.data for projection in projections if projection.bias is not None]
    for projection in projections:
        projection.weight.data = torch.empty(0)
    return _Linear(weight, torch.cat(biases) if biases else None, widened)
