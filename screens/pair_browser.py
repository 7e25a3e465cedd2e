"""Looking through pairs: the query line, marks, and what is shown of the pair. Nothing here changes a pair."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace
from functools import partial
from typing import Literal

from textual import events, on

from screens import last_place, pair_dialogs
from screens.pair_list import Listing, PairFilter
from screens.pair_lister import PairLister
from screens.store_thread import StoreThread
from screens.widgets import pair_story
from screens.widgets.pair_counts import PairCounts
from screens.widgets.pair_reading import PairReading
from screens.widgets.pair_table import PairTable
from screens.widgets.query_line import QueryLine
from workbench.errors import UserError
from workbench.pairs.pair import Pair
from workbench.pairs.query import Query
from workbench.pairs.store import PairStore

View = Literal["pair", "changes", "history"]


class _Left(Exception):
    """The screen is gone: what takes long ends where it is."""


class PairBrowser(PairLister):
    """One query line says which pairs are listed; keys that filter or sort write into it."""

    def __init__(self) -> None:
        super().__init__()
        self._view: View = "pair"
        self._before_typing: Query | None = None  # None: nobody types into the line
        self._facets_of: tuple[object, ...] = ()

    def on_mount(self) -> None:
        # For what may take long, and must not keep the list waiting.
        self._aside = StoreThread(PairStore, self.workspace.database, "pairs-aside")
        # Of its own: after a large import it takes half a minute, and nothing else may wait behind it.
        self._indexer = StoreThread(PairStore, self.workspace.database, "pairs-indexer")
        self._gone = threading.Event()
        line = self.query_one(QueryLine)
        line.display = False
        line.recent = self.app.place.pair_queries.splitlines()

    def on_unmount(self) -> None:
        self._gone.set()
        self._aside.close()
        self._indexer.close()

    # Which pairs

    def set_filter(self, filter: PairFilter) -> None:
        """List other pairs, from the first row on."""
        line = self.query_one(QueryLine)
        line.show(filter.query)
        line.display = bool(filter.query) or line.has_focus_within
        self._list(filter)

    def _list(self, filter: PairFilter) -> None:
        if filter != self._filter:
            self._filter = filter
            self.reload(top=True)

    def action_search(self) -> None:
        line = self.query_one(QueryLine)
        if not line.has_focus_within:
            line.open()

    @on(events.DescendantFocus)
    def _line_focused(self, event: events.DescendantFocus) -> None:
        """By the key or with the mouse: the line is typed into, or left."""
        if event.widget is not self.query_one(QueryLine).line:
            self._before_typing = None
        elif self._before_typing is None:  # else the terminal was away, and is back
            self._before_typing = self._filter.query
            self._read_facets()
            self.run_worker(self._prepare_search, group="pairs-search", exclusive=True, exit_on_error=False)

    async def _prepare_search(self) -> None:
        """See that words find every pair: a large import leaves their index for later, and may have ended there."""
        if waiting := await self._aside.do(lambda store: store.unsearched()):
            self.app.tell(f"The search is being prepared: words do not find {waiting:,} of the pairs yet.")
            await self._indexer.do(self._catch_up)

    def _catch_up(self, store: PairStore) -> None:
        """In a thread: what is left when the screen goes, the next one goes on with."""

        def check_stop() -> None:
            if self._gone.is_set():
                raise _Left

        with contextlib.suppress(_Left):
            store.catch_up(check_stop=check_stop)

    def _read_facets(self) -> None:
        """What the query line completes: read when it is opened, if something has changed."""
        of = (self._filter.dataset, self._listing.version)
        if of != self._facets_of and self._listing.datasets:
            self._facets_of = of
            self.run_worker(partial(self._facets, of[0]), group="pairs-facets", exclusive=True, exit_on_error=False)

    async def _facets(self, dataset: str | None) -> None:
        self.query_one(QueryLine).set_facets(await self._aside.do(lambda store: store.facets(dataset)))

    @on(QueryLine.Asked)
    def _asked(self, event: QueryLine.Asked) -> None:
        self._list(replace(self._filter, query=event.query))

    @on(QueryLine.Left)
    def _left(self) -> None:
        self.leave_search(keep=True)
        self.app.place.pair_queries = "\n".join(self.query_one(QueryLine).recent)
        last_place.save(self.workspace, self.app.place)

    def leave_search(self, *, keep: bool) -> None:
        """Back to the table; `keep`: with what was asked for."""
        line = self.query_one(QueryLine)
        self.table.focus()
        if not keep:
            self.set_filter(replace(self._filter, query=Query()))
        line.display = bool(line.text.strip())

    def action_status(self) -> None:
        self.set_filter(self._filter.next_status())

    def action_sort(self) -> None:
        self.set_filter(self._filter.next_sort())
        self.app.tell(f"In order: {pair_dialogs.ORDERS[self._filter.query.sort]}.")

    @on(PairCounts.StatusClicked)
    def _status_clicked(self, event: PairCounts.StatusClicked) -> None:
        self.set_filter(self._filter.with_status(event.status))

    def action_dataset(self) -> None:
        if not self._listing.datasets:
            raise UserError("there are no datasets yet", do=f"Press {self.key('import')} to import pairs.")
        self.app.push_screen(pair_dialogs.choose_dataset(self._listing), self._dataset_chosen)

    def _dataset_chosen(self, name: str | None) -> None:
        if name is not None:
            self.show_dataset(name)

    @on(PairCounts.DatasetClicked)
    def _dataset_clicked(self) -> None:
        with self.reporting():
            self.action_dataset()

    def show_dataset(self, name: str) -> None:
        """List the pairs of a dataset (empty: of all), now and when the app is opened again."""
        self.set_filter(replace(self._filter, dataset=name or None))
        self.app.place.dataset = name
        last_place.save(self.workspace, self.app.place)

    # Marks

    def action_mark(self) -> None:
        self.table.toggle_mark()
        self.show_titles()

    def action_mark_by(self, rows: int) -> None:
        self.table.extend(rows)
        self.show_titles()

    def action_range(self) -> None:
        table = self.table
        table.end_range() if table.extending else table.start_range()
        self.show_titles()

    def action_mark_all(self) -> None:
        self.complete_listing()
        self.table.mark_all()
        self.show_titles()

    def complete_listing(self) -> Listing:
        """What is listed.

        Raises:
            UserError: not all of it is read yet, or another list is being read.
        """
        if not self._listing.complete or self._filter != self._listing.filter:
            raise UserError("the list is still being read", do="Press the key again in a moment.")
        return self._listing

    # The pair

    @on(PairTable.Highlighted)
    def _highlighted(self) -> None:
        pair, reading = self.table.pair, self.query_one(PairReading)
        if pair is None or self._view == "pair":
            reading.show(pair, self.table.flags)
        else:
            work = partial(self._look_up, self._view, pair)
            self.run_worker(work, group="pairs-view", exclusive=True, exit_on_error=False)
        self.show_titles()

    async def _look_up(self, view: Literal["changes", "history"], pair: Pair) -> None:
        """Show something of a pair that is not in its row."""
        if view == "changes":
            original = await self._aside.do(lambda store: store.original(pair.id))
            text = await asyncio.to_thread(pair_story.changes_since, original, pair)
        else:
            changes = await self._aside.do(lambda store: store.history(pair.id))
            text = await asyncio.to_thread(pair_story.history, changes)
        if self._view == view:
            self.query_one(PairReading).show_view(view, pair, text)

    def _set_view(self, view: View) -> None:
        self._view = "pair" if self._view == view else view
        self._highlighted()

    def action_changes(self) -> None:
        self._set_view("changes")

    def action_history(self) -> None:
        self._set_view("history")

    def action_read(self) -> None:
        self.query_one(PairReading).focus()

    def action_scroll_reading(self, lines: int) -> None:
        self.query_one(PairReading).scroll_relative(y=lines, animate=False)

    def action_leave(self) -> None:
        """Out of what is innermost: the line, the text, the range, the marks, another view of the pair, the query."""
        table, line = self.table, self.query_one(QueryLine)
        if line.has_focus_within:
            if self._before_typing is not None:
                self.set_filter(replace(self._filter, query=self._before_typing))
            self.leave_search(keep=True)
        elif not table.has_focus:
            table.focus()
        elif table.extending:
            table.end_range()
        elif table.mark_count:
            table.clear_marks()
        elif self._view != "pair":
            self._set_view("pair")
        else:
            self.leave_search(keep=False)
        self.show_titles()
