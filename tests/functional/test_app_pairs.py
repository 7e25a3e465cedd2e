"""The Pairs screen, driven by keys over a real store; what it acknowledged is looked up in the database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Log, Select, Static, TextArea

from screens.app import WorkbenchApp
from screens.modals.choose import Choose
from screens.modals.confirm import Confirm
from screens.modals.edit_texts import EditTexts
from screens.modals.export_pairs import ExportPairs
from screens.modals.import_dataset import ImportDataset
from screens.modals.import_pairs import ImportPairs
from screens.modals.import_report import ImportReport
from screens.modals.open_file import OpenFile
from screens.modals.prompt import Prompt
from screens.pair_list import PairFilter
from screens.widgets.pair_counts import PairCounts
from screens.widgets.pair_reading import PairReading
from screens.widgets.pair_table import PairTable
from screens.widgets.query_line import QueryLine
from workbench.errors import UserError
from workbench.pairs.pair import NewPair, Pair
from workbench.pairs.store import PairStore
from workbench.text import for_terminal
from workbench.workspace import Workspace

Settle = Callable[..., Any]
HOSTILE = "[/red] \x1b[31mred\x1b]0;title\x07 <|im_end|> \u202ertl\u2066 [@click=app.quit]x[/]"


def pair(prompt: str, completion: str = "Aye.", **more: Any) -> NewPair:
    return NewPair(messages=[{"role": "user", "content": prompt}], completion=completion, **more)


def fill(workspace: Workspace, rows: Sequence[NewPair], dataset: str = "handbook") -> None:
    with PairStore(workspace.database) as store:
        store.add(dataset, rows)


@pytest.fixture
def five(workspace: Workspace) -> Workspace:
    """A dataset of five pairs."""
    fill(workspace, [pair(f"Question {number}?", f"Answer {number}.") for number in range(1, 6)])
    return workspace


def stored(workspace: Workspace, dataset: str = "handbook") -> list[Pair]:
    with PairStore(workspace.database) as store:
        return list(store.pairs(dataset))


def statuses(workspace: Workspace) -> str:
    return "".join(pair.status[0] for pair in stored(workspace))


def table(pilot: Pilot[Any]) -> PairTable:
    return pilot.app.screen.query_one(PairTable)


def listed(pilot: Pilot[Any]) -> list[str]:
    """What the table's rows say, without the header."""
    widget = table(pilot)
    count = min(len(widget.ids), widget.size.height - 1)
    return [widget.render_line(line).text for line in range(1, count + 1)]


def reading(pilot: Pilot[Any]) -> str:
    return str(pilot.app.screen.query_one(PairReading).query_one(Static).render())


def counts(pilot: Pilot[Any]) -> str:
    return " ".join(str(static.render()) for static in pilot.app.screen.query_one(PairCounts).query(Static))


def painted(pilot: Pilot[Any]) -> list[str]:
    """All that a terminal would get as text."""
    lines = pilot.app.screen._compositor.render_strips()
    return [segment.text for line in lines for segment in line if not segment.control]


def told(pilot: Pilot[Any]) -> str:
    return " / ".join(str(notification.message) for notification in pilot.app._notifications)


def fault(pilot: Pilot[Any]) -> str:
    """What a dialog shows of why it does not go on."""
    found = pilot.app.screen.query_one(".dialog-fault", Static)
    return str(found.render()) if found.display else ""


async def opened(pilot: Pilot[Any], settle: Settle) -> None:
    await pilot.press("2")
    await settle(pilot)


async def typed(pilot: Pilot[Any], text: str) -> None:
    await pilot.press(*("space" if character == " " else character for character in text))


async def until(pilot: Pilot[Any], what: Callable[[], bool]) -> None:
    """Wait for another process, looking as the app does."""
    for _ in range(600):
        pilot.app.look_at_jobs()  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.pause(0.05)
        if what():
            return
    raise AssertionError("it does not happen")


# Deciding


