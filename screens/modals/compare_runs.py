"""Two or more runs side by side: figures over their curves, what recipes and pairs differ in, samples."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ContentSwitcher, DataTable, Static
from textual.worker import Worker, WorkerState

from screens.modals.dialog import Dialog
from screens.modals.hints import hints
from screens.widgets.colors import faded_color, theme_color
from screens.widgets.job_figures import state_mark
from screens.widgets.lists import Table
from screens.widgets.overlaid_curves import OverlaidCurves, color_of
from screens.widgets.plotting import FADED
from screens.widgets.reading import Page, Reading
from screens.widgets.run_differences import data_lines, figure_cells, figure_heads, recipe_cell, sample_lines
from screens.widgets.scores import line, muted
from screens.widgets.view_bar import ViewBar
from workbench.errors import UserError, in_words
from workbench.jobs.folder import JobFolder
from workbench.training.run_comparison import RunComparison, compare

_VIEWS = ("figures", "recipe", "pairs", "samples")
_FOCUS = {"figures": "#figures-table", "recipe": "#recipe-table", "pairs": "#pairs", "samples": "#samples"}


class CompareRuns(Dialog[None]):
    """What the runs wrote is read in a thread."""

    CSS_PATH = "compare_runs.tcss"
    AUTO_FOCUS = None
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v,tab", "view(1)", "Next view"),
        Binding("V,shift+tab", "view(-1)", "View before"),
        Binding("c", "curve", "Other curve"),
        Binding("r", "read", "Read again"),
        Binding("escape,q", "leave", "Close"),
    ]

    def __init__(self, jobs: Sequence[JobFolder]) -> None:
        """`jobs`: the runs, in the order in which they are shown; the others are set against the first."""
        super().__init__()
        self._jobs = list(jobs)
        self._result: RunComparison | None = None

    def compose(self) -> ComposeResult:
        names = " · ".join(line(job.id) for job in self._jobs)
        with Vertical(classes="dialog dialog-wide"):
            yield Static(Content(names), classes="dialog-title")
            yield ViewBar(_VIEWS)
            with ContentSwitcher(initial="waiting"):
                yield Static(muted("Reading the runs ..."), id="waiting")
                with Vertical(id="figures"):
                    yield Table(
                        id="figures-table", cursor_type="row", cell_padding=1, cursor_foreground_priority="renderable"
                    )
                    yield OverlaidCurves()
                with Vertical(id="recipe"):
                    yield Static(muted("The recipes are the same."), id="same-recipe")
                    yield Table(id="recipe-table", cursor_type="row", cell_padding=1, fixed_columns=1)
                with Reading(id="pairs"):
                    yield Page()
                with Reading(id="samples"):
                    yield Page()
            yield Static(
                hints(
                    ("v", "view(1)", "next view"),
                    ("c", "curve", "other curve"),
                    ("r", "read", "read again"),
                    ("escape", "leave", "close"),
                ),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        self.action_read()

    def action_read(self) -> None:
        """Read the runs, again while they go on."""
        self.run_worker(self._read, group="read", exclusive=True, exit_on_error=False)

    async def _read(self) -> None:
        try:
            result = await asyncio.to_thread(compare, self._jobs)
        except (UserError, OSError) as error:
            self._refuse(in_words(error))
            return
        first, self._result = self._result is None, result
        self._show(result)
        if first:
            self._show_view(self.query_one(ViewBar).active)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Nobody waits for what does not come; why is told as any failure is."""
        if event.worker.group == "read" and event.state is WorkerState.ERROR:
            self._refuse("These runs cannot be compared.")

    def _refuse(self, why: str) -> None:
        self._result = None
        self.query_one("#waiting", Static).update(Content.from_markup("[$text-error]$why[/]", why=line(why)))
        self.query_one(ContentSwitcher).current = "waiting"

    def _show(self, result: RunComparison) -> None:
        theme, count = self.app.theme_variables, len(result.runs)
        table = self.query_one("#figures-table", Table)
        at = table.cursor_row
        table.clear(columns=True)
        table.add_columns("", "", "run", *(Text(head) for head in figure_heads(result)))
        for number, run in enumerate(result.runs):
            name = color_of(number, count, in_front=False)
            color = faded_color(theme, "primary") if name.startswith(FADED) else theme_color(theme, name)
            title = Text(line(run.run), no_wrap=True)
            table.add_row(Text("━━", style=color), state_mark(run.state, theme), title, *figure_cells(run, result))
        table.move_cursor(row=at)
        self.query_one(OverlaidCurves).show(result.curves)
        recipe = self.query_one("#recipe-table", Table)
        recipe.clear(columns=True)
        recipe.add_columns("key", *(Text(line(run.run)) for run in result.runs))
        for each in result.recipe:
            recipe.add_row(Text(line(each.key)), *(recipe_cell(value) for value in each.values))
        recipe.display = bool(result.recipe)
        self.query_one("#same-recipe").display = not result.recipe
        self.query_one("#pairs Page", Page).show(partial(data_lines, result))
        self.query_one("#samples Page", Page).show(partial(sample_lines, result))

    @on(DataTable.RowHighlighted, "#figures-table")
    def _highlighted(self, event: DataTable.RowHighlighted) -> None:
        self.query_one(OverlaidCurves).bring_to_front(event.cursor_row)

    @on(ViewBar.Chosen)
    def _view_chosen(self, event: ViewBar.Chosen) -> None:
        self._show_view(event.view)

    def action_view(self, by: int) -> None:
        shown = _VIEWS.index(self.query_one(ViewBar).active)
        self._show_view(_VIEWS[(shown + by) % len(_VIEWS)])

    def _show_view(self, view: str) -> None:
        if self._result is None:
            return
        self.query_one(ContentSwitcher).current = view
        self.query_one(ViewBar).active = view
        self.query_one(_FOCUS[view]).focus()

    def action_curve(self) -> None:
        self.query_one(OverlaidCurves).next_metric()

    def action_leave(self) -> None:
        self.dismiss(None)
