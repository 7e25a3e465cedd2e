"""Search all chats by words; a result is a question or an answer, and leads to its turn."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from screens.conversation import with_store
from screens.modals.dialog import Dialog
from screens.modals.hints import hints
from screens.query_words import snippet, word_spans
from screens.times import ago
from screens.widgets.hits import emphasised
from screens.widgets.lists import Options
from workbench.chat.history import Found
from workbench.text import for_terminal
from workbench.workspace import Workspace


class FindInChats(Dialog[tuple[int, int] | None]):
    """The ids of the chat and of the question that were chosen; None when the user left."""

    CSS_PATH = "chats.tcss"
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close"),
        Binding("down", "app.focus_next", "Results", show=False),
        Binding("slash", "words", "Words", show=False),
    ]

    def __init__(self, workspace: Workspace, words: str = "") -> None:
        """`words`: what stands there at first."""
        super().__init__()
        self._workspace, self._words = workspace, words
        self._found: list[Found] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static("Search all chats", classes="dialog-title")
            yield Input(self._words, placeholder="words of a question or an answer", compact=True)
            yield Options(markup=False)
            yield Static(classes="dialog-detail", markup=False)
            yield Static(
                hints(("enter", "first", "open"), ("/", "words", "words"), ("escape", "leave", "close")),
                classes="dialog-keys",
            )

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.run_worker(self._search(event.value), group="search", exclusive=True, exit_on_error=False)

    async def _search(self, words: str) -> None:
        self._found = await with_store(self._workspace, lambda store: store.search(words))
        options = self.query_one(Options)
        options.clear_options()
        width = max(40, options.content_size.width - 3)
        options.add_options(Option(describe_found(found, words, width=width)) for found in self._found)
        count = len(self._found)
        said = f"{count} place{'' if count == 1 else 's'}" if count else "Nobody said so." if words.strip() else ""
        self.query_one(".dialog-detail", Static).update(Content(said))

    @on(Input.Submitted)
    def action_first(self) -> None:
        """Open what is highlighted, else the first."""
        if self._found:
            at = self.query_one(Options).highlighted or 0
            self.dismiss((self._found[at].chat, self._found[at].question))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        found = self._found[event.option_index]
        self.dismiss((found.chat, found.question))

    def action_words(self) -> None:
        self.query_one(Input).focus()

    def action_leave(self) -> None:
        self.dismiss(None)


def describe_found(found: Found, words: str, *, width: int) -> Content:
    """Two rows: the chat and when; the words among those around them."""
    text = for_terminal(found.content, one_line=True)
    spans = word_spans(text, words)
    start, end = snippet(text, spans, width - 4)
    body = emphasised(text[start:end], [(a - start, b - start) for a, b in spans if start <= a and b <= end])
    head = Content.from_markup(
        "[b]$title[/]  [$foreground-muted]$who  $when[/]",
        title=for_terminal(found.title, one_line=True) or "untitled",
        who="asked" if found.role == "user" else "answered",
        when=ago(found.created_at),
    )
    lead = Content("  … " if start else "  ")
    return Content("\n").join([head.truncate(width, ellipsis=True), (lead + body).truncate(width, ellipsis=True)])
