"""Exact match and token F1 as SQuAD defines them (Rajpurkar et al., arXiv 1606.05250 and 1806.03822).

The values are those of its evaluation script, version 2.0: tests/unit/test_compare_metrics.py holds pairs.
"""

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

    References of which nothing is left when normalised do not count. Without any, the right answer is none: the
    prediction must then be empty too.
    """
    return float(normalize_answer(prediction) in _normalised(references))


def token_f1(prediction: str, references: Sequence[str]) -> float:
    """The best F1, over the references, of the bags of normalised words; as `exact_match` where one side is empty."""
    words = normalize_answer(prediction).split()
    return max(_f1(words, reference.split()) for reference in _normalised(references))


def contains(prediction: str, references: Sequence[str]) -> float:
    """1 if a normalised reference stands in the normalised prediction as whole words, else 0; as `exact_match` without
    references."""
    normalised = normalize_answer(prediction)
    return float(any(holds_words(normalised, r) if r else not normalised for r in _normalised(references)))


def holds_words(text: str, words: str) -> bool:
    """Whether words stand in a text as whole words, both normalised."""
    return f" {words} " in f" {text} "


def _normalised(references: Sequence[str]) -> list[str]:
    return [normalised for each in references if (normalised := normalize_answer(each))] or [""]


def _f1(prediction: list[str], reference: list[str]) -> float:
    if not prediction or not reference:
        return float(prediction == reference)
    common = sum((Counter(prediction) & Counter(reference)).values())
    if not common:
        return 0.0
    precision, recall = common / len(prediction), common / len(reference)
    return 2 * precision * recall / (precision + recall)
