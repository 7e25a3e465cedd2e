"""The App: its modes, its one watcher of jobs, and what holds on every screen. The screens themselves come lazily."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from textual.actions import ActionParseResult
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.screen import Screen
from textual.signal import Signal
from textual.worker import Worker, WorkerState

from screens import last_place
from screens.commands import BY_ID, SCOPES, bindings
from screens.harmless import Harmless
from screens.server_state import ServerState, ServerWatch
from screens.watcher import Job, JobBoard
from workbench.errors import UserError, in_words
from workbench.text import for_terminal
from workbench.workspace import Workspace

_LOOK_AT_JOBS = 0.5  # seconds
_TELL_PROGRESS = 2.0  # seconds between two repaints of jobs that have only gone on; a change of state is shown at once
_LOOK_AT_SERVER = 1.0
_HANG_UP_SECONDS = 3.0  # what an orderly end may take
_SCREENS = {
    "home": "screens.home:HomeScreen",
    "pairs": "screens.pairs:PairsScreen",
    "training": "screens.training:TrainingScreen",
    "library": "screens.library:LibraryScreen",
    "chat": "screens.chat:ChatScreen",
    "compare": "screens.compare:CompareScreen",
}


def _lazily(place: str) -> Callable[[], Screen[Any]]:
    def make() -> Screen[Any]:
        module, name = place.split(":")
        return getattr(importlib.import_module(module), name)()

    return make


def _end_without_terminal(terminal: int) -> None:
    """Wait until the terminal is closed, and end the process if it does not end on the SIGHUP that comes with it.

    Textual's writer dies at its first write to a closed terminal, and the loop that waits for it then waits for ever:
    when the terminal had stalled, and on exit, since the SIGCONT that comes, too, can start another writer. There is no
    terminal left to restore, and what was acknowledged is saved.
    """
    closing = select.poll()
    closing.register(terminal, 0)  # a hang-up is told without being asked for, and nothing else
    if any(event & select.POLLHUP for _, event in closing.poll()):
        time.sleep(_HANG_UP_SECONDS)
        os._exit(128 + signal.SIGHUP)


class WorkbenchApp(App[None]):
    """The workbench in the terminal."""

    CSS_PATH = "app.tcss"
    BINDINGS = bindings("app")
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        mode: _lazily(place) for mode, place in _SCREENS.items()
    }
    PAUSE_GC_ON_SCROLL = True

    def __init__(self, workspace: Workspace) -> None:
        self.place = last_place.load(workspace)
        if self.place.screen not in self.MODES:
            self.place.screen = "home"
        self.DEFAULT_MODE = self.place.screen  # pyright: ignore[reportAttributeAccessIssue] - the first screen painted is the one last left
        super().__init__()
        self.workspace = workspace
        self.title = workspace.root.name or "/"
        self._harmless = Harmless()
        self.keymap: dict[str, str] = {}
        """The user's own keys, by the ids of commands."""
        self.board = JobBoard(workspace)
        """All jobs as they were at the last look."""
        self.board.look()
        self.jobs_changed: Signal[JobBoard] = Signal(self, "jobs-changed")
        """Published when a job started, went on or ended."""
        self.server: ServerState | None = None
        self._jobs_told = 0.0
        self._jobs_untold = False
        self._server_watch = ServerWatch(workspace)
        self.server_changed: Signal[ServerState | None] = Signal(self, "server-changed")
        self._unchosen_theme = self.theme
        if self.place.theme in self.available_themes:
            self.theme = self.place.theme

    # Life

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Textual leaves the terminal broken on both (only SIGINT is clean).
            loop.add_signal_handler(number, partial(self.exit, return_code=128 + number))
        if not self.is_headless and sys.__stdin__ is not None and sys.__stdin__.isatty():
            threading.Thread(target=_end_without_terminal, args=(sys.__stdin__.fileno(),), daemon=True).start()
        self.theme_changed_signal.subscribe(self, lambda theme: self._theme_chosen(theme.name))
        self.call_after_refresh(self._after_first_paint)

    async def on_unmount(self) -> None:
        await self._server_watch.close()

    def _after_first_paint(self) -> None:
        gc.collect()
        gc.freeze()
        self.set_interval(_LOOK_AT_JOBS, partial(self.look_at_jobs, everything=False))
        self.set_interval(_LOOK_AT_SERVER, self._look_at_server)
        self.run_worker(self._apply_settings, group="settings", exit_on_error=False)

    async def _apply_settings(self) -> None:
        """The theme of settings.yaml where none was chosen here, and the user's keymap; faults are shown."""
        try:
            settings = await asyncio.to_thread(self.workspace.settings)
            if not self.place.theme and settings.theme in self.available_themes:
                self._unchosen_theme = self.theme = settings.theme
        except UserError as error:
            self.report(error)
        try:
            self.keymap = await asyncio.to_thread(_keymap, self.workspace)
            self.set_keymap(self.keymap)
        except UserError as error:
            self.report(error)

    def look_at_jobs(self, *, everything: bool = True) -> None:
        """Look at once, and tell what changed: call it after a job was started, stopped or resumed.

        Args:
            everything: False for the look at every interval: jobs that only went on are told of now and then.
        """
        self._jobs_untold |= self.board.look(everything=everything)
        for job in self.board.ended:
            self._tell_end(job)
        now = time.monotonic()
        if self._jobs_untold and (everything or self.board.turned or now - self._jobs_told >= _TELL_PROGRESS):
            self._jobs_told, self._jobs_untold = now, False
            self.jobs_changed.publish(self.board)

    def _tell_end(self, job: Job) -> None:
        match job.status.state:
            case "failed" | "lost":
                reason = job.status.error or "its process is gone; it can be resumed"
                self.tell(f"{job.title} {job.status.state}: {reason}", severity="error")
            case state:
                self.tell(f"{job.title}: {state}")

    def _look_at_server(self) -> None:
        if self.server is None and not self._server_watch.worth_a_look:
            return
        # Not exclusive: a look that takes long must not be cut off again and again.
        if not any(worker.group == "server" and not worker.is_finished for worker in self.workers):
            self.run_worker(self._ask_server, group="server", exit_on_error=False)

    async def _ask_server(self) -> None:
        server = await self._server_watch.look()
        if server != self.server:
            self.server = server
            self.server_changed.publish(server)

    def _theme_chosen(self, name: str) -> None:
        # The theme of settings.yaml is not remembered: it may change there.
        if self.place.theme or name != self._unchosen_theme:
            self._remember(theme=name)

    def remember_screen(self, mode: str) -> None:
        """The screen shown, to be restored next time."""
        self._remember(screen=mode)

    def _remember(self, *, theme: str | None = None, screen: str | None = None) -> None:
        before = (self.place.theme, self.place.screen)
        self.place.theme = self.place.theme if theme is None else theme
        self.place.screen = screen or self.place.screen
        if before != (self.place.theme, self.place.screen):
            last_place.save(self.workspace, self.place)

    # Telling the user

    def tell(self, text: str, *, title: str = "", severity: Any = "information") -> None:
        """A notification; text of any origin is safe. May be called from a thread."""
        self.notify(
            for_terminal(text), title=for_terminal(title), severity=severity, markup=False,
            timeout=10 if severity == "error" else None,
        )  # fmt: skip

    def report(self, error: BaseException) -> None:
        """Show a failure: a `UserError` and an `OSError` (a full disk, a folder that is not the user's) in one line;
        anything else with its traceback in .workbench/app.log."""
        if isinstance(error, UserError | OSError):
            self.tell(in_words(error), severity="error")
            return
        log = self.workspace.private / "app.log"
        try:
            log.parent.mkdir(exist_ok=True)
            with log.open("a", encoding="utf-8") as file:
                file.write(time.strftime("%Y-%m-%d %H:%M:%S ") + "".join(traceback.format_exception(error)) + "\n")
        except OSError:
            pass
        self.tell(f"{type(error).__name__}: {error} (the details are in {log})", title="Unexpected", severity="error")

    def report_failed(self, event: Worker.StateChanged) -> None:
        """Show the failure of a worker, if it is one: each screen hears only of its own workers."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.report(event.worker.error)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """As Textual does, but a `UserError` and an `OSError` become a notification."""
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except (UserError, OSError) as error:
            self.report(error)
            return True

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's, and the guard against control characters."""
        return [*super().get_line_filters(), self._harmless]

    # Commands

    async def action_show(self, mode: str) -> None:
        await self.switch_mode(mode)

    def action_help(self) -> None:
        from screens.modals.help import Help

        keys = {
            active.binding.id: self.get_key_display(active.binding)
            for active in reversed(self.screen.active_bindings.values())
            if active.binding.id
        }
        for command in BY_ID.values():  # lists that are not in focus now
            if command.keys and command.id not in keys:
                keys[command.id] = command.keys.split(",")[0]
        self.push_screen(Help(getattr(self.screen, "SCOPE", "home"), keys))

    def action_picture(self) -> None:
        name = f"workbench-{self.place.screen}-{time.strftime('%Y%m%d-%H%M%S')}.svg"
        # After the palette has left the screen.
        self.set_timer(0.2, lambda: self.tell(f"Saved {self.save_screenshot(name, str(self.workspace.root))}"))

    def key_of(self, command: str) -> str:
        """The key of a command, by its id, as the user has it and the footer shows it."""
        keys = self.keymap.get(command) or BY_ID[command].keys
        return self.get_key_display(Binding(keys.split(",")[0], ""))

    async def action_quit(self) -> None:
        self.exit()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers: the commands of the screen, then those of the app."""
        scope = getattr(screen, "SCOPE", None)
        for node, commands in ((screen, SCOPES.get(scope or "", ())), (self, SCOPES["app"])):
            for command in commands:
                if command.id == "app.palette" or not node.check_action(command.does, ()):
                    continue
                yield SystemCommand(command.title, command.help, partial(self.run_action, command.does, node))


def _keymap(workspace: Workspace) -> dict[str, str]:
    """The user's keys. In a thread: it imports a parser of YAML."""
    from screens import keymap

    return keymap.read(workspace.configs / "keymap.yaml")


def open_app(workspace: Workspace) -> int:
    """Open the app on a workspace until the user leaves; the exit code. Says which jobs go on."""
    app = WorkbenchApp(workspace)
    app.run()
    app.board.look()
    if live := len(app.board.live):
        from workbench import output

        output.say(f"{live} job{'s go' if live > 1 else ' goes'} on. See `workbench jobs list`.")
    return app.return_code or 0
