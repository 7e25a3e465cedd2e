"""Home: the state of the workspace and the next sensible step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from textual.app import ComposeResult
from textual.containers import Grid, Vertical
from textual.content import Content
from textual.widgets import Static

from screens.base import WorkbenchScreen
from screens.commands import bindings
from screens.compare_state import comparison_lines
from screens.home_state import Step, WorkspaceState, next_step, read_state
from screens.watcher import Job, JobBoard
from screens.widgets.columns import Column, columns
from screens.widgets.job_figures import figure, state_content
from workbench.errors import UserError
from workbench.jobs import control
from workbench.text import for_terminal

_VERDICTS = 2  # that are shown, the newest


class _Panel(Static):
    """One part of the workspace: lines made for its width, and cut to its height if it has one. A click opens it."""

    def __init__(self, id: str, title: str, mode: str) -> None:
        super().__init__(id=id, classes="panel", markup=False)
        self.border_title = title
        self._mode = mode
        self._lines: Callable[[int], list[Content]] = lambda room: []

    def show(self, lines: Callable[[int], list[Content]]) -> None:
        """`lines` is given the cells that there are in a line."""
        self._lines = lines
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    async def on_click(self) -> None:
        await self.app.run_action(f"app.show('{self._mode}')")

    def _fit(self) -> None:
        lines, room = self._lines(max(1, self.content_size.width)), max(1, self.content_size.height)
        self.set_class(len(lines) > 1, "-table")
        if len(lines) > room and not self.styles.is_auto_height:
            lines = [*lines[: room - 1], _muted(f"and {len(lines) - room + 1} more")]
        self.update(Content("\n").join(lines))


class HomeScreen(WorkbenchScreen):
    """Five panels and, above them, what to do next."""

    SCOPE = "home"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "home.tcss"
    AUTO_FOCUS = None
    VERTICAL_BREAKPOINTS = [(0, "-low"), (28, "-high")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._state: WorkspaceState | None = None
        self._step: Step | None = None

    def body(self) -> ComposeResult:
        with Vertical(id="home"):
            yield Static(id="step", markup=False)
            with Grid():
                yield _Panel("pairs", "Pairs", "pairs")
                yield _Panel("runs", "Runs", "training")
                yield _Panel("library", "Library", "library")
                yield _Panel("models", "Models and chats", "chat")
                yield _Panel("comparisons", "Verdicts", "compare")

    # What changes

    def refresh_data(self) -> None:
        self.run_worker(self._read, group="home", exclusive=True, exit_on_error=False)

    def jobs_changed(self, board: JobBoard) -> None:
        if not self.is_current:
            return  # it reads everything again when it is shown
        if board.ended:
            self.refresh_data()
        elif self._state is not None:
            self._show(self._state)

    async def _read(self) -> None:
        self._state = await asyncio.to_thread(read_state, self.workspace)
        self._show(self._state)

    # What is shown

    def _show(self, state: WorkspaceState) -> None:
        jobs = self.app.board.jobs
        self._step = next_step(state, jobs)
        self.query_one("#step", Static).update(
            Content.from_markup(
                "[$foreground-muted]Next[/]  [b]$text[/]   "
                "[b $text-accent]enter[/][$foreground-muted] or[/] [b $text-accent]$key[/]",
                text=for_terminal(self._step.text, one_line=True),
                key=self._step.key,
            )
        )
        for id, lines in (
            ("pairs", partial(_pairs, state)),
            ("runs", partial(_runs, jobs)),
            ("library", partial(_library, state)),
            ("models", partial(_models, state)),
            ("comparisons", partial(_comparisons, state, jobs)),
        ):
            fault = state.faults.get(id)
            self.query_one(f"#{id}", _Panel).show(partial(_fault, fault) if fault else lines)
        self.refresh_bindings()  # whether there are weights to fetch is known now

    # What the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "fetch":
            return bool(self._state and self._state.missing_models)
        return True

    async def action_step(self) -> None:
        if self._step is not None:
            await self.run_action(self._step.action)

    def action_fetch(self) -> None:
        """Fetch what is missing, each model as a job of its own."""
        missing = self._state.missing_models if self._state else []
        going = {job.arguments.get("model") for job in self.app.board.live if job.kind == "fetch"}
        to_fetch = [name for name in missing if name not in going]
        if not to_fetch:
            raise UserError("every model is here or on its way", do="See the status line.")
        for name in to_fetch:
            control.start(self.workspace, "fetch", {"model": name}, title=f"fetch {name}")
        self.app.look_at_jobs()

    def action_refresh(self) -> None:
        self.refresh_data()


def _pairs(state: WorkspaceState, room: int) -> list[Content]:
    if not state.datasets:
        return [_muted("None yet. A pair is a prompt and the answer to learn.")]
    heads = (
        Column("dataset"),
        Column("accepted", ">", "acc."),
        Column("pending", ">", "pend."),
        Column("rejected", ">", "rej."),
    )
    rows = [(_name(d.name), f"{d.accepted:,}", f"{d.pending:,}", f"{d.rejected:,}") for d in state.datasets]
    return columns(heads, rows, room)


def _runs(jobs: Sequence[Job], room: int) -> list[Content]:
    runs = [job for job in jobs if job.folder.is_run]
    if not runs:
        return [_muted("None yet. A run trains an adapter on accepted pairs.")]
    rows = [
        (_name(run.id), state_content(run.status.state), figure(run.status, "loss"), figure(run.status, "eval_loss"))
        for run in runs
    ]
    return columns((Column("run"), Column("state"), Column("loss", ">"), Column("eval", ">")), rows, room)


def _library(state: WorkspaceState, room: int) -> list[Content]:
    if not state.indexes:
        return [_muted("Nothing indexed yet. Add a folder of documents.")]
    rows = [
        (
            _name(index.name),
            f"{index.documents:,}",
            f"{index.chunks:,}",
            "" if index.state == "ready" else Content.from_markup("[$text-warning]$s[/]", s=index.state),
        )
        for index in state.indexes
    ]
    return columns((Column("index"), Column("documents", ">", "docs"), Column("chunks", ">"), Column("")), rows, room)


def _models(state: WorkspaceState, room: int) -> list[Content]:
    rows = [
        (
            Content.from_markup("[$text-success]✓[/]" if model.ready else "[$text-warning]↓[/]"),
            _name(model.name),
            _muted(model.role) if model.ready else Content.from_markup("[$text-warning]not fetched[/]"),
        )
        for model in state.models
    ]
    chats = f"{state.chats:,} chat{'s' if state.chats != 1 else ''} kept" if state.chats else "No chats yet."
    return [*columns((Column(""), Column("model"), Column("role")), rows, room, cut=1), _muted(chats)]


def _comparisons(state: WorkspaceState, jobs: Sequence[Job], room: int) -> list[Content]:
    if not state.comparisons:
        return [_muted("None yet. A comparison measures whether your task needs retrieval, tuning or both.")]
    rows = []
    for line in comparison_lines(state.comparisons[:_VERDICTS], jobs):
        verdict = line.comparison.verdict
        said = Content(for_terminal(verdict["recommendation"], one_line=True)) if verdict else Content("")
        rows.append((_name(line.name), said if verdict and not line.live else state_content(line.state)))
    return columns((Column("comparison"), Column("verdict")), rows, room, cut=1)


def _name(text: str) -> Content:
    return Content(for_terminal(text, one_line=True))


def _muted(text: str) -> Content:
    return Content.from_markup("[$foreground-muted]$text[/]", text=text)


def _fault(text: str, room: int) -> list[Content]:
    return [Content.from_markup("[$text-error]$text[/]", text=for_terminal(text))]
