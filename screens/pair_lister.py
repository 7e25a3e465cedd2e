"""The list of pairs and the pair under the cursor: read in the background, shown, kept up to date with what changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static

from screens import pair_dialogs
from screens.base import WorkbenchScreen
from screens.pair_list import Listing, PairFilter
from screens.store_thread import StoreThread
from screens.widgets.pair_counts import PairCounts
from screens.widgets.pair_reading import PairReading
from screens.widgets.pair_table import PairTable
from screens.widgets.query_line import QueryLine
from workbench.errors import UserError
from workbench.pairs.pair import Pair
from workbench.pairs.store import Flag, PairStore

Result = TypeVar("Result")

_FEW = 16  # pairs that may be taken out of the list one by one
_LOOK = 0.5  # seconds between two looks for changes by other processes


class PairLister(WorkbenchScreen):
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
        self._touched: list[int] | None = None  # pairs changed here since the list was read; None: or more
        self._steps = 0  # by how many changes
        self.working = 0
        """How many long changes are under way."""

    def body(self) -> ComposeResult:
        yield PairCounts()
        with Container(id="panels"):
            with Vertical(id="list", classes="panel") as panel:
                panel.border_title = "Pairs"
                yield QueryLine()
                yield PairTable(self.read_rows, self.read_flags)
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

    def key(self, command: str) -> str:
        """The key of one of the screen's commands, to be named in words."""
        return self.app.key_of(f"pairs.{command}")

    # Reading

    def refresh_data(self) -> None:
        self._broken = False
        if self.workspace.database.exists():
            self.reload()

    def _look(self) -> None:
        """Has another process changed pairs?"""
        if not self.is_current or self._broken or self._loading:
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

    def reload(self, *, top: bool = False, touched: Sequence[int] | None = None) -> None:
        """Read the listing anew; what is wanted while one is being read is read once, afterwards.

        Args:
            top: then go to the first row.
            touched: a change of these pairs is all that is known to have happened; None: anything may have.
        """
        if touched is None or len(touched) > _FEW or (self._wanted and self._touched is None):
            self._touched = None
        else:
            self._touched = [*dict.fromkeys([*(self._touched or ()), *touched])]
            self._steps += 1
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
                touched, steps = self._touched, self._steps
                self._top, self._touched, self._steps = False, None, 0
                if touched is not None and wanted == self._listing.filter and not top:
                    work = partial(self._listing.after, touched=touched, steps=steps)
                    if (after := await self._reader.do(work)) is not None:
                        if wanted == self._filter:
                            self._show_listing(after)
                        continue
                listing = await self._reader.do(partial(Listing.begun, filter=wanted))
                if self._store is None:
                    self._store = PairStore(self.workspace.database)  # migrated by now, so this is quick
                if top and wanted == self._filter:
                    self._filter = wanted = listing.filter
                    self._show_listing(listing, top=True)  # the first rows at once, the others when they are known
                    top = False
                if listing.complete or not self._wanted:
                    listing = await self._reader.do(listing.completed)
                if wanted == self._filter and listing.complete:
                    self._filter = listing.filter
                    self._show_listing(listing)
                else:
                    self._top = self._top or top
        except UserError:
            self._broken = True  # said once, not twice a second
            raise
        finally:
            self._loading = False

    def read_rows(self, ids: Sequence[int]) -> list[Pair]:
        """Those of these pairs that exist; quick for a screenful."""
        return self._quick(lambda store: store.get_many(ids)) or []

    def read_flags(self, ids: Sequence[int]) -> Mapping[int, tuple[Flag, ...]]:
        """What the checks found of these pairs; quick for a screenful."""
        return self._quick(lambda store: store.flags_of(ids)) or {}

    def _quick(self, read: Callable[[PairStore], Result]) -> Result | None:
        if self._store is None:
            return None
        try:
            return read(self._store)
        except UserError as error:  # in the middle of painting: there is nobody to catch it
            self._cannot_read(error)
            return None

    def _cannot_read(self, error: UserError) -> None:
        if not self._broken:
            self._broken = True
            self.app.report(error)

    # What is shown

    def _show_listing(self, listing: Listing, *, top: bool = False) -> None:
        had = bool(self._listing.datasets)
        self._listing = listing
        self.query_one(PairCounts).show(listing)
        self.table.show(listing.ids, top=top, complete=listing.complete)
        self.query_one("#nothing", Static).update(self._nothing())
        self.set_class(not listing.ids, "-empty")
        self.set_class(not listing.datasets, "-bare")
        self.show_titles()
        if had != bool(listing.datasets):
            self.refresh_bindings()

    def _nothing(self) -> Content:
        if not self._listing.datasets:
            return pair_dialogs.welcome(self.key)
        filter = self._listing.filter
        only_status = filter.status and filter == PairFilter(filter.dataset).with_status(filter.status)
        return Content.from_markup(
            "[$foreground-muted]No pair $does.[/] [b]$all[/] [$foreground-muted]shows all,[/]"
            " [b]$other[/] [$foreground-muted]those of another status.[/]",
            all=self.key("leave"),
            other=self.key("status"),
            does=f"is {filter.status}" if only_status else "matches",
        )

    def show_titles(self) -> None:
        """Say around the table what is listed, marked and being done."""
        table, panel, listing = self.table, self.query_one("#list"), self._listing
        status = listing.filter.status
        panel.border_title = f"Pairs · {status}" if status else "Pairs"
        total = f"{len(table.ids):,}" if listing.complete else "…"
        figures = [f"{table.cursor + 1:,} of {total}"] if table.ids else []
        if marked := table.mark_count:
            figures.insert(0, f"{marked:,} marked")
        if table.extending:
            figures.insert(0, f"range: move, then decide · {self.key('range')} ends it")
        if self.working:
            figures.insert(0, "working …")
        panel.border_subtitle = " · ".join(figures)
