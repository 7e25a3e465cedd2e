"""The cheap parts of a decoder layer, RMS normalisation and the gated unit, with less memory and fewer passes.

They are recognised by what they compute: a module is replaced only after it was seen to give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x / sqrt(mean(x^2) + eps) * weight (arXiv 1910.07467); x [..., d], weight [d], frozen; one rounding."""
    return _RmsNorm.apply(x, weight, eps)  # type: ignore[no-any-return]


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
        scale.pow_(2).div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return torch.mul(x, scale).mul_(weight).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        x, weight, scale = ctx.saved_tensors
        weighted = gradient.to(scale.dtype) * weight
        along = (weighted * x).sum(-1, keepdim=True)
        along *= scale.pow(3) / x.shape[-1]
        return weighted.mul_(scale).addcmul_(x.to(scale.dtype), along, value=-1).to(x.dtype), None, None


def gated(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up (SwiGLU, arXiv 2002.05202); only its two inputs are kept for the gradient."""
    return _Gated.apply(gate, up)  # type: ignore[no-any-return]


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        gate, up = ctx.saved_tensors
        dup = F.silu(gate).mul_(gradient)
        return torch.ops.aten.silu_backward(gradient * up, gate), dup


def slim(model: torch.nn.Module) -> int:
    """Let every RMS normalisation and every gated unit of `model` that is one compute by the functions above.

    Returns:
        How many were replaced.
    """
    replaced = 0
    for module in model.modules():
        replacement = _as_rms_norm(module) or _as_gated_unit(module)
        if replacement and _same(module, replacement):
            module.forward = MethodType(replacement, module)
            replaced += 1
    return replaced


def _as_rms_norm(module: Any) -> Callable[..., torch.Tensor] | None:
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    weight = getattr(module, "weight", None)
    if not type(module).__name__.endswith("RMSNorm") or eps is None or weight is None or weight.requires_grad:
        return None
    return lambda self, x: rms_norm(x, self.weight, eps)


def _as_gated_unit(module: Any) -> Callable[..., torch.Tensor] | None:
    if not all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
        return None
    return lambda self, x: self.down_proj(gated(self.gate_proj(x), self.up_proj(x)))


def _same(module: Any, replacement: Callable[..., torch.Tensor]) -> bool:
    """Whether both give the same for a few random inputs, drawn aside from the run's random numbers."""
    weight = next(iter(module.parameters()))
    width = weight.shape[-1] if weight.dim() == 1 else module.gate_proj.in_features
    x = torch.randn(1, 3, width, generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
    with torch.no_grad():
        expected, got = module(x), replacement(module, x)
    tolerance = 1e-5 if weight.dtype == torch.float32 else 2e-2
    return torch.allclose(got.float(), expected.float(), rtol=tolerance, atol=tolerance)
