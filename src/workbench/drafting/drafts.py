"""One draft: what the model is asked for, and what of its answer can be kept. Pure functions.

Nothing is kept because it looks good: what is left out is what a person need not see.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from workbench.library.grounding import Passage, fenced, new_nonce
from workbench.library.refusals import abstains
from workbench.library.support import PARTLY, SUPPORTED, overall, sentences
from workbench.library.words import ENGLISH, claims, language_of, read_words

STOP = ("\nQuestion:",)
"""The model is stopped before it goes on with a second question."""

_TASK = "Write one question that the passage answers, and its answer, from the passage alone, as two lines."
_EXAMPLE = Passage(
    "The kiosk on the pier sells tea and rope. It opens at 7:15 and shuts when the last boat has left.", "Kiosk"
)
_EXAMPLE_ANSWER = "Question: When does the kiosk on the pier open?\nAnswer: The kiosk on the pier opens at 7:15."
_LABEL = r"(?:\*\*)?{}:(?:\*\*)?[ \t]*"
_FORM = re.compile(
    rf"{_LABEL.format('Question')}(?P<question>\S[^\n]*?)\s*\n+{_LABEL.format('Answer')}(?P<answer>\S.*)", re.DOTALL
)
_POINTS = re.compile(
    r"\b(?:this|the|that|given|above)\s+(?:\w+\s+)?(?:passage|excerpt|paragraph|snippet|text)s?\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Draft:
    """What became of one passage."""

    outcome: str
    """A key of `workbench.drafting.outcomes.DRAFTS`."""
    question: str = ""
    answer: str = ""
    support: float | None = None
    """How much of the answer the passage carries, 0 to 1; see `workbench.library.support`."""

    @property
    def doubtful(self) -> bool:
        """It is kept, but the passage carries the answer only in part: the flag `ungrounded`."""
        return self.support is not None and self.support < SUPPORTED


def prompt(passage: Passage) -> tuple[dict[str, str], ...]:
    """What the model is asked: one worked example, for small models copy a form better than they follow a rule."""
    return (
        {"role": "user", "content": _asked(_EXAMPLE)},
        {"role": "assistant", "content": _EXAMPLE_ANSWER},
        {"role": "user", "content": _asked(passage)},
    )


def read(text: str, passage: Passage, *, ended: bool = True) -> Draft:
    """What can be kept of an answer.

    It must be a line that begins with `Question:` and then, from `Answer:` on, the answer. It is dropped where the
    passage carries less than `PARTLY` of the answer, or of what the answer says beyond its question.

    Args:
        text: what the model said.
        passage: what it was shown.
        ended: it came to its end, and was not cut at the most tokens.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        return Draft("refusal" if text.strip() and abstains(text) else "format")
    question, answer = match["question"].strip(), match["answer"].strip()
    if not ended:
        return Draft("cut_off", question, answer)
    told = f"{passage.place}\n{passage.text}" if passage.place else passage.text
    found = sentences(answer, [told], question)
    if abstains(answer) or any(sentence.verdict == "untold" for sentence in found):
        return Draft("refusal", question, answer)
    if not question.endswith("?") or _FORM.search(answer):
        return Draft("format", question, answer)
    if _POINTS.search(question) or _POINTS.search(answer):
        return Draft("points_at_passage", question, answer)
    said = [alike(sentence.text) for sentence in found]
    if len(set(said)) < len(said):
        return Draft("repeats", question, answer)
    support = min(overall(found) or 0.0, _news(question, answer, told))
    return Draft("kept" if support >= PARTLY else "unsupported", question, answer, support)


def _news(question: str, answer: str, passage: str) -> float:
    """How much of what an answer says beyond its question stands in the passage, 0 to 1; 0 where it says nothing more.

    `workbench.library.support` lets an answer pass that says the question again: in a chat it is the person's question.
    Here the model made it, and "The school that gets the box is the school that gets the box" would be carried.
    """
    words = [read_words(text, ENGLISH) for text in (passage, question, answer)]
    language = language_of({word.plain for word in words[0]})
    in_passage, asked = ({language.stem(word.plain) for word in some} for some in words[:2])
    news = [language.stem(word.plain) for word in words[2] if claims(word, language)]
    news = [word for word in news if word not in asked]
    return sum(word in in_passage for word in news) / len(news) if news else 0.0


def alike(prompt: str) -> bytes:
    """A digest that two prompts share which say the same in the same words: case, accents and punctuation aside."""
    plain = unicodedata.normalize("NFKD", prompt).casefold()
    words = re.findall(r"\w+", "".join(character for character in plain if not unicodedata.combining(character)))
    return hashlib.blake2b(" ".join(words).encode(), digest_size=12).digest()


def _asked(passage: Passage) -> str:
    return f"{fenced([passage], nonce=new_nonce(passage.text))}\n{_TASK}"
