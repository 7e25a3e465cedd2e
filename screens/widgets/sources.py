"""The passages that an answer was given to read, numbered as the model saw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from screens.conversation import Turn
from screens.query_words import snippet, word_spans
from screens.widgets.hits import emphasised
from screens.widgets.lists import Options
from workbench.text import for_terminal

if TYPE_CHECKING:
    from workbench.chat.answer import Citation

_TEXT = 2  # rows of a passage's text
_ROOMY = 56  # cells in which all about a passage has room on one row


class Sources(Vertical):
    """Give it a turn with `show`; enter or a click on a passage asks for its document."""

    DEFAULT_CSS = """
    Sources {
        & > Options, & > Options:focus { height: 1fr; border: none; padding: 0; }
        & > Options > .option-list--option-highlighted {
            background: $boost; color: $foreground; text-style: none;
        }
        & > Options:focus > .option-list--option-highlighted {
            background: $primary 20%; color: $foreground; text-style: none;
        }
        & > Static { color: $text-muted; }
    }
    """

    @dataclass
    class Chosen(Message):
        """A passage is to be opened in its document."""

        turn: Turn
        at: int
        """Its place in `turn.citations`."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self.border_title = "Sources"
        self._turn: Turn | None = None
        self._shown: Sequence[Citation] = ()
        self._width = 0

    def compose(self) -> ComposeResult:
        yield Options(markup=False)
        yield Static(markup=False)

    def show(self, turn: Turn | None) -> None:
        """Show the passages of a turn, or why there are none."""
        citations = turn.citations if turn else ()
        changed = turn is not self._turn or citations is not self._shown
        self._turn, self._shown = turn, citations
        if changed:
            self._fill()
        self.query_one(Options).display = bool(citations)
        words = self.query_one(Static)
        words.display = not citations
        words.update(Content(_why_none(turn)))
        self.border_title = f"Sources {len(citations)}" if citations else "Sources"
        self.border_subtitle = "enter opens" if citations else ""

    def on_resize(self) -> None:
        if self.content_size.width != self._width:
            self._fill()

    def _fill(self) -> None:
        self._width = self.content_size.width
        options = self.query_one(Options)
        options.clear_options()
        question = self._turn.question if self._turn else ""
        for citation in self._shown:
            options.add_option(Option(describe_source(citation, question, width=max(16, self._width - 3))))
        options.highlighted = 0 if self._shown else None

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        if self._turn is not None:
            self.post_message(self.Chosen(self._turn, event.option_index))


def describe_source(citation: Citation, question: str, *, width: int) -> Content:
    """Number, document, place and similarity; the part of the passage with most of the question's words."""
    heading, _, where = for_terminal(citation.place, one_line=True).rpartition(" · ")
    similarity = "" if citation.similarity is None else f"similarity {citation.similarity:.2f}"
    head = Content.from_markup(
        "[$text-accent]\\[$number][/] [b]$document[/]",
        number=str(citation.number),
        document=for_terminal(citation.document, one_line=True),
    )
    about = [_muted("  ".join(filter(None, (where, similarity)))), _muted(heading)]
    text = for_terminal(citation.text, one_line=True)
    spans = word_spans(text, question)
    start, end = snippet(text, spans, _TEXT * width - width // 4)
    body = emphasised(text[start:end], [(a - start, b - start) for a, b in spans if start <= a and b <= end])
    if start:
        body = Content("… ") + body
    rows = [Content("  ").join([head, *about])] if width >= _ROOMY else [head, *about]
    rows += body.wrap(width)[:_TEXT]
    return Content("\n").join(
        [*(row.truncate(width, ellipsis=True) for row in rows), *([] if width >= _ROOMY else [Content(" ")])]
    )


def _muted(text: str) -> Content:
    return Content.from_markup("[$foreground-muted]$text[/]", text=text)


def _why_none(turn: Turn | None) -> str:
    if turn is None:
        return "The passages that an answer is drawn from stand here."
    if turn.index is None:
        return "This answer was given without the library. Choose an index to have sources."
    if turn.figures.get("not_in_library"):
        return f"Nothing in {turn.index} is like the question."
    return "" if turn.state == "waiting" else f"No passage of {turn.index} was given to the model."
