"""The documents of an index: a list, and the text of the one under the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable, Static

from screens.widgets.lists import Table
from screens.widgets.text_pane import TextPane
from workbench.text import for_terminal
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.library.catalogue import DocumentRow

_BATCH = 500  # rows added before the screen is painted again
_PREVIEW = 100_000  # characters shown beside the list; enter opens all of them


class DocumentsView(Vertical):
    """Give it an index with `show`; enter opens a document as a whole."""

    def __init__(self, workspace: Workspace, id: str | None = None) -> None:
        super().__init__(id=id)
        self._workspace = workspace
        self._index: str | None = None
        self._rows: Sequence[DocumentRow] = ()

    def compose(self) -> ComposeResult:
        yield Table(id="document-table", cursor_type="row", cell_padding=1)
        with Vertical(id="reading", classes="panel"):
            yield TextPane(id="document-text")
        yield Static(id="no-documents", markup=False)

    def on_mount(self) -> None:
        table = self.query_one(Table)
        for label in ("chunks", "size", "document", "title"):
            table.add_column(label, key=label)

    @property
    def document(self) -> DocumentRow | None:
        """The one under the cursor."""
        row = self.query_one(Table).cursor_row
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def show(self, index: str | None, otherwise: Content) -> None:
        """List the documents of an index; the cursor stays on its document.

        Args:
            index: None lists nothing.
            otherwise: what is said where there are none.
        """
        self.query_one("#no-documents", Static).update(otherwise)
        self.screen.run_worker(
            partial(self._fill, index), group="library-documents", exclusive=True, exit_on_error=False
        )

    async def _fill(self, index: str | None) -> None:
        from workbench.library.catalogue import documents

        rows = await asyncio.to_thread(documents, self._workspace, index) if index is not None else []
        table = self.query_one(Table)
        at = self.document.document if self.document and index == self._index else None
        self._index, self._rows = index, rows
        self.set_class(not rows, "-none")
        table.clear()
        self._read()
        for start in range(0, len(rows), _BATCH):
            for row in rows[start : start + _BATCH]:
                table.add_row(*_cells(row), key=row.document)
            await asyncio.sleep(0)
        if at is not None and any(row.document == at for row in rows):
            table.move_cursor(row=table.get_row_index(at))

    @on(DataTable.RowHighlighted)
    def _highlighted(self) -> None:
        self._read()

    def _read(self) -> None:
        self.screen.run_worker(
            partial(self._show_text, self._index, self.document),
            group="library-text",
            exclusive=True,
            exit_on_error=False,
        )

    async def _show_text(self, index: str | None, document: DocumentRow | None) -> None:
        from workbench.library.catalogue import document_text

        text = ""
        if index is not None and document is not None:
            text = await asyncio.to_thread(document_text, self._workspace, index, document.document)
        panel = self.query_one("#reading")
        panel.border_title = Content(for_terminal(document.document, one_line=True)) if document else ""
        panel.border_subtitle = "enter opens all of it" if len(text) > _PREVIEW else ""
        self.query_one(TextPane).show(text[:_PREVIEW])

    @on(DataTable.RowSelected)
    def _chosen(self) -> None:
        if self._index and self.document:
            from screens.modals.document import DocumentViewer

            self.app.push_screen(DocumentViewer(self._workspace, self._index, self.document.document))


def _cells(row: DocumentRow) -> tuple[Text, ...]:
    title = row.title if row.title != Path(row.document).stem else ""
    return (
        Text(f"{row.chunks:,}", justify="right"),
        Text(_size(row.size), justify="right"),
        Text(for_terminal(row.document, one_line=True), no_wrap=True, overflow="ellipsis"),
        Text(for_terminal(title, one_line=True), style="dim", no_wrap=True, overflow="ellipsis"),
    )


def _size(count: int) -> str:
    """Bytes in words: `812 B`, `3.4 kB`, `1.2 MB`."""
    if count < 1000:
        return f"{count} B"
    if count < 999_950:
        return f"{count / 1000:.1f} kB"
    return f"{count / 1e6:.1f} MB"
