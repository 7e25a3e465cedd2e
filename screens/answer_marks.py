"""The marks of an answer: where they stand in its Markdown while it comes, and how they look. It knows no widgets.

Into the Markdown that is painted, and only there, a place for a mark is written behind each sentence: its number
between two characters that Unicode keeps for such use inside a program (U+FDD0, U+FDD1). They survive the parsing of
Markdown; `painted` turns them into what is seen. Where a model writes them itself, replacement characters are seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.style import Style as RichStyle
from textual.content import Content
from textual.style import Style

from screens.query_words import Span
from workbench.chat.marking import MARKS, WRONG
from workbench.library.support import AnswerSupport, Sentence, Verdict, counted
from workbench.text import for_terminal

COLOURS: dict[Verdict, str] = {"supported": "$text-success", "partly": "$text-warning", "not": "$text-error"}
"""The theme's colour of a verdict; its glyph in `MARKS` says the same without colour."""

_BEGIN, _END = "\ufdd0", "\ufdd1"
_PLACE = re.compile(f" ?{_BEGIN}(\\d+){_END}")
_FORGED = {ord(_BEGIN): "\ufffd", ord(_END): "\ufffd"}
_CITED = re.compile(r"\[(\d+(?:\s*,\s*\d+)*)\]")
_PASSAGE = "passage"  # the key of a style's meta
_HELD = 40  # characters at most that wait for what comes next
_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Evidence:
    """A sentence of an answer that was gone to, with what carries it."""

    place: tuple[int, int]
    """Which of the sentences that claim something, from 1, and how many there are."""
    sentence: Sentence
    number: int | None
    """Of the passage that is shown for it, from 1; None where none carries it."""
    words: tuple[Span, ...]
    """Where the words of the sentence stand in the passage's text."""


class AnswerMarks:
    """What is known of one answer's sentences, and its Markdown with places for their marks.

    Args:
        passages: the texts that the model was given; without any, nothing is marked.
        question: what was asked.
    """

    def __init__(self, passages: Sequence[str], question: str) -> None:
        self._support = AnswerSupport(passages, question) if passages else None
        self._written = 0

    @property
    def sentences(self) -> list[Sentence]:
        """Those that are finished."""
        return self._support.sentences if self._support else []

    @property
    def claims(self) -> list[int]:
        """The places in `sentences` of those that claim something."""
        return [at for at, sentence in enumerate(self.sentences) if sentence.verdict in MARKS]

    @property
    def written(self) -> int:
        """How much of the answer `more` has given out, in characters."""
        return self._written

    def more(self, answer: str, *, ended: bool) -> str:
        """The Markdown that is to be painted behind what was given out before, safe for a terminal.

        Args:
            answer: all that there is of it. Up to `_HELD` characters wait for what decides whether a sentence ends.
            ended: nothing more comes.
        """
        support, parts = self._support, list[str]()
        if support is None:
            until = len(answer) - (answer.endswith("\r") and not ended)  # its newline may come next
        else:
            first = len(support.sentences)
            for number, sentence in enumerate(support.read(answer, ended=ended), first):
                if _WORD.search(sentence.text):  # a rule or a row of dashes must stay what it is
                    parts += [self._until(answer, sentence.mark_at), f" {_BEGIN}{number}{_END}"]
            until = len(answer) if ended else max(_undecided(answer, support), len(answer) - _HELD)
        parts.append(self._until(answer, until))
        return "".join(parts)

    def _until(self, answer: str, end: int) -> str:
        start, self._written = self._written, max(self._written, end)
        return for_terminal(answer[start : self._written]).translate(_FORGED)

    def evidence(self, at: int, number: int | None = None) -> Evidence:
        """What carries a sentence.

        Args:
            at: its place in `sentences`.
            number: of the passage to look into; None: the one that carries most of it.
        """
        assert self._support is not None
        sentence, claims = self.sentences[at], self.claims
        number = sentence.shown_by if number is None else number
        if number is not None and not self._support.exists(number):
            number = None
        words = self._support.evidence(sentence, number)[1] if number is not None else ()
        place = (claims.index(at) + 1 if at in claims else 0, len(claims))
        return Evidence(place, sentence, number, tuple(words))

    def painted(self, content: Content, chosen: int | None) -> Content:
        """What is seen of a block of the answer.

        Args:
            content: of the block, with places for marks.
            chosen: the place in `sentences` of the one that was gone to.
        """
        parts, at = list[Content](), 0
        for match in _PLACE.finditer(content.plain):
            number = int(match[1])
            if self._support is None or number >= len(self.sentences):
                continue
            parts.append(self._sentence(content[at : match.start()], number, chosen=number == chosen))
            at = match.end()
        return Content("").join([*parts, content[at:]]) if parts else content

    def _sentence(self, content: Content, at: int, *, chosen: bool) -> Content:
        sentence, support = self.sentences[at], self._support
        assert support is not None
        parts, begun = list[Content](), 0
        for match in _CITED.finditer(content.plain):
            if any(span.style == ".code_inline" and span.start <= match.start() < span.end for span in content.spans):
                continue
            numbers = [int(number[:6]) for number in re.findall(r"\d+", match[1])]
            right = all(support.bears_out(sentence, number) for number in numbers)
            parts.append(content[begun : match.start()])
            written = content[match.start() : match.end()].stylize("$text-accent" if right else "$text-error")
            written = written.stylize(_opens(at, numbers[0])) if support.exists(numbers[0]) else written
            parts.append(written if right else written + Content(WRONG).stylize("$text-error"))
            begun = match.end()
        parts.append(content[begun:])
        body = Content("").join(parts)
        if chosen:
            lead = len(body.plain) - len(body.plain.lstrip())
            body = body.stylize("underline on $primary 25%", lead)
        mark = MARKS.get(sentence.verdict)
        return body if mark is None else body + self._mark(sentence, at, mark)

    def _mark(self, sentence: Sentence, at: int, mark: str) -> Content:
        """The glyph, and the number that the model did not write itself."""
        colour, shown = COLOURS[sentence.verdict], sentence.shown_by
        content = Content(" ") + Content(mark).stylize(f"{colour} bold")
        if shown is not None:
            if all(number != shown for number, _ in sentence.cited):
                content += Content(f"[{shown}]").stylize(f"{colour} italic")
            content = content.stylize(_opens(at, shown), 1)
        return content


