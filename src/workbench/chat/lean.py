"""The Llama family on a CPU, 3 to 5 times faster than through transformers, for one answer at a time.

At batch size 1 the time goes into Python and small kernels, so this calls few and large ones itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.chat.decode import Decoder, context_length, same
from workbench.chat.prefixes import Block, Prefixes
from workbench.chat.products import Product, has_fbgemm, kind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROOM = 1024  # positions by which the cache grows
_FAMILIES = frozenset({"llama", "mistral", "ministral", "qwen2", "qwen3", "smollm3", "granite", "gemma"})
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
}


class _Layer(NamedTuple):
    norm1: Tensor  # [hidden]
    qkv: Product  # queries, keys and values of all heads
    qk_norm: Tensor | None  # [heads + kv_heads, width]: Qwen3's norms of each query and key head
    out: Product
    norm2: Tensor
    gate_up: Product
    down: Product


class _Sight(NamedTuple):
    """What the attention of a layer sees, and how."""

    rotates: bool  # SmolLM3 leaves the positions out in every fourth layer
    window: int | None  # tokens back that are seen, the token itself among them; None: all


class LeanDecoder(Decoder):
    """The Llama family on a CPU, with fused projections and a preallocated float32 cache.

    Weights are float16; everything else (residual stream, norms, attention, cache, and where there is FBGEMM all
    products) is float32. Greedy decoding then picks the tokens that float32 picks, which with bfloat16 it does not.
    With weights of 8 bits it sometimes picks others. The model given is used up: its weights are let go of as they are
    taken over.
    """

    def __init__(self, model: PreTrainedModel, prefixes: Prefixes | None = None, weights: str = "float16") -> None:
        assert self.knows(model)
        self.path = "lean, int8" if weights == "int8" and has_fbgemm() else "lean"
        super().__init__(context_length(model), prefixes)
        config, decoder = model.config, model.model
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._width = decoder.layers[0].self_attn.head_dim
        self._eps = config.rms_norm_eps
        self._activation = _ACTIVATIONS[config.hidden_act]
        # Granite's factors, and Gemma's; Llama has none.
        self._into = getattr(decoder, "embedding_multiplier", getattr(decoder.embed_tokens, "scalar_embed_scale", 1))
        self._added = getattr(config, "residual_multiplier", 1)
        self._out_of = getattr(config, "logits_scaling", 1)
        self._overflowed = False  # float16 does not hold the numbers that this model computes with
        gemma = config.model_type == "gemma"
        self._scale = decoder.layers[0].self_attn.scaling  # of the products of queries and keys
        self._sights = [_sight(layer.self_attn, config) for layer in decoder.layers]
        make = kind(weights)
        self._layers = [_layer(layer, make, self._heads, self._kv_heads, gemma) for layer in decoder.layers]
        self._norm = _norm(decoder.norm, gemma)
        self._embeddings = decoder.embed_tokens.weight.data.half()
        self._head = _fused(model.lm_head, make=make)
        self._rotary = decoder.rotary_emb
        self._grow(_ROOM)

    @staticmethod
    def knows(model: PreTrainedModel) -> bool:
        """Whether this decoder computes what `model` does."""
        config = model.config
        if config.model_type not in _FAMILIES:
            return False
        rope = getattr(config, "rope_parameters", None) or {}
        return (
            model.device.type == "cpu"
            and model.dtype == torch.float32
            and config.hidden_act in _ACTIVATIONS
            # Those whose angles do not depend on how long the text is.
            and rope.get("rope_type", "default") in ("default", "linear", "llama3", "yarn")
            and rope.get("partial_rotary_factor", 1) == 1
        )

    def share(self, other: Decoder) -> None:
        if isinstance(other, LeanDecoder) and len(other._layers) == len(self._layers):
            self._layers = [
                _Layer(*map(_shared, mine, theirs)) for mine, theirs in zip(self._layers, other._layers, strict=True)
            ]
            self._norm = _shared(self._norm, other._norm)
            self._head = _shared(self._head, other._head)
            self._embeddings = _shared(self._embeddings, other._embeddings)

    def held(self) -> Iterable[tuple[int, int]]:
        for each in [self._embeddings, self._norm, self._cache, self._head, *itertools.chain(*self._layers)]:
            if isinstance(each, Product):
                yield from each.held()
            elif each is not None:
                yield each.data_ptr(), each.nbytes

    def _grow(self, positions: int) -> None:
        """Make room for at least `positions` positions."""
        room = -(-positions // _ROOM) * _ROOM
        old = getattr(self, "_cache", None)
        self._cache = torch.zeros(len(self._layers), 2, self._kv_heads, room, self._width)
        if old is not None:
            self._cache[:, :, :, : old.shape[3]] = old
        cos, sin = self._rotary(torch.zeros(1), torch.arange(room)[None])  # each [1, positions, width], in two halves
        half = self._width // 2
        self._angles = torch.complex(cos[0, :, :half], sin[0, :, :half])

    def _keep(self, count: int) -> int:
        return count  # positions beyond are written over

    def _taken(self, begin: int, end: int) -> Block:
        return (self._cache[:, :, :, begin:end].clone(),)

    def _put_back(self, block: Block, position: int) -> None:
        (kept,) = block
        end = position + kept.shape[3]
        if end > self._cache.shape[3]:
            self._grow(end)
        self._cache[:, :, :, position:end] = kept

    def _forward(self, tokens: Sequence[int], position: int, exact: bool) -> Tensor:
        end = position + len(tokens)
        if end > self._cache.shape[3]:
            self._grow(end)
        if len(tokens) == 1:
            return self._one(tokens[0], position, exact)
        x = self._embeddings[torch.tensor(tokens)].float()
        if self._into != 1:
            x = x * self._into
        masks = {sight.window: _mask(position, end, sight.window) for sight in self._sights}
        for layer, sight, cache in zip(self._layers, self._sights, self._cache, strict=True):
            qkv = layer.qkv.exactly(self._rms(x, layer.norm1))
            attended = self._attend(layer, sight, qkv, cache, masks[sight.window], position)
            x = x + self._scaled(layer.out.exactly(attended))
            gate, up = layer.gate_up.exactly(self._rms(x, layer.norm2)).chunk(2, dim=-1)
            x = x + self._scaled(layer.down.exactly(self._activation(gate) * up))
        return self._logits(self._rms(x[-1:], self._norm))

    def _one(self, token: int, position: int, exact: bool) -> Tensor:
        """The same for one token, in half of the calls: each takes some microseconds, and there are many layers."""
        heads, kv_heads, width = self._heads, self._kv_heads, self._width
        fast = not (exact or self._overflowed)

        def through(product: Product, x: Tensor) -> Tensor:
            return product.fast(x) if fast else product.exactly(x)

        # What is the same for all layers is cut out of the cache once: the token's place, and what it sees.
        places = self._cache[:, :, :, position].unbind()  # each [2, kv_heads, width]
        seen = {}
        for window in {sight.window for sight in self._sights}:
            kept = self._cache[:, :, :, 0 if window is None else max(0, position + 1 - window) : position + 1]
            seen[window] = (kept[:, 0].transpose(2, 3).unbind(), kept[:, 1].unbind())
        angles = self._angles[position].repeat(heads + kv_heads, 1)
        x = self._embeddings[token].float()[None]
        if self._into != 1:
            x = x * self._into
        for number, (layer, sight) in enumerate(zip(self._layers, self._sights, strict=True)):
            qkv = through(layer.qkv, self._rms_of_one(x, layer.norm1)).view(-1, width)
            turned = qkv[: heads + kv_heads]
            if layer.qk_norm is not None:
                turned.copy_(F.rms_norm(turned, (width,), None, self._eps).mul_(layer.qk_norm))
            if sight.rotates:
                torch.view_as_complex(turned.view(-1, width // 2, 2)).mul_(angles)
            places[number].copy_(qkv[heads:].view(2, kv_heads, width))
            # The query heads that share a key head stand as rows of one product: no key is copied. Written out,
            # because torch's own attention divides the keys among its threads and so rounds by their number.
            query = qkv[:heads].view(kv_heads, heads // kv_heads, width).mul_(self._scale)
            keys, values = seen[sight.window]
            weights = torch.softmax(torch.bmm(query, keys[number]), dim=-1)
            attended = torch.bmm(weights, values[number]).view(1, heads * width)
            x = x + self._scaled(through(layer.out, attended))
            gate, up = through(layer.gate_up, self._rms_of_one(x, layer.norm2)).chunk(2, dim=-1)
            x = x + self._scaled(through(layer.down, self._activation(gate).mul_(up)))
        logits = self._logits(self._rms_of_one(x, self._norm))
        if fast and not logits.sum().isfinite():
            self._overflowed = True
            return self._one(token, position, exact)
        return logits

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self._added == 1 else x * self._added

    def _logits(self, x: Tensor) -> Tensor:
        """[1, hidden] to [vocabulary]."""
        logits = self._head.logits(x)
        return logits if self._out_of == 1 else logits / self._out_of

    def _attend(self, layer: _Layer, sight: _Sight, qkv: Tensor, cache: Tensor, mask: Tensor, position: int) -> Tensor:
        """Attention of new tokens over those that they see; [T, (heads + 2 kv_heads) * width] to [T, heads * width]."""
        heads, kv_heads, width = self._heads, self._kv_heads, self._width
        qkv = qkv.view(-1, heads + 2 * kv_heads, width)
        end = position + qkv.shape[0]
        turned, values = qkv[:, : heads + kv_heads], qkv[:, heads + kv_heads :]
        if layer.qk_norm is not None:
            turned = F.rms_norm(turned, (width,), None, self._eps) * layer.qk_norm
        if sight.rotates:
            torch.view_as_complex(turned.view(-1, heads + kv_heads, width // 2, 2)).mul_(
                self._angles[position:end, None]
            )
        cache[0, :, position:end] = turned[:, heads:].transpose(0, 1)
        cache[1, :, position:end] = values.transpose(0, 1)
        begin = end - mask.shape[1]  # what no new token sees is left out
        attended = F.scaled_dot_product_attention(
            turned[:, :heads].transpose(0, 1)[None],
            cache[0, None, :, begin:end],  # [1, kv_heads, seen, width]
            cache[1, None, :, begin:end],
            attn_mask=mask,
            scale=self._scale,
            enable_gqa=True,
        )
        return attended[0].transpose(0, 1).reshape(-1, heads * width)

    def _rms(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self._eps)

    def _rms_of_one(self, x: Tensor, weight: Tensor) -> Tensor:
        row = x[0]
        return (x * weight).mul_((torch.dot(row, row).item() / len(row) + self._eps) ** -0.5)


def _mask(position: int, end: int, window: int | None) -> Tensor:
    """Which tokens, of those that are seen at all, the tokens from `position` to `end` see; bool [new, seen]."""
    sees = torch.ones(end - position, end, dtype=torch.bool).tril(position)
    if window is None:
        return sees
    return sees.triu(position + 1 - window)[:, max(0, position + 1 - window) :]


def _sight(attention: Any, config: Any) -> _Sight:
    # Mistral's attention reads its window from the config; the others keep what holds for their layer.
    window = config.sliding_window if config.model_type == "mistral" else getattr(attention, "sliding_window", None)
    return _Sight(bool(getattr(attention, "use_rope", True)), window)


def _layer(layer: Any, make: Callable[..., Product], heads: int, kv_heads: int, gemma: bool) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    width = attention.head_dim
    # The numbers that are rotated together, one of each half of a head, are put side by side: as one complex number.
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.data = _paired(projection.weight.data, width)
        if projection.bias is not None:
            projection.bias.data = _paired(projection.bias.data, width)
    qk_norm = None
    if hasattr(attention, "q_norm"):
        query, key = (_paired(norm.weight.data, width) for norm in (attention.q_norm, attention.k_norm))
        qk_norm = torch.stack([query] * heads + [key] * kv_heads)
    return _Layer(
        _norm(layer.input_layernorm, gemma),
        _fused(attention.q_proj, attention.k_proj, attention.v_proj, make=make),
        qk_norm,
        _fused(attention.o_proj, make=make),
        _norm(layer.post_attention_layernorm, gemma),
        _fused(mlp.gate_proj, mlp.up_proj, make=make),
        _fused(mlp.down_proj, make=make),
    )


def _paired(rows: Tensor, width: int) -> Tensor:
    """The rows of each head [heads * width, ...] in the order 0, width / 2, 1, width / 2 + 1, ..."""
    return rows.view(-1, 2, width // 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def _norm(norm: Any, gemma: bool) -> Tensor:
    """A norm's weight; Gemma's file holds what is added to 1."""
    return norm.weight.data + 1 if gemma else norm.weight.data


def _fused(*projections: Any, make: Callable[..., Product]) -> Product:
    """One linear map with the outputs of several; their weights are let go of."""
    weight = torch.cat([projection.weight.data for projection in projections])
    biases = [projection.bias.data for projection in projections if projection.bias is not None]
    for projection in projections:
        projection.weight.data = torch.empty(0)
    return make(weight, torch.cat(biases) if biases else None)


def _shared(mine: Any, theirs: Any) -> Any:
    """`theirs` where it is equal, so that both hold one."""
    if mine is None or theirs is None:
        return mine
    equal = mine.same(theirs) if isinstance(mine, Product) else same(mine, theirs)
    return theirs if equal else mine
