"""One run in full: how far it is, its curves, samples, log and recipe, read as they are written.

Only the view that is shown is brought up to date, the others when they are turned to.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import ContentSwitcher, Log, Static

from screens.run_history import RunHistory
from screens.run_reader import RunReader
from screens.watcher import Job
from screens.widgets.curves import Curves
from screens.widgets.job_figures import describe_run, run_news
from screens.widgets.samples import Samples
from screens.widgets.view_bar import ViewBar
from workbench.text import for_terminal

_VIEWS = ("curves", "samples", "log", "recipe")
_FOCUS = {"samples": "Samples Table", "log": "#log", "recipe": "#recipe"}
_AT_ONCE = 64 * 1024  # bytes of news that are read without a thread
_LOG_EVERY = 5.0  # seconds between two additions to the log of a live run: a log that grows is laid out anew


class RunView(Vertical):
    """Give it a run with `show`, again whenever the run has changed."""

    class Viewed(Message):
        """Another view is shown than before."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self._run: Job | None = None
        self._reader: RunReader | None = None
        self._history = RunHistory()
        self._unread = True
        self._reading: RunReader | None = None
        self._turn = asyncio.Lock()
        """A reader is for one thread at a time."""
        self._more_to_read = False
        self._others: dict[str, RunReader] = {}
        self._histories: dict[str, RunHistory] = {}
        """Of the runs laid over, those that were read."""
        self._told = 0
        """How much of the history's log is in the widget."""
        self._logged = 0.0
        self._figures = Content()

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

    @property
    def view(self) -> str:
        """The name of the view that is shown."""
        return self.query_one(ViewBar).active

    @property
    def history(self) -> RunHistory:
        """What the run has told so far."""
        return self._history

    @property
    def overlaid(self) -> list[str]:
        """The names of the runs laid over this one."""
        return list(self._others)

    def show(self, run: Job | None) -> None:
        """Show `run` as it is now; much that it wrote since the last time is read in the background."""
        before, self._run = self._run, run
        if run is None or before is None or run.folder != before.folder:
            self._reader = RunReader(run.folder) if run else None
            self._history, self._unread = RunHistory(), True
            self._told = 0
            self.border_title = Content(for_terminal(run.id, one_line=True)) if run else "Run"
            self.query_one(Log).clear()
            self.query_one("#recipe-text", Static).update("")
        if self._reader is None or self._unread or self._reading is self._reader or self._much_is_new():
            self._show()
            self._read_on()
        else:
            self._reader.feed(self._history, *self._reader.news())
            for name, reader in self._others.items():
                if name in self._histories:
                    reader.feed(self._histories[name], *reader.news())
            self._show()

    def overlay(self, runs: list[Job]) -> None:
        """Lay the curves of other runs over this one's, instead of those that were."""
        kept = self._others
        self._others = {run.id: kept.get(run.id) or RunReader(run.folder) for run in runs}
        self._histories = {name: self._histories[name] for name in self._others if name in self._histories}
        self._show()
        self._read_on()

    def next_view(self) -> None:
        """The view after the one shown, the first after the last."""
        self._show_view(_VIEWS[(_VIEWS.index(self.view) + 1) % len(_VIEWS)])

    @on(ViewBar.Chosen)
    def _view_chosen(self, event: ViewBar.Chosen) -> None:
        self._show_view(event.view)

    def _show_view(self, view: str) -> None:
        self.query_one(ContentSwitcher).current = view
        self.query_one(ViewBar).active = view
        self._logged = 0.0
        self._show()
        if view in _FOCUS:
            self.query_one(_FOCUS[view]).focus()
        else:
            self.screen.query_one("#runs Table").focus()
        self.post_message(self.Viewed())

    # Reading

    def _much_is_new(self) -> bool:
        readers = [reader for reader in (self._reader, *self._others.values()) if reader]
        return any(name not in self._histories for name in self._others) or any(
            reader.unread > _AT_ONCE for reader in readers
        )

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
            async with self._turn:
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
                    await self._read_others()
                    if reader is self._reader:
                        self._show()
        finally:
            if self._reading is reader:
                self._reading = None

    async def _read_others(self) -> None:
        for name, other in list(self._others.items()):
            if name in self._histories:
                news = await asyncio.to_thread(other.news)
                if self._others.get(name) is other:
                    other.feed(self._histories[name], *news)
            else:
                history = await asyncio.to_thread(other.first)
                if self._others.get(name) is other:
                    self._histories[name] = history

    # Showing

    @on(Curves.Relooked)
    def _show_look(self) -> None:
        words = self.query_one(Curves).look.words if self.view == "curves" else ""
        if words != self.border_subtitle:  # else it would be painted anew with all that is in it
            self.border_subtitle = words

    def on_resize(self) -> None:
        self._show_figures()

    def _show(self) -> None:
        self._show_figures()
        match self.view:
            case "curves":
                run = self._run.id if self._run else ""
                others = {name: self._histories[name] for name in self._histories if name != run}
                self.query_one(Curves).show(self._history, others)
            case "samples":
                self.query_one(Samples).show(self._history)
            case "log":
                self._show_log()
            case "recipe" if self._reader is not None:
                recipe = self._reader.recipe() or "The run writes its recipe here when it starts."
                self.query_one("#recipe-text", Static).update(Content(recipe))
        self._show_look()

    def _show_figures(self) -> None:
        if self._run is None:
            return
        figures = self.query_one("#figures", Static)
        self.set_class(run_news(self._run, self._history) is not None, "-news")
        text = describe_run(self._run, self._history, figures.size.width)
        if not text.is_same(self._figures):
            self._figures = text
            figures.update(text, layout=False)

    def _show_log(self) -> None:
        log, now = self.query_one(Log), time.monotonic()
        if log.line_count and self._run is not None and self._run.live and now - self._logged < _LOG_EVERY:
            return
        self._logged = now
        if lines := self._history.log(after=self._told):
            # A reader who has scrolled up is not dragged down.
            log.write_lines(lines, scroll_end=log.is_vertical_scroll_end)
        self._told = self._history.told_ever
