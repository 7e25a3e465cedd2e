"""What goes wrong in a dialog, or while it does what it is for, is told; and nothing is started twice or lost."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_queue import busy
from sample_runs import write_run
from textual.widgets import Static

from screens.app import WorkbenchApp
from screens.modals.compare_runs import CompareRuns
from screens.modals.confirm import Confirm
from screens.modals.export_run import ExportRun
from screens.modals.new_grid import NewGrid
from screens.modals.new_run import NewRun
from screens.modals.preflight import PreFlight
from screens.modals.prompt import Prompt
from screens.training import TrainingScreen
from workbench.jobs import control
from workbench.jobs.folder import JobFolder, Status
from workbench.workspace import Workspace

Settle = Callable[..., Any]
FULL = OSError(errno.ENOSPC, "No space left on device", "/here/spec.json")


def refuse(*_: Any, **__: Any) -> Any:
    """A disk that is full."""
    raise FULL


def told(pilot: Any) -> list[str]:
    return [notice.message for notice in pilot.app._notifications]


def text(pilot: Any, selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).render())


async def until(pilot: Any, what: Callable[[], Any]) -> None:
    for _ in range(600):
        await pilot.pause(0.01)
        if what():
            return
    raise AssertionError("it does not happen")


@pytest.fixture
def recipe(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only recipe that is offered, in configs/."""
    path = workspace.configs / "tone.yaml"
    path.write_text("# House tone.\ndataset: handbook\nmax_steps: 4\n", encoding="utf-8")
    monkeypatch.setattr(Workspace, "recipes", lambda self: [path])
    return path


class SlowStart:
    """A start that takes until it is let go, and counts how often it was asked for."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.asked, self.go_on = workspace, 0, threading.Event()

    def __call__(self, *_: Any, **__: Any) -> JobFolder:
        self.asked += 1
        self.go_on.wait(10)
        return write_run(self.workspace, f"started-{self.asked}", "done")


# Failures are told


async def test_a_key_that_meets_a_full_disk_is_told_in_one_line(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(workspace, "tone", "failed", step=30)
    monkeypatch.setattr(control, "resume", refuse)
    monkeypatch.setattr("workbench.training.tags.change", refuse)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "r")
        await settle(pilot)
        assert told(pilot) == ["/here/spec.json: no space left on device"]
        await pilot.press("T", *"good", "enter")
        await settle(pilot)
        assert told(pilot) == ["/here/spec.json: no space left on device"] * 2
        assert isinstance(pilot.app.screen, TrainingScreen)


async def test_a_start_that_meets_a_full_disk_is_told_in_the_form(
    workspace: Workspace, settle: Settle, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.training.control.start_run", refuse)
    monkeypatch.setattr("workbench.training.control.start_preflight", refuse)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "n")
        await settle(pilot)
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert "no space left on device" in text(pilot, ".dialog-fault")
        await pilot.press("ctrl+f")
        await settle(pilot)
        assert "no space left on device" in text(pilot, "#preflight-figures")


async def test_what_nobody_foresaw_in_a_dialog_is_told_too(
    workspace: Workspace, settle: Settle, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError("an accident")

    monkeypatch.setattr("workbench.training.control.start_run", fail)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "n")
        await settle(pilot)
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert "ZeroDivisionError: an accident" in told(pilot)[0]
        assert isinstance(pilot.app.screen, NewRun)


async def test_runs_that_cannot_be_compared_are_not_waited_for(workspace: Workspace, settle: Settle) -> None:
    write_run(workspace, "tone", "done")
    spec = workspace.run("tone") / "spec.json"
    write_run(workspace, "facts", "done", age=100)
    spec.write_text(json.dumps({**json.loads(spec.read_text()), "arguments": {}}))
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "space", "D")
        await settle(pilot)
        assert isinstance(pilot.app.screen, CompareRuns)
        assert "Reading" not in text(pilot, "#waiting")
        assert "KeyError" in told(pilot)[0]


async def test_a_folder_that_cannot_be_exported_to_is_told(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screens.modals.export_run.forms_of", lambda *_: ["adapter", "merged"])
    monkeypatch.setattr("screens.modals.export_run.start_export", refuse)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.app.push_screen(ExportRun(workspace, "tone"))
        await pilot.press("down", "down", *"~no-one/x", "enter")
        await settle(pilot)
        assert "~no-one/x: there is no such home folder" in text(pilot, ".dialog-fault")
        await pilot.press("ctrl+u", "enter")
        await settle(pilot)
        assert "no space left on device" in text(pilot, ".dialog-fault")


async def test_a_grid_of_nothing_is_refused_when_it_is_started(
    workspace: Workspace, settle: Settle, recipe: Path
) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "ctrl+g")
        await settle(pilot)
        assert isinstance(pilot.app.screen, NewGrid)
        assert not text(pilot, ".dialog-fault"), "nothing is wrong yet"
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert text(pilot, ".dialog-fault")


# What is started is started once


async def test_a_run_that_is_being_started_is_started_once_and_waited_for(
    workspace: Workspace, settle: Settle, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = SlowStart(workspace)
    monkeypatch.setattr("workbench.training.control.start_run", start)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "n")
        await settle(pilot)
        form = pilot.app.screen
        await pilot.press("ctrl+s", "ctrl+s", "escape", "ctrl+f", "ctrl+w")
        await until(pilot, lambda: start.asked)
        assert pilot.app.screen is form
        assert text(pilot, ".form-hint") == "Starting ..."
        start.go_on.set()
        await settle(pilot)
        assert isinstance(pilot.app.screen, TrainingScreen)
        assert start.asked == 1


async def test_an_export_that_is_being_started_is_started_once(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = SlowStart(workspace)
    monkeypatch.setattr("screens.modals.export_run.forms_of", lambda *_: ["adapter", "merged"])
    monkeypatch.setattr("screens.modals.export_run.start_export", start)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        form = ExportRun(workspace, "tone")
        await pilot.app.push_screen(form)
        await pilot.press("enter", "enter", "escape")
        await until(pilot, lambda: start.asked)
        assert pilot.app.screen is form
        assert text(pilot, ".form-hint") == "Starting ..."
        start.go_on.set()
        await settle(pilot)
        assert pilot.app.screen is not form
        assert start.asked == 1


# Nothing is lost


async def test_a_recipe_is_replaced_only_when_asked(workspace: Workspace, settle: Settle, recipe: Path) -> None:
    other = workspace.configs / "b.yaml"
    other.write_text("dataset: facts # dear to me\n", encoding="utf-8")
    settings = workspace.configs / "settings.yaml"
    before = settings.read_text()
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "n")
        await settle(pilot)
        await pilot.press("ctrl+w")
        await settle(pilot)
        await pilot.press("ctrl+u", *"settings", "enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Prompt)
        assert "is no recipe" in text(pilot, ".dialog-fault")
        await pilot.press("ctrl+u", "b", "enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("enter")  # alone it loses nothing
        await settle(pilot)
        assert "dear to me" in other.read_text()
        await pilot.press("ctrl+w", "enter")  # the one that is open
        await settle(pilot)
        assert told(pilot)[-1] == "Saved configs/tone.yaml"
        await pilot.press("ctrl+w", "ctrl+u", "b", "enter", "y")
        await settle(pilot)
        assert "House tone" in other.read_text()
    assert settings.read_text() == before


# The pre-flight


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused before a pre-flight starts is another test's."""
    monkeypatch.setattr("workbench.training.control._checked_arguments", lambda *_: {})