async def test_decisions_are_committed_and_the_cursor_goes_on(five: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        assert "Question 1?" in reading(pilot)
        await pilot.press("a", "r", "a")
        await settle(pilot)
        assert statuses(five) == "arapp"
        assert [line.split()[0] for line in listed(pilot)] == ["✓", "✗", "✓", "◌", "◌"]
        assert "Question 4?" in reading(pilot)
        assert re.search(r"5 pairs .* 2 pending .* 2 accepted .* 1 rejected", counts(pilot))
        await pilot.press("k", "p", "G", "a", "a")
        await settle(pilot)
        assert statuses(five) == "arppa"


async def test_undo_after_a_restart_and_redo(five: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.press("a", "x")
        await settle(pilot)
        assert [pair.prompt for pair in stored(five)] == ["Question 1?", *(f"Question {n}?" for n in (3, 4, 5))]
        assert "Question 3?" in reading(pilot)
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await settle(pilot)  # the screen last left is the first one shown
        await pilot.press("u")
        await settle(pilot)
        assert "Undone: deleted pair 2" in told(pilot)
        assert statuses(five) == "apppp"
        await pilot.press("u")
        await settle(pilot)
        assert statuses(five) == "ppppp"
        await pilot.press("ctrl+r", "U")
        await settle(pilot)
        assert "Done again: accepted pair 1" in told(pilot)
        assert "Done again: deleted pair 2" in told(pilot)
        assert statuses(five) == "appp"
        await pilot.press("ctrl+r")
        await settle(pilot)
        assert "Nothing to redo" in told(pilot)


async def test_another_writer_makes_nobody_wait_and_no_decision_is_lost_on_leaving(
    five: Workspace, settle: Settle
) -> None:
    other = sqlite3.connect(five.database, isolation_level=None)
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        screen: Any = pilot.app.screen
        other.execute("BEGIN IMMEDIATE")  # as an import does that writes its rows
        await pilot.press("a", "r", "j")
        assert table(pilot).current == 4
        assert statuses(five) == "ppppp"
        await pilot.press("ctrl+q")
        other.execute("ROLLBACK")
        other.close()
    screen._writer._executor.shutdown(wait=True)  # as the interpreter does at its end
    assert statuses(five) == "arppp"


async def test_marked_pairs_are_changed_in_one_step(five: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.press("space", "j", "space")  # 1 and 3
        assert table(pilot).marks == {1, 3}
        await pilot.press("r")
        await settle(pilot)
        assert statuses(five) == "rprpp"
        assert not table(pilot).marks
        await pilot.press("u")
        await settle(pilot)
        assert statuses(five) == "ppppp"

        await pilot.press("g", "shift+down", "shift+down", "shift+up")
        assert table(pilot).marks == {1, 2}
        await pilot.press("escape")
        assert not table(pilot).marks
        await pilot.press("j", "v", "G")
        assert table(pilot).marks == {3, 4, 5}
        await pilot.press("k")
        assert table(pilot).marks == {3, 4}
        await pilot.press("v", "G")  # the range has ended
        assert table(pilot).marks == {3, 4}
        await pilot.press("x")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("y")
        await settle(pilot)
        assert [pair.id for pair in stored(five)] == [1, 2, 5]
        await pilot.press("u")
        await settle(pilot)
        assert len(stored(five)) == 5

        await pilot.press("g", "x")
        await settle(pilot)
        await pilot.press("space", "space", "full_stop")  # asks, as x does
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("y")
        await settle(pilot)
        assert [pair.id for pair in stored(five)] == [4, 5]
        await pilot.press("u", "u")
        await settle(pilot)
        await pilot.press("g", "j", "v", "f")  # another list ends the range
        await settle(pilot)
        assert (table(pilot).marks, table(pilot).extending) == ({2}, False)
        screen: Any = pilot.app.screen
        screen.set_filter(PairFilter())
        with pytest.raises(UserError, match="still being read"):
            screen.complete_listing()


async def test_a_filter_drops_what_no_longer_passes_and_the_next_row_is_under_the_cursor(
    five: Workspace, settle: Settle
) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.press("f", "j", "a", "a")
        await settle(pilot)
        assert list(table(pilot).ids) == [1, 4, 5]
        assert "Question 4?" in reading(pilot)
        await pilot.press("f")
        await settle(pilot)
        assert list(table(pilot).ids) == [2, 3]
        await pilot.press("f")
        await settle(pilot)
        assert "No pair is rejected" in str(pilot.app.screen.query_one("#nothing", Static).render())
        await pilot.press("a")
        assert "there is no pair here" in told(pilot)
        await pilot.press("f")
        await settle(pilot)
        assert len(table(pilot).ids) == 5


async def test_all_that_is_listed_is_accepted_after_a_question_that_tells_how_many(
    five: Workspace, settle: Settle
) -> None:
    fill(five, [pair("Where is the lantern?"), pair("Who trims the lantern?")])
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.press("slash")
        await typed(pilot, "lanter")
        await settle(pilot)
        await pilot.press("enter", "A")
        await settle(pilot)
        question = str(pilot.app.screen.query_one(".dialog-title", Static).render())
        assert question == "Accept 2 pairs?"
        await pilot.press("n", "A")
        await settle(pilot)
        assert statuses(five) == "ppppppp"
        await pilot.press("y")
        await settle(pilot)
        assert statuses(five) == "pppppaa"
        await pilot.press("escape", "R", "y")
        await settle(pilot)
        assert statuses(five) == "rrrrrrr"
        await pilot.press("u")
        await settle(pilot)
        assert statuses(five) == "pppppaa"


async def test_skipping_repeating_and_the_next_of_a_kind(five: Workspace, settle: Settle) -> None:
    fill(five, [pair(f"More {number}?") for number in range(6, 9)])
    with PairStore(five.database) as store:
        store.set_flags("handbook", "near", [(number, "near-duplicate", f"like pair {number}") for number in (1, 5, 7)])
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        assert "! near-duplicate  like pair 1" in reading(pilot)
        assert [line.split()[0] for line in listed(pilot)] == ["◌!", "◌", "◌", "◌", "◌!", "◌", "◌!", "◌"]
        assert "near" in listed(pilot)[4]
        await pilot.press("full_stop")
        assert "there is no change to repeat" in told(pilot)
        await pilot.press("N")  # the next that is flagged so
        await settle(pilot)
        assert table(pilot).current == 5
        await pilot.press("s")  # goes on
        assert table(pilot).current == 6
        assert listed(pilot)[4].startswith("  »!")
        await pilot.press("g", "N")
        await settle(pilot)
        assert table(pilot).current == 7
        await pilot.press("r", "k", "N")  # round the end: 5 was skipped, 1 is left
        await settle(pilot)
        assert table(pilot).current == 1
        await pilot.press("N")
        await settle(pilot)
        assert "No other pending pair flagged near-duplicate is listed" in told(pilot)
        await pilot.press("full_stop", "j", "space", "space", "full_stop")  # rejects again: 1, then 3 and 4
        await settle(pilot)
        assert statuses(five) == "rprrpprp"
        await pilot.press("G", "N")  # no flags: the next pending one of the list
        await settle(pilot)
        assert table(pilot).current == 2
        await pilot.press("t", *"lamp", "enter")
        await settle(pilot)
        await pilot.press("j", "full_stop", "full_stop")  # tags 3 and 4
        await settle(pilot)
        assert [p.id for p in stored(five) if p.tags == ("lamp",)] == [2, 3, 4]
        await pilot.press("u", "u", "u", "u")
        await settle(pilot)
        assert statuses(five) == "rpppppr" + "p"
        await pilot.press("g", "slash", *"sort:-chars", "enter")
        await settle(pilot)
        await pilot.press("G", "N")  # also where the ids do not ascend
        await settle(pilot)
        assert table(pilot).current == 4  # the longest first, of equals the latest; 5 was skipped
        await pilot.press("escape")
        await settle(pilot)
        screen: Any = pilot.app.screen
        for moves, expected in (((), "rpappprp"), (("G",), "rpappprp")):
            found = threading.Event()
            screen._finder._executor.submit(found.wait)  # it takes long to find the next one
            await pilot.press("g", "j", "N", "a", *moves)
            found.set()
            await settle(pilot)
            assert statuses(five) == expected  # the one that was found was accepted, or none
        assert table(pilot).current == 8
        assert "nothing was done to it" in told(pilot)


async def test_all_marked_are_changed_by_what_they_are_chosen_by(five: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        screen: Any = pilot.app.screen
        await pilot.press("asterisk")
        assert table(pilot).marks == {1, 2, 3, 4, 5}
        await pilot.press("asterisk")
        assert not table(pilot).marks
        await pilot.press("asterisk", "t", "plus", "x", "enter")
        await settle(pilot)
        await pilot.press("escape", "t", "plus", "y", "enter", "a")
        await settle(pilot)
        assert [pair.tags for pair in stored(five)] == [("x", "y"), *[("x",)] * 4]
        await pilot.press("asterisk", "t", "minus", "x", "enter", "escape")
        await settle(pilot)
        assert [pair.tags for pair in stored(five)] == [("y",), (), (), (), ()]

        targets = screen._all()
        with PairStore(five.database) as store:
            assert targets.of(store) == screen.listing.filter.selection
            store.add("handbook", [pair("Come meanwhile?")])
            assert list(targets.of(store)) == [1, 2, 3, 4, 5]  # what was asked about is what is changed
        await pilot.press("u", "u", "u", "u", "u")
        await settle(pilot)
        assert (statuses(five), {pair.tags for pair in stored(five)}) == ("ppppp", {()})


async def test_the_mouse_does_what_the_keys_do(five: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.click(PairTable, offset=(20, 3))
        assert table(pilot).current == 3
        await pilot.click(PairTable, offset=(20, 5), shift=True)
        assert table(pilot).marks == {3, 4, 5}
        await pilot.click(PairTable, offset=(20, 4), control=True)
        assert table(pilot).marks == {3, 5}
        await pilot.press("a")
        await settle(pilot)
        await pilot.click(list(pilot.app.screen.query(".count"))[1])  # pending
        await settle(pilot)
        assert list(table(pilot).ids) == [1, 2, 4]
        await pilot.click(PairTable, offset=(20, 2), times=2)
        await settle(pilot)
        assert isinstance(pilot.app.screen, EditTexts)
        await pilot.click(".dialog-keys", offset=(30, 0))  # "escape cancel"
        await settle(pilot)
        assert not isinstance(pilot.app.screen, EditTexts)


# Finding


async def test_search_as_you_type(five: Workspace, settle: Settle) -> None:
    fill(five, [pair("How old is the 4th lantern?", tags=("lamps",))])
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.press("slash")
        await typed(pilot, "an")
        await settle(pilot)
        assert len(table(pilot).ids) == 5  # "Answer", not "lantern": words are found by their beginning
        await typed(pilot, "swer 4")
        await settle(pilot)
        assert list(table(pilot).ids) == [4]
        assert isinstance(pilot.app.focused, Input)
        await pilot.press("escape")
        await settle(pilot)
        assert len(table(pilot).ids) == 6
        await pilot.press("slash")
        await typed(pilot, "tag:lamps lantern")
        await pilot.press("enter")
        await settle(pilot)
        assert list(table(pilot).ids) == [6]
        await pilot.press("escape", "slash")
        await typed(pilot, '"OR ( * ' + "é")
        await settle(pilot)
        assert "No pair matches" in str(pilot.app.screen.query_one("#nothing", Static).render())


async def test_the_query_line_completes_says_what_is_wrong_and_remembers(five: Workspace, settle: Settle) -> None:
    fill(five, [pair("Who trims the lantern?", tags=("the lamps",)), pair("Who?", source="b.jsonl:1")])
    with PairStore(five.database) as store:
        store.set_status([1, 6], "accepted")

    def below(part: str) -> str:
        found = pilot.app.screen.query_one(QueryLine).query_one(part, Static)
        return str(found.render()) if found.display else ""

    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        line = pilot.app.screen.query_one(QueryLine)
        await pilot.press("slash", *"st")
        await settle(pilot)
        assert below(".completions").startswith("status:")
        await pilot.press("tab", "a")
        assert below(".completions") == "status:accepted 2"
        await pilot.press("right")
        await settle(pilot)
        assert line.text == "status:accepted "
        assert list(table(pilot).ids) == [1, 6]
        assert "tag:" in below(".completions")
        await pilot.press(*"tag:LAM", "tab")
        await settle(pilot)
        assert line.text == 'status:accepted tag:"the lamps" '
        assert list(table(pilot).ids) == [6]
        await pilot.press(*"tokens>x")
        await settle(pilot)
        assert "tokens>x: 'x' is no whole number" in below(".fault")
        assert list(table(pilot).ids) == [6]  # the list stays
        await pilot.press("enter")
        assert line.has_focus_within
        await pilot.press(*["backspace"] * 8, "enter")
        assert table(pilot).has_focus
        assert below(".fault") == ""

        await pilot.press("f")  # the keys write into the line
        await settle(pilot)
        assert line.text == 'tag:"the lamps" status:rejected'
        await pilot.press("S")
        await settle(pilot)
        assert line.text.endswith("sort:-tokens")
        await pilot.press("slash", *" x", "escape")  # as it was
        await settle(pilot)
        assert line.text.endswith("sort:-tokens")
        await pilot.click(line.line)
        await pilot.press(*" x", "escape")
        await settle(pilot)
        assert line.text.endswith("sort:-tokens")
        await pilot.press("escape")
        await settle(pilot)
        assert (line.display, len(table(pilot).ids)) == (False, 7)
        await pilot.press("slash", *"source:b", "tab", "enter", "escape")
        await settle(pilot)
        assert len(table(pilot).ids) == 7
        await pilot.press("slash", "w", "up", "up", "down", "enter")
        await settle(pilot)
        assert (line.text, list(table(pilot).ids)) == ("source:b.jsonl", [7])
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await pilot.press("slash", "up", "up", "enter")
        await settle(pilot)
        assert list(table(pilot).ids) == [6]


async def test_in_another_order_the_cursor_the_marks_and_the_changes_stay_with_their_pairs(
    five: Workspace, settle: Settle
) -> None:
    fill(five, [pair("Long? " * 20), pair("Longer? " * 40)])
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.press("slash", *"sort:-chars", "enter")
        await settle(pilot)
        assert list(table(pilot).ids)[:2] == [7, 6]
        await pilot.press("v", "j", "j", "v")
        third = table(pilot).current
        assert table(pilot).marks == {7, 6, third}
        await pilot.press("f")
        await settle(pilot)
        assert table(pilot).marks == {7, 6, third}
        await pilot.press("a")
        await settle(pilot)
        assert len(table(pilot).ids) == 4
        assert [pair.id for pair in stored(five) if pair.status == "accepted"] == sorted({7, 6, third})  # pyright: ignore
        await pilot.press("u")
        await settle(pilot)
        assert list(table(pilot).ids)[:2] == [7, 6]


async def test_the_dataset_is_chosen_and_remembered(five: Workspace, settle: Settle) -> None:
    fill(five, [pair("Another?")], "tone")
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        assert len(table(pilot).ids) == 6
        await pilot.press("d")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Choose)
        await pilot.press("j", "j", "enter")
        await settle(pilot)
        assert list(table(pilot).ids) == [6]
        assert "tone" in counts(pilot)
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert list(table(pilot).ids) == [6]
        await pilot.press("x")  # the last pair of the dataset: all are shown
        await settle(pilot)
        assert len(table(pilot).ids) == 5


async def test_what_another_process_changes_shows_by_itself(
    workspace: Workspace, command: Callable[..., Any], settle: Settle
) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        assert not workspace.database.exists()
        assert "Press" not in told(pilot)
        fill(workspace, [pair("One?"), pair("Two?")])
        await until(pilot, lambda: len(table(pilot).ids) == 2)
        await pilot.press("j")
        assert command("pairs", "accept", "2").code == 0
        await until(pilot, lambda: "1 accepted" in counts(pilot))
        assert "✓" in listed(pilot)[1]
        assert table(pilot).current == 2


# Mending


async def test_editing_saves_what_was_changed_and_asks_before_it_is_thrown_away(
    five: Workspace, settle: Settle
) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.press("e")
        await settle(pilot)
        assert isinstance(pilot.app.screen, EditTexts)
        await pilot.press("escape")
        await settle(pilot)
        assert not isinstance(pilot.app.screen, EditTexts)

        await pilot.press("e")
        await settle(pilot)
        await typed(pilot, "2 a")
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("n", "tab", "end", "!", "ctrl+s")
        await settle(pilot)
        assert (stored(five)[0].prompt, stored(five)[0].completion) == ("2 aQuestion 1?", "Answer 1.!")
        assert "2 aQuestion 1?" in reading(pilot)

        await pilot.press("e")
        await settle(pilot)
        pilot.app.screen.query(TextArea).last().text = "  "
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert "completion is empty" in fault(pilot)
        await pilot.press("escape", "y")
        await settle(pilot)
        assert stored(five)[0].completion == "Answer 1.!"
        await pilot.press("u")
        await settle(pilot)
        assert stored(five)[0].completion == "Answer 1."


async def test_editing_one_word_leaves_every_other_character(workspace: Workspace, settle: Settle) -> None:
    odd = "first\x0csecond\u2028third\x85 \x1b[0m ␛ \u202e\u202d tail"
    messages = [
        {"role": "system", "content": "Be brief.\r\nBe kind.\r\n"},
        {"role": "user", "content": "Earlier?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": odd},
    ]
    fill(workspace, [NewPair(messages=messages, chosen="Good\r\nmixed\n", rejected="Bad")])
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        assert "Be brief." in reading(pilot)
        assert "rejected\nBad" in reading(pilot)
        await pilot.press("e")
        await settle(pilot)
        areas = list(pilot.app.screen.query(TextArea))
        assert len(areas) == 6
        assert not any("\x1b" in text or "\u202e" in text for text in painted(pilot))
        for area in (areas[0], areas[3], areas[4]):
            area.focus()
            await pilot.press("Z")
        await pilot.press("ctrl+s")
        await settle(pilot)
        saved = stored(workspace)[0]
        assert saved.messages[0]["content"] == "ZBe brief.\r\nBe kind.\r\n"
        assert saved.messages[1:3] == messages[1:3]
        assert saved.prompt == "Z" + odd
        assert (saved.chosen, saved.rejected) == ("ZGood\r\nmixed\n", "Bad")


async def test_what_was_changed_since_the_import_and_when(five: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        with PairStore(five.database) as store:
            store.edit(2, completion="The answer is 2!")
            store.set_status([2, 3], "accepted")
            store.set_tags([2], ["mended"])
        await pilot.press("c")
        await settle(pilot)
        assert "Its texts are as they were imported" in reading(pilot)
        await pilot.press("j")  # the pane stays with what it shows
        await settle(pilot)
        assert "completion\n[-Answer-]{+The answer is+} 2[-.-]{+!+}" in reading(pilot)
        assert "prompt unchanged\nQuestion 2?" in reading(pilot)
        await pilot.press("h")
        await settle(pilot)
        told_of = [line for line in reading(pilot).splitlines() if line]
        assert [re.sub(r"^[-\d]+ [:\d]+ +", "", line) for line in told_of] == [
            "tagged pair 2",
            "  tags {+mended+}",
            "accepted 2 pairs",
            "  status [-pending-]{+accepted+}",
            "edited pair 2",
            "  completion [-Answer-]{+The answer is+} 2[-.-]{+!+}",
            "added: 5 pairs into handbook",
        ]
        await pilot.press("u")
        await settle(pilot)
        assert "mended" not in reading(pilot)
        await pilot.press("h")
        await settle(pilot)
        assert "prompt\nQuestion 2?" in reading(pilot)
        await pilot.press("c", "escape")
        await settle(pilot)
        assert "prompt\nQuestion 2?" in reading(pilot)


async def test_editing_in_an_editor_of_ones_own(
    five: Workspace, settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edits(*scripts: str) -> None:
        """An editor that does the next of these each time."""
        (tmp_path / "scripts").write_text("\n".join(scripts))

    editor = tmp_path / "my editor"
    editor.write_text(
        f"""#!{sys.executable}
import sys, pathlib
file, scripts = pathlib.Path(sys.argv[-1]), pathlib.Path({str(tmp_path / "scripts")!r})
first, *rest = scripts.read_text().split(chr(10))
scripts.write_text(chr(10).join(rest))
text = file.read_bytes().decode()
exec(first)
file.write_bytes(text.encode())
"""
    )
    editor.chmod(0o700)
    monkeypatch.setattr(WorkbenchApp, "suspend", lambda app: contextlib.nullcontext())  # there is no terminal to lend
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)

    def drafts() -> list[Path]:
        return list(five.private.glob("edit-*"))

    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.press("E")
        await settle(pilot)
        assert "no editor is set" in told(pilot)
        monkeypatch.setenv("EDITOR", "no-such-editor -w")
        await pilot.press("E")
        await settle(pilot)
        assert "EDITOR: there is no program 'no-such-editor'" in told(pilot)

        monkeypatch.setenv("VISUAL", f"'{editor}' --wait")
        edits("text = text.replace('Answer 1.', 'Better.\\r\\n\\r\\nMuch.')")
        await pilot.press("E")
        await settle(pilot)
        assert stored(five)[0].completion == "Better.\n\nMuch."
        assert "Much." in reading(pilot)
        edits("")
        await pilot.press("E")
        await settle(pilot)
        assert "Nothing was changed" in told(pilot)

        edits("text = text.replace('===== completion', 'completion').replace('Much', 'Mine')", "")
        await pilot.press("E")
        await asyncio.sleep(0)
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        assert "the line “===== completion” is not where it was" in "".join(painted(pilot))
        edits(
            "assert 'Mine' in text; text = text.replace('Mine', 'Mended')"
            ".replace('\\ncompletion\\n', '\\n===== completion\\n')"
        )
        await pilot.press("y")
        await settle(pilot)
        assert stored(five)[0].completion == "Better.\n\nMended."
        assert drafts() == []

        edits("text = text.replace('Better.', 'Answer 2.').replace('Question 1?', '')")
        await pilot.press("E")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        assert "prompt is empty" in "".join(painted(pilot))
        await pilot.press("escape")
        await settle(pilot)
        (draft,) = drafts()
        assert str(draft) in told(pilot)
        assert "Answer 2." in draft.read_text()
        edits("sys.exit(3)")
        await pilot.press("E")
        await settle(pilot)
        assert "ended with exit code 3; nothing was changed" in told(pilot)
        assert drafts() == [draft]
        await pilot.press("u", "u")
        await settle(pilot)
        assert stored(five)[0].completion == "Answer 1."


async def test_tags_and_notes(five: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        assert "tags" not in table(pilot).render_line(0).text
        await pilot.press("t")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Prompt)
        await typed(pilot, 'a"b')
        await pilot.press("enter")
        assert "is no tag" in fault(pilot)
        await pilot.press("backspace", "backspace", ",", "space", "b", "enter")
        await settle(pilot)
        assert stored(five)[0].tags == ("a", "b")
        assert "a, b" in listed(pilot)[0]
        await pilot.press("j", "v", "j", "t", "c", "enter", "escape", "escape")
        await settle(pilot)
        assert [pair.tags for pair in stored(five)] == [("a", "b"), ("c",), ("c",), (), ()]
        await pilot.press("g", "n")
        await typed(pilot, "see page 2")
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert stored(five)[0].note == "see page 2"
        assert "see page 2" in reading(pilot)


# Files


async def test_import_with_a_preview_then_the_faults(workspace: Workspace, settle: Settle) -> None:
    rows = [json.dumps({"question": f"Q{n}?", "answer": f"A{n}."}) for n in range(30)]
    rows[3:3] = ["not json", json.dumps({"question": HOSTILE})]
    (workspace.root / "datasets" / "quiz.jsonl").write_text("\n".join(rows), encoding="utf-8")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        assert "No pairs yet" in str(pilot.app.screen.query_one("#nothing", Static).render())
        assert await picked(pilot, settle, "quiz.jsonl")
        dialog = pilot.app.screen
        assert isinstance(dialog, ImportPairs)
        assert "found question/answer" in str(dialog.query_one("#found", Static).render())
        preview = str(dialog.query_one("#row-texts", Static).render())
        assert [word in preview for word in ("Q0?", "A2.", "Q3?")] == [True, True, False]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, ImportReport))
        await settle(pilot)
        assert list(pilot.app.screen.query_one(Log).lines)[:2] == [
            "line 4       not JSON: expecting value at column 1",
            "line 5       has no answer",
        ]
        await pilot.press("escape")
        await settle(pilot)
        assert len(table(pilot).ids) == 30
        assert "quiz" in counts(pilot)
        assert (pilot.app.board.jobs[0].kind, len(stored(workspace, "quiz"))) == ("import", 30)  # pyright: ignore
        await pilot.press("w")
        await settle(pilot)
        assert isinstance(pilot.app.screen, ImportReport)


async def test_import_with_columns_that_nobody_knows(workspace: Workspace, settle: Settle) -> None:
    (workspace.root / "datasets" / "deutsch.csv").write_text(
        "nummer,frage,antwort,quelle\n1,Wie hoch?,4 m,a.md\n2,Wie tief?,2 m,b.md\n", encoding="utf-8"
    )
    async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
        await opened(pilot, settle)
        await picked(pilot, settle, "deutsch.csv")
        dialog = pilot.app.screen
        assert isinstance(dialog, ImportPairs)
        assert "fit no form" in fault(pilot)
        await pilot.press("ctrl+s")
        assert pilot.app.screen is dialog
        for column, own in (("prompt", "frage"), ("completion", "antwort"), ("source", "quelle")):
            select = next(select for select in dialog.query(Select) if getattr(select, "column", "") == column)
            select.focus()
            await pilot.press("enter")
            await typed(pilot, own[:2])
            await pilot.press("enter")
            await settle(pilot)
        assert fault(pilot) == ""
        assert "Wie hoch?" in str(dialog.query_one("#row-texts", Static).render())
        dialog.query_one("#dataset", Input).value = "nicht erlaubt"
        await pilot.press("ctrl+s")
        assert "cannot name a dataset" in fault(pilot)
        dialog.query_one("#dataset", Input).value = "heights"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(table(pilot).ids) == 2)
        assert [(p.prompt, p.completion, p.source) for p in stored(workspace, "heights")] == [
            ("Wie hoch?", "4 m", "a.md"),
            ("Wie tief?", "2 m", "b.md"),
        ]


async def test_export(five: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        await pilot.press("a", "a", "o")
        await settle(pilot)
        assert isinstance(pilot.app.screen, ExportPairs)
        await pilot.press("ctrl+s")
        await settle(pilot)
        lines = (five.root / "datasets" / "handbook.jsonl").read_text().splitlines()
        assert [json.loads(line)["messages"][1]["content"] for line in lines] == ["Answer 1.", "Answer 2."]
        assert "2 pairs are in" in told(pilot)
        await pilot.press("o", "ctrl+s")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("escape", "o")
        await settle(pilot)
        dialog = pilot.app.screen
        assert isinstance(dialog, ExportPairs)
        dialog.query_one("#file", Input).value = "datasets/harbour"
        for share in ("1", "much"):
            dialog.query_one("#test-size", Input).value = share
            await pilot.press("ctrl+s")
            assert "eval split is 0 or more" in fault(pilot)
        dialog.query_one("#test-size", Input).value = "0.5"
        await pilot.press("ctrl+s")
        await settle(pilot)
        folder = five.root / "datasets" / "harbour"
        assert "2 accepted pairs" in (folder / "README.md").read_text()
        assert list((folder / "data").glob("*.parquet"))


async def test_import_of_a_dataset_of_the_hub(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
        await opened(pilot, settle)
        await pilot.press("I")
        await settle(pilot)
        dialog = pilot.app.screen
        assert isinstance(dialog, ImportDataset)

        await pilot.press("ctrl+s")
        assert "names neither a dataset of the hub nor a folder" in fault(pilot)
        dialog.query_one("#name", Input).value = "~nobody-is-called-so/data"
        await pilot.press("ctrl+s")
        assert "there is no such home folder" in fault(pilot)
        dialog.query_one("#name", Input).value = ""
        await typed(pilot, "hub:openai/gsm8k:main@train")
        assert dialog.query_one("#dataset", Input).value == "gsm8k"
        dialog.query_one("#columns-named", Input).value = "frage=question"
        await pilot.press("ctrl+s")
        assert "names no column" in fault(pilot)
        dialog.query_one("#columns-named", Input).value = "prompt=question, completion = answer"
        await pilot.press("enter", "ctrl+s")
        board = pilot.app.board  # pyright: ignore[reportAttributeAccessIssue]
        await until(pilot, lambda: bool(board.jobs) and board.jobs[0].status.state == "failed")
        job = board.jobs[0]
        assert job.kind == "import-hub"
        assert job.arguments == {
            "file": "hub:openai/gsm8k:main@train", "dataset": "gsm8k", "status": "pending", "limit": 10_000,
            "columns": {"prompt": "question", "completion": "answer"},
        }  # fmt: skip
        assert "the hub does not answer" in job.status.error


async def picked(pilot: Pilot[Any], settle: Settle, name: str) -> bool:
    """Choose a file in the picker by its row."""
    await pilot.press("i")
    await settle(pilot)
    assert isinstance(pilot.app.screen, OpenFile)
    options = pilot.app.screen.query_one("DirectoryNavigation")
    names = [option.location.name for option in options.options]  # pyright: ignore[reportAttributeAccessIssue]
    await pilot.press(*["down"] * names.index(name), "enter")
    await settle(pilot)
    return True


# Text nobody vouches for


async def test_hostile_text_neither_crashes_nor_styles(workspace: Workspace, settle: Settle) -> None:
    fill(workspace, [pair(HOSTILE, "=> " + HOSTILE, source=HOSTILE, note=HOSTILE, tags=("[/b]", "\u202etag"))])
    folder = workspace.root / "datasets"
    for name in ("evil\x1b]0;x\x07[red]\u202e.jsonl", "[", "bad\udcff.jsonl"):
        (folder / name).write_text(json.dumps({"prompt": HOSTILE, "completion": HOSTILE, HOSTILE: 1}) + "\n")
    async with WorkbenchApp(workspace).run_test(size=(140, 36)) as pilot:

        def check(*expected: str) -> None:
            texts = painted(pilot)
            assert [text for text in texts if for_terminal(text) != text] == []
            assert all(text in "".join(texts) for text in expected)

        await opened(pilot, settle)
        check("[/red] ␛[31mred␛]0;title␇ <|im_end|> �rtl� [@click=app.quit]x[/]", "[/b], �tag")
        await pilot.press("e")
        await settle(pilot)
        check("[/red] ␛[31mred")
        await pilot.press("escape", "t")
        await settle(pilot)
        check("[/b]")
        await pilot.press("enter", "n")  # unchanged: the tags stay what they were
        await settle(pilot)
        check("␛[31mred")
        assert stored(workspace)[0].tags == ("[/b]", "\u202etag")
        await pilot.press("escape", "slash")
        pilot.app.screen.query_one(QueryLine).line.value = HOSTILE
        await settle(pilot)
        check()
        await pilot.press("escape", "i")
        await settle(pilot)
        check("evil]0;x[red].jsonl")  # what has no width is left out there
        await pilot.press("down", "down", "enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, ImportPairs)
        check("␛[31mred")
        await pilot.press("escape")


async def test_a_damaged_database_is_told_once(workspace: Workspace, settle: Settle) -> None:
    workspace.database.write_bytes(b"not a database" * 1000)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        screen: Any = pilot.app.screen
        for _ in range(3):
            screen._look()
            await settle(pilot)
        assert told(pilot).count("cannot be opened as a database") == 1


# Keys


async def test_every_key_can_be_another(five: Workspace, settle: Settle) -> None:
    (five.configs / "keymap.yaml").write_text(
        "pairs.accept: y\npairs.skip: a, z\npairs.repeat: comma\npairs.search: ctrl+f\npairs.undo: f9\nlists.down: 9\n"
    )
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await opened(pilot, settle)
        await pilot.press("y", "a", "z", "r", "comma", "s", "full_stop", "slash", "j")
        await settle(pilot)
        assert statuses(five) == "apprr"
        assert table(pilot).skipped == {2, 3}
        await pilot.press("f9", "u", "k", "9")
        await settle(pilot)
        assert (statuses(five), table(pilot).current) == ("apprp", 5)
        assert "Undone: rejected pair 5. ^r does it again" in told(pilot)
        await pilot.press("ctrl+f", *"azyl")
        assert pilot.app.screen.query_one(QueryLine).text == "azyl"
        await settle(pilot)
        await pilot.press("escape", "question_mark")
        await settle(pilot)
        shown = "".join(painted(pilot))
        assert re.search(r"y +Accept", shown)
        assert re.search(r", +Repeat", shown)
    (five.configs / "keymap.yaml").write_text("pairs.accept: r\npairs.skipp: z\n")
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "keymap.yaml: 2 faults" in told(pilot)
        assert "line 1: pairs.accept: r is the key of pairs.reject" in told(pilot)
        assert "line 2: pairs.skipp: there is no such command" in told(pilot)
        await pilot.press("g", "a")  # none of it holds
        await settle(pilot)
        assert statuses(five) == "apprp"
        await pilot.press("r")
        await settle(pilot)
        assert statuses(five) == "arprp"


# Many


async def test_only_the_rows_on_the_screen_are_read(workspace: Workspace, settle: Settle) -> None:
    fill(workspace, [pair(f"Question {n}?", f"Answer {n}.") for n in range(5000)])
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        read: list[int] = []
        widget = table(pilot)
        widget._read = lambda ids, before=widget._read: (read.append(len(ids)), before(ids))[1]
        await pilot.press("G", "k", "k", "g")
        await settle(pilot)
        assert sum(read) <= 3 * 64
        await pilot.press("G")
        await settle(pilot)
        assert "Question 4999?" in reading(pilot)
        assert "Question 4999?" in listed(pilot)[-1] or "Question 4999?" in "".join(painted(pilot))
        await pilot.press("shift+up", "shift+up", "x", "y")  # from the end: no empty rows are left below
        await settle(pilot)
        assert "Question 4996?" in reading(pilot)
        assert widget.scroll_offset.y == len(widget.ids) + 1 - widget.size.height


@pytest.mark.slow
async def test_a_hundred_thousand_pairs(workspace: Workspace, settle: Settle, tmp_path: Path) -> None:
    fill(workspace, [pair(f"Question {n} of the lantern keeper?", f"Answer {n}.") for n in range(100_000)])
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        started = time.perf_counter()
        await opened(pilot, settle)
        assert len(table(pilot).ids) == 100_000
        assert time.perf_counter() - started < 2
        await pilot.press("A", "y")
        await settle(pilot)
        assert "100,000 accepted" in counts(pilot)
        await pilot.press("u")
        await settle(pilot)
        assert "100,000 pending" in counts(pilot)
