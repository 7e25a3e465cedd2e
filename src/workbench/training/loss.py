"""Cross-entropy over the trained positions only, in chunks, its gradient computed in the forward pass.

The logits (tokens x vocabulary) are never kept: for a 49,152-word vocabulary they would be the largest tensor of all.
"""

from __future__ import annotations

from typing import Any

import torch

_CHUNK = 256  # rows of logits in memory at a time


def chunked_cross_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, denominator: float
) -> torch.Tensor:
    """Sum of -log softmax(hidden weight^T)[target], divided by `denominator`.

    Args:
        hidden: [n, d], the last hidden states at the positions before the trained tokens.
        weight: [vocabulary, d], the output embedding; frozen.
        targets: [n], the trained tokens.
        denominator: trained tokens of the whole optimizer step, so that accumulated losses average over tokens.

    Returns:
        A float32 scalar; its gradient reaches `hidden` only.
    """
    return _ChunkedCrossEntropy.apply(hidden, weight, targets, denominator)  # type: ignore[no-any-return]


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, denominator: float
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        for start in range(0, hidden.shape[0], _CHUNK):
            rows, words = hidden[start : start + _CHUNK], targets[start : start + _CHUNK, None]
            logits = (rows @ weight.t()).float()
            normaliser = torch.logsumexp(logits, dim=1, keepdim=True)
            total += (normaliser - logits.gather(1, words)).sum()
            if gradient is not None:
                probabilities = logits.sub_(normaliser).exp_()
                probabilities.scatter_add_(1, words, torch.full_like(words, -1, dtype=logits.dtype))
                probabilities.mul_(1 / denominator)
                torch.mm(probabilities.to(weight.dtype), weight, out=gradient[start : start + _CHUNK])
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total / denominator

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0], None, None, None
