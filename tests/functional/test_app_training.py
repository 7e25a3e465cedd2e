"""The Training screen, driven by keys over real job folders; one run is really started, stopped and resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_runs import append_events, curve, write_run
from textual.widgets import Input, Log, Static

from screens.app import WorkbenchApp
from screens.modals.confirm import Confirm
from screens.modals.new_run import NewRun
from screens.widgets.curves import Curves
from screens.widgets.lists import Table
from screens.widgets.samples import Samples
from workbench.jobs.folder import JobFolder
from workbench.jobs.queue import heavy_turn
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace

Settle = Callable[..., Any]


@pytest.fixture
def recipe(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only recipe there is, with a comment to keep."""
    path = workspace.configs / "tone.yaml"
    path.write_text("# House tone.\ndataset: handbook\nmax_steps: 4 # short\n", encoding="utf-8")
    monkeypatch.setattr(Workspace, "recipes", lambda self: [path])
    return path


def rows(pilot: Any) -> list[list[str]]:
    table = pilot.app.screen.query_one("#runs Table", Table)
    return [[str(cell) for cell in table.get_row_at(n)] for n in range(table.row_count)]


def figures(pilot: Any) -> str:
    return str(pilot.app.screen.query_one("#figures", Static).render())


async def until(pilot: Any, what: Callable[[], bool]) -> None:
    """Wait for another process, looking at its folder as the app does."""
    for _ in range(600):
        pilot.app.look_at_jobs()
        await pilot.pause(0.05)
        if what():
            return
    raise AssertionError("it does not happen")


async def test_runs_are_listed_and_the_one_under_the_cursor_is_shown(workspace: Workspace, settle: Settle) -> None:
    write_run(workspace, "tone", "running", step=120, seconds_left=65)
    write_run(workspace, "first", "done", age=100)
    write_run(workspace, "broken", "failed", step=30, age=200, error="the loss is nan at step 31 [/red]\x1b[2J")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot)
        assert [row[1:5] for row in rows(pilot)] == [
            ["tone", "120/200", "0.944", "1.139"],
            ["first", "200/200", "0.894", "0.994"],
            ["broken", "30/200", "2.014", ""],
        ]
        assert "1 min 05 s left" in figures(pilot)
        await pilot.press("G")
        await settle(pilot)
        assert "the loss is nan at step 31 [/red]" in figures(pilot)
        assert "\x1b" not in figures(pilot)
        await pilot.press("g", "j")
        await settle(pilot)
        assert "took 1 min 30 s" in figures(pilot)


async def test_a_live_run_grows_in_every_view(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "running", step=60)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot)
        screen = pilot.app.screen
        lines = screen.query_one(Log).line_count
        append_events(run, curve(110, 200, start=61))
        pilot.app.look_at_jobs()
        await settle(pilot)
        history = screen.query_one(Curves)._history
        assert history.series["loss"][-1][0] == 110
        assert screen.query_one(Log).line_count > lines
        await pilot.press("v")
        await settle(pilot)
        samples = screen.query_one(Samples)
        assert samples.query_one(Table).has_focus
        assert [str(column.label) for column in samples.query_one(Table).ordered_columns] == [
            "prompt", "step 50", "step 100",
        ]  # fmt: skip
        reading = samples.query_one(Static)
        assert "Ahoy! Look in the handbook" in str(reading.render())
        await pilot.press("h", "j")
        await settle(pilot)
        assert "May I bring my dog" in str(reading.render())
        assert "I think at nine." in str(reading.render())
        await pilot.press("v", "v")
        await settle(pilot)
        assert "learning_rate: 0.0002" in str(screen.query_one("#recipe-text", Static).render())


