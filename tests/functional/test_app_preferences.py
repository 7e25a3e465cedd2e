"""Two answers side by side, driven by keys; and having a model propose pairs, by real jobs that ask a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fake_remote import FakeRemote, remote
from sample_index import write_index
from textual.pilot import Pilot
from textual.widgets import Input, Static

from screens.app import WorkbenchApp
from screens.modals.propose_pairs import DraftPairs, SamplePairs
from screens.modals.proposed import Proposed
from screens.pairs import PairsScreen
from screens.preferences import PreferencesScreen
from screens.widgets.pair_reading import PairReading
from screens.widgets.preference_side import PreferenceSide
from workbench.pairs.pair import NewPair, Pair
from workbench.pairs.preferences import PreferenceStore, sides_of
from workbench.workspace import Workspace

Settle = Callable[..., Any]
SIZE = (100, 30)


def two(number: int, *tags: str, **more: Any) -> NewPair:
    prompt = [{"role": "user", "content": f"Question {number}?"}]
    return NewPair(messages=prompt, chosen=f"Aye {number}, by all means.", rejected=f"Nay {number}.", tags=tags, **more)


def fill(workspace: Workspace, rows: Sequence[NewPair], status: str = "pending") -> None:
    with PreferenceStore(workspace.database) as store:
        store.add("tone", rows, status=status)


@pytest.fixture
def four(workspace: Workspace) -> Workspace:
    """Four pairs that nobody has judged, and one with a completion between them."""
    plain = NewPair(messages=[{"role": "user", "content": "Plain?"}], completion="Plain.")
    fill(workspace, [two(1, "undecided"), plain, *(two(n, "undecided") for n in (2, 3, 4))])
    return workspace


def stored(workspace: Workspace) -> dict[str, Pair]:
    with PreferenceStore(workspace.database) as store:
        return {pair.prompt: pair for pair in store.pairs("tone")}


def statuses(workspace: Workspace) -> str:
    return "".join(pair.status[0] for pair in stored(workspace).values() if pair.is_preference)


def shown(pilot: Pilot[Any], part: str) -> str:
    return str(pilot.app.screen.query_one(part, Static).render())


def sides(pilot: Pilot[Any]) -> dict[str, str]:
    return {str(side.id): str(side.query_one(Static).render()) for side in pilot.app.screen.query(PreferenceSide)}


def told(pilot: Pilot[Any]) -> str:
    return " / ".join(str(notification.message) for notification in pilot.app._notifications)


async def opened(pilot: Pilot[Any], settle: Settle, *keys: str) -> None:
    await pilot.press("2")
    await settle(pilot)
    await pilot.press(*keys, "P")
    await settle(pilot)
    assert isinstance(pilot.app.screen, PreferencesScreen)


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


# Judging


async def test_one_key_chooses_the_side_that_is_seen_and_the_next_pair_comes(four: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(four).run_test(size=SIZE) as pilot:
        await opened(pilot, settle)
        assert "1 of 4" in shown(pilot, "#progress")
        assert "4 pending" in shown(pilot, "#progress")
        first = sides(pilot)
        assert sorted(first.values()) == ["Aye 1, by all means.", "Nay 1."]
        await pilot.press("h", "right")  # without waiting between them
        await settle(pilot)
        pairs = stored(four)
        assert pairs["Question 1?"].chosen == first["left"]
        assert pairs["Question 2?"].chosen == sides_of(pairs["Question 2?"]).right
        assert (pairs["Question 1?"].status, pairs["Question 1?"].tags) == ("accepted", ())
        assert "3 of 4" in shown(pilot, "#progress")
        assert "the left was chosen in 50% of 2" in shown(pilot, "#leaning")
        longer = sum(pairs[f"Question {n}?"].chosen.startswith("Aye") for n in (1, 2))
        assert f"the longer answer was chosen in {longer / 2:.0%} of 2" in shown(pilot, "#leaning")
        await pilot.press("k", "k")
        await settle(pilot)
        assert "better" in str(pilot.app.screen.query_one("#left", PreferenceSide).border_title)
        assert sides(pilot) == first
        await pilot.press("l")  # another judgement of the same pair
        await settle(pilot)
        assert stored(four)["Question 1?"].chosen == first["right"]
        assert sides_of(stored(four)["Question 1?"]).chosen == "right"


async def test_both_bad_equal_skip_and_undo(four: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(four).run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await settle(pilot)
        reading = str(pilot.app.screen.query_one(PairReading).query_one(Static).render())
        assert "one answer" in reading
        assert "chosen" not in reading
        await pilot.press("a")  # in the table, where no side is chosen
        await settle(pilot)
        assert "nobody has said which answer is the better one" in told(pilot)
        assert statuses(four) == "pppp"
        await opened(pilot, settle, "k")
        await pilot.press("b", "s", "space")
        await settle(pilot)
        assert statuses(four) == "rprp"
        assert stored(four)["Question 1?"].tags == ("both-bad", "undecided")
        assert stored(four)["Question 3?"].tags == ("equal", "undecided")
        await pilot.press("l")
        await settle(pilot)
        assert "2 of 4" in shown(pilot, "#progress")  # what was skipped comes again
        await pilot.press("h")
        await settle(pilot)
        assert statuses(four) == "rara"
        assert "All 4 are decided" in told(pilot)
        await pilot.press("u", "u")
        await settle(pilot)
        assert statuses(four) == "rprp"
        assert "4 of 4" in shown(pilot, "#progress")
        assert "Undone: chose the right answer of pair 5" in told(pilot)
        await pilot.press("U")
        await settle(pilot)
        assert statuses(four) == "rpra"
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(pilot.app.screen, PairsScreen)
        await pilot.press("u")  # the same journal
        await settle(pilot)
        assert statuses(four) == "rprp"


async def test_the_better_answer_is_edited_in_its_place(four: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(four).run_test(size=SIZE) as pilot:
        await opened(pilot, settle)
        before = sides(pilot)
        await pilot.press("e")
        await settle(pilot)
        assert "Which is the better one?" in shown(pilot, "#hint")
        await pilot.press("l")
        await typed(pilot, " so s b")
        await pilot.press("ctrl+s")
        await settle(pilot)
        pair = stored(four)["Question 1?"]
        assert (pair.chosen, pair.rejected) == (before["right"] + " so s b", before["left"])
        assert pair.status == "accepted"
        assert "2 of 4" in shown(pilot, "#progress")
        await pilot.press("e", "h")
        await typed(pilot, "x")
        await pilot.press("escape")
        await settle(pilot)
        assert statuses(four) == "appp"
        await pilot.press("e", "h")
        await pilot.press("ctrl+u", "ctrl+s")
        await settle(pilot)
        assert "chosen is empty" in told(pilot)  # and the editor is still there
        await pilot.press("escape", "u")
        await settle(pilot)
        assert "1 of 4" in shown(pilot, "#progress")
        assert stored(four)["Question 1?"].chosen == "Aye 1, by all means."

        screen: Any = pilot.app.screen
        written = threading.Event()
        screen._writer._executor.submit(written.wait)  # another process holds the database
        await pilot.press("b", "u", "e", "l")
        await typed(pilot, " bbb")
        written.set()
        await settle(pilot)
        await pilot.press("b", "ctrl+s", "ctrl+s")  # the editor is still open
        await settle(pilot)
        assert statuses(four) == "papp"
        assert stored(four)["Question 2?"].chosen.endswith(" bbbb")


async def test_pairs_of_a_chat_and_a_comparison_are_there_and_what_to_be_wary_of_is_said(
    workspace: Workspace, settle: Settle
) -> None:
    prompt = [{"role": "user", "content": "Same?"}]
    fill(
        workspace,
        [
            two(1, "from-chat", source="chat 3 question 5 preference"),
            two(2, "from-comparison", source="comparison tone question 7"),
            NewPair(messages=prompt, chosen="Yes, it is.", rejected="yes it is", note="[/red] \x1b[31m"),
        ],
        status="accepted",
    )
    with PreferenceStore(workspace.database) as store:
        store.set_flags("tone", "preferences", [(1, "length-bias", "5 words against 2")])
    async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
        await opened(pilot, settle)
        title = str(pilot.app.screen.query_one("#prompt").border_title)
        assert all(part in title for part in ("Pair 1", "accepted", "from-chat", "chat 3 question 5"))
        better = [
            str(s.border_title) for s in pilot.app.screen.query(PreferenceSide) if "better" in str(s.border_title)
        ]
        assert len(better) == 1
        assert "length-bias 5 words against 2" in shown(pilot, "#remarks")
        await pilot.press("j")
        await settle(pilot)
        assert "from-comparison" in str(pilot.app.screen.query_one("#prompt").border_title)
        await pilot.press("down", "J", "K")
        await settle(pilot)
        assert "case, spaces and punctuation only" in shown(pilot, "#remarks")
        assert "\x1b" not in "".join(str(static.render()) for static in pilot.app.screen.query(Static))


# What a model proposes


async def test_two_samples_of_the_marked_prompts_are_made_and_judged(workspace: Workspace, settle: Settle) -> None:
    prompts = [[{"role": "user", "content": f"Question {n}?"}] for n in range(3)]
    fill(workspace, [NewPair(messages=messages, completion="Aye.") for messages in prompts])
    with remote(workspace, FakeRemote(lambda body: f"Sample {body['seed']}.")) as fake:
        async with WorkbenchApp(workspace).run_test(size=SIZE) as pilot:
            await pilot.press("2")
            await settle(pilot)
            screen: Any = pilot.app.screen
            screen._proposals.ask_samples([99])
            await settle(pilot)
            assert "there is no pair here any more" in told(pilot)
            await pilot.press("space", "j", "space", "M")
            await settle(pilot)
            assert isinstance(pilot.app.screen, SamplePairs)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(pilot.app.screen, Proposed))
            assert "2 of 2 prompts" in " ".join(str(static.render()) for static in pilot.app.screen.query(Static))
            assert {body["model"] for body in fake.asked} == {"large"}
            await pilot.press("escape", "escape")
            await settle(pilot)
            await opened(pilot, settle)
            assert "1 of 2" in shown(pilot, "#progress")
            await pilot.press("h", "l")
            await settle(pilot)
            assert statuses(workspace) == "aa"


async def test_drafts_from_a_library_land_as_pending_and_the_losses_are_shown(
    workspace: Workspace, settle: Settle
) -> None:
    def says(body: dict[str, Any]) -> str:
        name = next(name for name in "abc" if f"The {name} opens" in body["messages"][-1]["content"])
        return "No." if name == "c" else f"Question: When does {name} open?\nAnswer: The {name} opens at nine."

    with remote(workspace, FakeRemote(says)):
        async with WorkbenchApp(workspace).run_test(size=SIZE) as pilot:
            await pilot.press("2", "P", "D")
            await settle(pilot)
            assert "no pair with two answers is listed" in told(pilot)
            assert "there is no index to draft from" in told(pilot)
            texts = {f"{name}.md": f"The {name} opens at nine and shuts at five." for name in "abc"}
            write_index(workspace, "handbook", texts)
            await pilot.press("D")
            await settle(pilot)
            assert isinstance(pilot.app.screen, DraftPairs)
            await pilot.press("down")
            await typed(pilot, "tone")
            assert pilot.app.screen.query_one("#row-dataset Input", Input).value == "tone"
            await pilot.press("down", "down", "x", "enter")
            await settle(pilot)
            assert "is no whole number" in str(pilot.app.screen.query_one(".dialog-fault", Static).render())
            await pilot.press("backspace", "3", "enter")
            await until(pilot, lambda: isinstance(pilot.app.screen, Proposed))
            for _ in range(2):
                lines = " ".join(str(static.render()) for static in pilot.app.screen.query(Static))
                assert "2 of 3 passages" in lines
                assert "1 not one question and one answer" in lines
                await pilot.press("escape")
                await settle(pilot)
                await pilot.press("w")  # what came of it, again
                await settle(pilot)
            pairs = stored(workspace)
            assert {pair.status for pair in pairs.values()} == {"pending"}
            assert pairs["When does a open?"].source == "handbook/a.md:1"
