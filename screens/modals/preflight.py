"""What a run will take, measured by a job of its own while the form of the new run waits below."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from screens.watcher import JobBoard
from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.text import for_terminal
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from screens.app import WorkbenchApp


class PreFlight(ModalScreen[None]):
    """Starts the pre-flight when it opens, shows its figures when they are there; leaving it ends it."""

    DEFAULT_CSS = """
    PreFlight .form-keys { margin-top: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    def __init__(self, workspace: Workspace, recipe: Path, changes: Mapping[str, object]) -> None:
        super().__init__()
        self._workspace, self._recipe, self._changes = workspace, recipe, dict(changes)
        self._job: JobFolder | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static("Pre-flight", classes="dialog-title")
            yield Static(Content("Starting"), id="preflight-figures")
            yield Static(Content.from_markup("[b]escape[/] back to the form"), classes="form-keys")

    def on_mount(self) -> None:
        cast("WorkbenchApp", self.app).jobs_changed.subscribe(self, self.jobs_changed)
        self.run_worker(self._start(), group="start", exclusive=True, exit_on_error=False)

    async def _start(self) -> None:
        from workbench.training.control import start_preflight

        try:
            # In a thread: it checks the base model's weights.
            self._job = await asyncio.to_thread(start_preflight, self._workspace, self._recipe, self._changes)
        except UserError as error:
            self._show_error(str(error))

    def jobs_changed(self, board: JobBoard) -> None:
        """Show how far it is, its figures, or why the run would be refused."""
        job = board.find(self._job.id) if self._job else None
        if job is None:
            return
        if job.status.state == "done":
            self._show_figures(job.status.result or {})
        elif job.status.error:
            self._show_error(job.status.error)
        else:
            self._show(Content(for_terminal(job.status.progress.message or job.status.state, one_line=True)))

    def _show_figures(self, figures: Mapping[str, Any]) -> None:
        from workbench.training.preflight import lines

        rows = [
            Content.assemble((f"{name:<12}", "$text-muted"), for_terminal(text, one_line=True))
            for name, text in lines(figures)
        ]
        self._show(Content("\n").join(rows))

    def _show_error(self, text: str) -> None:
        self._show(Content.styled(for_terminal(text), "$text-error"))

    def _show(self, content: Content) -> None:
        self.query_one("#preflight-figures", Static).update(content)

    def action_leave(self) -> None:
        if self._job and self._job.status().live:
            with contextlib.suppress(UserError):  # it has just ended
                control.stop(self._job, now=True)
        self.dismiss(None)
