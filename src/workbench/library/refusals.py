"""Whether an answer says that it cannot tell, from its wording alone.

It knows the phrases below and those it is given. Another wording it does not see; an answer that goes on after them
with a guess of its own, in a new sentence, it still takes for one that abstains.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from workbench.library.grounding import NOT_IN_LIBRARY
from workbench.library.sentences import split

REFUSALS = (
    NOT_IN_LIBRARY,
    # The passages as the subject.
    "{source} … do not {tell} …",
    "{source} … {tell} no {information} …",
    "{source} … do not have … {information} …",
    "{source} … is not clear …",
    "none of {source} {tell} …",
    "nothing in {source} {tell} …",
    # What is asked as the subject.
    "… is not {told} … in {source} …",
    "not {told} in {source} …",
    "not in {source}",
    "{answer} is not in {source}",
    "{answer} is not {told}",
    "{answer} is not {told} {which} …",
    "{answer} is unknown",
    "{answer} is not known",
    "{answer} is not clear",
    "{answer} is not clear {which} …",
    "{answer} is not clear in {source} …",
    "{answer} is not clear from {source} …",
    "{answer} is unclear …",
    "… cannot be answered …",
    "… cannot be {told} … from {source} …",
    "there is no {information} … {source} …",
    "there is no information …",
    "there is no answer …",
    "there is not enough information …",
    "there is insufficient information …",
    "not enough information …",
    "no information …",
    "no answer is {told} …",
    "it is not possible to {tell} … {source} …",
    "it is not possible to {tell} {which} …",
    "it is not possible to answer …",
    "it is impossible to answer …",
    # The model, or whoever it speaks of, as the subject.
    "{speaker} do not know …",
    "{speaker} do not have enough …",
    "{speaker} do not have any information …",
    "{speaker} do not have information …",
    "{speaker} do not have the answer …",
    "the question do not have … {information} …",
    "{speaker} have no information …",
    "{speaker} have no answer …",
    "{speaker} have no idea …",
    "{speaker} cannot {tell} …",
    "{speaker} could not {tell} …",
    "{speaker} is unable to {tell} …",
    "{speaker} is not able to {tell} …",
    "{speaker} is not sure …",
    # The whole answer.
    "do not know",
    "no idea",
    "no answer",
    "not {told}",
    "not answerable",
    "not clear",
    "not known",
    "unanswerable",
    "unknown",
    "n/a",
)
"""Phrases that abstain. "…" stands for any words or none, {source} for the passages by any of their names, {tell} and
{told} for verbs of telling, {answer} for it, this or the answer, {speaker} for the model, also where it speaks of
itself as the user; do and is stand for all their forms. A phrase must be
the whole of the first clause."""

_VERBS = """tell say state mention provide specify contain include give indicate describe discuss address explain answer
    cover reveal list name offer clarify define identify show find determine confirm"""
_TOLD = """told said stated mentioned provided specified contained included given indicated described discussed
    addressed explained answered covered revealed listed named clarified defined identified shown found determined
    inferred known available"""
_SOURCE = """passages? texts? documents? documentation contexts? library articles? handbooks? manuals? excerpts?
    sources? paragraphs? material content information"""
_DETERMINER = """the this these those that any either both all of your my our given provided above following quoted
    retrieved available"""


def _one_of(words: str) -> str:
    return f"(?:{'|'.join(words.split())})"


_SLOTS = {
    "{source}": rf"(?:{_one_of(_DETERMINER)} )*{_one_of(_SOURCE)}(?: (?:you )?(?:given|provided|above|here))?",
    "{tell}": f"{_one_of(_VERBS)}s?(?! for\\b)",  # "does not provide for a king" is a fact
    "{told}": _one_of(_TOLD),
    "{information}": "(?:information|mention|answer|indication|details?|reference)",
    "{speaker}": "(?:i|we|(?:the |this )?(?:user|model|assistant|system))",
    "{answer}": "(?:it|this|that|(?:the |an )?(?:answer|information|question))",
    "{which}": "(?:who|whom|whose|what|when|where|which|why|how|whether|if|by whom)",
}
_FORMS = [
    (re.compile(r"\bcan(?:'t| not)\b"), "cannot"),
    (re.compile(r"\bcouldn't\b"), "could not"),
    (re.compile(r"\b(?:do|does|did)(?:n't| not)\b"), "do not"),
    (re.compile(r"\b(?:is|are|was|were)n't\b"), "is not"),
    (re.compile(r"(?<=\bi)'m\b|(?<=\bit)'s\b|(?<=\bthere)'s\b"), " is"),
    (re.compile(r"\b(?:am|are|was|were)\b"), "is"),
    (re.compile(r"\b(?:has|have) not been\b"), "is not"),
    (re.compile(r"\b(?:within|by|anywhere in|in any of)\b"), "in"),
    (re.compile(r"\b(?:\w{4,}ly|any further|yet)\b"), " "),  # not explicitly, not directly
]
_CLAUSE = re.compile(r"\s*;\s*|,\s+(?=(?:and|but|so|although|though|while|whereas|yet|however)\b)", re.IGNORECASE)
_OPENER = re.compile(
    r"(?:(?:but|so|and|well|oh|sorry|answer|however|i is sorry|i is afraid|i apologize|that"
    rf"|(?:based on|according to|from|in|given|with) {_SLOTS['{source}']}) )*"
)
_TURN = re.compile(r"\W*(?:but|however|nevertheless|yet|although|though)\b", re.IGNORECASE)
_SPEAKS = re.compile(
    rf"(?:(?:but|yet|however|although|though) )*"
    rf"(?:{_SLOTS['{source}']} |(?:it|they) (?:do not |do |does )?(?:also |only )?{_SLOTS['{tell}']} )"
)
_WORD = re.compile(r"\w")
_LONGEST = 400  # characters of a clause that are looked at


def abstains(text: str, refusals: Sequence[str] = ()) -> bool:
    """Whether an answer is empty, or begins by saying that it cannot tell and does not then turn to tell after all.

    The first clause must be one of `REFUSALS` or of the given phrases, after openers such as "Sorry, but" and
    "According to the passages". "Rollo led them, but the passages do not tell when he died" and "The passages do not
    tell, but it was Rollo" both state something and do not abstain; "..., but they mention Rollo" speaks about the
    passages and does.

    Args:
        text: the answer.
        refusals: what the model was taught to say, besides `REFUSALS`. One of three words or more may be followed by
            others, a shorter one must be the whole clause.
    """
    clauses = [(clause, _plain(clause)) for sentence in split(text) for clause in _CLAUSE.split(sentence)]
    told = [each for each in clauses if _WORD.search(each[0]) and not (each[1] and _OPENER.fullmatch(each[1]))]
    if not told:
        return True
    pattern = _pattern(tuple(refusals))
    if not pattern.fullmatch(told[0][1]):
        return False
    return not any(
        _TURN.match(clause) and not _SPEAKS.match(plain) and not pattern.fullmatch(plain) for clause, plain in told[1:]
    )


def _plain(text: str) -> str:
    """Lower case, words only, a space after each, do and is in one form."""
    text = text[:_LONGEST].casefold().replace("\u2019", "'")
    for form, word in _FORMS:
        text = form.sub(word, text)
    return "".join(f"{word} " for word in re.findall(r"[\w']+", text))


@lru_cache(maxsize=32)
def _pattern(given: tuple[str, ...]) -> re.Pattern[str]:
    taught = [plain + (" …" if len(plain.split()) >= 3 else "") for phrase in given if (plain := _plain(phrase))]
    phrases = [_compiled(phrase) for phrase in REFUSALS] + [_compiled(phrase) for phrase in taught]
    return re.compile(f"{_OPENER.pattern}(?:{'|'.join(phrases)})")


def _compiled(phrase: str) -> str:
    parts = []
    for word in phrase.removesuffix(".").split():
        if word == "…":
            parts.append(r"(?:[\w']+ ){0,60}?")
        elif word in _SLOTS:
            parts.append(f"{_SLOTS[word]} ")
        else:
            parts.append(re.escape(_plain(word)))
    return "".join(parts)
