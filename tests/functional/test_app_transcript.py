"""A long chat is as quick as a short one: only what is near what is in sight are widgets."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.widget import Widget

from screens.app import WorkbenchApp
from screens.widgets.transcript import Transcript
from screens.widgets.turn_view import TurnView
from workbench.chat.history import ChatStore
from workbench.workspace import Workspace, init

Settle = Callable[..., Any]
BASE = "smollm2-135m-instruct"


def write_chat(workspace: Workspace, turns: int) -> None:
    with ChatStore(workspace.database) as store:
        chat = store.create(BASE, title=f"{turns} turns")
        store._connection.execute("BEGIN")
        values = [
            (chat.id, role, f"{text} {n}" + " and more of it" * (n % 40 if role == "assistant" else 0), BASE)
            for n in range(turns)
            for role, text in (("user", "Question"), ("assistant", "**Answer**"))
        ]
        store._connection.executemany(
            "INSERT INTO chat_messages (chat, role, content, hybrid, citations, figures, created_at)"
            " VALUES (?, ?, ?, ?, '[]', '{\"completion_tokens\": 3}', 0)",
            values,
        )
        store._connection.execute(
            "UPDATE chat_messages SET question = id - 1 WHERE chat = ? AND role = 'assistant'", (chat.id,)
        )
        store._connection.execute("COMMIT")


def views(pilot: Any) -> list[TurnView]:
    return list(pilot.app.screen.query(TurnView))


def in_sight(pilot: Any) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in pilot.app.screen._compositor.render_strips())


async def test_a_thousand_turns_scroll_and_open_as_fast_as_ten(tmp_path: Path, settle: Settle) -> None:
    """Time is compared with time of the same machine; that few widgets are there is what makes it so."""
    seconds: dict[int, list[float]] = {10: [], 1000: []}
    opening: dict[int, float] = {}
    for turns in seconds:
        write_chat(workspace := init(tmp_path / str(turns)), turns)
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await settle(pilot)
            begun = time.perf_counter()
            await pilot.press("5")
            await settle(pilot)
            opening[turns] = time.perf_counter() - begun
            transcript = pilot.app.screen.query_one(Transcript)
            assert len(views(pilot)) <= 25
            await pilot.press("escape")
            for key in ["up"] * 12 + ["down"] * 8:
                begun = time.perf_counter()
                await pilot.press(key)
                await pilot.pause()
                seconds[turns].append(time.perf_counter() - begun)
            assert len(views(pilot)) <= 40
            assert transcript.max_scroll_y > turns * 3
    median = {turns: sorted(times)[len(times) // 2] for turns, times in seconds.items()}
    assert median[1000] <= median[10] * 1.5, median
    print(median, opening)
    assert opening[1000] - opening[10] <= 0.6, opening  # 0.3 s on a machine that does nothing else


async def test_anywhere_in_a_long_chat_what_is_in_sight_is_there_and_stays(
    workspace: Workspace, settle: Settle
) -> None:
    write_chat(workspace, 1000)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        assert "Question 999" in in_sight(pilot)
        await pilot.press("escape", "g")
        await settle(pilot)
        assert "Question 0" in in_sight(pilot)
        transcript = pilot.app.screen.query_one(Transcript)
        for y in (4000, 100):  # as a drag of the scroll bar does
            transcript.release_anchor()
            transcript.scroll_to(y=y, animate=False)
            await settle(pilot)
            text = in_sight(pilot)
            assert text.count("Answer") >= 2 or text.count("and more of it") > 10, text
            assert len(views(pilot)) <= 40
        # What is read stays where it is while turns above and below come and go.
        for _ in range(8):
            first = next(line for line in in_sight(pilot).splitlines() if "Question" in line).strip()
            before = next(at for at, line in enumerate(in_sight(pilot).splitlines()) if first in line)
            await pilot.press("up")
            await settle(pilot)
            lines = in_sight(pilot).splitlines()
            after = next((at for at, line in enumerate(lines) if first in line), None)
            assert after is None or after - before in (0, 1), (before, after)
        await pilot.press("j", "j", "j")
        await settle(pilot)
        current = transcript.current
        assert current is not None
        assert any(view.turn is current and view.has_class("-current") for view in views(pilot))
        await pilot.press("G")
        await settle(pilot)
        assert "Question 999" in in_sight(pilot)
        assert sum(isinstance(child, Widget) for child in transcript.children) <= 40
