"""What a run will take, measured by a job of its own while the form of the new run waits below."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from screens.modals.dialog import Dialog
from screens.watcher import JobBoard
from workbench.errors import UserError, in_words
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.text import for_terminal
from workbench.workspace import Workspace


class PreFlight(Dialog[None]):
    """Starts the pre-flight when it opens, shows its figures when they are there; leaving it ends it."""

    DEFAULT_CSS = """
    PreFlight .form-keys { margin-top: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    def __init__(self, workspace: Workspace, recipe: Path, changes: Mapping[str, object]) -> None:
        super().__init__()
        self._workspace, self._recipe, self._changes = workspace, recipe, dict(changes)
        self._job: JobFolder | None = None
        self._left = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static("Pre-flight", classes="dialog-title")
            yield Static(Content("Starting"), id="preflight-figures")
            yield Static(Content.from_markup("[b]escape[/] back to the form"), classes="form-keys")

    def on_mount(self) -> None:
        self.app.jobs_changed.subscribe(self, self.jobs_changed)
        self.start(self._start)

    async def _start(self) -> None:
        try:
            await asyncio.to_thread(self._start_job)
        except (UserError, OSError) as error:
            self._show_error(in_words(error))

    def _start_job(self) -> None:
        """In a thread, for it checks the base model's weights; it goes on when the dialog is left meanwhile."""
        from workbench.training.control import start_preflight

        self._job = start_preflight(self._workspace, self._recipe, self._changes)
        if self._left:
            control.discard(self._job)

    def jobs_changed(self, board: JobBoard) -> None:
        """Show how far it is, its figures, or why the run would be refused."""
        job = board.find(self._job.id) if self._job else None
        if job is None:
            return
        status = job.status
        if status.state == "done":
            self._show_figures(status.result or {})
        elif status.live:
            self._show(Content(for_terminal(status.progress.message or status.state, one_line=True)))
        else:
            self._show_error(status.error or _without_a_word(status.state))

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
        self._left = True
        self.dismiss(None)
        if self._job and self._job.status().live:
            control.discard(self._job)


def _without_a_word(state: str) -> str:
    from workbench.training.preflight import LESS_MEMORY

    if state == "lost":
        return f"Its process is gone: it was killed, perhaps because memory ran out. {LESS_MEMORY}"
    return f"The pre-flight was {state}."
