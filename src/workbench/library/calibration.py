"""Whether what was found is what was asked for: a probability, fitted on questions known to have no answer there.

A logistic function of the cosine similarity and of how many of the question's words the passage holds close together.
It holds for the embedding model that it was fitted with; for others there is none, and the similarity must do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """Of one embedding model: P(the library tells of it) = 1 / (1 + exp(-(bias + similarity s + window w)))."""

    bias: float
    similarity: float
    window: float

    def fit(self, similarity: float, window: float) -> float:
        """The probability that a passage is about what is asked.

        Args:
            similarity: cosine of passage and question.
            window: `Closeness.window` of the passage.
        """
        return 1 / (
            1 + math.exp(-max(-60.0, min(60.0, self.bias + self.similarity * similarity + self.window * window)))
        )


_BY_FINGERPRINT = {
    # all-MiniLM-L6-v2. `tests/benchmarks/retrieval.py --calibrate` fits it and tells its errors.
    "5fdfd0de0f39f6cc9808fc5828a6db0de82b612ca6cf1c614a0fd86ffd8ce2b8": Calibration(-13.07, 20.83, 10.86),
}


def calibration_of(fingerprint: str) -> Calibration | None:
    """The calibration of an embedding model by the fingerprint of its weights; None where none was fitted."""
    return _BY_FINGERPRINT.get(fingerprint)
