"""Products with the weights of a linear map, which are held in 16 or in 8 bits: [T, in] to [T, out], float32.

At batch size 1 an answer's speed is the speed of these. FBGEMM (in torch, on x86) multiplies float32 with float16
weights and sums in float32: faster than torch's own float16 product, and 300 times closer to float32. Elsewhere the
weights are widened for a prompt, and a token's product is float16.
"""

from __future__ import annotations

import hashlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

_CONTENDERS = 64  # tokens whose logits are computed in float32
_SMALLEST = 1e-30  # what a row is divided by at least


class Product(ABC):
    """y = x W^T + b."""

    @abstractmethod
    def exactly(self, x: Tensor) -> Tensor:
        """[T, in] to [T, out], the products and their sums in float32 (but for weights of 8 bits)."""

    @abstractmethod
    def fast(self, x: Tensor) -> Tensor:
        """[1, in] to [1, out], as fast as it can be done."""

    def logits(self, x: Tensor) -> Tensor:
        """[1, in] to [out], where the greatest are as `exactly` computes them."""
        return self.fast(x)[0]

    @abstractmethod
    def same(self, other: Product) -> bool:
        """Whether the two could be one."""

    @abstractmethod
    def held(self) -> Iterable[tuple[int, int]]:
        """What takes memory: an address, and how many bytes lie there."""


class Packed(Product):
    """float16 weights in FBGEMM's order; all else is float32."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._digest = _digest(weight.half(), bias)
        self._bytes = 2 * weight.numel()
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
        self._multiply = torch.ops.quantized.linear_dynamic_fp16.default

    def exactly(self, x: Tensor) -> Tensor:
        return self._multiply(x, self._packed)

    def fast(self, x: Tensor) -> Tensor:
        return self._multiply(x, self._packed)

    def same(self, other: Product) -> bool:
        return isinstance(other, Packed) and self._digest == other._digest

    def held(self) -> Iterable[tuple[int, int]]:
        yield id(self._packed), self._bytes


class Eighths(Product):
    """Weights of 8 bits with a scale for every output, and each row of x rounded to 8 bits: half of float16's memory,
    with an error of about 1 % in every product."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._digest = _digest(weight, bias)
        self._bytes = weight.numel()
        scales = weight.abs().amax(1).clamp(min=_SMALLEST).double() / 127
        zeros = torch.zeros(len(weight), dtype=torch.long)
        with warnings.catch_warnings():  # torch means to give this type up; FBGEMM's int8 takes no other yet
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, None)
        # 7 bits of x, as torch's own layer: without VNNI two products of 8 bits may not fit into the 16 of their sum.
        self._multiply = partial(torch.ops.quantized.linear_dynamic.default, reduce_range=True)
        self._bias = bias

    def exactly(self, x: Tensor) -> Tensor:
        # One scale is taken for all of x, so rows are brought to one size: a few tokens have numbers that are hundreds
        # of times greater, and all others would be rounded to nothing.
        size = x.abs().amax(-1, keepdim=True).clamp_(min=_SMALLEST)
        y = self._multiply(x / size, self._packed).mul_(size)
        return y if self._bias is None else y + self._bias

    def fast(self, x: Tensor) -> Tensor:
        y = self._multiply(x, self._packed)
        return y if self._bias is None else y + self._bias

    def same(self, other: Product) -> bool:
        return isinstance(other, Eighths) and self._digest == other._digest

    def held(self) -> Iterable[tuple[int, int]]:
        yield id(self._packed), self._bytes


class Halves(Product):
    """float16 weights where there is no FBGEMM."""

    def __init__(self, weight: Tensor, bias: Tensor | None, widened: Widened) -> None:
        self._weight, self._bias, self._widened = weight.half(), bias, widened
        self._digest = _digest(self._weight, bias)

    def exactly(self, x: Tensor) -> Tensor:
        return F.linear(x, self._widened(self._weight), self._bias)

    def fast(self, x: Tensor) -> Tensor:
        """The product is rounded to float16."""
        y = F.linear(x.half(), self._weight).float()
        return y if self._bias is None else y + self._bias

    def logits(self, x: Tensor) -> Tensor:
        """float16 holds a logit of 20 to 1/64 only, and nearer ties are common: those that may be chosen are computed
        again in float32."""
        logits = self.fast(x)[0]
        best = logits.topk(min(_CONTENDERS, len(logits))).indices
        bias = None if self._bias is None else self._bias[best]
        logits[best] = F.linear(x[0], self._weight[best].float(), bias)
        return logits

    def same(self, other: Product) -> bool:
        return isinstance(other, Halves) and self._digest == other._digest

    def held(self) -> Iterable[tuple[int, int]]:
        yield from ((each.data_ptr(), each.nbytes) for each in (self._weight, self._widened.room))


class Widened:
    """Room for one float16 matrix in float32, used again for each: it stays in the processor's cache."""

    def __init__(self) -> None:
        self.room = torch.empty(0)

    def __call__(self, weight: Tensor) -> Tensor:
        """`weight` in float32, until the next call."""
        if self.room.numel() < weight.numel():
            self.room = torch.empty(weight.numel())
        return self.room[: weight.numel()].view_as(weight).copy_(weight)


def has_fbgemm() -> bool:
    """Whether torch has FBGEMM's products, which need x86."""
    ops = torch.ops.quantized
    return torch.backends.quantized.engine in ("x86", "fbgemm") and hasattr(ops, "linear_dynamic_fp16")


def kind(weights: str) -> Callable[[Tensor, Tensor | None], Product]:
    """What makes products of float32 weights [out, in] and a bias [out].

    Args:
        weights: float16, or int8, which is taken where there is FBGEMM.
    """
    if not has_fbgemm():
        return partial(Halves, widened=Widened())
    return Eighths if weights == "int8" else Packed


def _digest(weight: Tensor, bias: Tensor | None) -> bytes:
    digest = hashlib.sha256(_bytes(weight))
    if bias is not None:
        digest.update(_bytes(bias))
    return digest.digest()


def _bytes(tensor: Tensor) -> memoryview:
    return memoryview(tensor.contiguous().numpy())  # pyright: ignore[reportArgumentType] - numpy's stubs leave it out
