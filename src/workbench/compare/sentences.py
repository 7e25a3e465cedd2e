"""Cutting an answer into its sentences, well enough to judge each by itself. It knows nothing of languages' grammar."""

from __future__ import annotations

import re

# Not after an initial or a title: "J. R. Smith" and "Mr. Smith" are no ends.
_END = re.compile(
    r"(?<=[.!?\u2026])(?<!\b[A-Z]\.)(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)"
    r"[\"'\u201d\u2019)\]]*\s+(?=[\"'\u201c\u2018(\[]?[^\W_a-z])|\n+"
)


def split(text: str) -> list[str]:
    """The sentences of a text in their order, without white space around them; lines are sentences of their own."""
    return [sentence.strip() for sentence in _END.split(text) if sentence.strip()]
