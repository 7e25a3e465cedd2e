"""Looking through pairs: the table, the pair in full, filters, search, marks. Nothing here changes a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from screens import last_place, pair_dialogs
from screens.base import WorkbenchScreen
from screens.pair_list import Listing, PairFilter
from screens.store_thread import StoreThread
from screens.widgets.pair_counts import PairCounts
from screens.widgets.pair_reading import PairReading
from screens.widgets.pair_table import PairTable
from workbench.errors import UserError
from workbench.pairs.pair import Pair
from workbench.pairs.store import PairStore

_LOOK = 0.5  # seconds between two looks for changes by other processes


class PairBrowser(WorkbenchScreen):
    """Counts at the top, the table, and the pair under the cursor. What other processes change shows by itself."""

    AUTO_FOCUS = "PairTable"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-middle"), (150, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (28, "-high")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._listing = Listing()
        self._filter = PairFilter()
        self._store: PairStore | None = None  # for quick reads on the event loop
        self._wanted = self._loading = self._top = self._broken = False
        self.working = 0
        """How many long changes are under way."""

    def body(self) -> ComposeResult:
        yield PairCounts()
        with Container(id="panels"):
            with Vertical(id="list", classes="panel") as panel:
                panel.border_title = "Pairs"
                yield Input(placeholder="words, or tag:NAME", id="search", compact=True)
                yield PairTable(self.read_rows)
                yield Static(id="nothing", markup=False)
            yield PairReading()

    def on_mount(self) -> None:
        self._reader = StoreThread(PairStore, self.workspace.database, "pairs-reader")
        self._filter = PairFilter(dataset=self.app.place.dataset or None)
        self.set_interval(_LOOK, self._look)
        self._show_listing(self._listing, top=True)

    def on_unmount(self) -> None:
        self._reader.close()
        if self._store is not None:
            self._store.close()

    @property
    def listing(self) -> Listing:
        """What is listed."""
        return self._listing

    @property
    def table(self) -> PairTable:
        """The rows, the cursor and the marks."""
        return self.query_one(PairTable)

    # Reading

    def refresh_data(self) -> None:
        self._broken = False
        if self.workspace.database.exists():
            self.reload()

    def _look(self) -> None:
        """Has another process changed pairs?"""
        if not self.is_current or self._broken:
            return
        if self._store is None:
            self.refresh_data()
            return
        try:
            changed = self._store.version() != self._listing.version
        except UserError as error:
            self._cannot_read(error)
            return
        if changed:
            self.reload()

    def reload(self, *, top: bool = False) -> None:
        """Read the listing anew; what is wanted while one is being read is read once, afterwards.

        Args:
            top: then go to the first row.
        """
        self._wanted = True
        self._top = self._top or top
        if not self._loading:
            self._loading = True
            self.run_worker(self._load, group="pairs-load", exit_on_error=False)

    async def _load(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                wanted, top = self._filter, self._top
                self._top = False
                listing = await self._reader.do(partial(Listing.read, filter=wanted))
                if self._store is None:
                    self._store = PairStore(self.workspace.database)  # migrated by now, so this is quick
                if wanted == self._filter:
                    self._filter = listing.filter
                    self._show_listing(listing, top=top)
                else:
                    self._top = self._top or top
        except UserError:
            self._broken = True  # said once, not twice a second
            raise
        finally:
            self._loading = False

    def read_rows(self, ids: Sequence[int]) -> list[Pair]:
        """Those of these pairs that exist; quick for a screenful."""
        if self._store is None:
            return []
        try:
            return self._store.get_many(ids)
        except UserError as error:  # in the middle of painting: there is nobody to catch it
            self._cannot_read(error)
            return []

    def _cannot_read(self, error: UserError) -> None:
        if not self._broken:
            self._broken = True
            self.app.report(error)

    # What is shown

    def _show_listing(self, listing: Listing, *, top: bool) -> None:
        had = bool(self._listing.datasets)
        self._listing = listing
        self.query_one(PairCounts).show(listing)
        self.table.show(listing.ids, top=top)
        self.query_one("#nothing", Static).update(self._nothing())
        self.set_class(not listing.ids, "-empty")
        self.set_class(not listing.datasets, "-bare")
        self.show_titles()
        if had != bool(listing.datasets):
            self.refresh_bindings()

    def _nothing(self) -> Content:
        listing = self._listing
        if not listing.datasets:
            return pair_dialogs.WELCOME
        if listing.filter.search.strip():
            return Content.from_markup(
                "[$foreground-muted]No pair matches.[/] [b]escape[/] [$foreground-muted]leaves the search,[/]"
                " [b]f[/] [$foreground-muted]shows those of another status.[/]"
            )
        return Content.from_markup(
            "[$foreground-muted]No pair is $status. Press[/] [b]f[/] [$foreground-muted]for the next filter.[/]",
            status=listing.filter.status or "here",
        )

    @on(PairTable.Highlighted)
    def _highlighted(self) -> None:
        table = self.table
        self.query_one(PairReading).show(table.pair)
        self.show_titles()

    def show_titles(self) -> None:
        """Say around the table what is listed, marked and being done."""
        table, panel = self.table, self.query_one("#list")
        status = self._listing.filter.status
        panel.border_title = f"Pairs · {status}" if status else "Pairs"
        total = len(table.ids)
        figures = [f"{table.cursor + 1:,} of {total:,}"] if total else []
        if table.marks:
            figures.insert(0, f"{len(table.marks):,} marked")
        if table.extending:
            figures.insert(0, "range: move, then a r t x · v ends it")
        if self.working:
            figures.insert(0, "working …")
        panel.border_subtitle = " · ".join(figures)

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

    # Filters

    def set_filter(self, filter: PairFilter) -> None:
        """List other pairs, from the first row on."""
        if filter != self._filter:
            self._filter = filter
            self.reload(top=True)

    def action_status(self) -> None:
        self.set_filter(self._filter.next_status())

    @on(PairCounts.StatusClicked)
    def _status_clicked(self, event: PairCounts.StatusClicked) -> None:
        self.set_filter(replace(self._filter, status=event.status))

    def action_dataset(self) -> None:
        if not self._listing.datasets:
            raise UserError("there are no datasets yet", do="Press i to import pairs.")
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

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        search.display = True
        search.focus()

    @on(Input.Changed, "#search")
    def _searched(self, event: Input.Changed) -> None:
        self.set_filter(replace(self._filter, search=event.value))

    @on(Input.Submitted, "#search")
    def _found(self) -> None:
        self.leave_search(keep=bool(self._filter.search.strip()))

    def leave_search(self, *, keep: bool) -> None:
        """Back to the table; `keep`: with what was searched for."""
        search = self.query_one("#search", Input)
        if not keep:
            search.value = ""
            search.display = False
        self.table.focus()

    def action_leave(self) -> None:
        """Out of what is innermost: the input, the text, the range, the marks, the search."""
        table, search = self.table, self.query_one("#search", Input)
        if self.focused is search:
            self.leave_search(keep=False)
        elif not table.has_focus:
            table.focus()
        elif table.extending:
            table.end_range()
        elif table.marks:
            table.clear_marks()
        else:
            self.leave_search(keep=False)
        self.show_titles()

    # The reading pane

    def action_read(self) -> None:
        self.query_one(PairReading).focus()

    def action_scroll_reading(self, lines: int) -> None:
        self.query_one(PairReading).scroll_relative(y=lines, animate=False)
