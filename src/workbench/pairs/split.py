"""Which pairs are held out to evaluate: by the hash of a pair's prompt alone, so nothing else can move it."""

from __future__ import annotations

import hashlib


def is_eval(key: str, fraction: float, seed: int = 0) -> bool:
    """Whether the pair with this key is held out.

    Stable for a pair whatever else is in the dataset and in whichever order; pairs with the same messages share a side,
    so that no prompt is learned and evaluated at once.

    Args:
        key: `Pair.key`; its first half stands for the prompt.
        fraction: how much is held out, 0 to 1; of n pairs about n * fraction.
        seed: another seed draws another split.
    """
    digest = hashlib.sha256(f"{seed}:{key[:32]}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64
