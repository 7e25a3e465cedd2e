"""What every screen shares: the frame around its body, the news of jobs, and one place that reports failures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.geometry import Offset
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import Worker

from screens.watcher import JobBoard
from screens.widgets.key_bar import KeyBar
from screens.widgets.mode_bar import ModeBar
from screens.widgets.status_line import StatusLine
from workbench.errors import UserError
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from screens.app import WorkbenchApp


class WorkbenchScreen(Screen[None]):
    """A screen of the app: its name at the top, its body, the status line and the footer.

    A subclass sets `SCOPE`, `BINDINGS = bindings(SCOPE)` and `CSS_PATH`, and yields its widgets from `body`.
    """

    SCOPE: ClassVar[str]
    """The scope of its commands in `screens.commands`."""
    MODE: ClassVar[str] = ""
    """The mode that it belongs to, for a screen pushed over another; empty: it is a mode's own, called as its scope."""

    @property
    def app(self) -> WorkbenchApp:  # pyright: ignore[reportIncompatibleVariableOverride]
        return cast("WorkbenchApp", super().app)

    @property
    def workspace(self) -> Workspace:
        """The workspace that the app is open on."""
        return self.app.workspace

    def body(self) -> ComposeResult:
        """The widgets between the mode bar and the status line."""
        yield from ()

    def compose(self) -> ComposeResult:
        yield ModeBar(self.MODE or self.SCOPE)
        yield from self.body()
        yield StatusLine()
        yield KeyBar()

    def on_mount(self) -> None:
        self.app.jobs_changed.subscribe(self, self.jobs_changed)

    def on_screen_resume(self) -> None:
        self.app.remember_screen(self.MODE or self.SCOPE)
        self.call_after_refresh(self.refresh_data)

    def jobs_changed(self, board: JobBoard) -> None:
        """A job started, went on or ended. Called also when the screen is not the one shown."""

    def refresh_data(self) -> None:
        """Read again what the screen shows: called after its first paint and whenever it is shown again."""

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Show a `UserError` or an `OSError` raised inside as a notification (for message handlers and the callbacks of
        dialogs; actions do so by themselves)."""
        try:
            yield
        except (UserError, OSError) as error:
            self.app.report(error)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        self.app.report_failed(event)

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """The widget under a cell, except one that left the DOM while the compositor still remembers it.

        Textual 8.2.8 crashes when the mouse is pressed on Markdown that is being re-mounted (Textualize/textual#6643).
        Remove this with the release that closes the issue; its test in test_app_shell.py says when.
        """
        widget, offset = super().get_widget_and_offset_at(x, y)
        if widget is not None and (not widget.is_attached or widget.parent is None):
            return None, None
        return widget, offset
