"""What dialogs share that work in the background: their failures are told, and what they start is started once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from textual.content import Content
from textual.screen import ModalScreen, Screen, ScreenResultType
from textual.widgets import Static
from textual.worker import Worker

from workbench.text import for_terminal

if TYPE_CHECKING:
    from screens.app import WorkbenchApp

_START = "start"  # the group of the worker that does what the dialog is for


def show_fault(dialog: Screen[Any], text: str, *, one_line: bool = False) -> None:
    """Say in a dialog why it does not go on; empty: nothing is wrong. Text of any origin is safe."""
    fault = dialog.query_one(".dialog-fault", Static)
    fault.update(Content(for_terminal(text, one_line=one_line)))
    fault.display = bool(text)


class Dialog(ModalScreen[ScreenResultType]):
    """A dialog that has workers."""

    @property
    def app(self) -> WorkbenchApp:  # pyright: ignore[reportIncompatibleVariableOverride]
        return cast("WorkbenchApp", super().app)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        self.app.report_failed(event)

    @property
    def starting(self) -> bool:
        """Whether what `start` was given is being done. A thread cannot be called back: leave the dialog only after."""
        return any(worker.node is self and worker.group == _START and not worker.is_finished for worker in self.workers)

    def start(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do what the dialog is for; nothing while it is being done already."""
        if not self.starting:
            self.run_worker(work, group=_START, exit_on_error=False)
