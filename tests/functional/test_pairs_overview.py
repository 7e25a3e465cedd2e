"""The overview of a dataset, on the Pairs screen by its key and by the command, over a real store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from screens.app import WorkbenchApp
from screens.modals.pair_overview import PairOverview
from screens.pairs import PairsScreen
from screens.widgets.chart import Chart
from screens.widgets.reading import Page
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.pairs.variety import measured
from workbench.workspace import Workspace

Settle = Callable[..., Any]


@pytest.fixture
def forty(workspace: Workspace) -> Workspace:
    """Forty pairs: most from one file and beginning alike, some tagged, some accepted; and a recipe with a limit."""
    rows = [
        NewPair(
            messages=[{"role": "user", "content": f"Question {number}?"}],
            completion=("Of course it is" if number < 30 else f"Answer {number}") + f" {number}.",
            tags=("tone",) if number % 4 == 0 else (),
            source=f"[b]faq.jsonl:{number}" if number < 30 else f"more.csv:{number}",
        )
        for number in range(40)
    ]
    with PairStore(workspace.database) as store:
        store.add("d", rows)
        store.set_status(list(range(1, 13)), "accepted")
        store.add("other", rows[:1])
    (workspace.configs / "short.yaml").write_text("dataset: d\nmax_length: 100\n")
    return workspace


def checked(workspace: Workspace) -> None:
    """What the checks leave: lengths (of one pair an old one), a flag, and embeddings of the prompts."""
    with closing(sqlite3.connect(workspace.database)) as database:
        database.execute(
            "INSERT INTO pair_lengths SELECT id, iif(id = 40, x'00', key), 3 * id FROM pairs WHERE dataset = 'd'"
        )
        database.execute("INSERT INTO pair_flags SELECT 3, 'near-duplicate', '', 'near', key FROM pairs WHERE id = 3")
        keys = [row[0] for row in database.execute("SELECT key FROM pairs WHERE dataset = 'd' ORDER BY id")]
        database.commit()
    vectors = np.eye(40, dtype="<f2")
    vectors[:10] = vectors[0]
    workspace.private.mkdir(exist_ok=True)
    with closing(sqlite3.connect(workspace.private / "checks.sqlite")) as cache:
        cache.execute("CREATE TABLE prompts (id INTEGER PRIMARY KEY, key BLOB, embedding BLOB)")
        rows = [(key[:16], vector.tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        cache.executemany("INSERT INTO prompts (key, embedding) VALUES (?, ?)", rows)
        cache.commit()


def shown(pilot: Pilot[Any]) -> str:
    return "\n".join(str(page.render()) for page in pilot.app.screen.query(Page))


async def test_the_overview_before_the_checks_ran(forty: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(forty).run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("O")
        await settle(pilot)
        assert isinstance(pilot.app.screen, PairsScreen), "of several datasets one is chosen first"
        assert "which dataset" in str([*pilot.app._notifications][-1].message)
        await pilot.press("d", "down", "enter")
        await settle(pilot)
        await pilot.press("O")
        await settle(pilot)
        assert isinstance(pilot.app.screen, PairOverview)
        text = shown(pilot)
        assert "12 accepted, and tuning a behaviour wants 500 to 5,000: 488 more." in text
        assert "28 are pending: decide about them first." in text
        assert "Then bring 460 more" in text
        assert "Tokens are not counted yet: run the checks. In characters: median 29, 95 % have up to 31" in " ".join(
            text.split()
        )
        assert "not known before the checks have run" in text
        assert "75% of the pairs come from [b]faq.jsonl" in text
        assert "75% of the answers begin with “Of course”" in text
        assert pilot.app.screen.query_one(Chart)._lines
        await pilot.press("G", "escape")
        assert isinstance(pilot.app.screen, PairsScreen)


async def test_the_overview_draws_the_limit_of_the_recipe(forty: Workspace, settle: Settle) -> None:
    checked(forty)
    app = WorkbenchApp(forty)
    app.place.recipe, app.place.dataset = "short", "d"
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("O")
        await settle(pilot)
        text = " ".join(shown(pilot).split())
        assert "In tokens: median 60, 95 % have up to 114, the longest 117." in text
        assert "6 pairs are longer than max_length 100 of recipe short" in text
        assert "1 are not counted yet" in text
        drawn = "".join(run[0] for line in pilot.app.screen.query_one(Chart)._lines for run in line)
        assert "max_length 100" in drawn
        assert {run[1] for line in pilot.app.screen.query_one(Chart)._lines for run in line} >= {"primary", "error"}
        assert "nearest other prompt is 0.75 away" in text
        assert "25% of the prompts are like “Question 0?”" in text
        (forty.configs / "short.yaml").unlink()
        await pilot.press("escape", "O")
        await settle(pilot)
        assert "No limit is drawn: there is no recipe 'short'" in shown(pilot)


def test_the_command_gives_the_same_figures(forty: Workspace, command: Callable[..., Any]) -> None:
    checked(forty)
    (line,) = command("pairs", "overview", "--dataset", "d", "--recipe", "short", "--json").lines
    assert (line["pairs"], line["statuses"]) == (40, {"pending": 28, "accepted": 12, "rejected": 0})
    assert line["sources"] == {"[b]faq.jsonl": 30, "more.csv": 10}
    assert (line["tags"], line["flags"]) == ({"tone": 10}, {"near-duplicate": 1})
    assert (line["too_long"], line["lengths"]["uncounted"]) == (6, 1)
    assert line["variety"]["groups"] == [{"prompt": "Question 0?", "prompts": 10}]
    missing = command("pairs", "overview", "--dataset", "nope")
    assert (missing.code, missing.err) == (1, "Error: there is no dataset 'nope'. Datasets: d, other.\n")


def test_variety_is_the_distance_to_the_nearest_and_groups_do_not_overlap() -> None:
    angles = np.radians([0, 2, 4, 90, 91, 200])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    variety = measured(vectors, [str(number) for number in range(6)])
    nearest = 1 - np.cos(np.radians([2, 2, 2, 1, 1, 109]))
    assert variety.distance == pytest.approx(nearest.mean(), abs=1e-5)
    assert [(group.prompts) for group in variety.groups] == [3, 2]
