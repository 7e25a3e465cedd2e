"""Chat with several panes, driven by keys: the arms side by side, pairs from answers, branches, settings, search."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fake_server import FakeEngine, serving
from sample_index import write_index
from sample_runs import write_run
from textual import events

from screens.app import WorkbenchApp
from screens.chat import ChatScreen
from screens.modals.chat_settings import ChatSettingsDialog
from screens.modals.edit_texts import EditTexts
from screens.modals.prompt import Prompt
from screens.widgets.chat_input import ChatInput
from screens.widgets.panes import Panes
from screens.widgets.transcript import Transcript
from workbench.chat.answer import Delta, Question
from workbench.chat.history import ChatStore
from workbench.errors import UserError
from workbench.pairs.store import PairStore
from workbench.training.adapter import FOLDER, MANIFEST
from workbench.workspace import Workspace

Settle = Callable[..., Any]
BASE = "smollm2-135m-instruct"
ARMS = [BASE, f"{BASE}+lora:tone", f"{BASE}+rag:handbook", f"{BASE}+lora:tone+rag:handbook"]
SIZES = pytest.mark.parametrize("size", [(100, 30), (80, 24)], ids=["100x30", "80x24"])


@dataclass
class EachItsOwn(FakeEngine):
    """Every answer is another one, and names its hybrid and the number of the question."""

    def answer(self, question: Question, cancelled: Callable[[], bool]) -> Iterator[Delta]:
        if "+lora:broken" in question.model:
            raise UserError("the adapter is damaged", where="runs/broken")
        _, _, arm = question.model.partition("+")
        self.says = [f"Said by {arm or 'base'} ", f"as number {len(self.asked) + 1}."]
        return super().answer(question, cancelled)


@pytest.fixture
def furnished(workspace: Workspace) -> Workspace:
    """A workspace with an index and a run that has an adapter."""
    write_index(workspace, "handbook")
    job = write_run(workspace, "tone", "done")
    (job.path / FOLDER).mkdir()
    (job.path / FOLDER / MANIFEST).write_text("{}")
    return workspace


def painted(pilot: Any) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in pilot.app.screen._compositor.render_strips())


def told(pilot: Any) -> list[str]:
    return [notice.message for notice in pilot.app._notifications]


async def press(pilot: Any, settle: Settle, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def ask(pilot: Any, settle: Settle, question: str) -> None:
    pilot.app.screen.query_one(ChatInput).focus()
    pilot.app.screen.query_one(ChatInput).set_text(question)
    await press(pilot, settle, "enter")


def hybrids(pilot: Any) -> list[str]:
    """What the panes ask."""
    screen = pilot.app.screen
    assert isinstance(screen, ChatScreen)
    assert screen.conversation is not None
    return [str(hybrid) for hybrid in screen.conversation.panes]


def pairs(workspace: Workspace) -> list[Any]:
    with PairStore(workspace.database) as store:
        return list(store.pairs())


async def until(pilot: Any, condition: Callable[[], bool]) -> None:
    for _ in range(1500):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"it never came to be:\n{painted(pilot)}")


@SIZES
async def test_four_arms_answer_side_by_side_and_the_better_one_is_learned(
    furnished: Workspace, settle: Settle, size: tuple[int, int]
) -> None:
    engine = EachItsOwn()
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=size) as pilot:
            await press(pilot, settle, "5", "f4")
            await ask(pilot, settle, "Who?")
            assert [asked.model for asked in engine.asked] == ARMS
            seen = painted(pilot)
            assert ("Said by rag:handbook as" in seen) == (size[1] == 30), "two panes at a time where it is small"
            await press(pilot, settle, "f6", "f6")
            assert "Said by rag:handbook as" in painted(pilot)
            assert "pane 3/4" in painted(pilot)
            if size[1] < 30:
                return
            await press(pilot, settle, "f7")
            assert isinstance(pilot.app.screen, Prompt), "the dataset is asked for once"
            await press(pilot, settle, "enter")
            assert told(pilot)[-1].startswith("3 preference pairs in from-chat")
            assert "better" in painted(pilot)
            made = pairs(furnished)
            assert {pair.rejected for pair in made} == {
                "Said by base as number 1.",
                "Said by lora:tone as number 2.",
                "Said by lora:tone+rag:handbook as number 4.",
            }
            assert {(pair.chosen, pair.status, pair.dataset) for pair in made} == {
                ("Said by rag:handbook as number 3.", "accepted", "from-chat")
            }
            assert made[0].messages == [{"role": "user", "content": "Who?"}]
            assert made[0].source == "chat 1 question 1 preference"
            # The chat goes on with it, in every pane.
            await ask(pilot, settle, "And then?")
            for asked in engine.asked[4:]:
                assert [message["content"] for message in asked.messages] == [
                    "Who?", "Said by rag:handbook as number 3.", "And then?",
                ]  # fmt: skip
            await press(pilot, settle, "f7")
            assert len(pairs(furnished)) == 6, "the dataset is not asked for again"
            await press(pilot, settle, "escape", "u")
            assert len(pairs(furnished)) == 3
            # Another choice takes the place of the first.
            await press(pilot, settle, "k", "left", "k", "b")
            chosen = {pair.chosen for pair in pairs(furnished)}
            assert chosen == {"Said by lora:tone as number 2."}


async def test_panes_come_and_go_and_keep_their_answers(furnished: Workspace, settle: Settle) -> None:
    with serving(furnished, EachItsOwn()):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5", "f2")
            panes = pilot.app.screen.query_one(Panes)
            assert hybrids(pilot) == [ARMS[3], ARMS[0]], "an arm that is not there yet"
            await ask(pilot, settle, "Who?")
            await press(pilot, settle, "escape", "f3")
            assert panes.current == 0
            assert "Said by base as number 2." in painted(pilot), "the pane that is left shows its own answer"
            await press(pilot, settle, "a", "ctrl+t", "G")
            await press(pilot, settle, "escape", "minus", "minus", "minus")
            assert len(hybrids(pilot)) == 1
            await press(pilot, settle, "minus")
            assert told(pilot)[-1] == "there is one pane at least"
            await press(pilot, settle, "plus", "plus", "plus", "plus")
            assert told(pilot)[-1] == "there are 4 panes at most"
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await settle(pilot)
            assert len(hybrids(pilot)) == 4, "they are there after a restart"
            assert "Said by base as number 2." in painted(pilot)


async def test_what_one_pane_fails_with_is_told_and_the_others_answer(furnished: Workspace, settle: Settle) -> None:
    with ChatStore(furnished.database) as store:
        chat = store.create(BASE, title="broken")
        store.configure(chat.id, panes=[(0, f"{BASE}+lora:broken"), (1, BASE)])
    with serving(furnished, EachItsOwn()):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5")
            await ask(pilot, settle, "Who?")
            assert told(pilot) == ["runs/broken: the adapter is damaged"]
            assert "Said by base as number 1." in painted(pilot)
            assert not pilot.app.screen.query_one(ChatInput).text


async def test_a_pair_has_the_prompt_that_its_answers_were_told(furnished: Workspace, settle: Settle) -> None:
    with serving(furnished, EachItsOwn()):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5", "f2")
            await ask(pilot, settle, "First?")
            await ask(pilot, settle, "Second?")
            await press(pilot, settle, "escape", "f6", "k", "b", "enter", "j", "b")
            second = pairs(furnished)[-1]
            assert second.chosen == "Said by base as number 4."
            assert [message["content"] for message in second.messages] == [
                "First?", "Said by lora:tone+rag:handbook as number 1.", "Second?",
            ], "although the chat goes on with another answer to the first question by now"  # fmt: skip
            await press(pilot, settle, "f5", "b")
            assert told(pilot)[-1].startswith("there is no other answer to the same prompt")
            assert len(pairs(furnished)) == 2
            await press(pilot, settle, "f")  # the copies of the answers are known in a branch
            await press(pilot, settle, "left_square_bracket", "b")
            assert pairs(furnished)[-1].messages == second.messages
            assert len(pairs(furnished)) == 2, "it is this very pair"


async def test_of_two_equal_hybrids_the_current_pane_is_taken_away(furnished: Workspace, settle: Settle) -> None:
    with ChatStore(furnished.database) as store:
        chat = store.create(BASE, title="twice")
        store.configure(chat.id, panes=[(0, BASE), (1, BASE)])
    with serving(furnished, EachItsOwn()):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5")
            await ask(pilot, settle, "Who?")
            await press(pilot, settle, "f3")
            assert "Said by base as number 2." in painted(pilot)
            assert "Said by base as number 1." not in painted(pilot)


async def test_a_question_sent_while_panes_still_come_and_go_is_asked_in_each_of_them(
    furnished: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(settings: Callable[[Workspace], Any]) -> Callable[[Workspace], Any]:
        return lambda workspace: (time.sleep(0.2), settings(workspace))[1]

    monkeypatch.setattr(Workspace, "settings", slowly(Workspace.settings))
    engine = EachItsOwn()
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5")
            for question, keys, count in (("One?", ["f4"], 4), ("Two?", ["f3", "f3"], 2), ("Three?", ["f2"], 3)):
                del engine.asked[:]
                pilot.app.screen.query_one(ChatInput).set_text(question)
                await pilot.press(*keys, "enter")
                await settle(pilot)
                assert len(engine.asked) == count == len(hybrids(pilot))
                for transcript in pilot.app.screen.query(Transcript):
                    asked = [turn.question for turn in transcript._turns]
                    assert asked == ["One?", "Two?", "Three?"][: len(asked)]
                    assert asked[-1] == question


async def test_escape_while_an_answer_is_written_down_keeps_it_once(
    furnished: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screens.conversation._KEEP_EVERY", 0.0)
    append, writing, go_on = ChatStore.append, threading.Event(), threading.Event()

    def slow(self: ChatStore, chat: int, role: str, *rest: Any, **more: Any) -> Any:
        if role == "assistant":
            writing.set()
            go_on.wait(10)
        return append(self, chat, role, *rest, **more)

    monkeypatch.setattr(ChatStore, "append", slow)
    with serving(furnished, FakeEngine(says=["It goes on"], endless=True)):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5")
            pilot.app.screen.query_one(ChatInput).set_text("Go on")
            await pilot.press("enter")
            await until(pilot, writing.is_set)
            await pilot.press("escape")
            go_on.set()
            await settle(pilot)
    with ChatStore(furnished.database) as store:
        assert [message.role for message in store.messages(1)] == ["user", "assistant"][: len(store.messages(1))]
        assert len(store.messages(1)) in (0, 2)


async def test_another_answer_keeps_the_earlier_ones_and_an_edited_one_is_learned(
    furnished: Workspace, settle: Settle
) -> None:
    engine = EachItsOwn()
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5")
            await ask(pilot, settle, "Who?")
            await press(pilot, settle, "f5", "f5")
            assert engine.asked[1].temperature == 0.7, "greedy decoding would only repeat the first"
            assert "as number 3." in painted(pilot)
            assert "answer 3 of 3" in painted(pilot)
            await press(pilot, settle, "escape", "left_square_bracket", "left_square_bracket")
            assert "as number 1." in painted(pilot)
            await press(pilot, settle, "right_square_bracket", "b")
            await press(pilot, settle, "enter")
            assert {pair.chosen[-2] for pair in pairs(furnished)} == {"2"}
            assert len(pairs(furnished)) == 2
            await press(pilot, settle, "c")
            assert isinstance(pilot.app.screen, EditTexts)
            await press(pilot, settle, *"Not", "ctrl+s")
            correction = pairs(furnished)[-1]
            assert correction.completion.startswith("NotSaid by")
            assert correction.source.endswith("correction")
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await settle(pilot)
            assert "as number 2." in painted(pilot), "the one that was shown is shown again"
            await ask(pilot, settle, "Then?")
    assert "number 2." in engine.asked[-1].messages[1]["content"]


async def test_a_question_in_other_words_begins_a_branch(furnished: Workspace, settle: Settle) -> None:
    engine = EachItsOwn()
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5")
            await ask(pilot, settle, "First?")
            await ask(pilot, settle, "Secnd?")
            await press(pilot, settle, "escape", "e", "backspace", "!", "enter")
            assert [message["content"] for message in engine.asked[-1].messages][::2] == ["First?", "Secnd!"]
            assert "as number 3." in painted(pilot)
            await press(pilot, settle, "escape", "k", "f")  # a copy up to the first turn
            await ask(pilot, settle, "Third?")
            assert [message["content"] for message in engine.asked[-1].messages][::2] == ["First?", "Third?"]
    with ChatStore(furnished.database) as store:
        told = [[m.content for m in store.messages(chat.id) if m.role == "user"] for chat in store.chats()]
        assert told == [["First?", "Third?"], ["First?", "Secnd!"], ["First?", "Secnd?"]]
        assert [chat.branched_from for chat in store.chats()] == [2, 1, None]


async def test_a_question_is_not_lost_with_its_branch_nor_with_the_app(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr(ChatStore, "branch", fails)
    engine = EachItsOwn()
    with serving(workspace, engine):
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5")
            await ask(pilot, settle, "First?")
            await press(pilot, settle, "escape", "e", "!", "enter")
            assert told(pilot)[-1] == "the disk is full"
            assert pilot.app.screen.query_one(ChatInput).text == "First?!"
            await press(pilot, settle, "escape", "escape")
            monkeypatch.setattr(engine, "answer", FakeEngine(says=[], endless=True).answer)
            pilot.app.screen.query_one(ChatInput).set_text("Second?")
            pilot.app.screen.query_one(ChatInput).focus()
            await pilot.press("enter")
            await until(pilot, lambda: "Reading the question" in painted(pilot))
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await settle(pilot)
            assert "Second?" in painted(pilot)
            assert "not answered" in painted(pilot)


async def test_settings_of_a_chat_reach_the_server_and_are_kept_as_a_preset(
    furnished: Workspace, settle: Settle
) -> None:
    engine = EachItsOwn()
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(80, 24)) as pilot:
            await press(pilot, settle, "5", "f9")
            assert isinstance(pilot.app.screen, ChatSettingsDialog)
            await press(pilot, settle, "tab", *"Be kind", "tab", *"3", "ctrl+s")
            assert "temperature: input should be less than or equal to 2" in painted(pilot)
            await press(pilot, settle, "backspace", *"0.5", "tab", "tab", "tab", *"7", "ctrl+k", *"kind", "enter")
            assert "temperature 0.5" in painted(pilot)
            await ask(pilot, settle, "Who?")
            await press(pilot, settle, "f7")
            assert told(pilot)[-1].startswith("there is no other answer")
    (asked,) = engine.asked
    assert asked.messages[0] == {"role": "system", "content": "Be kind"}
    assert (asked.temperature, asked.seed, asked.top_p) == (0.5, 7, None)
    assert (furnished.configs / "presets" / "kind.yaml").read_text() == "system: Be kind\ntemperature: 0.5\nseed: 7\n"
    # A wrong key of a preset is told with its line; a system prompt is no markup.
    (furnished.configs / "settings.yaml").write_text("system_prompt: '[/red] says who'\n")
    (furnished.configs / "presets" / "kind.yaml").write_text("temperature: 0.5\ntop_n: 3\n")
    async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, settle, "escape", "t", "right", "right", "right")
        assert "line 2: top_n: unknown key; did you mean 'top_p'?" in painted(pilot)


async def test_words_are_found_in_all_chats_and_a_chat_becomes_a_file(workspace: Workspace, settle: Settle) -> None:
    code = "```python\nprint(1)\n```"
    with ChatStore(workspace.database) as store:
        for title in ("Ferries", "Museums"):
            chat = store.create(BASE, title=title)
            for n in range(40):
                store.append(chat.id, "user", f"About {title} {n}?", hybrid=BASE)
                said = "Café timetable" if (title, n) == ("Ferries", 5) else f"It is {n}."
                store.append(chat.id, "assistant", f"{said}\n\n{code}", hybrid=BASE, figures={"completion_tokens": 3})
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await press(pilot, settle, "5", "f8", *"cafe time")
        assert "1 place" in painted(pilot)
        await press(pilot, settle, "enter")
        assert "About Ferries 5?" in painted(pilot), "the turn is in sight, many before the end"
        assert "About Ferries 39?" not in painted(pilot)
        await press(pilot, settle, "escape", "C")
        assert pilot.app.clipboard == "print(1)"
        await press(pilot, settle, "Y")
        assert pilot.app.clipboard == "About Ferries 5?"
        await press(pilot, settle, "E", "enter")
        text = (workspace.root / "Ferries.md").read_text()
        assert "# Ferries\n\n## Question\n\n> About Ferries 0?\n\n### smollm2-135m-instruct\n\nIt is 0." in text
        await press(pilot, settle, "E", "enter")
        assert "there is a file of that name" in told(pilot)[-1]


async def test_an_answer_that_never_ended_is_kept_as_far_as_it_came(
    furnished: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What kill -9 leaves: the database as it is while the answer still comes."""
    monkeypatch.setattr("screens.conversation._KEEP_EVERY", 0.0)
    gate = threading.Event()
    left = furnished.root / "left.sqlite"
    with serving(furnished, FakeEngine(says=["It goes ", "on", gate, " and on."])):
        async with WorkbenchApp(furnished).run_test(size=(100, 30)) as pilot:
            await press(pilot, settle, "5")
            pilot.app.screen.query_one(ChatInput).set_text("Go on")
            await pilot.press("enter")
            await until(pilot, lambda: "It goes on" in painted(pilot))
            with sqlite3.connect(furnished.database) as source, sqlite3.connect(left) as copy:
                source.backup(copy)
            gate.set()
            await settle(pilot)
    with ChatStore(left) as store:
        question, answer = store.messages(1)
        assert (question.content, answer.content, answer.figures["stopped"]) == ("Go on", "It goes on", True)
    with ChatStore(furnished.database) as store:
        answer = store.messages(1)[1]
        assert (answer.content, answer.figures["stopped"]) == ("It goes on and on.", False)


async def test_many_lines_are_pasted_whole(furnished: Workspace, settle: Settle) -> None:
    engine = FakeEngine()
    lines = "\n".join(f"line {n}\tof many" for n in range(500))
    with serving(furnished, engine):
        async with WorkbenchApp(furnished).run_test(size=(80, 24)) as pilot:
            await press(pilot, settle, "5")
            pilot.app.post_message(events.Paste(lines))
            await settle(pilot)
            assert not engine.asked, "its newlines send nothing"
            assert 3 < pilot.app.screen.query_one(ChatInput).size.height <= 8
            await press(pilot, settle, "enter")
    assert engine.asked[0].messages[-1]["content"] == lines
