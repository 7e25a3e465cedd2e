"""How much of an answer the passages carry, sentence by sentence, from the words alone.

It asks whether the words of a sentence stand together in one passage, not whether the passage says so. It cannot see a
negation, who did what to whom, which of two numbers of a passage belongs to the thing asked, or a claim put together
from words that stand there. What is said in quite other words, a sum that the model worked out, and what only two
passages together tell, it takes for unsupported. So a low figure is a reason to look; a high one is no proof.

The chat marks an answer by it while it comes, and a comparison's figure is made of the same sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from workbench.library.refusals import abstains
from workbench.library.sentences import Cutter, Piece
from workbench.library.words import ENGLISH, Language, Word, claims, language_of, read_words

SUPPORTED = 0.6
"""The support from which on a sentence, or an answer, is taken to be carried by the passages.

On SQuAD 2.0, the right passage among three of one article, 97 % of the statements that a question and its answer make
reach it. So do 5 % of those made with the answer of another question, 2 % of those with one name or number changed,
8 % of the right ones judged by three other passages of the article, and 14 % of bare answers judged by these, where
they stand by chance (tests/unit/test_library_support.py). An answer in words of its own fares worse than the 97 %, for
these statements repeat the question's.
"""
PARTLY = 0.4
"""The support from which on a sentence is taken to be carried in part: of those above, 10 % with a name or a number
changed in the short ones, 95 % in the long ones, and 18 % of the right ones judged by other passages."""
QUESTION_WEIGHT = 0.25
"""What a word of the question weighs in the answer, where 1 is any other word: saying it again claims little."""
MISSING = 0.5
"""What each name and each number that does not stand in the passage multiplies the support by."""

Verdict = Literal["supported", "partly", "not", "untold", "none"]
"""Of a sentence. untold: it says that the passages do not tell. none: it claims nothing."""
Span = tuple[int, int]

_CITED = re.compile(r"\[(\d+(?:\s*,\s*\d+)*)\]")
_NUMBER = re.compile(r"\d+")
_MOST_DIGITS = 6  # of a number that may be a passage's


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer, with what carries it."""

    text: str
    start: int
    """Offset in the answer."""
    mark_at: int
    """Offset in the answer at which a mark may stand; not before `start`."""
    shares: tuple[float, ...]
    """The support in each passage; empty where it claims nothing."""
    weight: float
    """Of the sentence in the answer: its content words, those of the question at `QUESTION_WEIGHT`."""
    verdict: Verdict
    cited: tuple[tuple[int, Span], ...] = ()
    """The numbers of passages that the model wrote into it, and where in the answer each [n] stands."""

    @property
    def support(self) -> float | None:
        """0 to 1; None where it claims nothing: it has no content word, or says that the passages do not tell."""
        return max(self.shares, default=0.0) if self.verdict in ("supported", "partly", "not") else None

    @property
    def best_passage(self) -> int | None:
        """The place, from 0, of the passage that carries most of it; None where none carries anything."""
        best = max(self.shares, default=0.0)
        return self.shares.index(best) if best else None

    @property
    def shown_by(self) -> int | None:
        """The number, from 1, of the passage that carries it wholly or partly; None where none does.

        Of passages that carry it alike it is one that the model cites, else the first.
        """
        if self.verdict not in ("supported", "partly"):
            return None
        best = max(self.shares)
        cited = (n for n, _ in self.cited if 0 < n <= len(self.shares) and self.shares[n - 1] == best)
        return next(cited, self.shares.index(best) + 1)


