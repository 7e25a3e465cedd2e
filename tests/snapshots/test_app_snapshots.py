"""Pictures of the screens over data that never changes. `pytest tests/snapshots --snapshot-update` takes them anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sample_comparison import write_comparison
from sample_runs import write_run
from syrupy.assertion import SnapshotAssertion

from screens.app import WorkbenchApp
from screens.home_state import ModelLine
from workbench.library.catalogue import IndexSummary
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace

Settle = Callable[..., Any]
SIZES = pytest.mark.parametrize("size", [(100, 30), (80, 24)], ids=["100x30", "80x24"])


@pytest.fixture
def furnished(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace in the middle of its work. What lies outside it, weights and an index's files, is told, not made."""
    with PairStore(workspace.database) as store:
        for status, number in (("accepted", 420), ("pending", 61), ("rejected", 12)):
            rows = [
                NewPair(messages=[{"role": "user", "content": f"{status} {n}?"}], completion="Aye.")
                for n in range(number)
            ]
            store.add("handbook", rows, status=status)
        tone = [NewPair(messages=[{"role": "user", "content": "Who are you?"}], completion="Aye.")]
        store.add("house-tone", tone, status="pending")
    write_run(workspace, "next", "queued", step=0, age=-10)
    write_run(workspace, "tone", "running", step=120, seconds_left=65)
    write_run(workspace, "first", "done", age=100)
    write_run(
        workspace, "too-fast", "failed", step=30, age=200, error="the loss is nan at step 31. Lower learning_rate."
    )
    write_comparison(workspace, "handbook", 40)
    here = [ModelLine("smollm2-135m-instruct", "chat", True), ModelLine("all-minilm-l6-v2", "embedding", False)]
    monkeypatch.setattr("screens.home_state._models", lambda workspace: here)
    monkeypatch.setattr("screens.home_state._indexes", lambda workspace: [IndexSummary("handbook", "ready", 42, 318)])
    return workspace


@SIZES
async def test_home(furnished: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int]) -> None:
    async with WorkbenchApp(furnished).run_test(size=size) as pilot:
        await settle(pilot)
        assert pilot.app.export_screenshot() == picture


@SIZES
async def test_home_of_a_new_workspace(
    workspace: Workspace,
    settle: Settle,
    picture: SnapshotAssertion,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = [ModelLine("smollm2-135m-instruct", "chat", False), ModelLine("all-minilm-l6-v2", "embedding", False)]
    monkeypatch.setattr("screens.home_state._models", lambda workspace: missing)
    async with WorkbenchApp(workspace).run_test(size=size) as pilot:
        await settle(pilot)
        assert pilot.app.export_screenshot() == picture


@SIZES
@pytest.mark.parametrize("view", ["curves", "samples"])
async def test_training(
    furnished: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int], view: str
) -> None:
    async with WorkbenchApp(furnished).run_test(size=size) as pilot:
        await pilot.press("3", "j")
        await settle(pilot)
        if view == "samples":
            await pilot.press("v")
            await settle(pilot)
        assert pilot.app.export_screenshot() == picture
