"""One turn of a chat: the question, the answer as it comes, and what it cost."""

from __future__ import annotations

import time
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from screens.answer_marks import AnswerMarks, Evidence, summary
from screens.conversation import Turn
from screens.widgets.marked_answer import MarkedAnswer
from screens.widgets.waiting import Waiting
from workbench.hybrid import Hybrid
from workbench.text import for_terminal

_EVERY = 0.05  # seconds between two writes: more would outrun Textual's layout


class TurnView(Vertical):
    """Shows a `Turn`. While it is being answered `hear` is called for every piece, and `finish` at the end.

    Each sentence of an answer that was given passages has a mark, as soon as it is finished. `go` goes from sentence to
    sentence and says what carries it.
    """

    DEFAULT_CSS = """
    TurnView {
        height: auto;
        padding: 0 1;
        margin-bottom: 1;
        & > .question { padding: 0 1; background: $boost; border-left: wide $accent; }
        & > .asked { padding: 0 2; color: $foreground 45%; text-wrap: nowrap; text-overflow: ellipsis; }
        & > Markdown { padding: 0 2; }
        & > Markdown > MarkdownBlock { margin: 0 0 1 0; }
        & > Markdown > MarkdownBlock:last-child { margin: 0; }
        & > .figures, & > .support { padding: 0 2; }
        &.-current > .question { border-left: wide $primary; background: $primary 20%; }
    }
    """

    @dataclass
    class SentenceChosen(Message):
        """Another sentence was gone to, or none."""

        turn: Turn
        evidence: Evidence | None

    @dataclass
    class PassageChosen(Message):
        """The passage of a sentence is to be opened in its document."""

        turn: Turn
        evidence: Evidence
        """Its `number` is not None."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.turn = turn
        self.evidence: Evidence | None = None
        """Of the sentence that was gone to."""
        self._stream: MarkdownStream | None = None
        self._timer: Timer | None = None
        self._last_write = 0.0

    def compose(self) -> ComposeResult:
        turn = self.turn
        yield Static(Content(for_terminal(turn.question)), classes="question")
        hybrid = Hybrid.parse(turn.hybrid)
        asked = Content.from_markup("$arm · $hybrid", arm=hybrid.arm, hybrid=for_terminal(turn.hybrid, one_line=True))
        yield Static(asked, classes="asked")
        # An answer of the past is whole; one that comes is written piece by piece.
        marks = self._marks()
        yield MarkedAnswer("" if turn.going else marks.more(turn.answer, ended=True), marks)
        yield Static(classes="support", markup=False)
        yield Waiting(classes="figures")

    def _marks(self) -> AnswerMarks:
        turn = self.turn
        library_told = not turn.figures.get("not_in_library")
        return AnswerMarks([passage.text for passage in turn.citations] if library_told else [], turn.question)

    def on_mount(self) -> None:
        self._answer.display = bool(self.turn.answer)
        self._show_support()
        if not self.turn.going:
            self._show_figures()

    async def on_unmount(self) -> None:
        if self._stream is not None:  # the answer goes on in another view, if this one was scrolled away
            stream, self._stream = self._stream, None
            await stream.stop()

    @property
    def _answer(self) -> MarkedAnswer:
        return self.query_one(MarkedAnswer)

    def wait_for(self, words: str) -> None:
        """Say what the answer waits for."""
        self.query_one(Waiting).wait_for(words)

    async def hear(self) -> None:
        """Show what has been added to the turn; at most twenty times a second."""
        if self._timer is not None or len(self.turn.answer) == self._answer.marks.written:
            return
        wait = self._last_write + _EVERY - time.monotonic()
        if wait > 0:
            self._timer = self.set_timer(wait, self._write)
        else:
            await self._write()

    async def finish(self) -> None:
        """Show the rest, and the figures."""
        await self._write()
        if self._stream is not None:
            await self._stream.stop()
            self._stream = None
        self._show_figures()

    async def _write(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        answer = self._answer
        if not answer.marks.written:
            answer.marks = self._marks()  # the passages are known by now
        finished = len(answer.marks.sentences)
        new = answer.marks.more(self.turn.answer, ended=not self.turn.going)
        if not new:
            return
        self._last_write = time.monotonic()
        if self._stream is None:
            answer.display = True
            self.wait_for("Writing")
            self._stream = Markdown.get_stream(answer)
        await self._stream.write(new)
        if len(answer.marks.sentences) > finished:
            self._show_support()

    # Going from sentence to sentence

    def go(self, step: int) -> None:
        """Go to another sentence that claims something: 1 the next, -1 the one before; past an end, to none."""
        answer = self._answer
        claims = answer.marks.claims
        if not claims:
            return
        at = claims.index(answer.chosen) if answer.chosen in claims else (-1 if step > 0 else len(claims))
        self.choose(claims[at + step] if 0 <= at + step < len(claims) else None)

    def choose(self, at: int | None, number: int | None = None) -> None:
        """Go to a sentence.

        Args:
            at: its place in the answer; None: to none.
            number: of the passage to show for it; None: the one that carries most of it.
        """
        answer = self._answer
        block = answer.choose(at)
        self.evidence = answer.marks.evidence(at, number) if at is not None else None
        if block is not None:
            block.scroll_visible(animate=False)
        self.post_message(self.SentenceChosen(self.turn, self.evidence))

    def forget_sentence(self) -> None:
        """Go to no sentence, without a word: another answer is looked at."""
        if self.evidence is not None:
            self.evidence = None
            self._answer.choose(None)

    def open_passage(self) -> bool:
        """Ask for the document of the passage that carries the sentence; whether there is one."""
        if (evidence := self.evidence) is None or evidence.number is None:
            return False
        self.post_message(self.PassageChosen(self.turn, evidence))
        return True

    @on(MarkedAnswer.PassageAsked)
    def _asked(self, event: MarkedAnswer.PassageAsked) -> None:
        event.stop()
        self.choose(event.sentence, event.number)
        self.open_passage()

    def _show_support(self) -> None:
        words, row = summary(self._answer.marks, going=self.turn.going), self.query_one(".support", Static)
        row.display = bool(words.plain)
        row.update(words)

    def _show_figures(self) -> None:
        self._show_support()
        self.query_one(Waiting).say(describe_answer(self.turn))


def describe_answer(turn: Turn) -> Content:
    """How the answer ended, what it cost, what it was drawn from."""
    figures = turn.figures
    parts: list[Content] = []
    if turn.better:
        parts.append(Content.from_markup("[$text-success]better[/]"))
    if turn.place[1] > 1:
        parts.append(_muted("answer {} of {}".format(*turn.place)))
    match turn.state:
        case "unanswered":
            parts.append(_warning("not answered"))
        case "stopped":
            parts.append(_warning("stopped"))
        case "failed":
            reason = for_terminal(turn.reason, one_line=True)
            parts.append(Content.from_markup("[$text-error]$reason[/]", reason=reason))
    if figures.get("not_in_library"):
        parts.append(Content.from_markup("[b $text-warning]not in the library[/]"))
        parts.append(_muted("nothing like it was found, so the model was not asked"))
        return Content("  ").join(parts)
    for name, form in (
        ("seconds_to_first_token", "first token {:.2f} s"),
        ("tokens_per_second", "{:.0f} tokens/s"),
        ("completion_tokens", "{:,} tokens"),
        ("prompt_tokens", "{:,} read"),
    ):
        if isinstance(value := figures.get(name), int | float):
            parts.append(_muted(form.format(value)))
    if kept := figures.get("cached_tokens"):
        parts.append(_muted(f"{kept:,} known"))
    if figures.get("path") == "transformers":
        parts.append(_muted("by transformers"))
    if turn.citations:
        parts.append(_muted(f"{len(turn.citations)} source{'' if len(turn.citations) == 1 else 's'}"))
    if figures.get("finish_reason") == "length":
        parts.append(_warning("cut at the limit"))
    cut = figures.get("cut") or {}
    for name, noun in (("passages", "passage"), ("turns", "older message")):
        if count := cut.get(name):
            parts.append(_warning(f"{count} {noun}{'' if count == 1 else 's'} did not fit"))
    return Content("  ").join(parts)


def _muted(text: str) -> Content:
    return Content.from_markup("[$foreground-muted]$text[/]", text=text)


def _warning(text: str) -> Content:
    return Content.from_markup("[$text-warning]$text[/]", text=text)
