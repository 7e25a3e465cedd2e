"""Attention over packed sequences: several sequences in one row without padding, none sees another.

Registered with `transformers.AttentionInterface`, so it serves every architecture whose attention is causal over the
whole sequence. Sequence bounds come as `cu_seq_lens_q`, the name that transformers gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F

NAME = "workbench_packed"
_LONG = 320  # tokens from which SDPA is quicker than the grouped product on CPU (tests/benchmarks/attention.py)
_biases: dict[tuple[int, int, torch.dtype], torch.Tensor] = {}


def register() -> None:
    """Make `attn_implementation=NAME` known to transformers; it needs no mask."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: Sequence[int],
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside each sequence of a packed row.

    Args:
        query: [1, query heads, T, d].
        key, value: [1, key heads, T, d]; key heads divide query heads (grouped-query attention).
        scaling: factor of the logits.
        cu_seq_lens_q: the bounds 0, n1, n1 + n2, ..., T.

    Returns:
        [1, T, query heads, d], and None for the weights that are not kept.
    """
    outputs = []
    for start, end in pairwise(cu_seq_lens_q):
        q, k, v = query[:, :, start:end], key[:, :, start:end], value[:, :, start:end]
        if end - start < _LONG:
            out = _GroupedAttention.apply(q, k, v, scaling)
        else:
            out = F.scaled_dot_product_attention(q, k, v, scale=scaling, is_causal=True, enable_gqa=True)
        outputs.append(out.transpose(1, 2))
    return torch.cat(outputs, dim=1), None


class _GroupedAttention(torch.autograd.Function):
    """One sequence; the query heads that share a key head go into one batched product.

    q [1, H, n, d], k and v [1, K, n, d] -> [1, H, n, d]; quicker than SDPA for short sequences on CPU.
    """

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float) -> torch.Tensor:
        _, heads, n, d = q.shape
        groups = k.shape[1]
        grouped = q.reshape(groups, heads // groups * n, d)
        bias = _causal_bias(n, heads // groups, q.dtype).expand(groups, -1, -1)
        weights = torch.softmax(torch.baddbmm(bias, grouped, k[0].transpose(1, 2), alpha=scaling), dim=-1)
        out = torch.bmm(weights, v[0])
        ctx.save_for_backward(grouped, k[0], v[0], weights)
        ctx.scaling = scaling
        return out.view(1, heads, n, d)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        q, k, v, weights = ctx.saved_tensors
        _, heads, n, d = gradient.shape
        grouped = gradient.reshape(q.shape)
        dv = torch.bmm(weights.transpose(1, 2), grouped)
        dweights = torch.bmm(grouped, v.transpose(1, 2))
        dlogits = torch.ops.aten._softmax_backward_data(dweights, weights, -1, weights.dtype)
        dq = torch.bmm(dlogits, k).mul_(ctx.scaling)
        dk = torch.bmm(dlogits.transpose(1, 2), q).mul_(ctx.scaling)
        return dq.view(1, heads, n, d), dk[None], dv[None], None


def _causal_bias(n: int, group: int, dtype: torch.dtype) -> torch.Tensor:
    """[group * n, n]: 0 where a query may look, -inf behind it; kept for the lengths that recur."""
    bias = _biases.get((n, group, dtype))
    if bias is None:
        if len(_biases) >= 128:
            _biases.clear()
        bias = torch.full((n, n), float("-inf"), dtype=dtype).triu_(1).repeat(group, 1)
        _biases[n, group, dtype] = bias
    return bias
