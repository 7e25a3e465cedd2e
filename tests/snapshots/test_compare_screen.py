"""Pictures of the Compare screen. `pytest tests/snapshots --snapshot-update` takes them anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from sample_comparison import write_comparison
from sample_index import write_index
from sample_runs import write_run
from syrupy.assertion import SnapshotAssertion

from screens.app import WorkbenchApp
from screens.modals.versus import Versus
from workbench import files
from workbench.compare import versus
from workbench.compare.store import CompareStore
from workbench.jobs.folder import JobFolder, Progress, Status, start_mark
from workbench.training.adapter import FOLDER, MANIFEST
from workbench.workspace import Workspace

Settle = Callable[..., Any]
SIZES = pytest.mark.parametrize("size", [(100, 30), (80, 24)], ids=["100x30", "80x24"])
KEYS = {
    "verdict": [],
    "differences": ["enter", "ctrl+d"],
    "questions": ["v", "f", "f"],
    "answers": ["v", "v", "j", "l", "l"],
    "differing": ["v", "v", "d", "l", "l"],
    "new": ["n"],
    "pair": ["v", "v", "P"],
    "preference": ["v", "v", "b", "h", "w"],
}


@pytest.fixture
def furnished(workspace: Workspace) -> Workspace:
    """Two comparisons, and what a third can be put together from."""
    write_comparison(workspace, "first-try", 33, arms=("base", "rag"), seed=1)
    write_comparison(workspace, "handbook", 40)
    write_index(workspace, "handbook")
    job = write_run(workspace, "tone", "done")
    (job.path / FOLDER).mkdir()
    (job.path / FOLDER / MANIFEST).write_text("{}")
    return workspace


async def shown(pilot: Any, settle: Settle) -> str:
    """The picture once everything is still."""
    await settle(pilot)
    pilot.app.clear_notifications()
    await pilot.app._ask_server()
    await settle(pilot)
    return pilot.app.export_screenshot()


@SIZES
@pytest.mark.parametrize("view", KEYS)
async def test_compare(
    furnished: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int], view: str
) -> None:
    async with WorkbenchApp(furnished).run_test(size=size) as pilot:
        await pilot.press("6")
        await settle(pilot)
        for key in KEYS[view]:
            await pilot.press(key)
            await settle(pilot)
        assert await shown(pilot, settle) == picture


@SIZES
async def test_a_comparison_that_runs(
    workspace: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int]
) -> None:
    id = write_comparison(workspace, "handbook", 40, answered=17)
    folder = workspace.jobs / "20251009-085320-compare-handbook"
    folder.mkdir()
    spec = {"kind": "compare", "title": "compare handbook", "arguments": {"comparison": id}, "created_at": 1.0}
    files.write_json(folder / "spec.json", spec, durable=False)
    progress = Progress(70, 160, "answers", "Answering", 65.0)
    mark = start_mark(psutil.Process())
    JobFolder(folder).write_status(
        Status(state="running", pid=os.getpid(), pid_started=mark, started_at=1.0, progress=progress), durable=False
    )
    async with WorkbenchApp(workspace).run_test(size=size) as pilot:
        await pilot.press("6")
        assert await shown(pilot, settle) == picture


@SIZES
async def test_versus(furnished: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int]) -> None:
    write_comparison(furnished, "later", 40, seed=7)
    with CompareStore(furnished.database) as store:
        store._connection.execute(
            "UPDATE comparison_answers SET scores = json_set(scores, '$.right', 1.0, '$.f1', 1.0)"
            " WHERE comparison = 3 AND arm = 'rag' AND number % 2"
        )
        result = versus.compare(store, store.comparison("handbook"), store.comparison("later"), "f1")
    async with WorkbenchApp(furnished).run_test(size=size) as pilot:
        await pilot.press("6")
        await settle(pilot)
        pilot.app.push_screen(Versus(result))
        assert await shown(pilot, settle) == picture


@SIZES
async def test_no_comparison_yet(
    workspace: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int]
) -> None:
    async with WorkbenchApp(workspace).run_test(size=size) as pilot:
        await pilot.press("6")
        assert await shown(pilot, settle) == picture
