"""Which words of a text are words of a question, the part of a text that holds most of them, and which words another
text has not. Pure functions.

The words of a question follow what BM25 looks up (no case, no accents, English endings cut) closely enough to show a
reader why a passage was found; nothing is decided by them.
"""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher
from functools import lru_cache

Span = tuple[int, int]

_WORD = re.compile(r"[^\W_]+")
_ENDINGS = ("ations", "ation", "ingly", "edly", "ings", "ing", "ies", "ied", "ers", "ed", "er", "es", "ly", "s", "e")
_COMMON_WORDS = """
    a an and are as at be been but by can could did do does for from had has have he her his how i if in into is it its
    may me my no not of on or our she so than that the their them there these they this those to was we were what when
    where which who whom whose why will with would you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def word_spans(text: str, question: str) -> list[Span]:
    """Where the words of a question stand in a text; common words are passed over unless there are no others.

    Returns:
        (start, end) offsets in `text`, ascending, apart from each other.
    """
    asked = {_stem(match[0]) for match in _WORD.finditer(question)}
    wanted = {stem for stem in asked if stem not in _COMMON} or asked
    return [match.span() for match in _WORD.finditer(text) if _stem(match[0]) in wanted]


@lru_cache(maxsize=64)
def differing_spans(text: str, other: str) -> tuple[Span, ...]:
    """Where a text has words that another one has not, or has elsewhere; case and punctuation make no difference.

    Returns:
        (start, end) offsets in `text`, ascending, a span a word.
    """
    places = [match.span() for match in _WORD.finditer(text)]
    words = [text[start:end].casefold() for start, end in places]
    others = [match[0].casefold() for match in _WORD.finditer(other)]
    found: list[Span] = []
    for what, _, _, first, last in SequenceMatcher(None, others, words, autojunk=False).get_opcodes():
        if what != "equal":
            found += places[first:last]
    return tuple(found)


def snippet(text: str, spans: list[Span], length: int) -> Span:
    """The part of a text of at most `length` characters that holds most of the spans, from the beginning of a word.

    Returns:
        (start, end) offsets in `text`.
    """
    if len(text) <= length:
        return 0, len(text)
    best, most = 0, 0
    for start, _ in spans:
        held = sum(start <= other and end <= start + length for other, end in spans)
        if held > most:
            best, most = start, held
    start = 0 if best < length // 4 else best - length // 8
    while 0 < start < best and not text[start - 1].isspace():
        start += 1
    end = min(len(text), start + length)
    if end < len(text) and (space := text.rfind(" ", start, end)) > start + length // 2:
        end = space
    return start, end


def _stem(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.lower()).encode("ascii", "ignore").decode() or word.lower()
    if plain in _COMMON:
        return plain
    for ending in _ENDINGS:
        if plain.endswith(ending) and len(plain) - len(ending) >= 3:
            return plain[: -len(ending)]
    return plain
