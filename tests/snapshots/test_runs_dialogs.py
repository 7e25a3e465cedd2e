"""Pictures of the dialogs of the Training screen over runs that never change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sample_runs import write_run
from syrupy.assertion import SnapshotAssertion

from screens.app import WorkbenchApp
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.training import tags
from workbench.workspace import Workspace

Settle = Callable[..., Any]
SIZES = pytest.mark.parametrize("size", [(100, 30), (80, 24)], ids=["100x30", "80x24"])


@pytest.fixture
def furnished(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Two runs that differ, and one recipe; the current folder is the workspace, so that commands do not name it."""
    first, second = write_run(workspace, "tone", "done"), write_run(workspace, "facts", "stopped", step=120, age=100)
    for job, answers, rate in ((first, ("At ten.", "Ahoy."), 2e-4), (second, ("At nine.", "Ahoy."), 1e-3)):
        spec = json.loads((job.path / "spec.json").read_text())
        spec["arguments"]["recipe"]["learning_rate"] = rate
        (job.path / "spec.json").write_text(json.dumps(spec))
        pairs = [
            {"messages": [{"role": "user", "content": f"Question {n}?"}], "completion": answer, "evaluated": n == 0}
            for n, answer in enumerate([*answers, job.id])
        ]
        (job.path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    events = [json.loads(line) for line in second.events.read_text().splitlines()]
    for event in events:  # another curve
        event |= {name: event[name] * 1.2 + 0.1 for name in ("loss", "eval_loss") if name in event}
    second.events.write_text("".join(json.dumps(event) + "\n" for event in events))
    tags.change(first, ["good"])
    with PairStore(workspace.database) as store:
        rows = [NewPair(messages=[{"role": "user", "content": f"{n}?"}], completion="Aye.") for n in range(40)]
        store.add("handbook", rows, status="accepted")
    path = workspace.configs / "tone.yaml"
    path.write_text("dataset: handbook\nnum_train_epochs: 2\nadam_beta2: 0.95\nlora:\n  r: 8\n", encoding="utf-8")
    monkeypatch.setattr(Workspace, "recipes", lambda self: [path])
    monkeypatch.setattr("screens.run_dialogs.names_of", lambda workspace: {"dataset": ["handbook"]})
    monkeypatch.chdir(workspace.root)
    return workspace


@SIZES
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(["space", "D"], id="figures"),
        pytest.param(["space", "D", "v"], id="recipe"),
        pytest.param(["space", "D", "v", "v"], id="pairs"),
        pytest.param(["space", "D", "V"], id="samples"),
        pytest.param(["n"], id="new-run"),
        pytest.param(["n", "ctrl+a", "down", *"dpo", "down", "ctrl+u"], id="new-run-with-a-fault"),
        pytest.param(["ctrl+g", *"lora.r", "down", *"4,8", "down", *"seed", "down", *"1,2,3"], id="grid"),
        pytest.param(["q"], id="queue"),
    ],
)
async def test_dialogs(
    furnished: Workspace, settle: Settle, picture: SnapshotAssertion, size: tuple[int, int], keys: list[str]
) -> None:
    async with WorkbenchApp(furnished).run_test(size=size) as pilot:
        await pilot.press("3")
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        assert pilot.app.export_screenshot() == picture
