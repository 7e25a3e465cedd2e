"""How alike two texts are in their words and numbers. It knows nothing of pairs, models or databases.

A number that differs makes another text, however alike the rest is, and so does a "not". So does a number that belongs
to something else: 3 apples and 5 pears are not 5 apples and 3 pears.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import combinations, takewhile

_TOKENS = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[-+*/^<>=](?=\s*\d)|[^\W_]+|[.!?;](?=\s|$)")
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS = {
    **{word: str(value) for value, word in enumerate(f"{_UNITS} seventeen eighteen nineteen".split()) if word != "one"},
    **{word: str(10 * value) for value, word in enumerate(_TENS.split(), 2)},
    **dict.fromkeys(("half", "halves"), "1/2"),
    **dict.fromkeys(("twice", "double", "doubled"), "x2"),
    **dict.fromkeys(("thrice", "triple", "tripled"), "x3"),
    **{"dozen": "12", "hundred": "100", "thousand": "1000", "million": "1000000"},
}
"""Written out numbers; "one" is most often a pronoun."""
Bag = Counter[str]
_NOT = frozenset(
    ("not", "no", "never", "without", "cannot", "nicht", "kein", "keine", "keinen", "nie", "ohne", "pas", "jamais")
)
_ENDS = ".!?;"
_SHORT = 2000
"""Characters of a text up to which its words are remembered, for the next comparison: some 20 kB of them each."""
_WINDOW = 4
"""Words on each side of a number that tell what it belongs to."""


def tokens(text: str) -> tuple[str, ...]:
    """The words in small letters, numbers as digits, operators before numbers, and the ends of sentences.

    `1,000` and `1000` are the same.
    """
    return _short_tokens(text) if len(text) <= _SHORT else _tokens(text)


@lru_cache(maxsize=2048)
def _short_tokens(text: str) -> tuple[str, ...]:
    return _tokens(text)


def _tokens(text: str) -> tuple[str, ...]:
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return tuple(map(_plain, _TOKENS.findall(text)))


def numbers(words: Iterable[str]) -> tuple[str, ...]:
    """The numbers among the tokens, operators, and each "not", in their order."""
    return tuple(word for word in words if _counts(word))


def wording(first: Sequence[str], second: Sequence[str], common: Collection[str] = ()) -> float:
    """Jaccard similarity of the bags of words, 0 to 1.

    Two words that differ by one slip of the finger are the same word.

    Args:
        first: tokens of one text.
        second: and of the other.
        common: words that most texts of the dataset have, which say nothing; they do not count.
    """
    one, other = (
        Counter(word for word in words if word not in common and word not in _ENDS) for words in (first, second)
    )
    if not one or not other:  # nothing but common words
        one, other = Counter(first), Counter(second)
    shared = (one & other).total()
    only_one, only_other = one - other, other - one
    slips = _slips(only_one, only_other)
    return (shared + slips) / ((one | other).total() - slips)


def same_numbers(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether both have the same numbers, and each belongs to the same words in both.

    A written out number with a slip of the finger in it ("thrree") is that number.
    """
    ours, theirs = Counter(numbers(first)), Counter(numbers(second))
    if ours != theirs:
        second, first = _mended(second, ours - theirs), _mended(first, theirs - ours)
        if Counter(numbers(first)) != Counter(numbers(second)):
            return False
    if numbers(first) == numbers(second):
        return True
    same_words = [word for word in first if not _counts(word)] == [word for word in second if not _counts(word)]
    return not same_words and not _exchanged(first, second)


def _mended(words: Sequence[str], missing: Bag) -> Sequence[str]:
    """The words, with what is one of the missing numbers but for a slip in its place."""
    spelled = [(word, number) for word, number in _NUMBERS.items() if number in missing]
    if not spelled:
        return words
    return [next((number for name, number in spelled if _slip(name, word)), word) for word in words]


def _exchanged(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two numbers would be nearer to the words that they stand among in the other text if they were exchanged
    in it."""
    ours, theirs = _surroundings(first), _surroundings(second)
    for one, other in combinations(ours, 2):
        as_it_is = _overlap(ours[one], theirs[one]) + _overlap(ours[other], theirs[other])
        if _overlap(ours[one], theirs[other]) + _overlap(ours[other], theirs[one]) > as_it_is:
            return True
    return False


def _surroundings(words: Sequence[str]) -> dict[str, Counter[tuple[bool, str]]]:
    """For each number the words near it in its sentence, and on which side; the nearest counts most."""
    found: dict[str, Counter[tuple[bool, str]]] = defaultdict(Counter)
    for at, word in enumerate(words):
        if word[0].isdigit():
            for after, near in (
                (False, words[max(0, at - _WINDOW) : at][::-1]),
                (True, words[at + 1 : at + 1 + _WINDOW]),
            ):
                for distance, other in enumerate(takewhile(lambda each: each not in _ENDS, near)):
                    found[word][after, other] += 0 if _counts(other) else _WINDOW - distance
    return found


def _overlap(one: Counter[tuple[bool, str]], other: Counter[tuple[bool, str]]) -> float:
    return (one & other).total() / max(1, min(one.total(), other.total()))


def _slips(one: Counter[str], other: Counter[str]) -> int:
    """How many words of one are words of the other but for a slip: a letter left out, doubled, changed or exchanged."""
    left = [word for word in other.elements() if len(word) > 2]
    found = 0
    for word in one.elements():
        twin = next((each for each in left if _slip(word, each)), None) if len(word) > 2 else None
        if twin is not None:
            left.remove(twin)
            found += 1
    return found


def _slip(one: str, other: str) -> bool:
    """Damerau-Levenshtein distance 1 between words of four letters or more, of which none is a number."""
    if abs(len(one) - len(other)) > 1 or max(len(one), len(other)) < 4 or _counts(one) or _counts(other):
        return False
    if len(one) > len(other):
        one, other = other, one
    start = 0
    while start < len(one) and one[start] == other[start]:
        start += 1
    if len(one) < len(other):
        return one[start:] == other[start + 1 :]
    changed = one[start + 1 :] == other[start + 1 :]
    return changed or (
        one[start : start + 2] == other[start : start + 2][::-1] and one[start + 2 :] == other[start + 2 :]
    )


def _plain(token: str) -> str:
    if token[0].isdigit():
        return re.sub(r",(?=\d{3}(?:\D|$))", "", token)
    if token in _NOT or token.endswith("n't"):
        return "not"
    return _NUMBERS.get(token, token)


def _counts(word: str) -> bool:
    return word == "not" or any(letter.isdigit() for letter in word) or word in "-+*/^<>="
