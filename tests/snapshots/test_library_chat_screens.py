"""Pictures of the Library and Chat screens. `pytest tests/snapshots --snapshot-update` takes them anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_server import FakeEngine, serving
from sample_index import write_index
from sample_jobs import write_index_job
from sample_runs import write_run
from syrupy.assertion import SnapshotAssertion
from textual.widgets import Input

from screens.app import WorkbenchApp
from screens.widgets.chat_input import ChatInput
from workbench.chat.history import ChatStore
from workbench.library.documents import Fault
from workbench.training.adapter import FOLDER, MANIFEST
from workbench.workspace import Workspace

Settle = Callable[..., Any]
SIZES = pytest.mark.parametrize("size", [(100, 30), (80, 24)], ids=["100x30", "80x24"])
ANSWER = """\
The museum is open **every day** from 3 May to 19 September [1]:

- from 9:40 in the morning until 17:20,
- with last entry 35 minutes before closing.

In winter it opens only on Thursdays and Saturdays. Cake is free for all visitors [2].
"""


@pytest.fixture
def furnished(workspace: Workspace) -> Workspace:
    """Two indexes, and a run that has an adapter."""
    write_index(workspace, "handbook", faults=[Fault("/srv/handbook/scan.pdf", "holds no text")])
    write_index(workspace, "charters", {"charter.md": "# Charter\n\nThe trust keeps the lights.\n"})
    job = write_run(workspace, "tone", "done")
    (job.path / FOLDER).mkdir()
    (job.path / FOLDER / MANIFEST).write_text("{}")
    return workspace


async def shown(pilot: Any, settle: Settle) -> str:
    """The picture once everything is still, also what the status line says of the server."""
    await settle(pilot)
    await pilot.app._ask_server()
    await settle(pilot)
    return pilot.app.export_screenshot()


@SIZES
@pytest.mark.parametrize("view", ["documents", "search", "passage", "building"])
async def test_library(
    furnished: Workspace,
    settle: Settle,
    picture: SnapshotAssertion,
    size: tuple[int, int],
    view: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = {"documents": ["enter", "j"], "search": ["slash"], "passage": ["slash"], "building": ["v", "v"]}
    monkeypatch.setattr("screens.widgets.search_view._took", lambda seconds, loading: "13 ms")
    if view == "building":
        write_index_job(
            furnished,
            "almanac",
            "running",
            progress=(1203, 3000, "chunks", "embedding", 19.0),
            figures={"chunks_per_second": 95.3},
            warnings=["scan.pdf holds no text (are its pages pictures?)", "old/plan.docx is damaged: not a zip file"],
        )
    with serving(furnished, FakeEngine()):
        async with WorkbenchApp(furnished).run_test(size=size) as pilot:
            await pilot.press("4")
            await settle(pilot)
            if view != "building":
                await pilot.press("j")
                await settle(pilot)
            await pilot.press(*keys[view])
            if view in ("search", "passage"):
                pilot.app.screen.query_one("#question", Input).value = "When does the museum open?"
                await pilot.press("enter")
                await settle(pilot)
            if view == "passage":
                await pilot.press("enter")
            assert await shown(pilot, settle) == picture


@SIZES
async def test_library_of_a_new_workspace(
    workspace: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int]
) -> None:
    async with WorkbenchApp(workspace).run_test(size=size) as pilot:
        await pilot.press("4")
        assert await shown(pilot, settle) == picture


@SIZES
@pytest.mark.parametrize("view", ["answer", "sentence", "sources", "chats", "not-in-the-library", "new"])
async def test_chat(
    furnished: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int], view: str
) -> None:
    with ChatStore(furnished.database) as store:
        for title in ("Who pays for the uniform?", "How long is annual leave?"):
            if view == "chats":
                store.append(store.create("smollm2-135m-instruct").id, "user", title, hybrid="smollm2-135m-instruct")
    said = [word + " " for word in ANSWER.split(" ")]
    engine = FakeEngine(said)
    if view == "not-in-the-library":
        engine = FakeEngine(["This is not in the library."], citations=(), not_in_library=True)
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=size) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press("ctrl+n", "ctrl+l")
            await settle(pilot)
            await pilot.press("g", "j", "j", "enter")
            await settle(pilot)
            if view != "new":
                pilot.app.screen.query_one(ChatInput).set_text("When does the museum open?")
                await pilot.press("enter")
                await settle(pilot)
            if view == "sentence":
                await pilot.press("escape", "full_stop", "full_stop", "full_stop", "full_stop")
            if view in ("sources", "chats"):
                await pilot.press("ctrl+s" if view == "sources" else "ctrl+o")
            assert await shown(pilot, settle) == picture


@SIZES
@pytest.mark.parametrize("panes", [2, 4])
async def test_panes(
    furnished: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int], panes: int
) -> None:
    with serving(furnished, FakeEngine([word + " " for word in ANSWER.split(" ")])):
        async with WorkbenchApp(furnished).run_test(size=size) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press("f2" if panes == 2 else "f4")
            await settle(pilot)
            pilot.app.screen.query_one(ChatInput).set_text("When does the museum open?")
            await pilot.press("enter")
            await settle(pilot)
            await pilot.press("f6")
            assert await shown(pilot, settle) == picture
