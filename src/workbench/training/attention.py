"""Attention over a packed row: segments without padding, each sees itself causally and the segments before it.

Registered with `transformers.AttentionInterface`, so it serves every architecture whose attention is causal over the
whole sequence. The segments come as a keyword of the model's call; see `packing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from workbench.training.packing import Segment

NAME = "workbench_packed"
_BLOCK = (
    128  # queries of a product: longer ones compute more in vain, shorter ones are slow (tests/benchmarks/attention.py)
)
_LONG = 1536  # keys from which on the weights would take too much memory until the way back; SDPA does not keep them
_triangles: dict[torch.dtype, torch.Tensor] = {}


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
    segments: Sequence[Segment],
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside each segment and to those before it.

    Args:
        query: [1, query heads, T, d].
        key, value: [1, key heads, T, d]; key heads divide query heads (grouped-query attention).
        scaling: factor of the logits.
        segments: they cover the T tokens.

    Returns:
        [1, T, query heads, d], and None for the weights that are not kept.
    """
    return _PackedAttention.apply(query, key, value, scaling, segments), None


class _PackedAttention(torch.autograd.Function):
    """One function over all segments, so that gradients are added in place and not through a row of zeros each."""

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float, segments: Sequence[Segment]
    ) -> torch.Tensor:
        heads, total, d = q.shape[1:]
        out = q.new_empty(1, total, heads, d)
        kept: list[Any] = []
        learning = any(ctx.needs_input_grad[:3])
        for segment in segments:
            rows = slice(segment.start, segment.end)
            query, key, value = q[:, :, rows], _seen(k, segment), _seen(v, segment)
            forward, backward = (_grouped, _grouped_backward) if key.shape[2] < _LONG else (_fused, _fused_backward)
            result, saved = forward(query, key, value, scaling, learning)
            out[:, rows] = result.transpose(1, 2)
            kept.append((backward, saved))
        if learning:
            ctx.kept, ctx.segments, ctx.scaling, ctx.shapes = kept, segments, scaling, (q.shape, k.shape)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        dq = gradient.new_empty(ctx.shapes[0])
        dk, dv = gradient.new_zeros(ctx.shapes[1]), gradient.new_zeros(ctx.shapes[1])
        for number, segment in enumerate(ctx.segments):
            (backward, saved), ctx.kept[number] = ctx.kept[number], None  # its memory goes as soon as it is used
            rows = slice(segment.start, segment.end)
            dquery, dkey, dvalue = backward(gradient[:, rows].transpose(1, 2), saved, ctx.scaling)
            dq[:, :, rows] = dquery
            at = 0
            for start, end in (*segment.before, (segment.start, segment.end)):
                dk[:, :, start:end] += dkey[:, :, at : at + end - start]
                dv[:, :, start:end] += dvalue[:, :, at : at + end - start]
                at += end - start
        return dq, dk, dv, None, None


def _seen(tensor: torch.Tensor, segment: Segment) -> torch.Tensor:
    """Keys or values [1, K, m, d] that a segment sees: those before it, then its own."""
    own = tensor[:, :, segment.start : segment.end]
    if not segment.before:
        return own
    return torch.cat([*(tensor[:, :, start:end] for start, end in segment.before), own], dim=2)


def _grouped(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float, learning: bool
) -> tuple[torch.Tensor, Any]:
    """The query heads that share a key head in one batched product; quicker than SDPA on CPU.

    It goes by blocks of queries, so that little is computed that causality throws away.

    q [1, H, n, d], k and v [1, K, m, d], of which the last n are its own -> [1, H, n, d].
    """
    _, heads, n, d = q.shape
    groups, m = k.shape[1:3]
    out, kept = torch.empty_like(q), []
    for start, end in _blocks(n):
        size, seen = end - start, m - n + end
        query = q[0, :, start:end].reshape(groups, heads // groups * size, d)
        logits = torch.bmm(query, k[0, :, :seen].transpose(1, 2)).mul_(scaling)
        logits.view(heads, size, seen)[:, :, seen - size :] += _triangle(size, q.dtype)
        weights = torch.softmax(logits, dim=-1)
        out[0, :, start:end] = torch.bmm(weights, v[0, :, :seen]).view(heads, size, d)
        if learning:
            kept.append((slice(start, end), query, weights))
    return out, (k[0], v[0], kept)


def _grouped_backward(gradient: torch.Tensor, saved: Any, scaling: float) -> tuple[torch.Tensor, ...]:
    k, v, kept = saved
    dq = torch.empty_like(gradient)
    dk, dv = torch.zeros_like(k), torch.zeros_like(v)
    for rows, query, weights in kept:
        seen = weights.shape[2]
        grouped = gradient[0, :, rows].reshape(query.shape)
        dv[:, :seen] += torch.bmm(weights.transpose(1, 2), grouped)
        dweights = torch.bmm(grouped, v[:, :seen].transpose(1, 2))
        dlogits = torch.ops.aten._softmax_backward_data(dweights, weights, -1, weights.dtype)
        dq[0, :, rows] = torch.bmm(dlogits, k[:, :seen]).mul_(scaling).view(dq[0, :, rows].shape)
        dk[:, :seen] += torch.bmm(dlogits.transpose(1, 2), query).mul_(scaling)
    return dq, dk[None], dv[None]


def _blocks(n: int) -> Iterator[tuple[int, int]]:
    """[0, n) in equal parts of about `_BLOCK`."""
    size = -(-n // max(1, round(n / _BLOCK)))
    for start in range(0, n, size):
        yield start, min(n, start + size)


def _fused(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float, learning: bool
) -> tuple[torch.Tensor, Any]:
    """PyTorch's own, with a small graph of its own for the way back."""
    n, m = q.shape[2], k.shape[2]
    mask = None
    if m > n:
        mask = torch.ones(n, m, dtype=torch.bool, device=q.device).tril_(m - n)
    with torch.set_grad_enabled(learning):
        inputs = [tensor.detach().requires_grad_(learning) for tensor in (q, k, v)]
        out = F.scaled_dot_product_attention(
            *inputs, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=True
        )
    return out.detach(), [out, *inputs]


def _fused_backward(gradient: torch.Tensor, saved: Any, scaling: float) -> tuple[torch.Tensor, ...]:
    out, *inputs = saved
    return torch.autograd.grad(out, inputs, gradient)


def _triangle(n: int, dtype: torch.dtype) -> torch.Tensor:
    """[n, n]: 0 up to the diagonal, -inf above it."""
    triangle = _triangles.get(dtype)
    if triangle is None or triangle.shape[0] < n:
        triangle = torch.full((max(n, 2 * _BLOCK),) * 2, float("-inf"), dtype=dtype).triu_(1)
        _triangles[dtype] = triangle
    return triangle[:n, :n]
