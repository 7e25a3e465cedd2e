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

from screens.answer_marks import COLOURS, Evidence
from screens.conversation import Turn
from screens.query_words import Span, snippet, word_spans
from screens.widgets.hits import emphasised
from screens.widgets.lists import Options
from workbench.chat.marking import MARKS
from workbench.text import for_terminal

if TYPE_CHECKING:
    from workbench.chat.answer import Citation

_TEXT = 2  # rows of a passage's text
_OPENED = 12  # rows at most of the text of the passage that carries a sentence
_ROOMY = 56  # cells in which all about a passage has room on one row


class Sources(Vertical):
    """Give it a turn with `show`, a sentence of its answer with `show_evidence`; enter or a click on a passage asks for
    its document."""

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
        words: tuple[Span, ...] = ()
        """Of the passage's text, those that carry the sentence for which it is shown."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self.border_title = "Sources"
        self._turn: Turn | None = None
        self._shown: Sequence[Citation] = ()
        self._evidence: Evidence | None = None
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
            self._evidence = None
            self._fill()
        self.query_one(Options).display = bool(citations)
        words = self.query_one(Static)
        words.display = not citations
        words.update(Content(_why_none(turn)))
        self.border_title = f"Sources {len(citations)}" if citations else "Sources"
        self._show_keys()

    def show_evidence(self, turn: Turn, evidence: Evidence | None) -> None:
        """Show the passage that carries a sentence of the turn, its words emphasised; None: none was gone to."""
        self.show(turn)
        if evidence is not self._evidence:
            self._evidence = evidence
            self._fill()
            self._show_keys()

    def forget_evidence(self) -> None:
        """Show the passages without a sentence's words."""
        if self._evidence is not None:
            self._evidence = None
            self._fill()
            self._show_keys()

    def _show_keys(self) -> None:
        if (evidence := self._evidence) is None:
            self.border_subtitle = ". , sentences · enter opens" if self._shown else ""
            return
        # A border's title is markup: nothing but numbers and marks goes into it.
        at, of = evidence.place
        where = f"[$foreground-muted]sentence {at} of {of}[/] " if at else ""
        verdict = evidence.sentence.verdict
        said = "" if evidence.number is not None else " no passage"
        mark = f"[{COLOURS[verdict]}]{MARKS[verdict]}{said}[/]" if verdict in MARKS else ""
        keys = " [$foreground-muted]· o opens[/]" if evidence.number is not None else ""
        self.border_subtitle = f"{where}{mark}{keys}"

    def on_resize(self) -> None:
        if self.content_size.width != self._width:
            self._fill()

    def _fill(self) -> None:
        self._width = self.content_size.width
        options = self.query_one(Options)
        options.clear_options()
        question = self._turn.question if self._turn else ""
        shown, width = self._evidence.number if self._evidence else None, max(16, self._width - 3)
        for number, citation in enumerate(self._shown, 1):
            evidence = self._evidence if number == shown else None
            rows = min(_OPENED, max(_TEXT, self.content_size.height - 2)) if evidence else _TEXT
            options.add_option(Option(describe_source(citation, question, width=width, evidence=evidence, rows=rows)))
        options.highlighted = (shown - 1 if shown else 0) if self._shown else None
        if shown:  # after the layout: the passage has grown
            self.call_after_refresh(options.scroll_to_highlight, top=True)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        if self._turn is not None:
            evidence, at = self._evidence, event.option_index
            words = evidence.words if evidence is not None and evidence.number == at + 1 else ()
            self.post_message(self.Chosen(self._turn, at, words))


def describe_source(
    citation: Citation, question: str, *, width: int, evidence: Evidence | None = None, rows: int = _TEXT
) -> Content:
    """Number, document, place and similarity; the part of the passage with most of the question's words.

    Args:
        citation: the passage.
        question: what was asked.
        width: cells.
        evidence: a sentence that it carries, whose words are emphasised instead of the question's.
        rows: of its text, at most.
    """
    heading, _, where = for_terminal(citation.place, one_line=True).rpartition(" · ")
    similarity = "" if citation.similarity is None else f"similarity {citation.similarity:.2f}"
    head = Content.from_markup(
        "[$text-accent]\\[$number][/] [b]$document[/]",
        number=str(citation.number),
        document=for_terminal(citation.document, one_line=True),
    )
    about = [_muted("  ".join(filter(None, (where, similarity)))), _muted(heading)]
    text = _flat(citation.text)
    spans = list(evidence.words) if evidence else word_spans(text, question)
    start, end = snippet(text, spans, rows * width - width // 4)
    inside = [(a - start, b - start) for a, b in spans if start <= a and b <= end]
    if evidence:
        body, style = Content(text[start:end]), f"{COLOURS[evidence.sentence.verdict]} bold"
        for span in inside:
            body = body.stylize(style, *span)
    else:
        body = emphasised(text[start:end], inside)
    if start:
        body = Content("… ") + body
    lines = [Content("  ").join([head, *about])] if width >= _ROOMY else [head, *about]
    lines += body.wrap(width)[:rows]
    return Content("\n").join(
        [*(line.truncate(width, ellipsis=True) for line in lines), *([] if width >= _ROOMY else [Content(" ")])]
    )


def _flat(text: str) -> str:
    """A text on one line, safe to paint, in which every character keeps its place."""
    return for_terminal(text.replace("\r", " ")).replace("\n", " ").replace("\t", " ")


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
