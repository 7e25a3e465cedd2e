"""A pair as the model sees it, on the Pairs screen by keys and by the command; a real process renders."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from screens.app import WorkbenchApp
from screens.pairs import PairsScreen
from screens.widgets.pair_reading import PairReading
from screens.widgets.pair_seen import PairSeen
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.training.render_client import RenderClient
from workbench.workspace import Workspace

Settle = Callable[..., Any]


@pytest.fixture
def five(workspace: Workspace) -> Workspace:
    """Five pairs, a preference pair among them, and a recipe with little room."""
    turns = [[{"role": "user", "content": f"Question {number}?"}] for number in range(1, 6)]
    rows = [NewPair(messages=messages, completion="=> [b]aye[/b] <|im_end|>.") for messages in turns[:4]]
    rows.append(NewPair(messages=turns[4], chosen="Aye.", rejected="Perhaps."))
    with PairStore(workspace.database) as store:
        store.add("default", rows, status="accepted")
    (workspace.configs / "narrow.yaml").write_text("dataset: default\nmax_length: 40\ntest_size: 0\n")
    return workspace


def seen(pilot: Pilot[Any]) -> str:
    pane = pilot.app.screen.query_one(PairSeen)
    return f"{pane.border_title}\n{pane.query_one(Static).render()}\n{pane.border_subtitle}"


async def test_the_view_follows_the_cursor_and_survives_its_process(
    five: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []
    ask = RenderClient.ask
    monkeypatch.setattr(RenderClient, "ask", lambda self, *what: asked.append(what) or ask(self, *what))
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert not asked
        await pilot.press("m", *"jjj")  # the process starts meanwhile: of what the cursor passes, the last is asked
        await settle(pilot)
        assert len(asked) <= 2
        assert asked[-1] == (4, "sft")
        assert not pilot.app.screen.query_one(PairReading).display
        assert "Pair 4" in seen(pilot)
        assert "<|im_start|>user↵\nQuestion 4?<|im_end|>↵" in seen(pilot)
        assert re.search(r"trained \d+ · context \d+ · cut off 0", seen(pilot))
        assert "sft · smollm2-135m-instruct" in seen(pilot)

        client = pilot.app.screen.query_one(PairSeen)._client
        assert client
        assert client._process
        os.kill(client._process.pid, signal.SIGKILL)
        await pilot.press("j")
        await settle(pilot)
        assert "Pair 5" in seen(pilot)
        assert "not used: method sft learns from pairs with a completion" in seen(pilot)
        (told,) = pilot.app._notifications
        assert told.message == "The process that renders pairs was killed by SIGKILL; it was started again."

        await pilot.press("T")
        await pilot.pause()
        options = pilot.app.screen.query_one(OptionList)
        names = [str(options.get_option_at_index(number).prompt) for number in range(options.option_count)]
        row = next(number for number, name in enumerate(names) if "narrow" in name)
        await pilot.press(*["down"] * row, "enter", "k")
        await settle(pilot)
        assert "✗ too long" in seen(pilot)
        assert "──── max_length 40 ────" in seen(pilot)
        await pilot.press("enter")
        assert pilot.app.screen.query_one(PairSeen).has_focus
        await pilot.press("m")
        assert pilot.app.screen.query_one(PairReading).display
        assert isinstance(pilot.app.focused, type(pilot.app.screen.query_one("PairTable")))
        process = client._process
    process.wait(timeout=10)  # it ends with the app
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert pilot.app.place.recipe == "narrow"  # pyright: ignore[reportAttributeAccessIssue]
        (five.configs / "narrow.yaml").write_text("dataset: default\nmax_length: 4\n")
        await pilot.press("m")
        await settle(pilot)
        assert "max_length" in seen(pilot)
        assert "T chooses another recipe" in seen(pilot)
        await pilot.press("escape")
        assert pilot.app.screen.query_one(PairReading).display


async def test_nothing_can_be_seen_where_nothing_is_listed(workspace: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "m")
        await settle(pilot)
        assert isinstance(pilot.app.screen, PairsScreen)
        assert pilot.app.screen.query_one(PairSeen)._client is None


def test_the_command_tells_it_too(five: Workspace, command: Callable[..., Any]) -> None:
    (line,) = command("pairs", "show", 1, "--recipe", "narrow", "--json").lines
    assert (line["fate"], line["max_length"], line["counts"]["trained"]) == ("too long", 40, 0)
    assert line["counts"]["cut"] == line["tokens"] - 40
    assert sum(kind == "cut" for part in line["parts"] for _, kind in part["shown"]) == line["counts"]["cut"]
    missing = command("pairs", "show", 77)
    assert (missing.code, missing.out) == (1, "")
    assert missing.err == "Error: there is no pair 77. See the ids with `workbench pairs list`.\n"


@pytest.mark.slow
def test_with_context_it_is_what_a_run_freezes(five: Workspace, command: Callable[..., Any], tmp_path: Path) -> None:
    """The passages come from the real index, by a process that began without torch and replaced itself."""
    from workbench.training.prepare import prepare
    from workbench.training.recipe import load

    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(1, 5):
        (documents / f"{number}.md").write_text(f"# Question {number}\n\nTo question {number} say [b]aye[/b].\n")
    assert command("index", "build", "asked", documents).code == 0
    recipe = five.configs / "grounded.yaml"
    recipe.write_text("dataset: default\ntest_size: 0.5\ncontext: {index: asked, k: 2, without: 0.5}\n")
    folder = tmp_path / "run"
    folder.mkdir()

    class FakeContext:
        workspace = five

        def progress(self, *_: object, **__: object) -> None: ...

        message = event = progress

    context: Any = FakeContext()
    context.folder = folder
    prepared = prepare(context, load(recipe))
    frozen = {pair.key: pair for pair in (*prepared.training, *prepared.evaluation)}
    client = RenderClient(five)
    try:
        client.ask(1, "sft")
        with PairStore(five.database) as store:
            for pair in store.accepted("default"):
                if pair.key in frozen:
                    seen = client.ask(pair.id, "grounded")
                    assert [each.document for each in seen.passages] == [
                        each["document"] for each in frozen[pair.key].passages
                    ]
                    assert seen.fate == ("evaluated" if frozen[pair.key].evaluated else "learned")
                    answer = "".join(text for text, _ in seen.parts[1].shown)
                    assert answer.startswith("=> " if frozen[pair.key].completion.startswith("=>") else "This is not")
    finally:
        client.close()