async def test_search_narrows_the_list_and_escape_widens_it(workspace: Workspace, settle: Settle) -> None:
    write_run(workspace, "tone", "done")
    write_run(workspace, "facts", "failed", age=10)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "slash", *"fail", "enter")
        await settle(pilot)
        assert [row[1] for row in rows(pilot)] == ["facts"]
        assert "failed" in figures(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert [row[1] for row in rows(pilot)] == ["tone", "facts"]


async def test_the_form_marks_faults_and_nothing_starts(workspace: Workspace, settle: Settle, recipe: Path) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "n")
        await settle(pilot)
        form = pilot.app.screen
        assert isinstance(form, NewRun)
        assert form.query_one("#run-name", Input).value == "tone"
        fields = {row.field.key: row for row in form.query("RecipeRow")}  # type: ignore[attr-defined]
        while not fields["learning_rate"].query_one(Input).has_focus:
            assert form.focused is not fields["lora.r"].query_one(Input), "gone past it"
            await pilot.press("down")
        await pilot.press("down", "up")
        await settle(pilot)
        assert "Peak learning rate" in str(form.query_one(".form-hint", Static).render())
        await pilot.press(*"fast", "ctrl+s")
        await settle(pilot)
        assert fields["learning_rate"].has_class("-wrong")
        assert "learning_rate: " in str(form.query_one(".dialog-fault", Static).render())
        await pilot.press("ctrl+u", *"1e-3", "ctrl+s")
        await settle(pilot)
        assert not fields["learning_rate"].has_class("-wrong")
        assert fields["learning_rate"].has_class("-changed")
        assert "no accepted pairs" in str(form.query_one(".dialog-fault", Static).render())
        assert not list(workspace.runs.iterdir())
        await pilot.press("escape")
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "TrainingScreen"


async def test_a_changed_recipe_is_saved_with_its_comments(workspace: Workspace, settle: Settle, recipe: Path) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "n")
        await settle(pilot)
        for row in pilot.app.screen.query("RecipeRow"):
            if row.field.key == "lora.r":  # type: ignore[attr-defined]
                row.query_one(Input).value = "8"
        await pilot.press("ctrl+w")
        await settle(pilot)
        await pilot.press("ctrl+u", *"tone-8", "enter")
        await settle(pilot)
    saved = (workspace.configs / "tone-8.yaml").read_text(encoding="utf-8")
    assert "# House tone." in saved
    assert "# short" in saved
    assert "r: 8" in saved
    assert "r: 8" not in recipe.read_text(encoding="utf-8")


async def test_a_run_is_started_stopped_and_resumed_by_key(workspace: Workspace, settle: Settle, recipe: Path) -> None:
    """The run's own process; it waits in the queue, behind this test."""
    with PairStore(workspace.database) as store:
        pair = NewPair(messages=[{"role": "user", "content": "Open?"}], completion="Aye.")
        store.add("handbook", [pair], status="accepted")
    job = JobFolder(workspace.runs / "tone")
    with heavy_turn(lambda: None, lambda ahead: None):
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await pilot.press("3", "n")
            await settle(pilot)
            await pilot.press("ctrl+s")
            await settle(pilot)
            assert job.spec["arguments"]["recipe"]["max_steps"] == 4
            assert [row[1] for row in rows(pilot)] == ["tone"]
            await pilot.press("s")
            await settle(pilot)
            assert isinstance(pilot.app.screen, Confirm)
            await pilot.press("y")
            await until(pilot, lambda: pilot.app.board.jobs[0].status.state == "stopped")
            await settle(pilot)
            assert "stopped" in figures(pilot)
            await pilot.press("r")
            await settle(pilot)
            assert job.status().attempt == 2
            assert pilot.app.board.live, "the screen knows at once"
            await pilot.press("s")
            await settle(pilot)
            assert isinstance(pilot.app.screen, Confirm)
            await pilot.press("y")
            await until(pilot, lambda: not pilot.app.board.live)
    assert job.status().state == "stopped"


async def test_a_workspace_without_recipes_says_so(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workspace, "recipes", lambda self: [])
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "n")
        await settle(pilot)
        assert any("there are no recipes" in notice.message for notice in pilot.app._notifications)
