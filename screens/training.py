"""Training: start runs from recipes, watch them, stop and resume them, and read what they became."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import DataTable, Input, Static

from screens.commands import bindings
from screens.run_dialogs import RunDialogs
from screens.run_filter import RunFilter
from screens.run_steering import RunSteering
from screens.watcher import Job, JobBoard
from screens.widgets.colors import theme_color
from screens.widgets.job_figures import figure, state_mark
from screens.widgets.lists import Table
from screens.widgets.run_view import RunView
from workbench.jobs import control
from workbench.text import for_terminal

_COLUMNS = ("", "run", "step", "loss", "eval", "tags")
_WIDE, _ROOMY = 96, 150  # cells of a screen


class TrainingScreen(RunSteering):
    """Runs on the left, newest first; the one under the cursor on the right."""

    SCOPE = "training"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "training.tcss"
    AUTO_FOCUS = "#runs Table"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE, "-wide"), (_ROOMY, "-roomy")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._selected: str | None = None
        self._filter = RunFilter()
        self._searching = False
        self._marks: list[str] = []
        self._dialogs = RunDialogs(self, self._started)
        self._keys_for: tuple[object, ...] = ()
        """What the keys were last made for: the footer is not made anew at every step of a run."""

    def body(self) -> ComposeResult:
        with Horizontal(id="panels"):
            with Vertical(id="runs", classes="panel") as runs:
                runs.border_title = "Runs"
                yield Input(placeholder="words, tag:NAME", id="search", compact=True)
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
        self._add_columns()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show_runs(self.app.board))
        self._show_runs(self.app.board)

    def on_resize(self) -> None:
        self._add_columns()

    def _add_columns(self) -> None:
        """The tags only where they have room; else the panel tells those of the run under the cursor."""
        table = self.query_one("#runs Table", Table)
        beside = _WIDE <= self.app.size.width < _ROOMY  # the list stands beside the run, and is narrow
        labels = _COLUMNS[:-1] if beside else _COLUMNS
        if len(labels) != len(table.columns):
            table.clear(columns=True)
            for label in labels:
                table.add_column(label, key=label)
            self._show_runs(self.app.board)

    # What changes

    def refresh_data(self) -> None:
        self.jobs_changed(self.app.board)

    def jobs_changed(self, board: JobBoard) -> None:
        self._show_runs(board)
        if self.is_current:
            self.query_one(RunView).show(self._run)

    def _runs(self, board: JobBoard) -> list[Job]:
        return [job for job in board.jobs if job.folder.is_run and self._filter.holds(job)]

    @property
    def _run(self) -> Job | None:
        return self.app.board.find(self._selected) if self._selected else None

    @property
    def _chosen(self) -> list[Job]:
        """The marked runs in the order of their marks, else the one under the cursor."""
        marked = [run for id in self._marks if (run := self.app.board.find(id))]
        return marked or ([self._run] if self._run else [])

    def _show_runs(self, board: JobBoard) -> None:
        table = self.query_one("#runs Table", Table)
        runs = self._runs(board)
        ids = [job.id for job in runs]
        self._marks = [id for id in self._marks if id in ids]  # nothing is done to what is not seen
        if ids != [row.value for row in table.rows]:
            with self.prevent(DataTable.RowHighlighted):
                table.clear()
                for job in runs:
                    table.add_row(*self._cells(job)[: len(table.columns)], key=job.id)
            if self._selected not in ids:
                self._select(ids[0] if ids else None)
            if self._selected in ids:
                table.move_cursor(row=ids.index(self._selected))
        else:
            for job in runs:
                for column, cell in zip([key.value or "" for key in table.columns], self._cells(job), strict=False):
                    if table.get_cell(job.id, column) != cell:
                        table.update_cell(job.id, column, cell, update_width=True)
        self.set_class(not runs and not self._filter.active, "-no-runs")
        table.display = bool(runs)
        if runs and self.focused is None:  # it had the focus until nothing was listed
            table.focus()
        self._show_titles(len(runs))
        if (
            keys_for := (self._selected, self._run and self._run.status.state, len(ids), *self._marks)
        ) != self._keys_for:
            self._keys_for = keys_for
            self.refresh_bindings()

    def _show_titles(self, listed: int) -> None:
        """What is left out, and what is marked; else the tags of the run under the cursor."""
        panel = self.query_one("#runs")
        panel.border_title = f"Runs · {self._filter.state or 'found'}, {listed}" if self._filter.active else "Runs"
        tags = " ".join(self._run.tags) if self._run else ""
        told = f"{len(self._marks)} marked" if self._marks else for_terminal(tags, one_line=True)
        panel.border_subtitle = Content(told)

    def _cells(self, job: Job) -> tuple[Text, ...]:
        status = job.status
        total = status.progress.total
        step = f"{status.progress.done:g}/{total:g}" if total else ""
        theme, marked = self.app.theme_variables, job.id in self._marks
        mark = state_mark(status.state, theme)
        name = Text(for_terminal(job.id, one_line=True), no_wrap=True, overflow="ellipsis")
        if marked:
            mark = Text.assemble(("▌", theme_color(theme, "accent")), mark)
            name.stylize("bold")
        return (
            mark,
            name,
            Text(step, justify="right"),
            Text(figure(status, "loss"), justify="right"),
            Text(figure(status, "eval_loss"), justify="right"),
            Text(for_terminal(" ".join(job.tags), one_line=True), style="dim", no_wrap=True),
        )

    @on(DataTable.RowHighlighted, "#runs Table")
    def _highlighted(self, event: DataTable.RowHighlighted) -> None:
        if event.row_key.value != self._selected:
            self._select(event.row_key.value)

    def _select(self, id: str | None) -> None:
        self._selected = id
        self.query_one(RunView).show(self._run)
        self._show_titles(self.query_one("#runs Table", Table).row_count)
        self.refresh_bindings()

    # What the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        run = self._run
        match action:
            case "stop":
                return True if run is not None and run.live and run.status.state != "stopping" else None
            case "resume":
                return True if run is not None and run.status.state in ("stopped", "failed", "lost") else None
            case "export":
                return True if run is not None and _has_adapter(run) else None
            case "tags" | "delete" | "clone" | "mark" | "mark_all":
                return True if run is not None else None
            case "compare":
                return True if self._marks else None
            case "leave":
                return bool(self._searching or self._marks or self._filter.active)
        return self.check_steering(action)

    def action_new(self) -> None:
        self._dialogs.ask_recipe(self._dialogs.new)

    def action_grid(self) -> None:
        self._dialogs.ask_recipe(self._dialogs.grid)

    def _started(self, id: str | None) -> None:
        if id is None:
            return
        self._filter = RunFilter()
        self.query_one("#search", Input).value = ""
        self._searching = self.query_one("#search").display = False
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

    def action_export(self) -> None:
        if (run := self._run) is None:
            return
        from screens.modals.export_run import ExportRun

        def started(id: str | None) -> None:
            if id is not None:
                self.app.look_at_jobs()
                self.app.tell(f"{run.id} is being exported; you are told when it is done")

        self.app.push_screen(ExportRun(self.workspace, run.id), started)

    def action_view(self) -> None:
        self.query_one(RunView).next_view()

    def action_tags(self) -> None:
        self._dialogs.ask_tags(self._chosen)

    def action_clone(self) -> None:
        if run := self._run:
            self._dialogs.clone(run)

    def action_delete(self) -> None:
        self._dialogs.ask_delete(self._chosen, self._marks.clear)

    def action_compare(self) -> None:
        runs = self._chosen
        if len(runs) == 1 and self._run and self._run.id != runs[0].id:
            runs.append(self._run)
        self._dialogs.compare(runs)

    def action_queue(self) -> None:
        self._dialogs.show_queue()

    # Which are listed, and which marked

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away, and go on to the next."""
        if run := self._run:
            self._marks.remove(run.id) if run.id in self._marks else self._marks.append(run.id)
            self._show_runs(self.app.board)
            self.query_one("#runs Table", Table).action_cursor_down()

    def action_mark_all(self) -> None:
        listed = [run.id for run in self._runs(self.app.board)]
        self._marks = [] if set(self._marks) == set(listed) else listed
        self._show_runs(self.app.board)

    def action_filter(self) -> None:
        self._filter.next_state()
        self._show_runs(self.app.board)

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        self._searching = search.display = True
        search.focus()
        self.refresh_bindings()

    def action_leave(self) -> None:
        if self._searching:
            self.query_one("#search", Input).value = ""
            self._searching = self.query_one("#search").display = False
            self._filter.search = ""
        elif self._marks:
            self._marks = []
        else:
            self._filter = RunFilter()
        self._show_runs(self.app.board)
        self.query_one("#runs Table").focus()

    @on(Input.Changed, "#search")
    def _searched(self, event: Input.Changed) -> None:
        self._filter.search = event.value
        self._show_runs(self.app.board)

    @on(Input.Submitted, "#search")
    def _found(self) -> None:
        self.query_one("#runs Table").focus()


def _has_adapter(run: Job) -> bool:
    from workbench.models.adapter import has_adapter  # imports pydantic: not before there is a run

    return has_adapter(run.folder.path)
