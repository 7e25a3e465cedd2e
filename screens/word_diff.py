"""What was added to a text and what was taken out of it, word by word. Pure functions."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

_WORD = re.compile(r"\w+|\s+|[^\w\s]")
# Numbers of words, spaces and signs.
_MANY = 1_000  # from here on what every hundredth is, is no place to align by, or it takes seconds
_MOST = 6_000  # where more have changed, it takes longer than a reader waits


class Part(NamedTuple):
    """A stretch of text that is in both, only in the later one, or only in the former one."""

    kind: Literal["same", "added", "removed"]
    text: str


def word_diff(before: str, after: str) -> list[Part]:
    """The parts of both texts in order: all but the added ones make `before`, all but the removed ones `after`.

    What is alike at both ends is passed over first, so that a small change in a long text is found at once; of more
    than 6,000 changed words, spaces and signs the whole is one change. Space between two changes belongs to them.
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
        parts += _compared(old, new)
    parts.append(Part("same", "".join(tail)))
    return [part for part in parts if part.text]


def _compared(old: list[str], new: list[str]) -> list[Part]:
    parts: list[Part] = []
    removed = added = ""
    matcher = SequenceMatcher(None, old, new, autojunk=max(len(old), len(new)) > _MANY)
    for what, a, b, c, d in matcher.get_opcodes():
        gone, come = "".join(old[a:b]), "".join(new[c:d])
        if what == "equal" and (not gone.isspace() or not (removed or added)):
            parts += [Part("removed", removed), Part("added", added), Part("same", gone)]
            removed = added = ""
        else:
            removed, added = removed + gone, added + come
    return [*parts, Part("removed", removed), Part("added", added)]


def _alike(some: list[str], others: list[str]) -> int:
    """How many words at the beginning are the same."""
    count = 0
    for word, other in zip(some, others, strict=False):
        if word != other:
            break
        count += 1
    return count