class AnswerSupport:
    """The support of one answer, also while it comes: a sentence is judged once, when it is finished."""

    def __init__(self, passages: Sequence[str], question: str = "") -> None:
        """Read the passages.

        Args:
            passages: the texts that the model was given; the first has the number 1.
            question: what was asked, where it is known. Its words weigh `QUESTION_WEIGHT`, and a name that it holds
                may be missing: an answer that says the question again is carried by what it adds.
        """
        self.sentences: list[Sentence] = []
        """Those that are finished, in their order."""
        language = self._language = language_of({word for each in passages for word in _read(each, ENGLISH).words})
        self._passages = [_read(passage, language) for passage in passages]
        self._asked = {language.stem(word.plain) for word in read_words(question, language)}
        self._cutter = Cutter()

    def read(self, answer: str, *, ended: bool = True) -> list[Sentence]:
        """Judge the sentences that are finished now; they are added to `sentences`, and returned.

        Args:
            answer: all of it that there is, what was read before included.
            ended: nothing more comes, so its rest is a sentence too.
        """
        pieces = self._cutter.read(answer, ended=ended)
        new = [self._judged(answer, piece) for piece in pieces if piece.kind != "code"]
        self.sentences += new
        return new

    @property
    def decided(self) -> int:
        """No mark will stand before this offset in the answer any more, but for those that are known."""
        return self._cutter.decided

    def exists(self, number: int) -> bool:
        """Whether a passage has this number."""
        return 0 < number <= len(self._passages)

    def bears_out(self, sentence: Sentence, number: int) -> bool:
        """Whether a number that the model wrote names a passage that carries the sentence, at least partly.

        In a sentence that claims nothing it need only exist.
        """
        return self.exists(number) and (not sentence.shares or sentence.shares[number - 1] >= PARTLY)

    def evidence(self, sentence: Sentence, number: int) -> tuple[list[Span], list[Span]]:
        """The words of a sentence that stand in a passage: their places in the answer, and those in the passage.

        Args:
            sentence: one of `sentences`.
            number: of a passage, from 1.
        """
        in_answer: list[Span] = []
        in_passage: set[Span] = set()
        passage = self._passages[number - 1]
        for word in self._content(sentence.text):
            if places := passage.places(word):
                in_answer.append((sentence.start + word.start, sentence.start + word.end))
                in_passage.update(places)
        return in_answer, sorted(in_passage)

    def _content(self, text: str) -> list[Word]:
        return [word for word in read_words(text, self._language) if claims(word, self._language)]

    def _judged(self, answer: str, piece: Piece) -> Sentence:
        text = answer[piece.start : piece.end]
        cited = tuple(_cited(text, piece.start))
        words = [] if piece.kind == "heading" else self._content(text)
        if not words or (untold := abstains(text)):
            verdict: Verdict = "untold" if words and untold else "none"
            return Sentence(text, piece.start, piece.mark_at, (), 0.0, verdict, cited)
        weights = [self._weight(word) for word in words]
        shares = tuple(passage.support(words, weights, self._asked) for passage in self._passages)
        best = max(shares, default=0.0)
        verdict = "supported" if best >= SUPPORTED else "partly" if best >= PARTLY else "not"
        return Sentence(text, piece.start, piece.mark_at, shares, sum(weights), verdict, cited)

    def _weight(self, word: Word) -> float:
        return QUESTION_WEIGHT if self._language.stem(word.plain) in self._asked else 1.0


def sentences(text: str, passages: Sequence[str], question: str = "") -> list[Sentence]:
    """The sentences of a whole answer, each with its support.

    The support of a sentence in one passage is the share of its content words that stand there, multiplied by
    `MISSING` for each name and each number that does not. That of the sentence is the best over the passages: words
    that are scattered over several carry nothing. Content words are all but the language's stop words; they are
    compared in lower case, without accents and endings. Names (a capital, but for the sentence's first word) and
    numbers must stand there as they are, save case, accents, the comma in 1,000 and "seven" for 7. Headings and code
    claim nothing.

    Args:
        text: the answer.
        passages: the texts that the model was given.
        question: what was asked, where it is known.
    """
    return AnswerSupport(passages, question).read(text)


def overall(found: Sequence[Sentence]) -> float | None:
    """The support of the answer: the weighted mean over its sentences; None where none claims anything."""
    weight = sum(each.weight for each in found)
    return sum((each.support or 0.0) * each.weight for each in found) / weight if weight else None


def counted(found: Sequence[Sentence]) -> dict[Verdict, int]:
    """How many sentences have each verdict."""
    counts: dict[Verdict, int] = dict.fromkeys(("supported", "partly", "not", "untold", "none"), 0)
    for sentence in found:
        counts[sentence.verdict] += 1
    return counts


class _Passage:
    def __init__(self, text: str, language: Language) -> None:
        self._language = language
        self.words: dict[str, list[Span]] = {}
        """Where each word stands, as it is compared."""
        self._stems: dict[str, list[Span]] = {}
        for word in read_words(text, language):
            self.words.setdefault(word.plain, []).append((word.start, word.end))
            self._stems.setdefault(language.stem(word.plain), []).append((word.start, word.end))

    def places(self, word: Word) -> list[Span]:
        """Where a word of a sentence stands, itself or with another ending."""
        if word.exact:
            return self.words.get(word.plain, [])
        return self._stems.get(self._language.stem(word.plain), [])

    def support(self, words: Sequence[Word], weights: Sequence[float], asked: set[str]) -> float:
        held, missing = 0.0, 0
        for word, weight in zip(words, weights, strict=True):
            if self.places(word):
                held += weight
            elif word.exact and self._language.stem(word.plain) not in asked:
                missing += 1
        return held / sum(weights) * MISSING**missing


@lru_cache(maxsize=64)
def _read(passage: str, language: Language) -> _Passage:
    """A passage to look words up in; the answers of several panes and arms share them."""
    return _Passage(passage, language)


def _cited(text: str, start: int) -> list[tuple[int, Span]]:
    """Each number in square brackets, with the place of its brackets."""
    return [
        (int(number[0]), (start + group.start(), start + group.end()))
        for group in _CITED.finditer(text)
        for number in _NUMBER.finditer(group[1])
        if len(number[0]) <= _MOST_DIGITS
    ]
