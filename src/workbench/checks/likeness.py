"""How alike two prompts are: one number of their meaning and their wording, and where it divides same from other."""

from __future__ import annotations

MEANING_WEIGHS = 0.7
"""Of the likeness; the rest is the wording's. Chosen on one half of tests/benchmarks/duplicates.py, with THRESHOLD."""
THRESHOLD = 0.75
"""Likeness from which on two prompts are the same."""
FLOOR = 0.5
"""Likeness from which on a pair of prompts is kept: what is below the threshold is shown as examples."""


def likeness(meaning: float, wording: float) -> float:
    """How alike two prompts are, 0 to 1.

    Args:
        meaning: cosine of their embeddings.
        wording: Jaccard similarity of their words.
    """
    return MEANING_WEIGHS * meaning + (1 - MEANING_WEIGHS) * wording
