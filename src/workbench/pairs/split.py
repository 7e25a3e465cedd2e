"""Which pairs are held out to evaluate: by the hash of a prompt alone, so nothing else can move it.

Prompts that the checks found to be nearly the same go by one of them, their representative, so that none of them is
learned while another is evaluated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def is_eval(key: str, fraction: float, seed: int = 0) -> bool:
    """Whether the pair with this key is held out.

    Stable for a pair whatever else is in the dataset and in whichever order; pairs with the same messages share a side,
    so that no prompt is learned and evaluated at once.

    Args:
        key: `Pair.key`, or what `group_of` gives for it; its first half stands for the prompt.
        fraction: how much is held out, 0 to 1; of n pairs about n * fraction.
        seed: another seed draws another split.
    """
    digest = hashlib.sha256(f"{seed}:{key[:32]}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def group_of(key: str, clusters: Mapping[str, str]) -> str:
    """What a pair's side is drawn by: the representative of its prompt, or its own key where it has none.

    Args:
        key: `Pair.key`.
        clusters: `PairStore.clusters` of its dataset.
    """
    return clusters.get(key[:32], key)
