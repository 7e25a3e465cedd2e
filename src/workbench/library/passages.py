"""From ranked chunks to passages: near-identical ones collapsed into the best, neighbours that both match joined.

Neither depends on how many passages are asked for: the first four of a search for a hundred are those of one for four.
It knows nothing of how they were ranked.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from workbench.library.search import Hit

SAME = 0.85
"""Jaccard similarity of their three-word shingles from which two passages are one (Broder 1997, resemblance)."""
JOIN_WITHIN = 5
"""Two neighbours are joined where both are among so many of the best."""
JOINED_CHARACTERS = 2000
"""At most in a joined passage: about two chunks, so that four of them leave room in a context of 4,096 tokens."""

_SHINGLE = 3


def collapse(hits: Sequence[Hit]) -> list[Hit]:
    """Leave out every hit whose text a better one has, word for word or nearly; that one's `same` tells where it was.

    Passages that differ in a number are never the same: a timetable of this year is not that of the last.
    """
    kept: list[Hit] = []
    same: list[list[str]] = []
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes: list[int] = []
    numbers: list[list[str]] = []
    for hit in hits:
        words = re.findall(r"\w+", hit.text.casefold())
        shingles = {tuple(words[at : at + _SHINGLE]) for at in range(max(1, len(words) - _SHINGLE + 1))}
        figures = sorted(word for word in words if not word.isalpha())
        shared = Counter(number for shingle in shingles for number in holders[shingle])
        twin = next(
            (
                number
                for number, count in shared.most_common()
                if count >= SAME * (len(shingles) + sizes[number] - count) and figures == numbers[number]
            ),
            None,
        )
        if twin is not None and words:
            same[twin].append(f"{hit.document} · {hit.place}" if hit.place else hit.document)
            continue
        for shingle in shingles:
            holders[shingle].append(len(kept))
        kept.append(hit)
        same.append([])
        sizes.append(len(shingles))
        numbers.append(figures)
    return [replace(hit, same=tuple(places)) if places else hit for hit, places in zip(kept, same, strict=True)]


def join(hits: Sequence[Hit], span: Callable[[str, int, int], str]) -> list[Hit]:
    """Make one passage of neighbours that are both among the best `JOIN_WITHIN`, in the place of the better one.

    Neighbours stand under the same headings with nothing but white space between them.

    Args:
        hits: best first, collapsed.
        span: (document's name, start, end) -> that part of its text.

    Returns:
        The text of each is still an exact span of its document.
    """
    best = list(hits[:JOIN_WITHIN])
    number = 0
    while number < len(best):
        other = next((o for o in range(number + 1, len(best)) if _neighbours(best[number], best[o])), None)
        joined = None if other is None else _joined(best[number], best[other], span)
        if other is None or joined is None:
            number += 1
            continue
        best[number] = joined  # looked at again: it may have another neighbour
        del best[other]
    return [*best, *hits[JOIN_WITHIN:]]


def _neighbours(one: Hit, other: Hit) -> bool:
    first, second = sorted((one, other), key=lambda hit: hit.start)
    return (
        (one.document, one.heading) == (other.document, other.heading)
        and 0 <= second.start - first.end <= 200
        and second.end - first.start <= JOINED_CHARACTERS
    )


def _joined(better: Hit, other: Hit, span: Callable[[str, int, int], str]) -> Hit | None:
    first, second = sorted((better, other), key=lambda hit: hit.start)
    text = span(first.document, first.start, second.end)
    between = text[len(first.text) : len(text) - len(second.text)]
    if text != first.text + between + second.text or between.strip():  # another chunk lies between, or it was replaced
        return None
    ranks = [[hit.dense_rank for hit in (better, other)], [hit.lexical_rank for hit in (better, other)]]
    dense_rank, lexical_rank = (min((rank for rank in some if rank is not None), default=None) for some in ranks)
    similarities = [hit.similarity for hit in (better, other) if hit.similarity is not None]
    fits = [hit.fit for hit in (better, other) if hit.fit is not None]
    return replace(
        better,
        text=text, start=first.start, end=second.end, start_line=first.start_line, end_line=second.end_line,
        page=first.page, dense_rank=dense_rank, lexical_rank=lexical_rank,
        similarity=max(similarities, default=None), fit=max(fits, default=None),
        chunks=tuple(dict.fromkeys((*(first.chunks or (first.chunk,)), *(second.chunks or (second.chunk,))))),
        same=(*better.same, *other.same),
    )  # fmt: skip
