"""Which questions a run was trained on: what it learned by heart says nothing of what it learned to do.

It compares words: a question that says the same in other words is not found, and in a script that puts no space between
words only one that is exactly the same is.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from workbench.compare.evalsplit import frozen
from workbench.compare.question import Question
from workbench.errors import UserError
from workbench.workspace import Workspace

NEARLY = 0.8
"""Jaccard similarity of the bags of words from which on two questions are nearly the same. One word in ten added, left
out or exchanged stays above it (9/10 and 9/11); two questions about different things of one text seldom reach it."""
SHORT = 5
"""Words below which only the same words count: in "When was Rome founded?" each one of them makes it another question.
A follow-up ("And why?") below it is not looked for at all, since its meaning stands in the turns before it."""
_COMMON = 0.5  # words that more than this share of the prompts have are the task's ("Translate into French:")
_MANY = 20  # prompts from which on it can be told which words these are
_WORDS = re.compile(r"\w+|[-+*/^<>=](?=\s*\d)")  # an operator before a number is a word: 2 + 3 is not 2 - 3
_NAMED = 5  # questions that an error names

Bag = frozenset[tuple[str, int]]
"""Words with their occurrence (0 for the first of its kind): the Jaccard of such sets is that of the bags."""


@dataclass(frozen=True)
class Known:
    """A question that the training pairs contain, and the pair that is most like it."""

    question_number: int
    """From 0, in the order in which the questions were given."""
    question_text: str
    pair_where: str
    """Which pair, e.g. "numbers, pair 1f3a52c0 (rows.jsonl:17)"."""
    pair_prompt: str
    how: Literal["exactly", "nearly"]
    similarity: float
    """Jaccard similarity of the bags of words, 0 to 1; 1 where the words are the same."""


def known(questions: Sequence[Question], prompts: Sequence[tuple[str, str]]) -> list[Known]:
    """The questions that stand among the prompts, each with the prompt most like it (of equals the first).

    *Exactly*: the same words in the same order, whatever their case, punctuation and spacing. *Nearly*: the bags of
    words have a Jaccard similarity of at least `NEARLY`, also without the words that most prompts have, and the same
    numbers (a sum with other numbers is another sum); both have at least `SHORT` words.

    Args:
        questions: what shall be asked.
        prompts: (where, prompt) of each training pair, as `trained_on` gives them.

    Returns:
        In the order of the questions. 1,000 questions against 50,000 prompts take seconds: a prompt is compared only
        with the questions with which it shares one of their rarest words (prefix filter; Chaudhuri, Ganti, Kaushik
        2006).
    """
    asked = [_words(question.text) for question in questions]
    compared = [
        number
        for number, (question, words) in enumerate(zip(questions, asked, strict=True))
        if len(words) >= SHORT or not _is_follow_up(question)
    ]
    same: dict[tuple[str, ...], list[int]] = {}
    for number in compared:
        same.setdefault(asked[number], []).append(number)

    frequency = Counter(word for _, prompt in prompts for word in set(_words(prompt)))
    most = _COMMON * len(prompts) if len(prompts) >= _MANY else len(prompts)
    common = {word for word, count in frequency.items() if count > most}
    bags = {number: _bag(asked[number]) for number in compared if len(asked[number]) >= SHORT}
    rarest: dict[tuple[str, int], list[int]] = {}
    for number, bag in bags.items():
        for token in _prefix(bag, frequency):
            rarest.setdefault(token, []).append(number)

    found: dict[int, Known] = {}

    def note(number: int, where: str, prompt: str, how: Literal["exactly", "nearly"], similarity: float) -> None:
        best = found.get(number)
        if best is None or (how == "exactly", similarity) > (best.how == "exactly", best.similarity):
            found[number] = Known(number, questions[number].text, where, prompt, how, similarity)

    for where, prompt in prompts:
        words = _words(prompt)
        for number in same.get(words, ()):
            note(number, where, prompt, "exactly", 1.0)
        if len(words) < SHORT:
            continue
        bag = _bag(words)
        for number in {number for token in bag & rarest.keys() for number in rarest[token]}:
            if words != asked[number] and (similarity := _similarity(bags[number], bag, common)) >= NEARLY:
                note(number, where, prompt, "nearly", similarity)
    return [found[number] for number in sorted(found)]


def trained_on(workspace: Workspace, run: str) -> list[tuple[str, str]]:
    """Where each training pair of a run came from, and its last message of the user; for `known`.

    Raises:
        UserError: there is no such run, it has not frozen its pairs yet, or they were changed.
    """
    recipe, pairs = frozen(workspace, run)
    return [
        (
            f"{recipe['dataset']}, pair {pair.key[:8]}{f' ({pair.source})' if pair.source else ''}",
            pair.messages[-1]["content"],
        )
        for pair in pairs
        if not pair.evaluated
    ]


def refuse(known: Sequence[Known], run: str) -> None:
    """Refuse to ask what the run was trained on.

    Raises:
        UserError: there is such a question; it names up to five, and their pairs.
    """
    if not known:
        return
    named = "; ".join(
        f"{_short(each.question_text)} ({each.how}{_percent(each)}: {each.pair_where})" for each in known[:_NAMED]
    )
    more = f"; and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    count = "1 question is" if len(known) == 1 else f"{len(known):,} questions are"
    raise UserError(
        f"{count} among the pairs that the run {run!r} was trained on: {named}{more}",
        do="Leave them out with --leave-out-known, or take other questions.",
    )


def _is_follow_up(question: Question) -> bool:
    return sum(message["role"] == "user" for message in question.messages) > 1


def _words(text: str) -> tuple[str, ...]:
    """The words in small letters; of a text without words all of it."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return tuple(_WORDS.findall(text)) or tuple(text.split())


def _bag(words: Sequence[str]) -> Bag:
    seen: Counter[str] = Counter()
    bag = set()
    for word in words:
        bag.add((word, seen[word]))
        seen[word] += 1
    return frozenset(bag)


def _prefix(bag: Bag, frequency: Counter[str]) -> list[tuple[str, int]]:
    """So many of its rarest words that every bag of a similarity of at least `NEARLY` has one of them.

    The words that both have are at least `NEARLY` of those that either has, so at least `NEARLY` of this bag's.
    """
    lacking = int(len(bag) * (1 - NEARLY) + 1e-9)
    return sorted(bag, key=lambda token: (frequency[token[0]], token))[: lacking + 1]


def _similarity(first: Bag, second: Bag, common: set[str]) -> float:
    """The Jaccard similarity; 0 where it is below `NEARLY` with or without the common words, or the numbers differ."""
    shared, either = len(first & second), len(first | second)
    similarity = shared / either
    if similarity < NEARLY or _numbers(first) != _numbers(second):
        return 0.0
    if not common:
        return similarity
    own_first = {token for token in first if token[0] not in common}
    own_second = {token for token in second if token[0] not in common}
    own_either = len(own_first | own_second)
    return similarity if own_either and len(own_first & own_second) / own_either >= NEARLY else 0.0


def _numbers(bag: Bag) -> set[tuple[str, int]]:
    return {token for token in bag if any(letter.isdigit() for letter in token[0])}


def _percent(known: Known) -> str:
    return f", {known.similarity:.0%}" if known.how == "nearly" else ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return f'"{text[:77]}..."' if len(text) > 80 else f'"{text}"'
