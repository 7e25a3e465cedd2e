"""Library: index folders of documents, read them, and see what retrieval finds in them and why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import ContentSwitcher, DataTable, Static

from screens.base import WorkbenchScreen
from screens.commands import bindings
from screens.library_state import (
    KEEP,
    REEMBED,
    IndexLine,
    choices_of,
    index_lines,
    messages_of,
    other_embedder,
)
from screens.modals.choose import Choose
from screens.server_client import ServerClient
from screens.watcher import JobBoard
from screens.widgets.documents_view import DocumentsView
from screens.widgets.index_figures import describe_absence, describe_index, index_mark
from screens.widgets.lists import Table
from screens.widgets.search_view import SearchView
from screens.widgets.text_pane import TextPane
from screens.widgets.view_bar import ViewBar
from workbench.errors import UserError
from workbench.jobs import control
from workbench.library.retrieval_tests import add_tests
from workbench.text import for_terminal

if TYPE_CHECKING:
    from screens.modals.add_documents import ToIndex
    from workbench.library.catalogue import IndexSummary
    from workbench.library.identity import Embedders
    from workbench.library.in_step import InStep

_LOOK = 1.0  # seconds between two looks at what is told by those who follow the indexes
_VIEWS = ("documents", "search", "messages")
_EMPTY = (
    "[b]No index yet.[/]\n\n"
    "[$foreground-muted]An index holds the passages of your documents, found by their meaning and by their words,"
    " so that answers can cite them.[/]\n\n"
    "Press [b $text-accent]a[/] to add a folder of Markdown, text, HTML, PDF or Word files."
)


class LibraryScreen(WorkbenchScreen):
    """Indexes on the left; of the one under the cursor its documents, a search, and what its builds told."""

    SCOPE = "library"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "library.tcss"
    AUTO_FOCUS = "#index-table"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._summaries: Sequence[IndexSummary] | None = None  # None until they were read
        self._in_step: dict[str, InStep] = {}
        self._lines: list[IndexLine] = []
        self._selected: str | None = None
        self._listed: tuple[object, ...] | None = None  # what the documents shown depend on
        self._messages_read: tuple[str, int] | None = None
        self._not_indexed = 0  # files that the job going on has passed over

    def body(self) -> ComposeResult:
        self._server = ServerClient(self.workspace)
        with Horizontal(id="panels"):
            with Vertical(id="indexes", classes="panel") as indexes:
                indexes.border_title = "Indexes"
                yield Table(id="index-table", cursor_type="row", cell_padding=1)
            with Vertical(id="index", classes="panel"):
                yield Static(id="facts", markup=False)
                yield ViewBar(_VIEWS)
                with ContentSwitcher(initial="documents"):
                    yield DocumentsView(self.workspace, id="documents")
                    yield SearchView(self.workspace, self._server, id="search")
                    with Vertical(id="messages"):
                        yield TextPane()
            yield Static(Content.from_markup(_EMPTY), id="empty", classes="panel")

    def on_mount(self) -> None:
        table = self.query_one("#index-table", Table)
        for label, width in (("", 1), ("index", 12), ("docs", None), ("chunks", None)):
            table.add_column(label, key=label, width=width)
        self.set_interval(_LOOK, self._look_in_step)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show_indexes())

    async def on_unmount(self) -> None:
        await self._server.close()

    # What changes

    def refresh_data(self) -> None:
        self.run_worker(self._load, group="library-indexes", exclusive=True, exit_on_error=False)

    def jobs_changed(self, board: JobBoard) -> None:
        if any(job.kind == "index" for job in board.ended):
            self.refresh_data()
        elif self._summaries is not None:
            self._show_indexes()

    async def _load(self) -> None:
        from workbench.library.catalogue import indexes

        self._summaries = await asyncio.to_thread(indexes, self.workspace)
        self._in_step = {each.name: each.in_step for each in self._summaries if each.in_step is not None}
        self._show_indexes()

    def _look_in_step(self) -> None:
        if self.is_current and self._summaries:
            self.run_worker(self._load_in_step, group="library-in-step", exclusive=True, exit_on_error=False)

    async def _load_in_step(self) -> None:
        """What those who follow the indexes tell; an index that has been updated meanwhile is read again."""
        from workbench.library.catalogue import followed

        before, self._in_step = self._in_step, await asyncio.to_thread(followed, self.workspace)
        if self._in_step == before:
            return
        self._show_indexes()
        if any(stands.state == "in step" and before.get(name) != stands for name, stands in self._in_step.items()):
            self.refresh_data()

    @property
    def _line(self) -> IndexLine | None:
        return next((line for line in self._lines if line.name == self._selected), None)

    # What is shown

    def _show_indexes(self) -> None:
        self._lines = index_lines(self._summaries or (), self.app.board.jobs, self._in_step)
        table = self.query_one("#index-table", Table)
        names = [line.name for line in self._lines]
        if names != [row.value for row in table.rows]:
            with self.prevent(DataTable.RowHighlighted):
                table.clear()
                for line in self._lines:
                    table.add_row(*self._cells(line), key=line.name)
                if self._selected in names:
                    table.move_cursor(row=names.index(self._selected))
        else:
            for line in self._lines:
                for column, cell in zip(table.columns, self._cells(line), strict=True):
                    if table.get_cell(line.name, column) != cell:
                        table.update_cell(line.name, column, cell, update_width=True)
        for part in ("#indexes", "#index"):
            self.query_one(part).display = bool(names)
        self.query_one("#empty").display = not names
        if self._selected not in names:
            self._select(names[0] if names else None)
        self._show_index()
        self.refresh_bindings()

    def _cells(self, line: IndexLine) -> tuple[Text, ...]:
        summary, progress = line.summary, line.job.status.progress if line.job and line.live else None
        documents, chunks = (f"{summary.documents:,}", f"{summary.chunks:,}") if summary else ("", "")
        if progress is not None and progress.fraction is not None:
            chunks = f"{progress.fraction:.0%}"
        return (
            index_mark(line, self.app.theme_variables),
            Text(for_terminal(line.name, one_line=True), no_wrap=True, overflow="ellipsis"),
            Text(documents, justify="right"),
            Text(chunks, justify="right"),
        )

    @on(DataTable.RowHighlighted, "#index-table")
    def _highlighted(self, event: DataTable.RowHighlighted) -> None:
        if event.row_key.value != self._selected:
            self._select(event.row_key.value)

    @on(DataTable.RowSelected, "#index-table")
    def _chosen(self) -> None:
        self._focus_view()

    def _select(self, name: str | None) -> None:
        self._selected, self._messages_read, self._not_indexed = name, None, 0
        self._show_index()
        self.query_one(SearchView).choose(name)
        self.refresh_bindings()

    def _show_index(self) -> None:
        line = self._line
        self.query_one("#index").border_title = Content(for_terminal(line.name, one_line=True)) if line else ""
        self.query_one("#facts", Static).update(describe_index(line, self._not_indexed) if line else "")
        self._show_documents(line)
        if line is not None and (line.live or self._view == "messages"):
            self._show_messages(line)

    def _show_documents(self, line: IndexLine | None) -> None:
        """List them again when there may be others."""
        held = line is not None and line.summary is not None and line.state != "damaged"
        summary = replace(line.summary, in_step=None) if line and line.summary else None
        listed = (line.name, summary, None if held else line.state) if line else None
        if listed != self._listed:
            self._listed = listed
            self.query_one(DocumentsView).show(line.name if line and held else None, describe_absence(line))

    def _show_messages(self, line: IndexLine) -> None:
        read = (line.job.id, line.job.events_size) if line.job else (line.name, 0)
        if read != self._messages_read:
            self._messages_read = read
            work = partial(self._load_messages, line)
            self.run_worker(work, group="library-messages", exclusive=True, exit_on_error=False)

    async def _load_messages(self, line: IndexLine) -> None:
        lines = await asyncio.to_thread(messages_of, self.workspace, line)
        if line.name != self._selected:
            return
        pane = self.query_one("#messages TextPane", TextPane)
        at = pane.scroll_y
        self._not_indexed = sum(line.startswith("!") for line in lines)
        self.query_one("#facts", Static).update(describe_index(line, self._not_indexed))
        pane.show("\n".join(lines) or "Nothing to tell: every file was indexed.")
        pane.scroll_to(y=at, animate=False)

    # What the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        line = self._line
        match action:
            case "update":
                return True if line is not None and not line.live and line.state != "damaged" else None
            case "stop":
                return True if line is not None and line.live and line.state != "stopping" else None
            case "search" | "view" | "open_tests":
                return True if line is not None else None
            case "save_test":
                return True if self._view == "search" and self.query_one(SearchView).has_hits else None
        return True

    def action_add(self) -> None:
        from screens.modals.add_documents import AddDocuments

        names = [line.name for line in self._lines]
        self.app.push_screen(AddDocuments(self.workspace.root, names), self._added)

    def _added(self, asked: ToIndex | None) -> None:
        if asked is None:
            return
        with self.reporting():
            line = next((line for line in self._lines if line.name == asked.name), None)
            if line is not None and line.live:
                raise UserError(f"the index {asked.name!r} is being built", do="Wait for it, or stop it with s.")
            arguments = {"name": asked.name, "paths": [str(asked.path)], "add": line is not None}
            self._start_job(asked.name, arguments, f"index {asked.name}")

    def action_update(self) -> None:
        line = self._line
        if line is None or line.live:
            return
        if (bad := line.ended_badly) is not None:
            control.resume(bad.folder)
            self._follow(line.name)
        else:
            self.run_worker(
                partial(self._update, line.name), group="library-update", exclusive=True, exit_on_error=False
            )

    async def _update(self, name: str) -> None:
        """Update an index; where its embedding model is another one now, ask what that should mean."""
        with self.reporting():
            compared = await asyncio.to_thread(other_embedder, self.workspace, name)
            if compared is None:
                self._start_update(name)
                return
            self.app.push_screen(
                Choose(f"The index {name} {compared.difference}.", choices_of(compared)),
                partial(self._embedder_chosen, compared),
            )

    def _embedder_chosen(self, compared: Embedders, answer: str | None) -> None:
        if answer == KEEP and compared.asked != compared.embedded_with:
            self._start_update(compared.index)
        elif answer == REEMBED:
            self._start_update(compared.index, embedder=compared.asked, reembed=True)

    def _start_update(self, name: str, **embedder: Any) -> None:
        with self.reporting():
            self._start_job(name, {"name": name, "update": True, **embedder}, f"update index {name}")

    def _start_job(self, name: str, arguments: dict[str, Any], title: str) -> None:
        control.start(self.workspace, "index", arguments, title=title)
        self._follow(name)

    def _follow(self, name: str) -> None:
        """Show the job that was just started."""
        self.app.look_at_jobs()
        self._show_indexes()
        table = self.query_one("#index-table", Table)
        if name in [row.value for row in table.rows]:
            table.move_cursor(row=table.get_row_index(name))
        table.focus()

    def action_stop(self) -> None:
        job = self._line.job if self._line else None
        if job is not None and job.live:
            control.stop(job.folder)
            self.app.look_at_jobs()

    def action_search(self) -> None:
        self._show_view("search")
        self.query_one(SearchView).focus_question()

    async def action_save_test(self) -> None:
        if (saved := self.query_one(SearchView).current_test()) is None:
            return
        index, test = saved
        with self.reporting():
            new = await asyncio.to_thread(add_tests, self.workspace, index, [test])
            said = "Saved as a retrieval test; e evaluates them." if new else "It is a retrieval test already."
            self.notify(said, markup=False)

    def action_open_tests(self) -> None:
        from screens.modals.retrieval_tests import RetrievalTests

        if (line := self._line) is not None:
            self.app.push_screen(RetrievalTests(self.workspace, line.name, self._server))

    def action_view(self) -> None:
        self._show_view(_VIEWS[(_VIEWS.index(self._view) + 1) % len(_VIEWS)])
        self._focus_view()

    @on(ViewBar.Chosen)
    def _view_chosen(self, event: ViewBar.Chosen) -> None:
        self._show_view(event.view)
        self._focus_view()

    @property
    def _view(self) -> str:
        return self.query_one(ContentSwitcher).current or _VIEWS[0]

    def _show_view(self, view: str) -> None:
        self.query_one(ContentSwitcher).current = view
        self.query_one(ViewBar).active = view
        self._show_index()

    def _focus_view(self) -> None:
        """What can be gone through in the view; never a field to type in, where `v` would be a letter."""
        inside = {
            "documents": "#document-table" if self.query_one(DocumentsView).document else "",
            "search": "#hits" if self.query_one(SearchView).has_hits else "",
            "messages": "#messages TextPane",
        }
        self.query_one(inside[self._view] or "#index-table").focus()

    def action_leave(self) -> None:
        """One step back."""
        focused = self.focused.id if self.focused else None
        if focused == "hits":
            self.query_one(SearchView).focus_question()
        elif self._view != "documents":
            self._show_view("documents")
            self._focus_view()
        else:
            self.query_one("#index-table").focus()
