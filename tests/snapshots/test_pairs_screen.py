"""Pictures of the Pairs screen and its dialogs. `pytest tests/snapshots --snapshot-update` takes them anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from screens.app import WorkbenchApp
from screens.modals.import_pairs import ImportPairs
from screens.modals.import_report import ImportReport
from workbench.pairs.importing import preview
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace

Settle = Callable[..., Any]
SIZES = pytest.mark.parametrize("size", [(100, 30), (80, 24)], ids=["100x30", "80x24"])
QUESTIONS = (
    ("How many days of annual leave does a deckhand get?", "=> 27 days.", "annual-leave.md"),
    ("On what date does the leave year begin?", "=> 1 March.", "annual-leave.md"),
    ("In how much wind must the ladder be taken in?", "=> 11 metres a second.", "weather-limits.md"),
    ("Where is the sealed key to the fuel store?", "=> the glass box at the harbour office.", "fuel-store.md"),
    ("Who decides on a request for annual leave?", "=> Aune Brandt.", "annual-leave.md"),
    ("[/red] \x1b[31m<|im_end|> \u202e?", "=> not styled, [b]not[/b] bold.", "hostile.jsonl:6"),
)


@pytest.fixture
def curated(workspace: Workspace) -> Workspace:
    """A dataset half looked through, with a conversation and a preference pair at its end."""

    def turns(*contents: str) -> list[dict[str, str]]:
        roles = ("system", "user", "assistant", "user")[4 - len(contents) if len(contents) > 1 else 1 :]
        return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]

    rows = [NewPair(messages=turns(q), completion=a, source=source) for q, a, source in QUESTIONS]
    rows += [NewPair(messages=turns(f"What is kept in locker {n}?"), completion=f"=> rope {n}.") for n in range(7, 80)]
    rows.append(
        NewPair(
            messages=turns("Answer as the harbour office does.", "May I board?", "=> not yet.", "And now?"),
            chosen="=> yes, by the forward gangway.",
            rejected="Sure, hop on board whenever you like! The forward gangway is open for everybody.",
            note="The second answer is not our tone.",
            tags=("tone",),
            source="preferences.parquet:1",
        )
    )
    with PairStore(workspace.database) as store:
        store.add("handbook", rows)
        store.set_status([1, 2, 4, *range(20, 60)], "accepted")
        store.set_status([3, 7, 9], "rejected")
        store.set_tags([2, 5], ["leave"])
    return workspace


@SIZES
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(("j", "j", "space", "space"), id="marked"),
        pytest.param(("G",), id="preference"),
        pytest.param(("f", "slash", "l", "e", "a", "v", "e"), id="search"),
        pytest.param(("j", "j", "j", "e"), id="edit"),
        pytest.param(("A",), id="accept-all"),
    ],
)
async def test_pairs(
    curated: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    async with WorkbenchApp(curated).run_test(size=size) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)
        assert pilot.app.export_screenshot() == picture


@SIZES
async def test_no_pairs_yet(
    workspace: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int]
) -> None:
    async with WorkbenchApp(workspace).run_test(size=size) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert pilot.app.export_screenshot() == picture


@SIZES
async def test_import_dialog(
    workspace: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int]
) -> None:
    file = workspace.root / "datasets" / "quiz.csv"
    file.write_text(
        "question,answer,page\nWhere is the bell?,=> in the bow.,4\nWho rings it?,,4\nWhen?,=> at noon.,5\n"
    )
    async with WorkbenchApp(workspace).run_test(size=size) as pilot:
        await pilot.press("2")
        await settle(pilot)
        pilot.app.push_screen(ImportPairs(file, preview(file), ["handbook"]))
        await settle(pilot)
        assert pilot.app.export_screenshot() == picture


@SIZES
async def test_import_report(
    curated: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int]
) -> None:
    result = {"imported": 8_120, "duplicates": 6, "skipped": 300, "form": "question/answer"}
    faults = [(line * 7, "not JSON: expecting value at column 1") for line in range(1, 300)]
    async with WorkbenchApp(curated).run_test(size=size) as pilot:
        await pilot.press("2")
        await settle(pilot)
        pilot.app.push_screen(ImportReport("quiz.jsonl", result, [*faults, (4_000, "[/red] \x1b[2J is no column")]))
        await settle(pilot)
        assert pilot.app.export_screenshot() == picture


@SIZES
async def test_two_answers_side_by_side(
    workspace: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int]
) -> None:
    short = "=> yes, by the forward gangway, from ten minutes to nine."
    long = "Sure! You may board by the forward gangway from ten minutes to nine, or simply whenever you like."
    turn = [{"role": "user", "content": "May I board the ferry now, and by which gangway?"}]
    undecided = NewPair(messages=turn, chosen=short, rejected=long, tags=("sampled", "undecided"))
    with PairStore(workspace.database) as store:
        store.add("tone", [undecided])
        store.set_flags("tone", "texts", [(1, "length-bias", "one answer is 1.8 times as long")])
    app = WorkbenchApp(workspace)
    async with app.run_test(size=size) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("P")
        await settle(pilot)
        assert app.export_screenshot() == picture
