"""How quick the attention of packed training is, against PyTorch's own.

    .venv/bin/python -P tests/benchmarks/attention.py [--dtype bfloat16]

Forward and backward of one sequence with the heads of SmolLM2-135M (9 of queries, 3 of keys, 64 wide), by turns in one
process; the least of several rounds.
"""

from __future__ import annotations

import argparse
import time

import torch

from workbench.training import attention
from workbench.training.packing import Segment

LENGTHS = (64, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1536)


def seconds(length: int, dtype: torch.dtype, long: int) -> float:
    """Seconds of one forward and backward pass where PyTorch's serves from `long` keys on."""
    attention._LONG = long
    q = torch.randn(1, 9, length, 64, dtype=dtype, requires_grad=True)
    k, v = (torch.randn(1, 3, length, 64, dtype=dtype, requires_grad=True) for _ in range(2))
    segments = (Segment(0, length, ()),)
    begun = time.perf_counter()
    out, _ = attention.packed_attention(torch.nn.Module(), q, k, v, None, scaling=0.125, segments=segments)
    out.sum().backward()
    return time.perf_counter() - begun


def main() -> None:
    """Measure both for each length, and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    given = parser.parse_args()
    dtype = getattr(torch, given.dtype)
    print(f"{given.dtype}\n{'tokens':>7}{'grouped ms':>12}{'SDPA ms':>10}{'ratio':>8}")
    for length in LENGTHS:
        rounds = max(5, 20_000 // length)
        grouped, fused = (
            min(times) for times in zip(
                *((seconds(length, dtype, 4096), seconds(length, dtype, 0)) for _ in range(rounds)), strict=True
            )
        )  # fmt: skip
        print(f"{length:>7}{1e3 * grouped:>12.2f}{1e3 * fused:>10.2f}{fused / grouped:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
