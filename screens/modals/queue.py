"""The queue of heavy jobs: what runs, what waits, and changing the order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static
from textual.widgets.option_list import Option

from screens.modals.confirm import Confirm
from screens.modals.hints import hints
from screens.widgets.lists import Options
from workbench.errors import UserError
from workbench.jobs import control, queue
from workbench.output import duration
from workbench.text import for_terminal
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from screens.app import WorkbenchApp

_EVERY = 0.5  # seconds between two looks; each reads a file of some bytes a job


class Queue(ModalScreen[None]):
    """Jobs of all workspaces; the one that runs stands first and cannot be moved."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("K,shift+up", "move('up')", "Earlier"),
        Binding("J,shift+down", "move('down')", "Later"),
        Binding("H", "move('first')", "First"),
        Binding("L", "move('last')", "Last"),
        Binding("x", "take_out", "Take out"),
        Binding("escape,q", "leave", "Close"),
    ]

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._places: list[queue.Place] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static("Queue", classes="dialog-title")
            yield Static(
                "Nothing runs and nothing waits. Heavy jobs run one at a time; the others wait here.", id="no-queue"
            )
            yield Options(markup=False)
            yield Static(
                hints(
                    ("K", "move('up')", "earlier"), ("J", "move('down')", "later"), ("H", "move('first')", "first"),
                    ("L", "move('last')", "last"), ("x", "take_out", "take out"), ("escape", "leave", "close"),
                ),
                classes="dialog-keys",
            )  # fmt: skip

    def on_mount(self) -> None:
        self._look()
        self.set_interval(_EVERY, self._look)

    @property
    def _chosen(self) -> queue.Place | None:
        at = self.query_one(Options).highlighted
        return self._places[at] if at is not None and at < len(self._places) else None

    def _look(self) -> None:
        self._show(queue.line_up())

    def _show(self, line: list[queue.Place]) -> None:
        chosen = self._chosen
        same = [place.ticket for place in line] == [place.ticket for place in self._places]
        self._places = line
        options = self.query_one(Options)
        self.query_one("#no-queue").display = not line
        options.display = bool(line)
        if line and self.focused is None:  # it had the focus until nothing waited
            options.focus()
        prompts = self._prompts()
        if same:
            for number, prompt in enumerate(prompts):
                options.replace_option_prompt_at_index(number, prompt)
            return
        options.clear_options()
        options.add_options(Option(prompt) for prompt in prompts)
        # The cursor stays on its job; at first on the first that can be moved.
        tickets = [place.ticket for place in line]
        waiting = next((number for number, place in enumerate(line) if not place.running), 0)
        options.highlighted = tickets.index(chosen.ticket) if chosen and chosen.ticket in tickets else waiting
        if line and options.highlighted >= len(line):
            options.highlighted = len(line) - 1

    def _prompts(self) -> list[Content]:
        titles = [self._what(place) for place in self._places]
        width = max(map(len, titles), default=0)
        ahead = sum(place.running for place in self._places)
        prompts = []
        for number, (place, title) in enumerate(zip(self._places, titles, strict=True)):
            waits = f"waits {duration(time.time() - place.since)}"
            elsewhere = place.job and place.job.workspace_root != self._workspace.root
            prompts.append(
                Content.from_markup(
                    "[$text-accent]$place[/]  $title  [$foreground-muted]$state  $where[/]",
                    place="●" if place.running else str(number - ahead + 1),
                    title=title.ljust(width),
                    state="runs" if place.running else waits,
                    where=for_terminal(place.job.workspace_root.name) if place.job and elsewhere else "",
                )
            )
        return prompts

    @staticmethod
    def _what(place: queue.Place) -> str:
        if place.job is None:
            return "another program"
        try:
            return for_terminal(place.job.spec["title"], one_line=True)
        except UserError:
            return for_terminal(place.job.id, one_line=True)

    def action_move(self, where: str) -> None:
        place = self._chosen
        if place and place.job and not place.running:
            self._show(queue.move(place.job, where))

    def action_take_out(self) -> None:
        """Stop a job that waits: it has done nothing yet, and can be resumed."""
        place = self._chosen
        if place is None or place.job is None or place.running:
            return
        job = place.job

        def answered(yes: bool | None) -> None:
            if not yes:
                return
            app = cast("WorkbenchApp", self.app)
            try:
                control.stop(job)
            except (UserError, OSError) as error:
                app.report(error)
            app.look_at_jobs()

        self.app.push_screen(
            Confirm(f"Take {job.id} out of the queue?", "It has not begun; resume brings it back.", yes="Take out"),
            answered,
        )

    def action_leave(self) -> None:
        self.dismiss(None)
