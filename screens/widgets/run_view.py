"""One run in full: how far it is, its curves, samples, log and recipe, read as they are written."""

from __future__ import annotations

import asyncio
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher, Log, Static

from screens.run_history import RunHistory, RunReader
from screens.watcher import Job
from screens.widgets.curves import Curves
from screens.widgets.job_figures import describe_run
from screens.widgets.samples import Samples
from screens.widgets.view_bar import ViewBar
from workbench.text import for_terminal

_VIEWS = ("curves", "samples", "log", "recipe")
_FOCUS = {"samples": "Samples Table", "log": "#log", "recipe": "#recipe"}


class RunView(Vertical):
    """Give it a run with `show`, again whenever the run has changed."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self._run: Job | None = None
        self._reader: RunReader | None = None
        self._reading: RunReader | None = None
        self._more_to_read = False
        self._unread = True
        self._history = RunHistory()
        self._lines_written = 0

    def compose(self) -> ComposeResult:
        yield Static(id="figures", markup=False)
        yield ViewBar(_VIEWS)
        with ContentSwitcher(initial=_VIEWS[0]):
            with Vertical(id="curves"):
                yield Curves()
            with Vertical(id="samples"):
                yield Samples()
            yield Log(id="log", max_lines=5000)
            with VerticalScroll(id="recipe"):
                yield Static(id="recipe-text", markup=False)

    def show(self, run: Job | None) -> None:
        """Show `run` as it is now; what it wrote since the last time is read in the background."""
        before, self._run = self._run, run
        if run is None or before is None or run.folder != before.folder:
            self._reader = RunReader(run.folder) if run else None
            self._history, self._unread = RunHistory(), True
            self._lines_written = 0
            self.border_title = Content(for_terminal(run.id, one_line=True)) if run else "Run"
            self.query_one(Log).clear()
            self.query_one("#recipe-text", Static).update("")
        self._show()
        self._read_on()

    def next_view(self) -> None:
        """The view after the one shown, the first after the last."""
        shown = _VIEWS.index(self.query_one(ViewBar).active)
        self._show_view(_VIEWS[(shown + 1) % len(_VIEWS)])

    @on(ViewBar.Chosen)
    def _view_chosen(self, event: ViewBar.Chosen) -> None:
        self._show_view(event.view)

    def _show_view(self, view: str) -> None:
        self.query_one(ContentSwitcher).current = view
        self.query_one(ViewBar).active = view
        if view in _FOCUS:
            self.query_one(_FOCUS[view]).focus()
        else:
            self.screen.query_one("#runs Table").focus()

    # Reading

    def _read_on(self) -> None:
        reader = self._reader
        if reader is not None and reader is self._reading:
            self._more_to_read = True
        elif reader is not None:
            self._reading = reader
            # The screen's, whose failures are reported.
            self.screen.run_worker(partial(self._read, reader), group="run", exit_on_error=False)

    async def _read(self, reader: RunReader) -> None:
        self._more_to_read = True
        try:
            while self._more_to_read and reader is self._reader:
                self._more_to_read = False
                if not self._unread:
                    news = await asyncio.to_thread(reader.news)
                    if reader is self._reader:
                        reader.feed(self._history, *news)
                else:
                    history = await asyncio.to_thread(reader.first)
                    if reader is self._reader:
                        self._history, self._unread = history, False
                recipe = await asyncio.to_thread(reader.recipe)
                if reader is self._reader:
                    self.query_one("#recipe-text", Static).update(Content(recipe))
                    self._show()
        finally:
            if self._reading is reader:
                self._reading = None

    # Showing

    def _show(self) -> None:
        history = self._history
        if self._run is not None:
            self.query_one("#figures", Static).update(describe_run(self._run, history.figures))
        self.query_one(Curves).show(history)
        self.query_one(Samples).show(history)
        log = self.query_one(Log)
        if new := history.lines_ever - self._lines_written:
            # A reader who has scrolled up is not dragged down.
            log.write_lines(list(history.log)[-new:], scroll_end=log.is_vertical_scroll_end)
            self._lines_written = history.lines_ever
