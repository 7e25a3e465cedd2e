"""One turn of a chat: the question, the answer as it comes, and what it cost."""

from __future__ import annotations

import time

from markdown_it import MarkdownIt
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from screens.conversation import Turn
from screens.widgets.waiting import Waiting
from workbench.hybrid import Hybrid
from workbench.text import for_terminal

_EVERY = 0.05  # seconds between two writes: more would outrun Textual's layout


def _parser() -> MarkdownIt:
    """Markdown in which nothing disappears: HTML and link definitions ("[1]: ...") are shown as they are written."""
    return MarkdownIt("gfm-like", {"html": False, "linkify": False}).disable("reference")


class TurnView(Vertical):
    """Shows a `Turn`. While it is being answered `hear` is called for every piece, and `finish` at the end."""

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
        & > .figures { padding: 0 2; }
        &.-current > .question { border-left: wide $primary; background: $primary 20%; }
    }
    """

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.turn = turn
        self._stream: MarkdownStream | None = None
        self._written = 0
        self._timer: Timer | None = None
        self._last_write = 0.0

    def compose(self) -> ComposeResult:
        turn = self.turn
        yield Static(Content(for_terminal(turn.question)), classes="question")
        hybrid = Hybrid.parse(turn.hybrid)
        asked = Content.from_markup("$arm · $hybrid", arm=hybrid.arm, hybrid=for_terminal(turn.hybrid, one_line=True))
        yield Static(asked, classes="asked")
        # An answer of the past is whole; one that comes is written piece by piece.
        yield Markdown("" if turn.going else for_terminal(turn.answer), parser_factory=_parser, open_links=False)
        yield Waiting(classes="figures")

    def on_mount(self) -> None:
        self.query_one(Markdown).display = bool(self.turn.answer)
        if not self.turn.going:
            self._show_figures()

    def wait_for(self, words: str) -> None:
        """Say what the answer waits for."""
        self.query_one(Waiting).wait_for(words)

    async def hear(self) -> None:
        """Show what has been added to the turn; at most twenty times a second."""
        if self._timer is not None or len(self.turn.answer) == self._written:
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
        new = self.turn.answer[self._written :]
        if new.endswith("\r") and self.turn.going:
            new = new[:-1]  # its newline may come next
        if not new:
            return
        self._written += len(new)
        self._last_write = time.monotonic()
        markdown = self.query_one(Markdown)
        if self._stream is None:
            markdown.display = True
            self.wait_for("Writing")
            self._stream = Markdown.get_stream(markdown)
        await self._stream.write(for_terminal(new))

    def _show_figures(self) -> None:
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
