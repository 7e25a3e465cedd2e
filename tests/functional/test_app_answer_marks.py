"""An answer that can be checked: its sentences gone through by keys, their passages beside them, documents opened."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_server import CITATIONS, SUMMER, WINTER, FakeEngine, serving
from sample_index import MUSEUM, write_index

from screens.app import WorkbenchApp
from screens.modals.document import DocumentViewer
from screens.widgets.marked_answer import MarkedAnswer
from screens.widgets.sources import Sources
from screens.widgets.text_pane import TextPane
from screens.widgets.transcript import Transcript
from screens.widgets.turn_view import TurnView
from workbench.chat.history import ChatStore
from workbench.workspace import Workspace

Settle = Callable[..., Any]
HYBRID = "smollm2-135m-instruct+rag:handbook"
ANSWER = (
    "The museum is open **every day** from 3 May. Cake is free for all visitors [9]."
    " In winter it opens on Thursdays and Saturdays."
)


@pytest.fixture
def library(workspace: Workspace) -> Workspace:
    write_index(workspace, "handbook")
    return workspace


def keep(workspace: Workspace, *answers: str) -> None:
    """A chat of the past with these answers."""
    with ChatStore(workspace.database) as store:
        chat = store.create(HYBRID)
        for answer in answers:
            store.append(chat.id, "user", "When does the museum open?", hybrid=HYBRID)
            store.append(chat.id, "assistant", answer, hybrid=HYBRID, citations=CITATIONS, figures={"tokens": 1})


def painted(pilot: Any) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in pilot.app.screen._compositor.render_strips())


def answer_of(pilot: Any) -> str:
    """What is seen of the last answer, on one line."""
    answer = pilot.app.screen.query(MarkedAnswer).last()
    return " ".join(" ".join(block.content.plain for block in answer.query("MarkdownBlock")).split())


def emphasised(pilot: Any) -> list[str]:
    """The words of the document that are emphasised in the viewer."""
    pane = pilot.app.screen.query_one(TextPane)
    return [pane.text[slice(*span)] for span in pane._words]


async def test_marks_stand_where_they_belong_while_the_answer_comes_and_what_is_kept_has_none(
    library: Workspace, settle: Settle
) -> None:
    gate = threading.Event()
    at = ANSWER.index(" In winter") + 5
    with serving(library, FakeEngine([*ANSWER[:at], gate, *ANSWER[at:]])):
        async with WorkbenchApp(library).run_test(size=(100, 30)) as pilot:
            await pilot.press("5")
            await settle(pilot)
            await pilot.press(*"x?", "enter")
            for _ in range(500):
                await pilot.pause(0.02)
                if "✗" in answer_of(pilot):
                    break
            assert answer_of(pilot) == (
                "The museum is open every day from 3 May. ✓[1] Cake is free for all visitors [9]✗. ○ In w"
            )
            gate.set()
            await settle(pilot)
            assert answer_of(pilot).endswith("[9]✗. ○ In winter it opens on Thursdays and Saturdays. ✓[2]")
            assert "✓ 2 of 3 sentences supported  ○ 1 not" in painted(pilot)
            seen = answer_of(pilot)
        async with WorkbenchApp(library).run_test(size=(100, 30)) as pilot:
            await settle(pilot)
            assert answer_of(pilot) == seen, "a chat of the past has the same marks"
    with ChatStore(library.database) as store:
        assert store.messages(1)[1].content == ANSWER


async def test_keys_go_from_sentence_to_sentence_and_open_the_place(library: Workspace, settle: Settle) -> None:
    keep(library, ANSWER)
    async with WorkbenchApp(library).run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        sources = pilot.app.screen.query_one(Sources)
        assert not sources.display
        await pilot.press("escape", "full_stop")
        await settle(pilot)
        assert sources.display
        assert "sentence 1 of 3 ✓" in painted(pilot)
        await pilot.press("full_stop")
        await settle(pilot)
        assert "sentence 2 of 3 ○ no passage" in painted(pilot)
        await pilot.press("o")
        await settle(pilot)
        assert [notice.message for notice in pilot.app._notifications] == ["No passage says this sentence"]
        await pilot.press("full_stop")
        await settle(pilot)
        assert "[2] museum-hours.md" in painted(pilot)
        assert sources.query_one("Options").highlighted == 1
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, DocumentViewer)
        pane = pilot.app.screen.query_one(TextPane)
        assert pane.text[slice(*pane.passage)] == WINTER
        assert emphasised(pilot) == ["winter", "opens", "Thursdays", "Saturdays"]
        await pilot.press("escape", "comma", "comma", "comma")  # past the first one: to none
        await settle(pilot)
        assert "sentence" not in painted(pilot).replace("sentences supported", "")
        assert not sources.display, "it is shown while a sentence is looked at"
        await pilot.press("comma")
        await settle(pilot)
        assert "sentence 3 of 3" in painted(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert pilot.app.screen.query_one(TurnView).evidence is None


async def test_an_answer_far_out_of_sight_is_gone_back_to_and_its_sentence_left(
    library: Workspace, settle: Settle
) -> None:
    keep(library, ANSWER, *["Cake is free.\n\n" * 30] * 8)
    async with WorkbenchApp(library).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        await pilot.press("escape", "g")
        await settle(pilot)
        transcript = pilot.app.screen.query_one(Transcript)

        async def scroll_far() -> None:
            transcript.scroll_end(animate=False)
            await settle(pilot)
            assert transcript.current_view is None

        await scroll_far()
        await pilot.press("full_stop")
        await settle(pilot)
        assert "sentence 1 of 3 ✓" in painted(pilot)
        await scroll_far()
        await pilot.press("escape")
        await settle(pilot)
        assert "sentence 1 of 3" not in painted(pilot)
        assert not pilot.app.screen.has_class("-evidence")


async def test_a_click_on_a_number_opens_the_place_also_in_another_turn(library: Workspace, settle: Settle) -> None:
    table = "| Day | Hours |\n|-|-|\n| May | 3 |"
    keep(library, "It is open every day [1].", f"In winter it opens on Thursdays.\n\n{table}")
    async with WorkbenchApp(library).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        await pilot.press("escape", "full_stop")
        await settle(pilot)
        first = pilot.app.screen.query("MarkdownParagraph").first()
        await pilot.click(first, offset=(first.content.plain.index("[1]") + 1, 0))
        await settle(pilot)
        assert isinstance(pilot.app.screen, DocumentViewer)
        pane = pilot.app.screen.query_one(TextPane)
        assert (pane.text, pane.text[slice(*pane.passage)]) == (MUSEUM, SUMMER)
        assert emphasised(pilot) == ["open", "day"]
        await pilot.press("escape")
        await settle(pilot)
        views = list(pilot.app.screen.query(TurnView))
        assert [view.evidence is not None for view in views] == [True, False], "one sentence is gone to"
        cell = pilot.app.screen.query("MarkdownTableCellContents").last()
        await pilot.click(cell, offset=(cell.content.plain.index("✓") + 1, 0))
        await settle(pilot)
        assert isinstance(pilot.app.screen, DocumentViewer)


async def test_an_answer_that_nothing_supports_has_a_caution_and_one_that_tells_nothing_says_so(
    library: Workspace, settle: Settle
) -> None:
    keep(library, "Elephants dance. Cake is free.", "The passages do not tell.")
    async with WorkbenchApp(library).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        assert "○ no passage says this: check it before you rely on it" in painted(pilot)
        assert "the library does not tell, says the answer" in painted(pilot)
        await pilot.press("escape", "full_stop", "o")
        await settle(pilot)
        told = [notice.message for notice in pilot.app._notifications]
        assert told == ["Go to a sentence first, with the full stop"]


async def test_hostile_answers_and_passages_are_painted_safely(library: Workspace, settle: Settle) -> None:
    hostile = "\x1b]52;c;aGk=\x07[/red][@click=app.quit]x[/]\u202e \ufdd00\ufdd1 museum."
    citations = (replace(CITATIONS[0], text=f"{SUMMER}\r\n\t{hostile}", document="[b]x\x1b[2J"),)
    with ChatStore(library.database) as store:
        chat = store.create(HYBRID)
        store.append(chat.id, "user", "Which museum?", hybrid=HYBRID)
        store.append(chat.id, "assistant", hostile, hybrid=HYBRID, citations=citations, figures={"tokens": 1})
    async with WorkbenchApp(library).run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        await pilot.press("escape", "full_stop")
        await settle(pilot)
        text = painted(pilot)
        assert "sentence 1 of 1" in text
        assert "[/red][@click=app.quit]x[/]" in text
        for character in "\x1b\x07\u202e":
            assert character not in text
        assert "\ufffd0\ufffd museum." in answer_of(pilot), "no mark is forged"
