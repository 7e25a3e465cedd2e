"""Checking on the Pairs screen, by keys: what was found of a pair, its partner, and the threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from screens.app import WorkbenchApp
from screens.modals.near_duplicates import NearDuplicates
from screens.modals.pair_flags import PairFlags
from screens.widgets.pair_table import PairTable
from workbench.checks.cache import Cache
from workbench.checks.findings import Detail
from workbench.jobs import control
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace

Settle = Callable[..., Any]
TEXTS = ("How tall is the old tower?", "How tall is the old [/red]\x1b[31m tower, please?", "Who keeps the lamp?")


@pytest.fixture
def checked(workspace: Workspace) -> Workspace:
    """Three pairs of which the second is nearly the first (likeness 0.9), as a check has left them."""
    with PairStore(workspace.database) as store:
        store.add("lamps", [NewPair(messages=[{"role": "user", "content": text}], completion="Aye.") for text in TEXTS])
        keys = [bytes.fromhex(pair.key[:32]) for pair in store.pairs("lamps")]
        store.set_flags(
            "lamps", "duplicates", [(2, "near-duplicate", str(Detail("as pair 1", 1, likeness=0.9, size=2)))]
        )
    with Cache(workspace) as cache:
        signatures, vectors = np.zeros((3, 4), np.uint32), np.ones((3, 4), np.float16)
        cache.add_prompts(keys, [bytes(16)] * 3, TEXTS, signatures, vectors)
        cache.add_edges([(1, 2, 0.9, 0.9)])
    return workspace


def text(pilot: Pilot[Any], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).render())


async def opened(pilot: Pilot[Any], settle: Settle, *keys: str) -> None:
    await pilot.press("2")
    await settle(pilot)
    await pilot.press(*keys)
    await settle(pilot)


async def test_flags_of_a_pair_and_its_partner_side_by_side(checked: Workspace, settle: Settle) -> None:
    app = WorkbenchApp(checked)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle, "j", "F")
        assert isinstance(app.screen, PairFlags)
        assert "1 flag" in text(pilot, ".dialog-title")
        assert "tower, please?" in text(pilot, "#own")
        assert "\x1b" not in text(pilot, "#own")
        assert "How tall is the old tower?" in text(pilot, "#other")
        marked = pilot.app.screen.query_one("#own", Static).render().spans  # pyright: ignore
        assert any("reverse" in str(span.style) for span in marked)
        await pilot.press("enter")
        await settle(pilot)
        assert app.screen.query_one(PairTable).current == 1

        # A partner that is not listed is listed, with the pair.
        await pilot.press("j", "r", "f", "f", "f")
        await settle(pilot)
        assert list(app.screen.query_one(PairTable).ids) == [2]
        await pilot.press("F")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert list(app.screen.query_one(PairTable).ids) == [1, 2]


async def test_the_threshold_with_examples_is_applied_by_a_job(checked: Workspace, settle: Settle) -> None:
    app = WorkbenchApp(checked)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, settle, "G", "F")
        assert "no flags" in text(pilot, ".dialog-title")
        await pilot.press("t")
        await settle(pilot)
        assert isinstance(app.screen, NearDuplicates)
        assert app.screen.query_one(Input).value == "0.75"
        assert text(pilot, "#examples").startswith("the same\n0.900")
        await pilot.press(*["backspace"] * 4, *"0.95")
        await settle(pilot)
        assert text(pilot, "#examples").startswith("not the same\n0.900")
        await pilot.press("up")
        await pilot.press("ctrl+u", "ctrl+d")  # scroll; they are not the field's
        assert app.screen.query_one(Input).value == "0.96"
        await pilot.press("backspace", "backspace", "x", "enter")
        assert isinstance(app.screen, NearDuplicates), "0.x is no threshold"
        await pilot.press("backspace", "9", "9", "enter")
        for _ in range(600):
            app.look_at_jobs()
            await pilot.pause(0.05)
            if any(job.status.state == "done" for job in app.board.jobs):
                break
        await settle(pilot)
    with PairStore(checked.database) as store:
        assert store.flags_of([1, 2, 3]) == {}, "with a threshold of 0.99 nothing is a duplicate"


async def test_c_checks_the_dataset(checked: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_launch", lambda job: None)
    app = WorkbenchApp(checked)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle, "C")
        (job,) = control.jobs(checked)
        assert job.spec["kind"] == "check"
        assert job.spec["arguments"] == {"dataset": "lamps"}
