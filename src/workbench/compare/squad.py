"""Exact match and token F1 as SQuAD defines them (Rajpurkar et al., arXiv 1606.05250 and 1806.03822)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, without punctuation and the articles a, an, the; white space folded."""
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1 if the normalised prediction equals one of the normalised references, else 0.

    Without references the right answer is none: the prediction must then be empty.
    """
    return float(any(normalize_answer(prediction) == normalize_answer(reference) for reference in references or [""]))


def token_f1(prediction: str, references: Sequence[str]) -> float:
    """The best F1, over the references, of the bags of normalised words; as `exact_match` where one side is empty."""
    return max(_f1(normalize_answer(prediction).split(), normalize_answer(r).split()) for r in references or [""])


def _f1(prediction: list[str], reference: list[str]) -> float:
    if not prediction or not reference:
        return float(prediction == reference)
    common = sum((Counter(prediction) & Counter(reference)).values())
    if not common:
        return 0.0
    precision, recall = common / len(prediction), common / len(reference)
    return 2 * precision * recall / (precision + recall)
