"""An answer as Markdown that can be checked outside of the chat: each sentence with its mark and its passages as notes.

It is a rendering: the answer that is kept is not changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.chat.answer import Citation
from workbench.library.support import AnswerSupport, Sentence

MARKS = {"supported": "✓", "partly": "◐", "not": "○"}
"""What stands behind a sentence, by its verdict; one that claims nothing has no mark."""
WRONG = "✗"
"""What stands behind a number that the model wrote, where no passage has it or its passage does not carry the
sentence."""

_LONGEST_QUOTE = 400  # characters of a passage in its note
_ACTS = re.compile(r"([\\`*_\[\]<>#|!~&])")  # what may act in Markdown or HTML


def marked(text: str, passages: Sequence[Citation], question: str = "", *, label: str = "") -> str:
    """An answer with its marks, and under it the passages that it names or that carry it, as footnotes.

    Args:
        text: the answer.
        passages: what the model was given, in the order of their numbers, which begin with 1; where there are none the
            answer is returned as it is.
        question: what was asked.
        label: before the numbers of the notes, so that several answers can stand in one document.
    """
    if not passages:
        return text
    support = AnswerSupport([passage.text for passage in passages], question)
    parts, used, at = [], set[int](), 0
    for sentence in support.read(text):
        if sentence.mark_at < at:
            continue
        parts += [_body(text, support, sentence, at, used, label)]
        at = sentence.mark_at
        if mark := MARKS.get(sentence.verdict):
            shown = sentence.shown_by
            named = shown is None or any(number == shown for number, _ in sentence.cited)
            parts.append(f" {mark}" if named else f" {mark}[^{label}{shown}]")
            used |= set() if shown is None else {shown}
    parts.append(text[at:])
    notes = [_note(passages[number - 1], f"{label}{number}") for number in sorted(used)]
    key = f"{MARKS['supported']} supported by a passage, {MARKS['partly']} partly, {MARKS['not']} not"
    key = f"{key}, {WRONG} not what the passage says; by their words alone."
    return "\n\n".join(["".join(parts).rstrip(), key, *(["\n".join(notes)] if notes else [])]) + "\n"


def _body(text: str, support: AnswerSupport, sentence: Sentence, at: int, used: set[int], label: str) -> str:
    """The text from `at` to where the sentence's mark stands, its numbers turned into notes; adds them to `used`."""
    parts = []
    groups: dict[tuple[int, int], list[int]] = {}
    for number, place in sentence.cited:
        groups.setdefault(place, []).append(number)
    for (start, end), numbers in groups.items():
        if start < at or end > sentence.mark_at or text.count("`", sentence.start, start) % 2:
            continue
        parts.append(text[at:start])
        for number in numbers:
            used |= {number} if support.exists(number) else set()
            shown = f"[^{label}{number}]" if support.exists(number) else f"\\[{number}\\]"
            parts.append(shown if support.bears_out(sentence, number) else shown + WRONG)
        at = end
    return "".join([*parts, text[at : sentence.mark_at]])


def _note(passage: Citation, name: str) -> str:
    text = " ".join(passage.text.split())
    quote = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]} …"
    document, place = " ".join(passage.document.split()), " ".join(passage.place.split())
    return f"[^{name}]: {_plain(document)}, {_plain(place)}: “{_plain(quote)}”"


def _plain(text: str) -> str:
    """Text in which nothing acts."""
    return _ACTS.sub(r"\\\1", text)
