"""A document of the library to read, opened at a passage of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from screens.modals.dialog import Dialog
from screens.passages import FoundPassage
from screens.widgets.text_pane import TextPane
from workbench.text import for_terminal
from workbench.workspace import Workspace


class DocumentViewer(Dialog[None]):
    """The whole text of a document as the index holds it.

    Args:
        workspace: whose.
        index: the index that holds it.
        document: its name in the index.
        passages: what is marked, one at a time, in the order of `n`; none opens the beginning.
        at: which of them first.
        question: its words are emphasised in the passage.
    """

    CSS_PATH = "document.tcss"
    AUTO_FOCUS = "TextPane"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close"),
        Binding("n", "step(1)", "Next passage", show=False),
        Binding("N", "step(-1)", "Passage before", show=False),
    ]

    def __init__(
        self,
        workspace: Workspace,
        index: str,
        document: str,
        *,
        passages: Sequence[FoundPassage] = (),
        at: int = 0,
        question: str = "",
    ) -> None:
        super().__init__()
        self._workspace, self._index, self._document = workspace, index, document
        self._passages, self._at, self._question = list(passages), at, question
        self._text: str | None = None

    @classmethod
    def at_passage(
        cls, workspace: Workspace, index: str, found: Sequence[FoundPassage], at: int, question: str
    ) -> DocumentViewer:
        """Open the document of `found[at]` at that passage; `n` goes to the others of the same document."""
        chosen = found[at]
        same = [passage for passage in found if passage.document == chosen.document]
        same.sort(key=lambda passage: (passage.start or 0, passage.line or 0))
        return cls(workspace, index, chosen.document, passages=same, at=same.index(chosen), question=question)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(classes="dialog-title", markup=False)
            yield TextPane()
            yield Static(self._keys(), classes="viewer-keys")

    def on_mount(self) -> None:
        self._show_title()
        self.run_worker(self._load, group="document", exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A document that cannot be read closes the viewer; why is told as any failure is."""
        if event.worker.group == "document" and event.state is WorkerState.ERROR:
            self.dismiss(None)

    async def _load(self) -> None:
        from workbench.library.catalogue import document_text

        self._text = await asyncio.to_thread(document_text, self._workspace, self._index, self._document)
        self._show_passage(self._text)

    @property
    def _passage(self) -> FoundPassage | None:
        return self._passages[self._at] if self._passages else None

    def _show_passage(self, text: str) -> None:
        passage = self._passage
        pane = self.query_one(TextPane)
        span = passage.span_in(text) if passage else None
        if pane.text:
            pane.mark(span, self._question, passage.words if passage else ())
        else:
            numbered = self._document.lower().endswith((".md", ".markdown", ".txt", ".text"))
            question, words = (self._question, passage.words) if passage else ("", ())
            pane.show(text, passage=span, question=question, words=words, numbers=numbered)
        self._show_title(gone=passage is not None and span is None)

    def _show_title(self, *, gone: bool = False) -> None:
        passage = self._passage
        title = Content.from_markup(
            "[b]$document[/]  [$text-warning]$gone[/][$foreground-muted]$place  $index[/]",
            document=for_terminal(self._document, one_line=True),
            gone="has changed: it no longer holds the passage  " if gone else "",
            place=for_terminal(passage.place, one_line=True) if passage else "",
            index=self._index,
        )
        self.query_one(".dialog-title", Static).update(title)

    def _keys(self) -> Content:
        several = f"[b]n N[/] {len(self._passages)} passages   " if len(self._passages) > 1 else ""
        return Content.from_markup(f"[b]j k ctrl+d ctrl+u g G[/] scroll   {several}[b]escape[/] close")

    def action_step(self, step: int) -> None:
        if self._text is not None and len(self._passages) > 1:
            self._at = (self._at + step) % len(self._passages)
            self._show_passage(self._text)

    def action_leave(self) -> None:
        self.dismiss(None)
