"""A passage that was found, and where it stands in its document now. It knows nothing of widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from screens.query_words import Span

if TYPE_CHECKING:
    from workbench.chat.answer import Citation


@dataclass(frozen=True)
class FoundPassage:
    """What a search hit and a citation have in common: a text, its document and its place."""

    document: str
    place: str
    text: str
    start: int | None = None
    """Offset in the document's text, where it is known."""
    line: int | None = None
    """The line of the file on which it begins, counted from 1; None where the file has no lines."""
    number: int | None = None
    """Under which an answer names it."""
    words: tuple[Span, ...] = ()
    """Where in `text` the words stand that are emphasised; empty: those of the question."""

    @classmethod
    def of_hit(cls, hit: Mapping[str, Any]) -> FoundPassage:
        """The passage of a hit, as the server sends it."""
        return cls(hit["document"], hit["place"], hit["text"], hit["start"], hit["start_line"])

    @classmethod
    def of_citation(cls, citation: Citation, words: tuple[Span, ...] = ()) -> FoundPassage:
        """The passage of a citation; `words` of its text are emphasised."""
        line, number = citation.start_line, citation.number
        return cls(citation.document, citation.place, citation.text, line=line, number=number, words=words)

    def span_in(self, text: str) -> Span | None:
        """Where the passage stands in its document's text; None if the document no longer holds it.

        Where it stands several times, the one on its line, or the nearest to where it was.
        """
        length = len(self.text)
        if self.start is not None and text[self.start : self.start + length] == self.text:
            return self.start, self.start + length
        near = self.start if self.start is not None else _start_of_line(text, self.line or 1)
        places = []
        at = text.find(self.text) if self.text else -1
        while at >= 0:
            places.append(at)
            at = text.find(self.text, at + 1)
        if not places:
            return None
        start = min(places, key=lambda place: abs(place - near))
        return start, start + length


def _start_of_line(text: str, line: int) -> int:
    at = 0
    for _ in range(line - 1):
        following = text.find("\n", at)
        if following < 0:
            break
        at = following + 1
    return at
