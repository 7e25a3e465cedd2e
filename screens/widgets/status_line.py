"""The line above the footer on every screen: what is running, what waits, and the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.content import Content
from textual.widget import Widget

from screens.server_state import ServerState
from screens.watcher import Job, JobBoard
from workbench.output import duration
from workbench.text import for_terminal

if TYPE_CHECKING:
    from screens.app import WorkbenchApp

_BAR = 10  # cells


class StatusLine(Widget):
    """Running jobs on the left, the server on the right."""

    def __init__(self) -> None:
        super().__init__()
        self._board: JobBoard | None = None
        self._server: ServerState | None = None

    def on_mount(self) -> None:
        app = cast("WorkbenchApp", self.app)
        self._board, self._server = app.board, app.server
        app.jobs_changed.subscribe(self, self._jobs_changed)
        app.server_changed.subscribe(self, self._server_changed)

    def _jobs_changed(self, board: JobBoard) -> None:
        self._board = board
        self.refresh()

    def _server_changed(self, server: ServerState | None) -> None:
        self._server = server
        self.refresh()

    def render(self) -> Content:
        width = self.content_size.width
        right = describe_server(self._server)
        room = max(10, width - right.cell_length - 2)
        left = describe_jobs(self._board.live if self._board else [], room)
        return left.pad_right(max(1, width - left.cell_length - right.cell_length)).append(right)


def describe_server(server: ServerState | None) -> Content:
    """The model that the server holds, and the speed of its last answer."""
    if server is None:
        return Content.from_markup("[$foreground-muted]server off[/]")
    parts = [server.model or "server ready"]
    if server.tokens_per_second:
        parts.append(f"{server.tokens_per_second:.0f} tokens/s")
    if server.path == "transformers":  # the decoder of its own does not know the model: say why it is slow
        parts.append("by transformers")
    if server.memory_bytes:
        parts.append(f"{server.memory_bytes / 1e9:.1f} GB")
    mark = "[$text-warning]●[/] $text" if server.busy else "[$text-success]●[/] $text"
    return Content.from_markup(mark, text=for_terminal(" · ".join(parts), one_line=True))


def describe_jobs(live: list[Job], room: int) -> Content:
    """The first running job with its progress, loss and time left, then how many others run and wait."""
    if not live:
        return Content.from_markup("[$foreground-muted]no jobs running[/]")
    first, *others = live
    queued = sum(job.status.state == "queued" for job in others)
    more = []
    if len(others) - queued:
        more.append(f"+{len(others) - queued} running")
    if queued:
        more.append(f"+{queued} queued")
    tail = Content.from_markup("[$foreground-muted]$text[/]", text=("  " + " ".join(more)) if more else "")
    status = first.status
    parts: list[Content] = [Content(for_terminal(first.title, one_line=True)).stylize("bold")]
    if status.state != "running":
        parts.append(Content.from_markup("[$text-warning]$state[/]", state=status.state))
    progress = status.progress
    if progress.fraction is not None and status.state != "queued":
        parts.append(progress_bar(progress.fraction))
    loss = status.figures.get("loss")
    if isinstance(loss, int | float):
        parts.append(Content(f"loss {loss:.3f}"))
    if progress.seconds_left is not None and status.state == "running":
        parts.append(Content(f"{duration(progress.seconds_left)} left"))
    if progress.fraction is None and progress.message:
        parts.append(Content(for_terminal(progress.message, one_line=True)))
    head = Content("  ").join(parts)
    return head.truncate(max(4, room - tail.cell_length), ellipsis=True) + tail


def progress_bar(fraction: float, width: int = _BAR) -> Content:
    """A bar and its percentage."""
    full = round(fraction * width)
    return Content.from_markup(
        "[$primary]$full[/][$surface-lighten-2]$rest[/] $percent",
        full="━" * full,
        rest="━" * (width - full),
        percent=f"{fraction:.0%}",
    )
