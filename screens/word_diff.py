"""What was added to a text and what was taken out of it, word by word. Pure functions."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

_WORD = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+")
_MANY = 500  # words: from here on what is in every hundredth word is no place to align by, or it takes seconds
_MOST = 3_000  # words: where more have changed, it takes longer than a reader waits


class Part(NamedTuple):
    """A stretch of text that is in both, only in the later one, or only in the former one."""

    kind: Literal["same", "added", "removed"]
    text: str


def word_diff(before: str, after: str) -> list[Part]:
    """The parts of both texts in order: all but the added ones make `before`, all but the removed ones `after`.

    A word takes the space before it along. What is alike at both ends is passed over first, so that a small change in
    a long text is found at once; of more than 3,000 changed words the whole is one change.
    """
    old, new = _WORD.findall(before), _WORD.findall(after)
    first = _alike(old, new)
    last = _alike(old[first:][::-1], new[first:][::-1])
    head, tail = old[:first], old[len(old) - last :]
    old, new = old[first : len(old) - last], new[first : len(new) - last]
    parts = [Part("same", "".join(head))]
    if max(len(old), len(new)) > _MOST:
        parts += [Part("removed", "".join(old)), Part("added", "".join(new))]
    else:
        for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=max(len(old), len(new)) > _MANY).get_opcodes():
            if what == "equal":
                parts.append(Part("same", "".join(old[a:b])))
            else:
                parts += [Part("removed", "".join(old[a:b])), Part("added", "".join(new[c:d]))]
    parts.append(Part("same", "".join(tail)))
    return [part for part in parts if part.text]


def _alike(some: list[str], others: list[str]) -> int:
    """How many words at the beginning are the same."""
    count = 0
    for word, other in zip(some, others, strict=False):
        if word != other:
            break
        count += 1
    return count
