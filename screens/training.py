"""Training: start runs from recipes, watch them, stop and resume them, and read what they became."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import DataTable, Input, Static

from screens.commands import bindings
from screens.run_steering import RunSteering
from screens.watcher import Job, JobBoard
from screens.widgets.job_figures import figure, state_mark
from screens.widgets.lists import Table
from screens.widgets.run_view import RunView
from workbench.errors import UserError
from workbench.jobs import control
from workbench.text import for_terminal

_COLUMNS = ("", "run", "step", "loss", "eval")


class TrainingScreen(RunSteering):
    """Runs on the left, newest first; the one under the cursor on the right."""

    SCOPE = "training"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "training.tcss"
    AUTO_FOCUS = "#runs Table"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._selected: str | None = None
        self._search = ""
        self._searching = False
        self._keys_for: tuple[object, ...] = ()
        """What the keys were last made for: the footer is not made anew at every step of a run."""

    def body(self) -> ComposeResult:
        with Horizontal(id="panels"):
            with Vertical(id="runs", classes="panel") as runs:
                runs.border_title = "Runs"
                yield Input(placeholder="name or state", id="search", compact=True)
                yield Table(cursor_type="row", show_cursor=True, cell_padding=1)
                yield Static(
                    Content.from_markup(
                        "[$foreground-muted]No runs yet. Press[/] [b]n[/] "
                        "[$foreground-muted]to start one from a recipe.[/]"
                    ),
                    id="no-runs",
                )
            yield RunView("run")

    def on_mount(self) -> None:
        table = self.query_one("#runs Table", Table)
        for label in _COLUMNS:
            table.add_column(label, key=label)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show_runs(self.app.board))
        self._show_runs(self.app.board)

    # What changes

    def refresh_data(self) -> None:
        self.jobs_changed(self.app.board)

    def jobs_changed(self, board: JobBoard) -> None:
        self._show_runs(board)
        if self.is_current:
            self.query_one(RunView).show(self._run)

    def _runs(self, board: JobBoard) -> list[Job]:
        runs = [job for job in board.jobs if job.folder.is_run]
        if self._search:
            runs = [job for job in runs if self._search in f"{job.id} {job.status.state}".lower()]
        return runs

    @property
    def _run(self) -> Job | None:
        return self.app.board.find(self._selected) if self._selected else None

    def _show_runs(self, board: JobBoard) -> None:
        table = self.query_one("#runs Table", Table)
        runs = self._runs(board)
        ids = [job.id for job in runs]
        if ids != [row.value for row in table.rows]:
            with self.prevent(DataTable.RowHighlighted):
                table.clear()
                for job in runs:
                    table.add_row(*self._cells(job), key=job.id)
            if self._selected not in ids:
                self._select(ids[0] if ids else None)
            if self._selected in ids:
                table.move_cursor(row=ids.index(self._selected))
        else:
            for job in runs:
                for column, cell in zip(_COLUMNS, self._cells(job), strict=True):
                    if table.get_cell(job.id, column) != cell:
                        table.update_cell(job.id, column, cell, update_width=True)
        self.set_class(not runs and not self._search, "-no-runs")
        table.display = bool(runs)
        if (keys_for := (self._selected, self._run and self._run.status.state, len(ids))) != self._keys_for:
            self._keys_for = keys_for
            self.refresh_bindings()

    def _cells(self, job: Job) -> tuple[Text, ...]:
        status = job.status
        total = status.progress.total
        step = f"{status.progress.done:g}/{total:g}" if total else ""
        return (
            state_mark(status.state, self.app.theme_variables),
            Text(for_terminal(job.id, one_line=True), no_wrap=True, overflow="ellipsis"),
            Text(step, justify="right"),
            Text(figure(status, "loss"), justify="right"),
            Text(figure(status, "eval_loss"), justify="right"),
        )

    @on(DataTable.RowHighlighted, "#runs Table")
    def _highlighted(self, event: DataTable.RowHighlighted) -> None:
        if event.row_key.value != self._selected:
            self._select(event.row_key.value)

    def _select(self, id: str | None) -> None:
        self._selected = id
        self.query_one(RunView).show(self._run)
        self.refresh_bindings()

    # What the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        run = self._run
        match action:
            case "stop":
                return True if run is not None and run.live and run.status.state != "stopping" else None
            case "resume":
                return True if run is not None and run.status.state in ("stopped", "failed", "lost") else None
            case "leave_search":
                return self._searching
        return self.check_steering(action)

    def action_new(self) -> None:
        recipes = self.workspace.recipes()
        if not recipes:
            raise UserError("there are no recipes", where=str(self.workspace.configs), do="Put a recipe there.")
        if len(recipes) == 1:
            self._fill_in(str(recipes[0]))
            return
        from screens.modals.choose import Choice, Choose

        choices = [
            Choice(str(path), path.stem, "yours" if path.parent == self.workspace.configs else "shipped")
            for path in recipes
        ]
        self.app.push_screen(Choose("Which recipe?", choices), self._fill_in)

    def _fill_in(self, recipe: str | None) -> None:
        if recipe is None:
            return
        from screens.modals.new_run import NewRun

        with self.reporting():
            self.app.push_screen(NewRun(self.workspace, Path(recipe), self._suggestions()), self._started)

    def _suggestions(self) -> dict[str, list[str]]:
        """What a recipe may name, as it is in this workspace."""
        from screens.home_state import names_of

        return names_of(self.workspace)

    def _started(self, id: str | None) -> None:
        if id is None:
            return
        self._search = ""
        self.app.look_at_jobs()
        self._select(id)
        self._show_runs(self.app.board)
        table = self.query_one("#runs Table", Table)
        table.move_cursor(row=table.get_row_index(id))
        table.focus()

    def action_stop(self) -> None:
        run = self._run
        if run is None:
            return
        from screens.modals.confirm import Confirm

        def answered(yes: bool | None) -> None:
            if yes:
                with self.reporting():
                    control.stop(run.folder)
                    self.app.look_at_jobs()

        self.app.push_screen(
            Confirm(f"Stop {run.id}?", "It saves a checkpoint first, and can be resumed from there.", yes="Stop"),
            answered,
        )

    def action_resume(self) -> None:
        if run := self._run:
            control.resume(run.folder)
            self.app.look_at_jobs()

    def action_view(self) -> None:
        self.query_one(RunView).next_view()

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        self._searching = search.display = True
        search.focus()
        self.refresh_bindings()

    def action_leave_search(self) -> None:
        self.query_one("#search", Input).value = ""
        self._searching = self.query_one("#search").display = False
        self._search = ""
        self._show_runs(self.app.board)
        self.query_one("#runs Table").focus()

    @on(Input.Changed, "#search")
    def _searched(self, event: Input.Changed) -> None:
        self._search = event.value.strip().lower()
        self._show_runs(self.app.board)

    @on(Input.Submitted, "#search")
    def _found(self) -> None:
        self.query_one("#runs Table").focus()