def summary(marks: AnswerMarks, *, going: bool = False) -> Content:
    """How many sentences are supported, and a caution where none is; empty where nothing is claimed."""
    counts = counted(marks.sentences)
    claims = len(marks.claims)
    if not claims:
        if counts["untold"] and not going:
            return Content.from_markup(
                "[b $text-warning]the library does not tell[/][$foreground-muted], says the answer[/]"
            )
        return Content("")
    plural = "" if claims == 1 else "s"
    parts = [
        Content.from_markup(
            f"[{COLOURS['supported']}]$mark[/] [$foreground-muted]$n of $all sentence$plural supported[/]",
            mark=MARKS["supported"], n=str(counts["supported"]), all=str(claims), plural=plural,
        )
    ]  # fmt: skip
    told: tuple[tuple[Verdict, str], ...] = (("partly", "partly"), ("not", "not"))
    for verdict, words in told:
        if counts[verdict]:
            parts.append(
                Content.from_markup(
                    f"[{COLOURS[verdict]}]$mark[/] [$foreground-muted]$n $words[/]",
                    mark=MARKS[verdict], n=str(counts[verdict]), words=words,
                )
            )  # fmt: skip
    if counts["untold"]:
        parts.append(Content.from_markup("[$foreground-muted]$n not told[/]", n=str(counts["untold"])))
    if counts["not"] == claims and not going:
        parts = [
            Content.from_markup(
                f"[{COLOURS['not']}]$mark no passage says this: check it before you rely on it[/]", mark=MARKS["not"]
            )
        ]
    return Content("  ").join(parts)


def has_place(text: str, at: int) -> bool:
    """Whether the text of a block holds the mark of a sentence."""
    return f"{_BEGIN}{at}{_END}" in text


def without_places(text: str) -> str:
    """Text without the places for marks."""
    return _PLACE.sub("", text)


def _undecided(answer: str, support: AnswerSupport) -> int:
    """Where what may still get a mark before it begins."""
    end = support.decided
    line = answer.rfind("\n", 0, end) + 1
    if answer.startswith("|", line):  # the mark of a table's row stands inside its last cell
        end = line + len(answer[line:end].rstrip("| \t"))
    return end


def asked_passage(style: RichStyle) -> tuple[int, int] | None:
    """The sentence and the number of the passage that a click asks for; None where it asks for none."""
    return style.meta.get(_PASSAGE)


def _opens(sentence: int, number: int) -> Style:
    # Not "@click": Textual gives those the colour of links.
    return Style.from_meta({_PASSAGE: (sentence, number)})