async def test_a_pre_flight_that_is_left_leaves_nothing(
    workspace: Workspace, settle: Settle, recipe: Path, checked: None
) -> None:
    """Its own process, behind this one in the queue."""
    with busy():
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await pilot.app.push_screen(PreFlight(workspace, recipe, {}))
            await until(pilot, lambda: pilot.app.screen._job)
            (child,) = control._children
            await until(pilot, lambda: pilot.app.look_at_jobs() or "waiting for" in text(pilot, "#preflight-figures"))
            await pilot.press("escape")
            assert child.wait(10) == -9
            pilot.app.look_at_jobs()
            await settle(pilot)
            assert told(pilot) == []
    assert not [path for path in workspace.jobs.iterdir() if path.is_dir()]
    assert not [path for path in workspace.private.iterdir() if path.name.startswith("discarded")]


async def test_a_pre_flight_that_is_left_while_it_starts_is_ended(
    workspace: Workspace, settle: Settle, recipe: Path, checked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.training import control as training

    go_on, start, started = threading.Event(), training.start_preflight, []

    def slowly(*arguments: Any) -> JobFolder:
        go_on.wait(10)
        started.append(start(*arguments))
        return started[0]

    monkeypatch.setattr(training, "start_preflight", slowly)
    with busy():
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await pilot.app.push_screen(PreFlight(workspace, recipe, {}))
            await pilot.press("escape")
            assert not isinstance(pilot.app.screen, PreFlight)
            go_on.set()
            await until(pilot, lambda: started and not started[0].path.exists())


@pytest.mark.parametrize(("state", "says"), [("lost", "memory ran out"), ("stopped", "The pre-flight was stopped")])
async def test_a_pre_flight_that_ended_without_a_word_is_told(
    workspace: Workspace, settle: Settle, recipe: Path, monkeypatch: pytest.MonkeyPatch, state: str, says: str
) -> None:
    job = write_run(workspace, "flight", "running", step=1)
    monkeypatch.setattr("workbench.training.control.start_preflight", lambda *_: job)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.app.push_screen(PreFlight(workspace, recipe, {}))
        await settle(pilot)
        job.write_status(Status(state))
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert says in text(pilot, "#preflight-figures")
