"""LoRA layers as one matrix product: y = [x | x A^T] [W | s B]^T.

In bfloat16, `W x` lies on a coarse grid already; adding the small `s B (A x)` rounds back to it, so a young adapter is
swallowed. One product accumulates base and adapter in float32 and rounds once: it is truer, and quicker too. It works
on any `peft.tuners.lora.Linear`, whatever the architecture.
"""

from __future__ import annotations

from functools import partial
from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import Linear

ADAPTER = "default"


class AugmentedLinear:
    """The product of one LoRA layer; `refresh` after every change of A and B.

    weight: [out, in + r], its left part shared with the base layer; a: [r, in]; both in the base layer's dtype.
    """

    def __init__(self, layer: Linear) -> None:
        self.base: Any = layer.get_base_layer()
        self.lora_a: Any = layer.lora_A[ADAPTER].weight
        self.lora_b: Any = layer.lora_B[ADAPTER].weight
        self.scaling = layer.scaling[ADAPTER]
        self.dropout: Any = layer.lora_dropout[ADAPTER]
        kept: torch.Tensor = self.base.weight.data
        self.inputs = kept.shape[1]
        self.weight = kept.new_empty(kept.shape[0], self.inputs + self.lora_a.shape[0])
        self.weight[:, : self.inputs] = kept
        self.base.weight.data = self.weight[:, : self.inputs]  # one copy in memory
        self.a = torch.empty_like(self.lora_a, dtype=kept.dtype)
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the adapter's present values."""
        self.a.copy_(self.lora_a)
        self.weight[:, self.inputs :].copy_(self.lora_b * self.scaling)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in] -> [..., out]."""
        dropped = None
        if self.dropout.training and not isinstance(self.dropout, torch.nn.Identity):
            dropped = self.dropout(x)
        y = _Product.apply(x, dropped, self.lora_a, self.lora_b, self)
        return y if self.base.bias is None else y + self.base.bias


class _Product(torch.autograd.Function):
    """`dropped` is what the adapter sees of x where it has dropout, else None: then it sees x."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, dropped: torch.Tensor | None, lora_a: torch.Tensor, lora_b: torch.Tensor,
        layer: AugmentedLinear,
    ) -> torch.Tensor:  # fmt: skip
        rows = x.reshape(-1, layer.inputs)
        wide = rows.new_empty(rows.shape[0], layer.weight.shape[1], dtype=layer.weight.dtype)
        wide[:, : layer.inputs] = rows
        seen = wide[:, : layer.inputs] if dropped is None else dropped.reshape(-1, layer.inputs).to(wide.dtype)
        torch.mm(seen, layer.a.t(), out=wide[:, layer.inputs :])
        ctx.save_for_backward(wide, None if dropped is None else seen)
        ctx.layer, ctx.shape = layer, x.shape
        return (wide @ layer.weight.t()).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        wide, dropped = ctx.saved_tensors
        layer: AugmentedLinear = ctx.layer
        n = layer.inputs
        dy = gradients[0].reshape(-1, layer.weight.shape[0])
        dx = ddropped = None
        if ctx.needs_input_grad[0]:
            dwide = dy @ layer.weight
            dinner = dwide[:, n:]
            if dropped is None:
                dx = torch.addmm(dwide[:, :n], dinner, layer.a).view(ctx.shape)
            else:
                dx, ddropped = dwide[:, :n].reshape(ctx.shape), (dinner @ layer.a).view(ctx.shape)
        else:
            dinner = dy @ layer.weight[:, n:]
        seen = wide[:, :n] if dropped is None else dropped
        da = (dinner.t() @ seen).to(layer.lora_a.dtype)
        db = (dy.t() @ wide[:, n:]).to(layer.lora_b.dtype).mul_(layer.scaling)
        return dx, ddropped, da, db, None


def augment(model: torch.nn.Module) -> list[AugmentedLinear]:
    """Let every LoRA layer of `model` that is a plain linear one compute by the augmented product.

    Layers with DoRA, quantised weights or several adapters keep PEFT's own forward.
    """
    layers = []
    for module in model.modules():
        if isinstance(module, Linear) and _plain(module):
            layer = AugmentedLinear(module)
            module.forward = MethodType(partial(_forward, layer), module)
            layers.append(layer)
    return layers


def _forward(layer: AugmentedLinear, module: Linear, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return layer.base(x) if module.disable_adapters else layer(x)


def _plain(module: Linear) -> bool:
    base = module.get_base_layer()
    return (
        type(base) is torch.nn.Linear
        and list(module.lora_A) == [ADAPTER]
        and not module.use_dora.get(ADAPTER, False)
        and not module.lora_bias.get(ADAPTER, False)
        and not module.fan_in_fan_out
    )
