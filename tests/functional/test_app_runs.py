"""What becomes of runs, by keys on the Training screen: filter, tags, marks, compare, clone, delete, queue, grid."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_queue import busy, names_in, until, waiting, waiting_jobs
from sample_runs import append_events, write_run
from textual.widgets import Input, Static

from screens import home_state
from screens.app import WorkbenchApp
from screens.modals.compare_runs import CompareRuns
from screens.modals.confirm import Confirm
from screens.modals.new_grid import NewGrid
from screens.modals.new_run import NewRun
from screens.modals.prompt import Prompt
from screens.modals.queue import Queue
from screens.widgets.lists import Options, Table
from screens.widgets.overlaid_curves import OverlaidCurves
from screens.widgets.recipe_form import RecipeRow
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import follow
from workbench.training import tags
from workbench.training.recipe import Recipe, load
from workbench.workspace import Workspace, shipped

Settle = Callable[..., Any]
Command = Callable[..., Any]


def names(pilot: Any) -> list[str]:
    table = pilot.app.screen.query_one("#runs Table", Table)
    return [str(table.get_row_at(n)[1]) for n in range(table.row_count)]


def text(pilot: Any, selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).render())


def fields(pilot: Any) -> dict[str, RecipeRow]:
    """The fields that are shown, by key."""
    return {row.field.key: row for row in pilot.app.screen.query(RecipeRow) if row.display}


@pytest.fixture
def three(workspace: Workspace) -> Workspace:
    """Three runs that have ended: tone, facts, broken; from the newest on."""
    write_run(workspace, "tone", "done")
    facts = write_run(workspace, "facts", "done", age=100)
    write_run(workspace, "broken", "failed", step=30, age=200, error="the loss is nan")
    tags.change(facts, ["good", "grid:x"])
    return workspace


async def test_filter_search_and_marks_are_left_one_by_one(three: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(three).run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot)
        panel = pilot.app.screen.query_one("#runs")
        listed = []
        for _ in range(5):
            await pilot.press("f")
            await settle(pilot)
            listed.append((str(panel.border_title), names(pilot)))
        assert listed == [
            ("Runs · running, 0", []), ("Runs · done, 2", ["tone", "facts"]), ("Runs · stopped, 0", []),
            ("Runs · failed, 1", ["broken"]), ("Runs", ["tone", "facts", "broken"]),
        ]  # fmt: skip
        for search, found in (("tag:gr", ["facts"]), ("handbook do", ["tone", "facts"]), ("tag:tone", [])):
            await pilot.press("slash", "ctrl+u", *(key if key != " " else "space" for key in search))
            await settle(pilot)
            assert names(pilot) == found, search
            await pilot.press("escape")
        await pilot.press("f", "f", "space", "slash", *"tone")
        await settle(pilot)
        assert names(pilot) == ["tone"]
        assert str(panel.border_subtitle) == "1 marked"
        await pilot.press("escape")
        assert names(pilot) == ["tone", "facts"]
        await pilot.press("escape")
        assert "marked" not in str(panel.border_subtitle)
        assert names(pilot) == ["tone", "facts"]
        await pilot.press("escape")
        assert names(pilot) == ["tone", "facts", "broken"]


async def test_a_list_that_was_empty_answers_to_keys_again(three: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(three).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "f")
        await settle(pilot)
        assert names(pilot) == []
        await pilot.press("f", "j")
        await settle(pilot)
        table = pilot.app.screen.query_one("#runs Table", Table)
        assert table.has_focus
        assert table.cursor_row == 1


async def test_marks_have_the_colour_of_the_state_and_of_the_theme(three: Workspace, settle: Settle) -> None:
    run = write_run(three, "live", "running", age=-10)

    def color(pilot: Any) -> str:
        mark = pilot.app.screen.query_one("#runs Table", Table).get_row_at(0)[0]
        return str(mark.get_style_at_offset(pilot.app.console, 0).color)

    async with WorkbenchApp(three).run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot)
        running = color(pilot)
        await pilot.press("s", "y")
        await settle(pilot)
        assert run.stop_file.exists()
        stopping = color(pilot)
        assert stopping != running
        pilot.app.theme = "nord"
        await settle(pilot)
        assert color(pilot) != stopping


async def test_what_a_recipe_may_name_is_read_off_the_event_loop(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workspace, "recipes", lambda self: [shipped("configs") / "sft.yaml"])
    threads = []
    read = home_state._datasets
    monkeypatch.setattr(home_state, "_datasets", lambda here: threads.append(threading.current_thread()) or read(here))
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await pilot.press("3", "n", "n")
        await settle(pilot)
        assert isinstance(pilot.app.screen, NewRun)
        assert len(pilot.app.screen_stack) == 2
    assert threads
    assert threading.main_thread() not in threads


async def test_tags_are_changed_and_shown(three: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(three).run_test(size=(80, 24)) as pilot:
        await pilot.press("3", "j", "T")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Prompt)
        assert pilot.app.screen.query_one(Input).value == "good grid:x"
        await pilot.press("ctrl+u", *"good,", "enter")
        await settle(pilot)
        assert "is no tag" in text(pilot, ".dialog-fault")
        await pilot.press("ctrl+u", *"best", "enter")
        await settle(pilot)
        assert tags.read(three.run("facts")).tags == ("best",)
        table = pilot.app.screen.query_one("#runs Table", Table)
        assert str(table.get_row_at(1)[-1]) == "best"
        # Of several runs those that all have are asked; what only one has, stays.
        await pilot.press("a", "T")
        await settle(pilot)
        assert pilot.app.screen.query_one(Input).value == ""
        await pilot.press(*"all", "enter")
        await settle(pilot)
    assert [tags.read(three.run(name)).tags for name in ("tone", "facts", "broken")] == [
        ("all",), ("best", "all"), ("all",),
    ]  # fmt: skip


async def test_a_tag_given_elsewhere_appears_by_itself(three: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(three).run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot)
        tags.change(JobFolder(three.run("tone")), ["elsewhere"])
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert str(pilot.app.screen.query_one("#runs").border_subtitle) == "elsewhere"


async def test_runs_are_deleted_when_asked_and_never_while_they_live(three: Workspace, settle: Settle) -> None:
    write_run(three, "live", "running", age=-10)
    async with WorkbenchApp(three).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "x")
        await settle(pilot)
        assert any("live is running. Stop it first" in notice.message for notice in pilot.app._notifications)
        await pilot.press("j", "space", "j", "space", "x")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("enter")  # alone it loses nothing
        await settle(pilot)
        assert three.run("tone").exists()
        await pilot.press("x", "y")
        await settle(pilot)
        assert names(pilot) == ["live", "facts"]
        assert {path.name for path in three.runs.iterdir()} == {"live", "facts"}


async def test_marked_runs_are_set_side_by_side(three: Workspace, settle: Settle) -> None:
    for name, answer in (("tone", "At ten."), ("facts", "At nine.\x1b]52;c;x\x07")):
        pair = {
            "key": "1",
            "messages": [{"role": "user", "content": "Open?"}],
            "completion": answer,
            "evaluated": False,
        }
        (three.run(name) / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    spec = json.loads((three.run("facts") / "spec.json").read_text())
    spec["arguments"]["recipe"]["learning_rate"] = 0.001
    (three.run("facts") / "spec.json").write_text(json.dumps(spec))
    async with WorkbenchApp(three).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "space", "D")  # the marked one, and the one that the cursor went on to
        await settle(pilot)
        dialog = pilot.app.screen
        assert isinstance(dialog, CompareRuns)
        table = dialog.query_one("#figures-table", Table)
        assert [str(table.get_row_at(n)[2]) for n in (0, 1)] == ["tone", "facts"]
        assert table.has_focus
        assert "eval_loss" in text(pilot, ".curve-title")
        await pilot.press("c")
        assert text(pilot, ".curve-title").startswith("loss")
        assert len(dialog.query_one(OverlaidCurves)._curves) == 2
        await pilot.press("v")
        recipe = dialog.query_one("#recipe-table", Table)
        assert recipe.has_focus
        assert [[str(cell) for cell in recipe.get_row_at(n)] for n in range(recipe.row_count)] == [
            ["learning_rate", "0.0002", "0.001"]
        ]
        await pilot.press("v")
        await settle(pilot)
        pairs = text(pilot, "#pairs Page")
        assert "0 the same, 1 with another answer, 0 only in tone, 0 only in facts" in pairs
        assert "At nine." in pairs
        assert "\x1b" not in pairs
        await pilot.press("v")
        await settle(pilot)
        assert "May I bring my dog on board?" in text(pilot, "#samples Page")
        # Read again, a run that went on shows what is new, in the view that is open.
        append_events(
            JobFolder(three.run("facts")), [{"type": "metrics", "step": 250, "loss": 0.1, "eval_loss": 0.125}]
        )
        await pilot.press("V", "r")
        await settle(pilot)
        assert dialog.query_one("#pairs").has_focus
        await pilot.press("V", "V")
        assert [str(cell) for cell in table.get_row_at(1)][4:7] == ["0.125", "0.125", "250"]
        assert text(pilot, ".curve-title").startswith("loss")
        await pilot.press("escape")
        await settle(pilot)
        assert names(pilot) == ["tone", "facts", "broken"]


async def test_a_run_that_cannot_be_read_is_told_in_the_dialog(three: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(three).run_test(size=(100, 30)) as pilot:
        await pilot.press("3", "a")
        await settle(pilot)
        (three.run("facts") / "spec.json").write_text("{torn")
        await pilot.press("D")
        await settle(pilot)
        assert "is not a job's folder" in text(pilot, "#waiting")
        await pilot.press("v", "c", "escape")
        await settle(pilot)
        assert names(pilot) == ["tone", "facts", "broken"]


async def test_a_clone_starts_with_the_runs_own_recipe(tuned: Workspace, settle: Settle, command: Command) -> None:
    with busy():
        assert command("train", "quick", "--name", "first", "--set", "lora.r=4", "--set", "seed=7").code == 0
        async with WorkbenchApp(tuned).run_test(size=(100, 30)) as pilot:
            await pilot.press("3", "e")
            await settle(pilot)
            form = pilot.app.screen
            assert isinstance(form, NewRun)
            assert form.query_one("#run-name", Input).value == "first-2"
            assert fields(pilot)["lora.r"].text == "4"
            assert "workbench train runs/first/recipe.yaml --name first-2" in text(pilot, ".form-command")
            await pilot.press("ctrl+s")
            await settle(pilot)
            assert names(pilot) == ["first-2", "first"]
    first, again = (JobFolder(tuned.run(name)) for name in ("first", "first-2"))
    assert again.spec["arguments"]["recipe"] == first.spec["arguments"]["recipe"]
    assert again.spec["arguments"]["recipe_name"] == "first"
    for job in (first, again):
        if job.status().live:
            control.stop(job)
            assert list(follow(job))


async def test_the_form_shows_the_fields_of_the_method(workspace: Workspace, settle: Settle) -> None:
    path = workspace.configs / "pref.yaml"
    path.write_text("dataset: handbook\nmethod: dpo\ndpo:\n  beta: 0.3\n  label_smoothing: 0.2\n")
    common = {name for name, field in Recipe.model_fields.items() if field.json_schema_extra} | {"lora.r", "dpo.beta"}
    async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
        pilot.app.push_screen(NewRun(workspace, path, {}))
        await settle(pilot)
        assert common <= fields(pilot).keys()
        # Said by the file, so shown; the line of its fault too.
        assert "dpo.label_smoothing" in fields(pilot)
        assert text(pilot, ".dialog-fault").startswith("pref.yaml line 5: dpo.label_smoothing: ")
        assert "adam_beta1" not in fields(pilot)
        assert not any(key.startswith(("kto.", "grpo.", "rloo.", "reward.")) for key in fields(pilot))
        await pilot.press("ctrl+a")
        await settle(pilot)
        assert {"adam_beta1", "dpo.ld_alpha", "launch.strategy"} <= fields(pilot).keys()
        assert not any(key.startswith("kto.") for key in fields(pilot))
        await pilot.press("ctrl+a", "down", "end", "ctrl+u", *"grpo")
        await settle(pilot)
        assert "grpo.rewards" in fields(pilot)
        assert not any(key.startswith("dpo.") for key in fields(pilot))
        assert "method: grpo needs a section grpo with its rewards" in text(pilot, ".dialog-fault")
        assert text(pilot, ".form-command").count("--set dpo=null") == 1
        rewards = fields(pilot)["grpo.rewards"]
        rewards.query_one(Input).focus()
        await pilot.pause()
        assert "As YAML: [{function: ..." in text(pilot, ".form-hint")
        rewards.query_one(Input).value = "[{function: length, max_words: 9}]"
        await settle(pilot)
        assert not pilot.app.screen.query_one(".dialog-fault").display
        await pilot.press("ctrl+y")
        words = shlex.split(pilot.app.clipboard)
        changes = pilot.app.screen.query_one("RecipeForm").changes  # type: ignore[attr-defined]
        loaded = load(path, changes)
        assert loaded.grpo is not None
        assert loaded.grpo.rewards[0].max_words == 9
        assert loaded.dpo is None
        assert words[:5] == ["workbench", "train", "pref", "--name", "pref"]


async def test_a_section_that_was_emptied_is_gone(workspace: Workspace, settle: Settle) -> None:
    path = workspace.configs / "rag.yaml"
    path.write_text("dataset: handbook\nsystem_prompt: |\n  Two\n  lines.\ncontext:\n  index: handbook\n")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        pilot.app.push_screen(NewRun(workspace, path, {}))
        await settle(pilot)
        form = pilot.app.screen
        assert "--set" not in text(pilot, ".form-command"), "what a line cannot show is not changed by showing it"
        fields(pilot)["context.index"].query_one(Input).value = ""
        await settle(pilot)
        assert form.query_one("RecipeForm").changes == {"context": None}  # type: ignore[attr-defined]
        assert not form.query_one(".dialog-fault").display


async def test_the_command_that_is_shown_starts_the_same_run(tuned: Workspace, settle: Settle, tmp_path: Path) -> None:
    """Pasted into a real shell, in a folder that is not the workspace."""
    with busy():
        async with WorkbenchApp(tuned).run_test(size=(100, 30)) as pilot:
            pilot.app.push_screen(NewRun(tuned, tuned.recipe("quick"), {}))
            await settle(pilot)
            typed = {"lora.r": "4", "learning_rate": "1e-3", "lora.target_modules": "[q_proj, v_proj]", "bf16": "false"}
            await pilot.press("ctrl+a")
            for key, value in {**typed, "system_prompt": "It's: 'Ahoy' $HOME"}.items():
                fields(pilot)[key].query_one(Input).value = value
            await settle(pilot)
            await pilot.press("ctrl+y")
            pasted = pilot.app.clipboard
            await pilot.press("ctrl+s")
            await settle(pilot)
        bin_folder = Path(sys.executable).parent
        shell = f"export PATH={shlex.quote(str(bin_folder))}:$PATH; {pasted.replace('--name quick', '--name pasted')}"
        done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        by_key, by_shell = JobFolder(tuned.run("quick")), JobFolder(tuned.run("pasted"))
        assert by_key.spec["arguments"] == by_shell.spec["arguments"]
        assert by_key.spec["arguments"]["system"] == "It's: 'Ahoy' $HOME"
        for job in (by_key, by_shell):
            control.stop(job)
            assert list(follow(job))


async def test_a_queue_that_was_empty_answers_to_keys(workspace: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
        await pilot.press("3", "q")
        await settle(pilot)
        dialog = pilot.app.screen
        assert isinstance(dialog, Queue)
        for _ in range(2):
            with busy():
                dialog._look()
                await settle(pilot)
                assert dialog.query_one(Options).has_focus
            dialog._look()
            await settle(pilot)


async def test_the_queue_is_reordered_by_key(workspace: Workspace, settle: Settle, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    with waiting_jobs(workspace.jobs, ran) as start:
        async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
            with busy():
                await pilot.press("3", "q")
                await settle(pilot)
                assert isinstance(pilot.app.screen, Queue)
                for name in ("a", "b", "c"):
                    start(name)
                pilot.app.screen._look()
                await settle(pilot)
                options = pilot.app.screen.query_one(Options)
                shown = [str(option.prompt) for option in options.options]
                assert [line.split()[:3] for line in shown[1:]] == [
                    ["1", "train", "a"], ["2", "train", "b"], ["3", "train", "c"],
                ]  # fmt: skip
                assert "another program" in shown[0]
                await pilot.press("G", "K", "K")
                await settle(pilot)
                assert waiting() == ["c", "a", "b"]
                await pilot.press("J", "j", "L")
                await settle(pilot)
                assert waiting() == ["a", "c", "b"]
                await pilot.press("g", "K", "x")  # what has its turn cannot be moved
                await settle(pilot)
                assert isinstance(pilot.app.screen, Queue)
                await pilot.press("j", "j", "x", "y")
                await settle(pilot)
                until(lambda: waiting() == ["a", "b"])
                await pilot.press("escape")
    assert names_in(ran)[:1] in ([], ["a"])


async def test_a_grid_is_told_and_started_by_key(
    tuned: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tuned.recipe("quick")
    monkeypatch.setattr(Workspace, "recipes", lambda self: [recipe])
    with busy():
        async with WorkbenchApp(tuned).run_test(size=(100, 30)) as pilot:
            await pilot.press("3", "ctrl+g")
            await settle(pilot)
            assert isinstance(pilot.app.screen, NewGrid)
            await pilot.press(*"lora.r", "down", *"4,", "down", *"seed", "down", *"1,2")
            await settle(pilot)
            assert text(pilot, ".grid-cost") == "2 runs of about 8 steps each, about 16 steps in all"
            assert "--grid lora.r=4, --grid seed=1,2" in text(pilot, ".form-command").replace("'", "")
            await pilot.press("up", "up", *"many")
            await settle(pilot)
            assert "lora.r: " in text(pilot, ".dialog-fault")
            assert text(pilot, ".grid-cost") == ""
            await pilot.press("ctrl+s")
            await settle(pilot)
            assert not list(tuned.runs.iterdir())
            await pilot.press("ctrl+u", *"4,8", "ctrl+s")
            await settle(pilot)
            assert names(pilot) == [f"quick-grid-{n}" for n in (4, 3, 2, 1)]
            assert str(pilot.app.screen.query_one("#runs").border_subtitle) == "grid:quick-grid"
            jobs = [JobFolder(tuned.run(name)) for name in names(pilot)]
            # All of them are found by their tag, marked, and taken back.
            await pilot.press("slash", *"tag:grid", "enter", "a", "D")
            await settle(pilot)
            table = pilot.app.screen.query_one("#recipe-table", Table)
            assert [str(table.get_row_at(n)[0]) for n in range(table.row_count)] == ["seed", "lora.r"]
        for job in jobs:
            control.stop(job)
            assert list(follow(job))
