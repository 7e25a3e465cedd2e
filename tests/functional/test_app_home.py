"""Home: what it shows of a real workspace, and the next sensible step as it changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_comparison import write_comparison
from sample_runs import write_run

from screens.app import WorkbenchApp
from screens.home_state import ModelLine, WorkspaceState, next_step, read_state
from screens.watcher import JobBoard
from workbench.library.catalogue import IndexSummary
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace

Settle = Callable[..., Any]
HERE = [ModelLine("base", "chat", True), ModelLine("embedder", "embedding", True)]


def add_pairs(workspace: Workspace, number: int, status: str) -> None:
    rows = [NewPair(messages=[{"role": "user", "content": f"{status} {n}?"}], completion="Aye.") for n in range(number)]
    with PairStore(workspace.database) as store:
        store.add("handbook", rows, status=status)


def text_of(pilot: Any, id: str) -> str:
    return str(pilot.app.screen.query_one(f"#{id}").render())


async def test_the_footer_offers_to_fetch_however_late_the_weights_are_known(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted = threading.Event()

    def late(workspace: Workspace) -> WorkspaceState:
        painted.wait(10)
        return replace(read_state(workspace), models=[ModelLine("base", "chat", False)])

    monkeypatch.setattr("screens.home.read_state", late)
    async with WorkbenchApp(workspace).run_test() as pilot:
        await pilot.pause()
        assert "f" not in offered(pilot)
        painted.set()
        await settle(pilot)
        assert "f" in offered(pilot)


def offered(pilot: Any) -> list[str]:
    return [key.key for key in pilot.app.screen.query("FooterKey")]


def test_the_next_step_follows_what_there_is(workspace: Workspace) -> None:
    def step(state: WorkspaceState) -> str:
        board = JobBoard(workspace)
        board.look()
        return next_step(state, board.jobs).text

    state = read_state(workspace)
    state.models = [ModelLine("base", "chat", False)]
    assert step(state) == "Fetch the weights of base"
    state.models = HERE
    assert "Import pairs" in step(state)
    add_pairs(workspace, 3, "pending")
    state.datasets = read_state(workspace).datasets
    assert "3 pending" in step(state)
    add_pairs(workspace, 2, "accepted")
    state.datasets = read_state(workspace).datasets
    assert "Train an adapter on 2 accepted pairs" in step(state)
    run = write_run(workspace, "tone", "running", step=10)
    assert step(state) == "Watch tone learn"
    run.write_status(replace(run.status(), state="failed", pid=None))
    assert "tone failed" in step(state)
    run.write_status(replace(run.status(), state="done"))
    assert "Index documents" in step(state)
    state.indexes = [IndexSummary("handbook", "ready", 40, 300)]
    assert "Talk to the hybrid" in step(state)


async def test_a_new_workspace_is_shown_and_enter_takes_the_step(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screens.home_state._models", lambda workspace: HERE)
    add_pairs(workspace, 2, "accepted")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "Train an adapter on 2 accepted pairs" in text_of(pilot, "step")
        assert "handbook" in text_of(pilot, "pairs")
        assert "None yet" in text_of(pilot, "runs")
        await pilot.press("enter")
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "TrainingScreen"
        write_run(workspace, "tone", "running", step=10)
        pilot.app.look_at_jobs()
        await pilot.press("1")
        await settle(pilot)
        assert "tone" in text_of(pilot, "runs")
        assert "Watch tone learn" in text_of(pilot, "step")


async def test_the_newest_verdicts_are_told(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 40)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        told = text_of(pilot, "comparisons").splitlines()
        assert told[1].split()[:4] == ["handbook", "Use", "both:", "token"]
        for name in ("middle", "stopped"):
            write_comparison(workspace, name, 40, answered=3)
        await pilot.press("r")
        await settle(pilot)
        told = text_of(pilot, "comparisons").splitlines()
        assert [line.split()[0] for line in told] == ["comparison", "stopped", "middle"]
        assert "stopped" in told[1].removeprefix("stopped")


async def test_missing_weights_are_fetched_by_a_job_each(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "empty-cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty-hub"))
    started: list[str] = []
    monkeypatch.setattr("workbench.jobs.control._launch", lambda job: started.append(job.spec["arguments"]["model"]))
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "not fetched" in text_of(pilot, "models")
        await pilot.press("enter")
        await settle(pilot)
        assert started == ["smollm2-135m-instruct", "all-minilm-l6-v2"]
        await pilot.press("f")
        await settle(pilot)
        assert len(started) == 2, "they are on their way"


async def test_a_damaged_database_leaves_the_rest_to_be_seen(workspace: Workspace, settle: Settle) -> None:
    workspace.database.write_bytes(b"this is not a database" * 100)
    write_run(workspace, "tone", "done")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "cannot be opened as a database" in text_of(pilot, "pairs")
        assert "tone" in text_of(pilot, "runs")
