"""Chat, driven by its keys: asking, sources, stopping, choosing the hybrid, chats of the past, errors, hostile text."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_server import CITATIONS, FIGURES, SUMMER, FakeEngine, serving
from sample_index import MUSEUM, write_index
from sample_runs import write_run
from textual.widgets import Markdown

from screens.answer_marks import without_places
from screens.app import WorkbenchApp
from screens.modals.chats import Chats
from screens.modals.choose import Choose
from screens.modals.document import DocumentViewer
from screens.widgets.chat_input import ChatInput
from screens.widgets.sources import Sources
from screens.widgets.text_pane import TextPane
from screens.widgets.transcript import Transcript
from screens.widgets.turn_view import TurnView
from workbench.chat.answer import Cut
from workbench.chat.history import ChatStore
from workbench.errors import UserError
from workbench.training.adapter import FOLDER, MANIFEST
from workbench.workspace import Workspace

Settle = Callable[..., Any]
BASE = "smollm2-135m-instruct"
HOSTILE = "\x1b]52;c;aGk=\x07[/red][@click=app.quit]x[/]\u202e<|im_end|>"


@pytest.fixture
def furnished(workspace: Workspace) -> Workspace:
    """A workspace with an index and a run that has an adapter."""
    write_index(workspace, "handbook")
    job = write_run(workspace, "tone", "done")
    (job.path / FOLDER).mkdir()
    (job.path / FOLDER / MANIFEST).write_text("{}")
    return workspace


def painted(pilot: Any) -> str:
    """The text of the whole screen."""
    return "\n".join("".join(segment.text for segment in line) for line in pilot.app.screen._compositor.render_strips())


def told(pilot: Any) -> list[str]:
    return [notice.message for notice in pilot.app._notifications]


async def until(pilot: Any, condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Let the app live until something is so."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"it never came to be:\n{painted(pilot)}")


async def test_an_answer_comes_with_its_figures_and_its_sources_which_open(
    furnished: Workspace, settle: Settle
) -> None:
    engine = FakeEngine(cut=Cut(1, 2))
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            assert "base smollm2-135m-instruct  + adapter tone  + index handbook" in painted(pilot)
            await pilot.press(*"When does it open?", "enter")
            await settle(pilot)
            assert engine.asked[0].model == f"{BASE}+lora:tone+rag:handbook"
            text = painted(pilot)
            for part in ("When does it open?", "The museum is open every day [1].", "first token 0.65 s"):
                assert part in text, part
            figures = pilot.app.screen.query_one(".figures").content.plain
            for part in ("59 tokens/s", "33 tokens", "2 sources", "1 passage did not fit", "2 older messages did not"):
                assert part in figures, part
            for part in ("[1] museum-hours.md", "line 5  similarity 0.78", "Museum hours > Summer hours"):
                assert part in text, part
            await pilot.press("ctrl+s", "j", "enter")
            await settle(pilot)
            assert isinstance(pilot.app.screen, DocumentViewer)
            pane = pilot.app.screen.query_one(TextPane)
            assert pane.text == MUSEUM
            assert pane.text[slice(*pane.passage)] == CITATIONS[1].text
            await pilot.press("n")
            await settle(pilot)
            assert pane.text[slice(*pane.passage)] == SUMMER
            await pilot.press("escape", "ctrl+s")
            await settle(pilot)
            assert pilot.app.screen.query_one(ChatInput).has_focus
    with ChatStore(furnished.database) as store:
        answer = store.messages(1)[1]
    assert answer.citations == CITATIONS
    assert answer.figures["prompt_tokens"] == FIGURES.prompt_tokens


async def test_a_chat_goes_on_after_a_restart_with_its_hybrid_its_sources_and_what_was_said(
    furnished: Workspace, settle: Settle
) -> None:
    engine = FakeEngine()
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press("ctrl+t", "k", "enter")
            await settle(pilot)
            await pilot.press(*"First?", "enter")
            await settle(pilot)
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await settle(pilot)  # the chat is the screen that was left
            text = painted(pilot)
            for part in ("First?", "The museum is open every day [1].", "59 tokens/s", "[1] museum-hours.md", "rag"):
                assert part in text, part
            await pilot.press(*"Second?", "enter")
            await settle(pilot)
    asked = engine.asked[1]
    assert asked.model == f"{BASE}+rag:handbook"
    assert [message["content"] for message in asked.messages] == [
        "First?",
        "The museum is open **every day** [1].",
        "Second?",
    ]


async def test_escape_stops_the_answer_and_what_came_of_it_is_kept(furnished: Workspace, settle: Settle) -> None:
    engine = FakeEngine(says=["It goes ", "on and "], endless=True)
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press(*"Go on", "enter")
            await until(pilot, lambda: "on and" in painted(pilot))
            assert "escape stops" in painted(pilot)
            await pilot.press(*"next", "enter")  # not while an answer comes
            await pilot.press("escape")
            await settle(pilot)
            await until(pilot, engine.cancelled.is_set)
            assert "stopped" in painted(pilot)
            assert "escape stops" not in painted(pilot)
            assert pilot.app.screen.query_one(ChatInput).text == "next"
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await settle(pilot)
            assert "It goes on and" in painted(pilot)
            assert "stopped" in painted(pilot)
    assert len(engine.asked) == 1


async def test_a_database_that_cannot_be_written_is_told_and_the_question_is_kept(
    furnished: Workspace, settle: Settle
) -> None:
    async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        with ChatStore(furnished.database) as store:
            store._connection.execute("ALTER TABLE chats RENAME TO elsewhere")
        await pilot.press(*"Why?", "enter")
        await settle(pilot)
        assert "cannot be used as it is: no such table: chats" in told(pilot)[-1]
        assert pilot.app.screen.query_one(ChatInput).text == "Why?"
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert len(told(pilot)) == 2


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "midway"])
async def test_an_error_is_told_in_one_line_and_the_question_is_kept(
    furnished: Workspace, settle: Settle, begun: bool
) -> None:
    error = UserError("the adapter is damaged", where="runs/tone", do="Train the run again.")
    engine = FakeEngine(says=["Well, ", error] if begun else [error])
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press(*"Why?", "enter")
            await settle(pilot)
            assert told(pilot) == ["runs/tone: the adapter is damaged. Train the run again."]
            assert pilot.app.screen.query_one(ChatInput).text == "Why?"
            assert len(pilot.app.screen.query(TurnView)) == (1 if begun else 0)
            engine.says = ["Because."]
            await pilot.press("enter")
            await settle(pilot)
            assert "Because." in painted(pilot)
    with ChatStore(furnished.database) as store:
        (chat,) = store.chats()
        contents = [message.content for message in store.messages(chat.id)]
    assert contents == [*(["Why?", "Well, "] if begun else []), "Why?", "Because."]


async def test_without_a_server_that_starts_the_reason_is_told(
    furnished: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    (furnished.configs / "settings.yaml").write_text("server:\n  port: 1\n  host: 203.0.113.1\n")
    async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        pilot.app.screen.query_one(ChatInput).set_text("Hello?")
        await pilot.press("enter")
        await settle(pilot)
        assert len(told(pilot)) == 1
        assert "cannot listen on 203.0.113.1:1" in told(pilot)[0]
        assert pilot.app.screen.query_one(ChatInput).text == "Hello?"


async def test_what_is_not_in_the_library_is_shown_as_such(furnished: Workspace, settle: Settle) -> None:
    engine = FakeEngine(says=["This is not in the library."], not_in_library=True, citations=())
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press(*"What is the moon?", "enter")
            await settle(pilot)
            text = painted(pilot)
            assert "not in the library  nothing like it was found" in text
            assert "Nothing in handbook is like the" in text


async def test_the_hybrid_is_put_together_by_keys_also_while_writing(furnished: Workspace, settle: Settle) -> None:
    engine = FakeEngine()
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            wanted = [
                (["ctrl+t", "k", "enter"], f"{BASE}+rag:handbook", "rag"),
                (["ctrl+l", "k", "enter"], BASE, "base"),
                (["escape", "m", "j", "enter", "i"], f"{BASE}+lora:tone", "tuned"),
                (["escape", "l", "j", "enter", "i"], f"{BASE}+lora:tone+rag:handbook", "hybrid"),
                (["ctrl+l", "escape"], f"{BASE}+lora:tone+rag:handbook", "hybrid"),
            ]
            for keys, hybrid, arm in wanted:
                for key in keys:
                    await pilot.press(key)
                    await settle(pilot)
                assert painted(pilot).splitlines()[1].split()[-1] == arm
                pilot.app.screen.query_one(ChatInput).focus()
                await pilot.press("x", "enter")
                await settle(pilot)
                assert engine.asked[-1].model == hybrid
            await pilot.click("#adapter")  # the mouse does what the key does
            await settle(pilot)
            assert isinstance(pilot.app.screen, Choose)


async def test_with_nothing_to_choose_it_says_where_to_get_it(workspace: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        assert "base smollm2-135m-instruct  + adapter none  + index none" in painted(pilot)
        for key, word in (
            ("ctrl+t", "no run has an adapter yet"),
            ("ctrl+l", "no index yet"),
            ("ctrl+o", "no chats yet"),
        ):
            await pilot.press(key)
            await settle(pilot)
            assert word in told(pilot)[-1]
        assert not isinstance(pilot.app.screen, Choose)


async def test_what_a_chat_was_led_with_and_is_gone_is_marked(workspace: Workspace, settle: Settle) -> None:
    with ChatStore(workspace.database) as store:
        chat = store.create(f"{BASE}+lora:lost+rag:burnt")
        store.append(chat.id, "user", "Hello?", hybrid=chat.hybrid)
    async with WorkbenchApp(workspace).run_test(size=(120, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        assert "adapter lost (gone)  + index burnt (gone)" in painted(pilot)
        assert "not answered" in painted(pilot), "the app was killed before the answer"


async def test_chats_of_the_past_are_found_opened_renamed_and_deleted(workspace: Workspace, settle: Settle) -> None:
    with ChatStore(workspace.database) as store:
        for title in ("Ferries", "Museums", HOSTILE):
            chat = store.create(BASE, title=title)
            store.append(chat.id, "user", f"About {title}?", hybrid=BASE)
            store.append(chat.id, "assistant", f"All about {title}.", hybrid=BASE, figures={"completion_tokens": 3})
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        assert "All about" in painted(pilot), "the newest is open"
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Chats)
        assert "\x1b" not in painted(pilot)
        await pilot.press("slash", *"muse", "enter", "r")
        await settle(pilot)
        await pilot.press("ctrl+u", *"Galleries", "enter")
        await settle(pilot)
        assert "No chat is called so." in painted(pilot), "it is not a muse any more"
        await pilot.press("slash", "escape")
        await settle(pilot)
        assert "Galleries" in painted(pilot)
        for key in ("g", "d", "y", "escape"):  # the one that is open
            await pilot.press(key)
            await settle(pilot)
        assert "Ask the hybrid named above." in painted(pilot)
        await pilot.press("ctrl+o", "G")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert "All about Ferries." in painted(pilot)
        await pilot.press("ctrl+n")
        await settle(pilot)
        assert "All about Ferries." not in painted(pilot)
    with ChatStore(workspace.database) as store:
        assert [chat.title for chat in store.chats()] == ["Galleries", "Ferries"]


async def test_hostile_text_is_shown_as_text(furnished: Workspace, settle: Settle) -> None:
    citation = replace(CITATIONS[0], document=f"{HOSTILE}.md", place=HOSTILE, text=HOSTILE)
    pieces = [
        HOSTILE,
        "\n\n# ",
        HOSTILE,
        "\n```",
        HOSTILE,
        "\n",
        HOSTILE,
        "\n```\n",
        "[link](http://a.b/) <b>bold</b>\n\n[1]: x\n",
    ]
    with serving(furnished, FakeEngine(says=list(pieces), citations=(citation,))):
        async with WorkbenchApp(furnished).run_test(size=(100, 40)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            pilot.app.screen.query_one(ChatInput).set_text(f"Q {HOSTILE}")
            await pilot.press("enter")
            await settle(pilot)
            text = painted(pilot)
            assert not {"\x1b", "\x07", "\u202e"} & set(text)
            assert text.count("[/red]") >= 6
            assert "<b>bold</b>" in text, "nothing of an answer disappears"
            assert "[1]: x" in text
            for keys in (["ctrl+s", "enter"], ["escape"], ["ctrl+s", "ctrl+o"], ["escape"]):
                await pilot.press(*keys)
                await settle(pilot)
                assert not {"\x1b", "\x07", "\u202e"} & set(painted(pilot))
    with ChatStore(furnished.database) as store:
        assert store.messages(1)[1].content == "".join(pieces), "stored as it was brought"


async def test_a_link_of_an_answer_is_shown_and_not_followed(
    furnished: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(WorkbenchApp, "open_url", lambda self, url, **_: opened.append(url))
    with serving(furnished, FakeEngine(says=["[click here](http://evil.example/)"])):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press("x", "enter")
            await settle(pilot)
            await pilot.click("MarkdownParagraph", offset=(3, 0))
            await settle(pilot)
            assert told(pilot) == ["http://evil.example/"]
    assert not opened


async def test_a_question_of_several_lines_and_questions_of_before(furnished: Workspace, settle: Settle) -> None:
    engine = FakeEngine()
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press("enter", *"one", "ctrl+j", *"two", "enter")
            await settle(pilot)
            await pilot.press(*"three", "enter")
            await settle(pilot)
            await pilot.press("up", "up", "up", "down", "up", "enter")
            await settle(pilot)
    assert [asked.messages[-1]["content"] for asked in engine.asked] == ["one\ntwo", "three", "one\ntwo"]


async def test_a_fast_answer_is_written_at_most_twenty_times_a_second(
    furnished: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[float] = []
    append = Markdown.append

    def counted(self: Markdown, markdown: str) -> Any:
        writes.append(time.monotonic())
        return append(self, markdown)

    monkeypatch.setattr(Markdown, "append", counted)
    words = [f"word{n} " for n in range(2000)]
    with serving(furnished, FakeEngine(says=list(words))):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press("x", "enter")
            await settle(pilot)
            assert without_places(pilot.app.screen.query_one(Markdown).source) == "".join(words)
            transcript = pilot.app.screen.query_one(Transcript)
            assert transcript.scroll_y == transcript.max_scroll_y > 0, "the end is in sight"
    assert len(writes) <= (writes[-1] - writes[0]) * 20 + 2


async def test_a_reader_who_scrolled_up_is_not_dragged_down(furnished: Workspace, settle: Settle) -> None:
    gate = threading.Event()
    lines = [f"line {n}\n\n" for n in range(60)]
    with serving(furnished, FakeEngine(says=[*lines, gate, *lines, "the end"])):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press("x", "enter")
            await until(pilot, lambda: "line 59" in painted(pilot))
            await pilot.press("pageup")
            await pilot.pause()
            seen = pilot.app.screen.query_one(Transcript).scroll_y
            gate.set()
            await settle(pilot)
            assert pilot.app.screen.query_one(Transcript).scroll_y == seen
            assert "the end" not in painted(pilot)
            await pilot.press("escape", "G")
            await settle(pilot)
            assert "the end" in painted(pilot)


async def test_turns_are_gone_through_and_their_sources_follow(furnished: Workspace, settle: Settle) -> None:
    with ChatStore(furnished.database) as store:
        chat = store.create(BASE, title="long")
        for n in range(70):
            cited = (replace(CITATIONS[0], document=f"document-{n}.md"),)
            hybrid = f"{BASE}+rag:handbook"
            store.append(chat.id, "user", f"Question {n}?", hybrid=hybrid)
            store.append(
                chat.id, "assistant", f"Answer {n}.", hybrid=hybrid, citations=cited, figures={"completion_tokens": 3}
            )
    async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        assert "Answer 69." in painted(pilot)
        assert len(pilot.app.screen.query(TurnView)) < 30
        await pilot.press("escape", "k", "k")
        await settle(pilot)
        assert "[1] document-67.md" in painted(pilot)
        await pilot.press("g")
        await settle(pilot)
        assert "Answer 0." in painted(pilot), "those before are brought"
        assert "[1] document-0.md" in painted(pilot)
        await pilot.press("G")
        await settle(pilot)
        assert "[1] document-69.md" in painted(pilot)
        assert "Answer 69." in painted(pilot)


async def test_at_eighty_columns_the_sources_come_and_go(furnished: Workspace, settle: Settle) -> None:
    with serving(furnished, FakeEngine()):
        async with WorkbenchApp(furnished).run_test(size=(80, 24)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press("x", "enter")
            await settle(pilot)
            sources = pilot.app.screen.query_one(Sources)
            assert not sources.display
            await pilot.press("ctrl+s")
            await settle(pilot)
            assert "[1] museum-hours.md" in painted(pilot)
            assert "The museum is open every day" in painted(pilot)
            await pilot.press("ctrl+s")
            await settle(pilot)
            assert not sources.display
            assert pilot.app.screen.query_one(ChatInput).has_focus
