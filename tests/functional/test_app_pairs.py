"""The Pairs screen, driven by keys over a real store; what it acknowledged is looked up in the database."""

from __future__ import annotations

import json
import re
import sqlite3
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
from screens.modals.import_pairs import ImportPairs
from screens.modals.import_report import ImportReport
from screens.modals.open_file import OpenFile
from screens.modals.prompt import Prompt
from screens.widgets.pair_counts import PairCounts
from screens.widgets.pair_reading import PairReading
from screens.widgets.pair_table import PairTable
from screens.widgets.query_line import QueryLine
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
        assert "completion is empty" in str(pilot.app.screen.query_one(".dialog-fault", Static).render())
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


async def test_tags_and_notes(five: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(five).run_test(size=(100, 30)) as pilot:
        await opened(pilot, settle)
        assert "tags" not in table(pilot).render_line(0).text
        await pilot.press("t")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Prompt)
        await typed(pilot, 'a"b')
        await pilot.press("enter")
        assert "is no tag" in str(pilot.app.screen.query_one(".dialog-fault", Static).render())
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
        assert "fit no form" in str(dialog.query_one(".dialog-fault", Static).render())
        await pilot.press("ctrl+s")
        assert pilot.app.screen is dialog
        for column, own in (("prompt", "frage"), ("completion", "antwort"), ("source", "quelle")):
            select = next(select for select in dialog.query(Select) if getattr(select, "column", "") == column)
            select.focus()
            await pilot.press("enter")
            await typed(pilot, own[:2])
            await pilot.press("enter")
            await settle(pilot)
        assert str(dialog.query_one(".dialog-fault", Static).render()) == ""
        assert "Wie hoch?" in str(dialog.query_one("#row-texts", Static).render())
        dialog.query_one("#dataset", Input).value = "nicht erlaubt"
        await pilot.press("ctrl+s")
        assert "cannot name a dataset" in str(dialog.query_one(".dialog-fault", Static).render())
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
