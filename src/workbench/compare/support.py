"""How much of an answer the passages carry, sentence by sentence, from the words alone.

It asks whether the words of a sentence stand together in one passage, not whether the passage says so. It cannot see a
negation, who did what to whom, which of two numbers of a passage belongs to the thing asked, or a claim put together
from words that stand there. What is said in quite other words, a sum that the model worked out, and what only two
passages together tell, it takes for unsupported. So a low figure is a reason to look; a high one is no proof.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.compare.refusals import abstains
from workbench.compare.sentences import split

SUPPORTED = 0.6
"""The support from which on a sentence, or an answer, is taken to be carried by the passages.

On SQuAD 2.0, the right passage among three of one article, 97 % of the statements that a question and its answer make
reach it. So do 5 % of those made with the answer of another question, 2 % of those with one name or number changed,
8 % of the right ones judged by three other passages of the article, and 14 % of bare answers judged by these, where
they stand by chance (tests/unit/test_compare_support.py). An answer in words of its own fares worse than the 97 %, for
these statements repeat the question's.
"""
QUESTION_WEIGHT = 0.25
"""What a word of the question weighs in the answer, where 1 is any other word: saying it again claims little."""
MISSING = 0.5
"""What each name and each number that does not stand in the passage multiplies the support by."""

_STOP_WORDS = """
    a about above after again against all also although am an and any are as at be became because become been before
    being below between both but by can cannot could did do does doing done down during each either else even ever every
    few for from further get had has have having he her here hers herself him himself his how however i if in into is it
    its itself just let like many may me might more most much must my myself neither no nor not now of off often on once
    one only onto or other others our ours out over own per rather s same shall she should since so some still such t
    than that the their theirs them themselves then there therefore these they this those though through thus to too
    toward towards under until up upon us very was we were what when where whether which while who whom whose why will
    with within without would yes yet you your yours yourself
    answer answers passage passages text texts document documents according based context given question states stated
    mentions mentioned says said tells called known
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that claim nothing by themselves, and those with which an answer speaks about its passages."""

_NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve"
_NUMBERS: dict[str, str] = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split(), 2)}
_MARKS = re.compile(r"\[\d+(?:\s*,\s*\d+)*\]|(?m:^[ \t]*(?:[-*•#>]+|\d+[.)])[ \t]+)|[*_`]+")  # citations, lists, bold
_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\w")
_LONGER_FIRST = "ations ation ments ment ings ions ing ion ies ied ers er ed es ly s e y"
_ENDINGS = tuple(_LONGER_FIRST.split())


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer, with what carries it."""

    text: str
    support: float | None
    """0 to 1; None where it claims nothing: it has no content word, or says that the passages do not tell."""
    best_passage: int | None
    """The place, from 0, of the passage that carries most of it; None where none carries anything."""
    weight: float
    """Of the sentence in the answer: its content words, those of the question at `QUESTION_WEIGHT`."""


def sentences(text: str, passages: Sequence[str], question: str = "") -> list[Sentence]:
    """The sentences of an answer, each with its support.

    The support of a sentence in one passage is the share of its content words that stand there, multiplied by
    `MISSING` for each name and each number that does not. That of the sentence is the best over the passages: words
    that are scattered over several carry nothing. Content words are all but `STOP_WORDS`; they are compared in lower
    case, without accents and endings. Names (a capital, but for the sentence's first word) and numbers must stand there
    as they are, save case, accents, the comma in 1,000 and "seven" for 7.

    Args:
        text: the answer.
        passages: the texts that the model was given.
        question: what was asked, where it is known. Its words weigh `QUESTION_WEIGHT`, and a name that it holds may be
            missing: an answer that says the question again is carried by what it adds.
    """
    known = [_Passage(passage) for passage in passages]
    asked = {_stem(word) for word, _ in _words(question)}
    return [_judged(sentence, known, asked) for sentence in split(text)]


def overall(found: Sequence[Sentence]) -> float | None:
    """The support of the answer: the weighted mean over its sentences; None where none claims anything."""
    weight = sum(each.weight for each in found)
    return sum((each.support or 0.0) * each.weight for each in found) / weight if weight else None


class _Passage:
    def __init__(self, text: str) -> None:
        self._words = {word for word, _ in _words(text)}
        self._stems = {_stem(word) for word in self._words}

    def support(self, words: Sequence[tuple[str, bool]], asked: set[str]) -> float:
        held, missing = 0.0, 0
        for word, exact in words:
            if word in self._words if exact else _stem(word) in self._stems:
                held += _weight(word, asked)
            elif exact and _stem(word) not in asked:
                missing += 1
        return held / sum(_weight(word, asked) for word, _ in words) * MISSING**missing


def _judged(sentence: str, passages: Sequence[_Passage], asked: set[str]) -> Sentence:
    words = [(word, exact) for word, exact in _words(sentence) if word not in STOP_WORDS]
    if not words or abstains(sentence):
        return Sentence(sentence, None, None, 0.0)
    shares = [passage.support(words, asked) for passage in passages]
    best = max(shares, default=0.0)
    weight = sum(_weight(word, asked) for word, _ in words)
    return Sentence(sentence, best, shares.index(best) if best else None, weight)


def _weight(word: str, asked: set[str]) -> float:
    return QUESTION_WEIGHT if _stem(word) in asked else 1.0


def _words(text: str) -> list[tuple[str, bool]]:
    """Each word as it is compared, and whether it is a name or a number."""
    found: list[tuple[str, bool]] = []
    for match in _WORD.finditer(_MARKS.sub(" ", text)):
        word = _NUMBERS.get(plain := _plain(match[0]), plain)
        found.append((word, word[:1].isdigit() or bool(found and match[0][0].isupper())))
    return found


def _plain(word: str) -> str:
    """Lower case, without accents, a possessive s and the commas of a number."""
    folded = unicodedata.normalize("NFKD", word.casefold().replace("\u2019", "'"))
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter)).removesuffix("'s")
    return bare.replace(",", "") if bare[:1].isdigit() else bare


def _stem(word: str) -> str:
    """Without its ending where three letters are left: enough to take walks, walked and walking for one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
