"""Searching an index: a question, what retrieval finds for it and why, and each passage in its document."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList

from screens.passages import FoundPassage
from screens.server_client import ServerClient
from screens.widgets.hits import Hits
from screens.widgets.waiting import Waiting
from workbench.errors import UserError
from workbench.library.filters import parse
from workbench.library.ranking import best_fit
from workbench.library.retrieval_tests import RetrievalTest
from workbench.text import for_terminal
from workbench.workspace import Workspace

_PASSAGES = 20  # asked for
_TYPING = 0.12  # seconds without a key before a warm server is asked
_HOW = (
    "[$foreground-muted]A question or words, perhaps in:FOLDER/ type:pdf since:2026-01-31. Found by meaning ([/]"
    "[$text-primary]dense[/][$foreground-muted]) and by words ([/][$text-accent]BM25[/][$foreground-muted],"
    " [/][$text-success]close[/][$foreground-muted] together).[/]"
)
_FOUND = (
    "[$foreground-muted]$count found in $took$fit   [/][$text-primary]dense[/][$foreground-muted] meaning"
    "   [/][$text-accent]BM25[/][$foreground-muted] words[/]"
)


class SearchView(Vertical):
    """Enter searches, and starts the server where none runs; once it has the index open, typing searches too."""

    def __init__(self, workspace: Workspace, server: ServerClient, id: str | None = None) -> None:
        super().__init__(id=id)
        self._workspace, self._server = workspace, server
        self._index: str | None = None
        self._shown: tuple[str, str] | None = None  # the index and the question of the hits
        self._open: set[str] = set()  # indexes that the server has open, as far as is known

    def compose(self) -> ComposeResult:
        yield Input(id="question", placeholder="what to look for", compact=True)
        yield Waiting(id="found")
        yield Hits(id="hits")

    def on_mount(self) -> None:
        self._say(_HOW)

    def choose(self, index: str | None) -> None:
        """Search another index; a question that stands there is asked again."""
        self._index, self._shown = index, None
        self.query_one(Hits).show([], "")
        self._say(_HOW)
        self._changed()

    def focus_question(self) -> None:
        """To type, the old question selected."""
        question = self.query_one("#question", Input)
        question.focus()
        question.action_select_all()

    @property
    def has_hits(self) -> bool:
        """Whether there is anything to go through."""
        return bool(self.query_one(Hits).hits)

    @property
    def _question(self) -> str:
        return self.query_one("#question", Input).value.strip()

    @on(Input.Changed)
    def _changed(self) -> None:
        question = self._question
        if question and self._index in self._open and (self._index, question) != self._shown:
            self._start(question, after=_TYPING)

    @on(Input.Submitted)
    def _asked(self) -> None:
        question = self._question
        if not question or self._index is None:
            return
        if (self._index, question) == self._shown:
            self.query_one(Hits).focus()
        else:
            self._start(question, go_to_hits=True)

    def _start(self, question: str, *, after: float = 0.0, go_to_hits: bool = False) -> None:
        self.screen.run_worker(
            partial(self._search, str(self._index), question, after, go_to_hits),
            group="library-search",
            exclusive=True,
            exit_on_error=False,
        )

    async def _search(self, index: str, question: str, after: float, go_to_hits: bool) -> None:
        await asyncio.sleep(after)
        found, hits = self.query_one("#found", Waiting), self.query_one(Hits)
        if not await asyncio.to_thread(self._server.runs):
            self._open.clear()
            found.wait_for("Starting the server and loading the embedding model")
        elif index not in self._open:
            found.wait_for("Searching; the first time the embedding model is loaded")
        began = time.monotonic()
        try:
            words, filter = parse(question)
            if not words:
                raise UserError("a filter alone asks nothing", do="Write a question after it.")
            listed = await self._server.client.search(index, words, _PASSAGES, filter=filter)
        except UserError as error:
            if index == self._index:
                self._shown = None
                hits.show([], question)
                found.say(Content.from_markup("[$text-error]$error[/]", error=for_terminal(str(error), one_line=True)))
            return
        seconds = time.monotonic() - began
        took = _took(seconds, loading=index not in self._open)
        self._open.add(index)
        if index != self._index:  # another was chosen meanwhile
            return
        needed = (await asyncio.to_thread(self._workspace.settings)).retrieval.min_fit
        self._shown = (index, question)
        self._say(_FOUND, count=str(len(listed)), took=took, fit=_fit(listed, needed))
        hits.show(listed, words)
        if go_to_hits and listed and self.query_one("#question").has_focus:
            hits.focus()

    def current_test(self) -> tuple[str, RetrievalTest] | None:
        """The index, and the question with the highlighted hit as its right passage; None where there is no hit."""
        hits = self.query_one(Hits)
        if self._shown is None or hits.highlighted is None or not hits.hits:
            return None
        hit = hits.hits[hits.highlighted]
        question, _ = parse(self._shown[1])
        return self._shown[0], RetrievalTest(question, hit["document"], hit["text"], hit["start"])

    def _say(self, markup: str, **words: str) -> None:
        self.query_one("#found", Waiting).say(Content.from_markup(markup, **words))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if self._shown is None:
            return
        from screens.modals.document import DocumentViewer

        index, typed = self._shown
        question, _ = parse(typed)
        found = [FoundPassage.of_hit(hit) for hit in self.query_one(Hits).hits]
        viewer = DocumentViewer.at_passage(self._workspace, index, found, event.option_index, question)
        self.app.push_screen(viewer)


def _fit(hits: Sequence[Mapping[str, Any]], needed: float) -> str:
    """What a chat would make of it, where the embedding model was calibrated."""
    best = best_fit(hits)
    if best is None:
        return ""
    return f"  {'in' if best >= needed else 'not in'} the library: {best:.0%}"


def _took(seconds: float, *, loading: bool) -> str:
    return f"{seconds:.1f} s with loading" if loading else f"{seconds * 1000:.0f} ms"
