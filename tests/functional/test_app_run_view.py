"""Watching and steering a run by keys: its curves, samples and log as they are written, what it is asked to do."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sample_runs import START, append_events, curve, write_run
from textual.widgets import Input, Log, Static

from screens.app import WorkbenchApp
from screens.modals.choose_many import ChooseMany
from screens.modals.learning_rate import LearningRate
from screens.run_reader import RunReader
from screens.widgets.chart import Chart
from screens.widgets.curves import Curves
from screens.widgets.run_view import RunView
from screens.widgets.samples import Samples
from workbench.jobs.folder import JobFolder
from workbench.training import control
from workbench.workspace import Workspace

Settle = Callable[..., Any]
DOG, MUSEUM = "May I bring my dog on board?", "When does the museum open?"


@asynccontextmanager
async def training(workspace: Workspace, settle: Settle, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Any]:
    """The app on the Training screen."""
    async with WorkbenchApp(workspace).run_test(size=size) as pilot:
        await pilot.press("3")
        await settle(pilot)
        yield pilot


def shown(pilot: Any, selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).render())


def figures(pilot: Any) -> str:
    return shown(pilot, "#figures")


def chart(pilot: Any) -> str:
    """The chart as it stands on the screen."""
    widget = pilot.app.screen.query_one(Chart)
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


def answers(pilot: Any) -> list[str]:
    """The columns of the samples: the title and the text of each."""
    columns = pilot.app.screen.query_one(Samples).query(".answers > Horizontal > Static")
    return [str(column.render()) for column in columns]


def dimmed(pilot: Any, id: str) -> bool:
    """Whether the key of a command is there and does nothing now."""
    active = {active.binding.id: active for active in pilot.app.screen.active_bindings.values()}
    return not active[id].enabled


# Watching


async def test_a_live_run_grows_in_every_view(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "running", step=60)
    async with training(workspace, settle) as pilot:
        before = chart(pilot)
        append_events(run, curve(110, 200, start=61))
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert chart(pilot) != before
        assert "eval 1.139" in figures(pilot)
        assert "1.9 GB" in figures(pilot)
        assert "1.9 cores" in figures(pilot)
        await pilot.press("v")
        await settle(pilot)
        assert [column.split("\n")[0] for column in answers(pilot)] == ["step 50", "step 100 best", "pair"]
        await pilot.press("v")
        await settle(pilot)
        log = pilot.app.screen.query_one(Log)
        assert "step 110  loss" in log.lines[-1]
        assert any("step 100: checkpoint saved" in line for line in log.lines)
        await pilot.press("v")
        await settle(pilot)
        assert "learning_rate: 0.0002" in shown(pilot, "#recipe-text")


async def test_only_lines_of_the_chart_that_changed_are_painted(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(workspace, "tone", "running", step=1000, steps=2000)
    async with training(workspace, settle) as pilot:
        painted = []
        paint = Chart.render_line
        monkeypatch.setattr(Chart, "render_line", lambda self, y: painted.append(y) or paint(self, y))
        append_events(run, curve(1001, 2000, start=1001))
        pilot.app.look_at_jobs()
        await settle(pilot)
        painted.clear()
        append_events(run, curve(1002, 2000, start=1002))
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert len(set(painted)) < pilot.app.screen.query_one(Chart).size.height / 2


async def test_progress_is_painted_now_and_then_a_change_of_state_at_once(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(workspace, "tone", "running", step=60)
    monkeypatch.setattr("screens.app._TELL_PROGRESS", math.inf)
    async with training(workspace, settle) as pilot:
        pilot.app.look_at_jobs()
        append_events(run, curve(70, 200, start=61))
        pilot.app.look_at_jobs(everything=False)
        await settle(pilot)
        history = pilot.app.screen.query_one(RunView).history
        assert len(history.series["loss"]) == 60, "not yet"
        monkeypatch.setattr("screens.app._TELL_PROGRESS", 0.0)
        pilot.app.look_at_jobs(everything=False)
        await settle(pilot)
        assert len(history.series["loss"]) == 70
        monkeypatch.setattr("screens.app._TELL_PROGRESS", math.inf)
        append_events(run, curve(80, 200, start=71))
        control.pause(run)
        pilot.app.look_at_jobs(everything=False)
        await settle(pilot)
        assert len(history.series["loss"]) == 80
        assert "paused" in figures(pilot)


async def test_charts_come_in_turn_and_can_be_looked_at_in_other_ways(workspace: Workspace, settle: Settle) -> None:
    write_run(workspace, "tone", "running", step=160)
    async with training(workspace, settle) as pilot:
        assert "loss" in shown(pilot, "#legend")
        assert "best 150" in chart(pilot)
        assert "steps" in chart(pilot)
        view = pilot.app.screen.query_one(RunView)
        assert view.border_subtitle == "smoothed 0.9 · linear"
        seen = {chart(pilot)}
        for key, says in (
            ("m", "smoothed 0.98 · linear"),
            ("m", "raw · linear"),
            ("y", "raw · log"),
            ("t", "raw · log"),
        ):
            await pilot.press(key)
            await settle(pilot)
            assert view.border_subtitle == says
            assert chart(pilot) not in seen, f"{key} draws something else"
            seen.add(chart(pilot))
        assert chart(pilot).rstrip().endswith(" s")
        await pilot.press("t", "y", "m")
        titles = ["learning rate", "gradient norm", "tokens/s", "GB", "CPU cores", "loss"]
        for title in titles:
            await pilot.press("c")
            await settle(pilot)
            assert title in shown(pilot, "#legend")


async def test_keys_zoom_and_pan_the_curves(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "running", step=400, steps=1000)
    async with training(workspace, settle) as pilot:
        curves = pilot.app.screen.query_one(Curves)

        def window() -> tuple[float, float]:
            return curves.look.window(curves._history, curves.kind)

        whole = window()
        await pilot.press("plus", "plus")
        assert window()[1] - window()[0] == (whole[1] - whole[0]) / 4
        assert window()[1] >= 400
        await pilot.press("left_square_bracket", "left_square_bracket")
        earlier = window()
        assert earlier[1] < 400
        assert "zoom 1:4" in str(pilot.app.screen.query_one(RunView).border_subtitle)
        append_events(run, curve(450, 1000, start=401))
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert window() == earlier
        await pilot.press("right_square_bracket", "minus")
        assert window()[1] - window()[0] > earlier[1] - earlier[0]
        await pilot.press("0")
        assert window()[0] == 0
        assert window()[1] >= 450


async def test_other_runs_are_laid_over_and_taken_away(workspace: Workspace, settle: Settle) -> None:
    write_run(workspace, "tone", "running", step=60)
    write_run(workspace, "first", "done", age=10)
    write_run(workspace, "facts", "done", step=150, age=20)
    async with training(workspace, settle) as pilot:
        alone = chart(pilot)
        await pilot.press("o")
        await settle(pilot)
        assert isinstance(pilot.app.screen, ChooseMany)
        await pilot.press("space", "j", "space", "enter")
        await settle(pilot)
        assert "first" in shown(pilot, "#others")
        assert "facts" in shown(pilot, "#others")
        assert chart(pilot) != alone
        await pilot.press("j")
        await settle(pilot)
        assert "first" not in shown(pilot, "#others"), "a run is not laid over itself"
        await pilot.press("k", "o", "space", "j", "space", "enter")
        await settle(pilot)
        assert chart(pilot) == alone


async def test_a_run_laid_over_goes_on_however_much_it_wrote_meanwhile(workspace: Workspace, settle: Settle) -> None:
    write_run(workspace, "tone", "running", step=60)
    other = write_run(workspace, "first", "running", step=60, age=10)
    async with training(workspace, settle) as pilot:
        view = pilot.app.screen.query_one(RunView)
        await pilot.press("o", "space", "enter")
        await settle(pilot)
        for step in (500, 510):
            append_events(other, curve(step, 2000, start=61 if step == 500 else 501))
            pilot.app.look_at_jobs()
            await settle(pilot)
            assert list(view._histories["first"].series["loss"].steps) == list(range(1, step + 1))


async def test_what_comes_while_much_is_read_is_taken_in_after_it(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(workspace, "tone", "running", step=60)
    async with training(workspace, settle) as pilot:
        in_thread, go_on, news = threading.Event(), threading.Event(), RunReader.news

        def slow_in_a_thread(self: RunReader) -> Any:
            read = news(self)
            if threading.current_thread() is not threading.main_thread():
                in_thread.set()
                go_on.wait(10)
            return read

        monkeypatch.setattr(RunReader, "news", slow_in_a_thread)
        append_events(run, curve(500, 2000, start=61))
        pilot.app.look_at_jobs()
        assert await asyncio.to_thread(in_thread.wait, 10)
        append_events(run, curve(510, 2000, start=501))
        pilot.app.look_at_jobs()
        await pilot.pause()
        go_on.set()
        await settle(pilot)
        history = pilot.app.screen.query_one(RunView).history
        assert list(history.series["loss"].steps) == list(range(1, 511))


async def test_overfitting_and_an_early_stop_are_told(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "running", step=120)
    async with training(workspace, settle) as pilot:
        append_events(
            run,
            [
                {"time": START, "type": "best", "step": 50, "eval_loss": 0.7},
                {"time": START, "type": "overfitting", "step": 100, "best_step": 50},
            ],
        )
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert "overfitting since step 100, the best is 50" in figures(pilot)
        assert "best 0.700 at 50" in figures(pilot)
        assert "overfits" in chart(pilot)
        append_events(run, [{"time": START, "type": "early_stop", "step": 120, "best_step": 50}])
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert "stopped early at 120" in figures(pilot)


async def test_a_run_that_learns_by_rewards_shows_its_best_reward(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "running", step=40)
    for step, reward in ((20, 1.5), (40, 1.25)):
        figure = {"time": START, "type": "metrics", "step": step}
        append_events(run, [{**figure, "eval_loss": 1 / step}, {**figure, "eval_reward": reward}])
    append_events(run, [{"time": START, "type": "best", "step": 20, "eval_reward": 1.5}])
    async with training(workspace, settle) as pilot:
        assert "best reward 1.500 at 20" in figures(pilot)
        assert "best 20" not in chart(pilot), "it is no best of the losses"
        while "reward" not in shown(pilot, "#legend"):
            await pilot.press("c")
            await settle(pilot)
        assert "best 20" in chart(pilot)


async def test_what_an_early_stop_keeps_is_what_the_recipe_asks_for(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "done")
    append_events(run, [{"time": START, "type": "early_stop", "step": 120, "best_step": 50}])
    spec = json.loads((run.path / "spec.json").read_text())
    for keeps in (True, False):
        spec["arguments"]["recipe"]["load_best_model_at_end"] = keeps
        (run.path / "spec.json").write_text(json.dumps(spec))
        async with training(workspace, settle, (140, 30)) as pilot:
            assert "no better than at 50" in figures(pilot)
            assert ("at 50, which is kept" in figures(pilot)) == keeps


async def test_a_resumed_run_tells_what_all_its_attempts_took(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "done")
    status = run.status()
    run.write_status(replace(status, figures={**status.figures, "seconds": 600.0}))
    async with training(workspace, settle) as pilot:
        assert "took 10 min" in figures(pilot)


async def test_an_ended_run_tells_what_was_expected_of_it(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "done")
    expected, actual = {"seconds": 80, "peak_memory_bytes": 2.1e9}, {"seconds": 90, "peak_memory_bytes": 1.9e9}
    append_events(run, [{"time": START, "type": "preflight_check", "expected": expected, "actual": actual}])
    async with training(workspace, settle) as pilot:
        assert "took 1 min 30 s (expected 1 min 20 s), 1.9 GB (expected 2.1 GB)" in figures(pilot)
        await pilot.press("v", "v")
        await settle(pilot)
        assert any(
            "expected time 1 min 20 s, came to 1 min 30 s" in line for line in pilot.app.screen.query_one(Log).lines
        )


async def test_answers_stand_side_by_side_and_keys_go_through_prompts_and_steps(
    workspace: Workspace, settle: Settle
) -> None:
    run = write_run(workspace, "tone", "running", step=300, steps=400)
    append_events(run, [{"time": START, "type": "best", "step": 150, "eval_loss": 0.1}])
    async with training(workspace, settle) as pilot:
        await pilot.press("v")
        await settle(pilot)

        def steps() -> list[str]:
            return [column.split("\n")[0] for column in answers(pilot)]

        assert steps() == ["step 50", "step 150 best", "step 300", "pair"], "first, best, latest where not all fit"
        second = pilot.app.screen.query_one(Samples).query(".answers > Horizontal > Static")[1].render()
        marked = {second.plain[span.start : span.end] for span in second.spans if "accent" in str(span.style)}
        assert {"Ahoy", "museum"} <= marked, "the words that the answer to the left has not"
        await pilot.press("h")
        await settle(pilot)
        assert steps() == ["step 150 best", "step 200", "step 250", "pair"]
        await pilot.press(*"hhhhhh")
        await settle(pilot)
        assert steps()[0] == "step 50"
        await pilot.press(*"llllllll")
        await settle(pilot)
        assert steps() == ["step 50", "step 150 best", "step 300", "pair"]
        append_events(
            run,
            [
                {
                    "time": START,
                    "type": "sample",
                    "step": 350,
                    "prompt": DOG,
                    "answer": "Aye, dogs may.",
                    "reference": "",
                }
            ],
        )
        await pilot.press("j")
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert "Aye, dogs may." in "".join(answers(pilot))


# Steering


async def test_a_run_is_paused_and_goes_on_by_key(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "running", step=60)
    async with training(workspace, settle) as pilot:
        await pilot.press("p")
        await settle(pilot)
        assert run.pause_file.exists()
        assert "paused" in figures(pilot)
        assert not dimmed(pilot, "training.stop")
        await pilot.press("p")
        await settle(pilot)
        assert not run.pause_file.exists()
        assert "running" in figures(pilot)


async def test_a_checkpoint_is_asked_for_by_key(workspace: Workspace, settle: Settle) -> None:
    run = write_run(workspace, "tone", "running", step=60)
    async with training(workspace, settle) as pilot:
        await pilot.press("S")
        await settle(pilot)
        assert (run.path / control.SAVE).exists()


async def test_the_learning_rate_is_checked_as_it_is_typed_and_handed_over(
    workspace: Workspace, settle: Settle
) -> None:
    run = write_run(workspace, "tone", "running", step=60)
    append_events(run, [{"time": START, "type": "learning_rate", "step": 60, "before": 2e-4, "after": 1e-4}])
    async with training(workspace, settle) as pilot:
        await pilot.press("L")
        await settle(pilot)
        dialog = pilot.app.screen
        assert isinstance(dialog, LearningRate)
        assert dialog.query_one(Input).value == "0.0001"
        fault = dialog.query_one(".dialog-fault")
        await pilot.press("ctrl+u", *"2e")
        await settle(pilot)
        assert fault.display
        await pilot.press("enter")
        await settle(pilot)
        assert pilot.app.screen is dialog, "a fault is not handed over"
        await pilot.press("backspace")
        await settle(pilot)
        assert "2 is no learning rate" in str(fault.render())
        await pilot.press("ctrl+u", *"3e-5")
        await settle(pilot)
        assert not fault.display
        assert "0.3 times the present one" in str(dialog.query_one("#change", Static).render())
        await pilot.press("enter")
        await settle(pilot)
        assert json.loads((run.path / control.LEARNING_RATE).read_text()) == 3e-5


async def test_keys_that_do_nothing_are_dimmed(workspace: Workspace, settle: Settle) -> None:
    write_run(workspace, "tone", "done")
    async with training(workspace, settle) as pilot:
        for name in ("pause", "save-now", "learning-rate", "overlay"):
            assert dimmed(pilot, f"training.{name}"), name
        assert not dimmed(pilot, "training.smooth")
        await pilot.press("p", "S", "L", "o")
        await settle(pilot)
        run = JobFolder(workspace.runs / "tone")
        assert {path.name for path in run.path.iterdir()}.isdisjoint({"pause", "save", "learning_rate"})
        assert type(pilot.app.screen).__name__ == "TrainingScreen"
        await pilot.press("v")
        await settle(pilot)
        assert dimmed(pilot, "training.smooth"), "there is no curve to smooth"


@pytest.mark.parametrize("size", [(80, 24), (60, 16), (200, 60)])
async def test_every_view_can_be_shown_at_any_size(workspace: Workspace, settle: Settle, size: tuple[int, int]) -> None:
    write_run(workspace, "tone", "running", step=120)
    async with training(workspace, settle, size) as pilot:
        for _ in range(4):
            await pilot.press("v", "c", "y")
            await settle(pilot)
        assert "120/200 steps" in figures(pilot)
