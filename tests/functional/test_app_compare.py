"""The Compare screen, driven by its keys over stored comparisons; one verdict is really made by its job."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from sample_comparison import CATEGORIES, write_comparison
from sample_index import write_index
from sample_runs import write_run
from textual.widgets import Input, Static, TextArea

from screens.app import WorkbenchApp
from screens.modals.confirm import Confirm
from screens.modals.make_pair import MakePair
from screens.modals.new_comparison import NewComparison
from screens.modals.open_file import OpenFile
from screens.modals.versus import Versus
from screens.widgets.answers_view import AnswersView
from screens.widgets.lists import Table
from screens.widgets.verdict_text import verdict_lines
from workbench import files
from workbench.compare import control as compare_control
from workbench.compare.question import Question
from workbench.compare.spec import Arm, Spec
from workbench.compare.store import Answered, CompareStore
from workbench.errors import UserError
from workbench.jobs.folder import JobFolder, Progress, Status, start_mark
from workbench.pairs.store import PairStore
from workbench.training.adapter import FOLDER, MANIFEST
from workbench.workspace import Workspace

Settle = Callable[..., Any]
HOSTILE = "[/red] \x1b]52;c;aGk=\x07[@click=app.quit]x[/] <|im_end|> \u202ertl"


def painted(pilot: Any) -> str:
    """The text of the whole screen."""
    return "\n".join("".join(segment.text for segment in line) for line in pilot.app.screen._compositor.render_strips())


def rows(pilot: Any, table: str) -> list[list[str]]:
    found = pilot.app.screen.query_one(table, Table)
    return [[str(cell) for cell in found.get_row_at(n)] for n in range(found.row_count)]


def notices(pilot: Any) -> str:
    return " ".join(notice.message for notice in pilot.app._notifications)


def underlined(pilot: Any) -> str:
    """The words of the answers that are underlined."""
    top = pilot.app.screen.query_one(AnswersView).region.y
    found = [
        segment.text
        for line in list(pilot.app.screen._compositor.render_strips())[top:]
        for segment in line
        if segment.style and segment.style.underline
    ]
    return " ".join(found)


@contextmanager
def change_verdict(workspace: Workspace, id: int) -> Iterator[dict[str, Any]]:
    """A stored verdict; what is done to it is stored."""
    with CompareStore(workspace.database) as store:
        verdict = store.comparison(id).verdict
        assert verdict is not None
        yield verdict
        store.set_verdict(id, verdict)


def write_job(workspace: Workspace, comparison: int, state: str, done: int, total: int) -> JobFolder:
    """The job of a comparison; a live one is this very process."""
    folder = workspace.jobs / f"20251009-085320-compare-{comparison}"
    folder.mkdir(parents=True)
    spec = {"kind": "compare", "title": "compare going", "arguments": {"comparison": comparison}, "created_at": 1.0}
    files.write_json(folder / "spec.json", spec, durable=False)
    job = JobFolder(folder)
    set_state(job, state, done, total)
    return job


def set_state(
    job: JobFolder, state: str, done: int, total: int, error: str | None = None, result: dict[str, Any] | None = None
) -> None:
    live = state in ("queued", "running")
    job.write_status(
        Status(
            state=state,
            pid=os.getpid() if live else None,
            pid_started=start_mark(psutil.Process()) if live else None,
            started_at=1.0,
            finished_at=None if live else 91.0,
            progress=Progress(done, total, "answers", "Answering", 65),
            error=error,
            result=result,
        ),
        durable=False,
    )


async def open_answers(pilot: Any, settle: Settle) -> AnswersView:
    await pilot.press("6")
    await settle(pilot)
    await pilot.press("v", "v")
    await settle(pilot)
    return pilot.app.screen.query_one(AnswersView)


# Looking


async def test_without_a_comparison_it_says_what_one_is(workspace: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        assert "No comparison yet" in painted(pilot)
        await pilot.press("n")
        await settle(pilot)
        assert "nothing to compare with the base model" in notices(pilot)
        await pilot.press("v", "s", "x", "o", "c", "u", "f", "P", "escape")
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "CompareScreen"


async def test_comparisons_are_listed_newest_first_with_their_verdict(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "few", 11, arms=("base", "tuned"))
    id = write_comparison(workspace, "handbook", 40)
    with CompareStore(workspace.database) as store:
        verdict = store.comparison(id).verdict
    assert verdict is not None
    async with WorkbenchApp(workspace).run_test(size=(100, 60)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        assert [row[1:] for row in rows(pilot, "#comparison-table")] == [
            ["handbook", "40", verdict["recommended"]],
            ["few", "11", "-"],
        ]
        text = " ".join(painted(pilot).split())
        mean = next(arm["metrics"]["f1"]["mean"] for arm in verdict["arms"] if arm["arm"] == "hybrid")
        for part in ("without retrieval", "with retrieval", f"{100 * mean:.1f} %", "interaction", "●"):
            assert part in text, part
        await pilot.press("j")
        await settle(pilot)
        assert "Too few questions to recommend an arm" in painted(pilot)
        assert "without retrieval" not in painted(pilot), "two arms are no 2x2"


async def test_the_verdict_tells_everything_to_its_end(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 40, arms=("base", "tuned", "rag", "hybrid", "oracle", "again"))
    async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("enter")
        seen = painted(pilot)
        for _ in range(16):
            await pilot.press("ctrl+d")
            await settle(pilot)
            seen += painted(pilot)
        for part in (
            "Differences", "hybrid − rag", "no measurable difference at n = 40", "Cautions", "tuning broke it",
            "What would help next", "Decision table", "Hallucination", "Every metric", "abstention, recall", "hit@4",
            "6 min 52 s to train", "2 s from a changed document", "AMD EPYC", "seed 0",
            "shares are means, all else medians",
        ):  # fmt: skip
            assert part in seen, part


async def test_an_effect_is_certain_only_where_the_verdict_says_so(workspace: Workspace, settle: Settle) -> None:
    id = write_comparison(workspace, "handbook", 40)
    marks = []
    for measurable in (True, False, None):
        with change_verdict(workspace, id) as verdict:
            effect = verdict["effects"]["f1"][0]
            effect.update(mean=0.3, low=0.2, high=0.4, measurable=measurable)
            if measurable is None:
                del effect["measurable"]  # a verdict of before
        async with WorkbenchApp(workspace).run_test(size=(100, 150)) as pilot:
            await pilot.press("6")
            await settle(pilot)
            effects = painted(pilot).partition("Effects")[2]
            row = next(line for line in effects.splitlines() if "tuning" in line)
            marks.append("●" if "●" in row else "○" if "○" in row else row)
    assert marks == ["●", "○", "○"]


async def test_no_number_of_questions_that_were_asked_already_would_settle_it(
    workspace: Workspace, settle: Settle
) -> None:
    id = write_comparison(workspace, "handbook", 40)
    notes = []
    for needed in (39, 41):
        with change_verdict(workspace, id) as verdict:
            difference = verdict["differences"]["f1"][0]
            difference.update(mean=0.1, low=-0.1, high=0.3, p_holm=0.2, needed=needed, measurable=False)
        async with WorkbenchApp(workspace).run_test(size=(170, 150)) as pilot:
            await pilot.press("6")
            await settle(pilot)
            label = f"○ {difference['second']} − {difference['first']}: "
            notes.append(painted(pilot).partition(label)[2].split("  ")[0])
    assert notes == [
        "no measurable difference at n = 40; a few more questions may settle it",
        "no measurable difference at n = 40; about 41 questions would settle it",
    ]


async def test_the_verdict_names_the_set_and_what_was_asked_of_it(workspace: Workspace, settle: Settle) -> None:
    id = write_comparison(workspace, "handbook", 40)
    with change_verdict(workspace, id) as verdict:
        verdict["spec"].update(set_sha256="5e7" * 20, asked_sha256="a5ced" * 12)
    async with WorkbenchApp(workspace).run_test(size=(170, 150)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        assert "sha256 of the set 5e75e75e75e7 · of those asked a5ceda5ceda5" in painted(pilot)


@pytest.mark.parametrize(
    ("metric", "color", "word"), [("f1", "text-success", "better"), ("seconds", "text-error", "worse"),
                                  ("words", "primary", "more")]
)  # fmt: skip
async def test_more_is_not_always_better(
    workspace: Workspace, settle: Settle, metric: str, color: str, word: str
) -> None:
    id = write_comparison(workspace, "handbook", 40)
    above = {"mean": 0.5, "low": 0.2, "high": 0.8, "n": 40, "p": 0.001, "measurable": True}
    with change_verdict(workspace, id) as verdict:
        row = {**above, "first": "rag", "second": "base", "p_holm": 0.001, "needed": None}
        verdict.update(metric=metric, differences={metric: [row]}, effects={}, noise=None)
    result = {
        "first": "before", "second": "after", "metric": metric, "n": 40, "cautions": [], "changed": [],
        "arms": [{"arm": "rag", "first": 1.0, "second": 1.5, "difference": above}],
    }  # fmt: skip
    (drawn,) = (line for line in verdict_lines(verdict, 80) if "rag − base" in line.plain)
    assert {span.style for span in drawn.spans if "●" in drawn.plain[span.start : span.end]} == {f"${color}"}
    async with WorkbenchApp(workspace).run_test(size=(100, 40)) as pilot:
        pilot.app.push_screen(Versus(result))
        await settle(pilot)
        row = next(line for line in painted(pilot).splitlines() if " rag " in line)
        assert word in row


async def test_questions_are_filtered_by_attribution_and_by_words(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 22)
    async with WorkbenchApp(workspace).run_test(size=(100, 40)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("v")
        await settle(pilot)
        listed = rows(pilot, "#question-table")
        assert [row[0].strip() for row in listed] == [str(n) for n in range(1, 23)]
        assert listed[7][1:3] == ["✗ ✗ ✓ ✗", "tuning broke it"]
        await pilot.press("f")
        await settle(pilot)
        knew = [str(n + 1) for n in range(22) if CATEGORIES[n] == "weights_knew"]
        assert [row[0].strip() for row in rows(pilot, "#question-table")] == knew
        assert "The base model alone is right" in painted(pilot)
        await pilot.press("f")
        await settle(pilot)
        brought = [str(n + 1) for n in range(22) if CATEGORIES[n] == "retrieval_brought"]
        assert [row[0].strip() for row in rows(pilot, "#question-table")] == brought
        await pilot.press("F")
        await settle(pilot)
        assert [row[0].strip() for row in rows(pilot, "#question-table")] == knew
        await pilot.press("f")
        await pilot.press("slash", *"birth moth", "enter")
        await settle(pilot)
        assert rows(pilot, "#question-table") == [], "of this category none"
        await pilot.press("escape")
        await settle(pilot)
        assert len(rows(pilot, "#question-table")) == len(brought)


async def test_a_search_from_the_verdict_goes_to_the_questions(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 22)
    async with WorkbenchApp(workspace).run_test(size=(100, 40)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("slash", *"birth moth", "enter")
        await settle(pilot)
        assert [row[0].strip() for row in rows(pilot, "#question-table")] == ["1"]


async def test_answers_stand_side_by_side_with_scores_and_sources(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 22)
    async with WorkbenchApp(workspace).run_test(size=(100, 45)) as pilot:
        view = await open_answers(pilot, settle)
        text = painted(pilot)
        top = next(line for line in text.splitlines() if "✗ base" in line)
        assert "✗ tuned" in top
        assert "✗ rag" in top
        assert "✓ hybrid" in top
        assert "right: 31 weeks" in text
        assert "the right passage is number 1" in text
        assert "✓ [1] parental-leave.md" in text
        await pilot.press("j", "j", "j")
        await settle(pilot)
        assert "retrieval missed" in painted(pilot)
        assert "the right passage is number 6, below the 4 given" in painted(pilot)
        await pilot.press("k", "G")
        await settle(pilot)
        assert view.answers is not None
        assert view.answers.line.number == 21
        assert "22 of 22" in painted(pilot)
        await pilot.press("l", "l")
        assert view.arm == "rag"
        await pilot.press("escape", "escape")
        await settle(pilot)
        assert pilot.app.screen.query_one("#comparison-table").has_focus


async def test_what_differs_between_answers_is_marked(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 11)
    async with WorkbenchApp(workspace).run_test(size=(140, 30)) as pilot:
        await open_answers(pilot, settle)
        assert "marked (d): words of a reference · 1 of 11" in painted(pilot)
        assert not underlined(pilot)
        await pilot.press("d")
        await settle(pilot)
        assert "marked (d): what base does not say · 1 of 11" in painted(pilot)
        assert underlined(pilot), "base, tuned and rag are wrong, each otherwise"
        assert "handbook" not in underlined(pilot), "base and rag say it both, in the same place"
        assert "weeks" not in underlined(pilot), "what the hybrid alone says is of the reference"
        await pilot.press("l")
        await settle(pilot)
        assert "marked (d): what tuned does not say" in painted(pilot)
        assert underlined(pilot).count("handbook") == 2, "of base and rag"
        await pilot.press("j")
        await settle(pilot)
        assert "what tuned does not say · 2 of 11" in painted(pilot), "it stays from question to question"
        await pilot.press("d", "question_mark")
        await settle(pilot)
        assert "Mark words of the reference, or what differs." in painted(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "words of a reference" in painted(pilot)
        assert not underlined(pilot)


async def test_a_question_has_one_number_everywhere(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 11)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("v", "f")
        await settle(pilot)
        (listed,) = rows(pilot, "#question-table")
        number = listed[0].strip()
        assert number != "1"
        await pilot.press("enter")
        await settle(pilot)
        view = pilot.app.screen.query_one(AnswersView)
        assert str(view.query_one("#question", Static).render()).startswith(f"{number} ")
        await pilot.press("P", "ctrl+s")
        await settle(pilot)
        assert f"learns question {number}," in notices(pilot)
    with PairStore(workspace.database) as store:
        (pair,) = (store.get(id) for id in store.ids())
    assert pair.source == f"comparison handbook question {number}"


async def test_two_by_two_where_there_is_little_room(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 11)
    async with WorkbenchApp(workspace).run_test(size=(80, 40)) as pilot:
        await open_answers(pilot, settle)
        lines = painted(pilot).splitlines()
        (first,) = (line for line in lines if "✗ base" in line)
        assert "tuned" in first
        assert "rag" not in first


async def test_hostile_text_is_shown_and_does_nothing(workspace: Workspace, settle: Settle) -> None:
    question = Question(messages=({"role": "user", "content": HOSTILE},), answers=(HOSTILE,), answerable=True)
    spec = Spec(arms=(Arm(name="base", hybrid=HOSTILE),), question_set=HOSTILE, run=HOSTILE)
    with CompareStore(workspace.database) as store:
        id = store.create("evil", spec.as_dict(), [question])
        citation = {"number": 1, "document": HOSTILE, "place": HOSTILE, "text": HOSTILE, "score": 1.0}
        store.add_answer(id, Answered(0, "base", HOSTILE, (citation,), {}, {"f1": 1.0, "right": 1.0}))
    async with WorkbenchApp(workspace).run_test(size=(100, 40)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        seen = painted(pilot)
        await pilot.press("v")
        await settle(pilot)
        seen += painted(pilot)
        await pilot.press("enter")
        await settle(pilot)
        seen += painted(pilot)
        await pilot.press("P")
        await settle(pilot)
        assert isinstance(pilot.app.screen, MakePair)
        seen += painted(pilot)
        assert "\x1b" not in seen
        assert "\u202e" not in seen
        assert seen.count("[/red]") > 4
        await pilot.press("ctrl+s")
        await settle(pilot)
    with PairStore(workspace.database) as pairs:
        (id,) = pairs.ids()
        assert pairs.get(id).completion == HOSTILE, "it is learned as it was written"


# While it runs


async def test_a_running_comparison_grows_and_is_stopped(workspace: Workspace, settle: Settle) -> None:
    id = write_comparison(workspace, "going", 40, answered=10)
    job = write_job(workspace, id, "running", 42, 160)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        text = painted(pilot)
        for part in ("running", "26%", "42/160 answers", "1 min 05 s left", "Token F1 so far", "n 11", "n 10"):
            assert part in text, part
        with CompareStore(workspace.database) as store:
            store.add_answer(id, Answered(10, "rag", "no", (), {}, {"f1": 0.0, "right": 0.0, "seconds": 1.0}))
        set_state(job, "running", 43, 160)
        pilot.app.look_at_jobs()
        for _ in range(100):
            await pilot.pause(0.05)
            if "43/160" in painted(pilot):
                break
        assert painted(pilot).count("n 11") == 3
        await pilot.press("s")
        assert job.stop_file.exists()
        set_state(job, "failed", 43, 160, error="the index is gone [/red]")
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert "the index is gone [/red]" in painted(pilot)
        assert "r goes on" in painted(pilot), "there is no verdict yet, and what to do"


# Starting


@pytest.fixture
def furnished(workspace: Workspace) -> Workspace:
    """An index, and a run that has an adapter."""
    write_index(workspace, "handbook")
    job = write_run(workspace, "tone", "done")
    (job.path / FOLDER).mkdir()
    (job.path / FOLDER / MANIFEST).write_text("{}")
    return workspace


async def test_the_form_tells_faults_and_starts(
    furnished: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start stands in for the real one, which wants weights; what it is given is what matters here."""
    with CompareStore(furnished.database) as store:
        store.add_questions("own", [Question(messages=({"role": "user", "content": "Open?"},), answers=("Aye",))])
    asked: list[dict[str, Any]] = []

    def fake_start(workspace: Workspace, name: str, **arguments: Any) -> JobFolder:
        asked.append({"name": name, **arguments})
        if not arguments["leave_out_known"]:
            raise UserError("1 question is among the pairs [/red]", do="Leave them out with --leave-out-known.")
        return write_job(workspace, write_comparison(workspace, name, 11, answered=0), "queued", 0, 44)

    monkeypatch.setattr(compare_control, "start_comparison", fake_start)
    async with WorkbenchApp(furnished).run_test(size=(80, 24)) as pilot:
        await pilot.press("6", "n")
        await settle(pilot)
        form = pilot.app.screen
        assert isinstance(form, NewComparison)
        await pilot.press("down", "down", "down", *"many", "enter")
        await settle(pilot)
        assert "'many' is not a whole number from 1" in painted(pilot)
        assert not asked
        await pilot.press("ctrl+u", *"30")
        while str(form.focused.parent.id if form.focused and form.focused.parent else "") != "row-temperature":
            await pilot.press("down")
        await pilot.press(*"2.5", "enter")
        await settle(pilot)
        assert "temperature: '2.5' is not a number from 0 to 2" in painted(pilot)
        assert not asked
        await pilot.press("ctrl+u", *"0.7", "enter")
        await settle(pilot)
        assert "1 question is among the pairs [/red]" in " ".join(painted(pilot).split())
        assert pilot.app.screen is form
        while str(form.focused.parent.id if form.focused and form.focused.parent else "") != "row-known":
            await pilot.press("down")
        await pilot.press("right", "enter")
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "CompareScreen"
        assert [row[1] for row in rows(pilot, "#comparison-table")] == ["tone"]
        assert "queued" in painted(pilot)
    assert asked[-1] == {
        "name": "tone", "run": "tone", "index": "handbook", "question_set": "own", "count": 30, "seed": 0,
        "temperature": 0.7,
        "top_k": None, "max_new_tokens": None, "metric": "f1", "oracle": False, "again": None, "leave_out_known": True,
    }  # fmt: skip


async def test_questions_are_imported_from_a_file(workspace: Workspace, settle: Settle) -> None:
    rows = [{"question": "Open?", "answer": "Aye"}, {"question": "Shut?", "answer": "No"}, {"answer": "alone"}]
    (workspace.root / "datasets" / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6", "i")
        await settle(pilot)
        assert isinstance(pilot.app.screen, OpenFile)
        options = pilot.app.screen.query_one("DirectoryNavigation")
        names = [option.location.name for option in options.options]  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press(*["down"] * names.index("own.jsonl"), "enter")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert "2 questions came into own, 1 rows skipped" in notices(pilot)
        assert "line 3" in painted(pilot), "the rows that were skipped, and why"
    with CompareStore(workspace.database) as store:
        assert [question.text for question in store.questions("own")] == ["Open?", "Shut?"]


async def test_a_question_set_is_deleted_from_the_palette(workspace: Workspace, settle: Settle) -> None:
    with CompareStore(workspace.database) as store:
        for name in ("kept", "old"):
            store.add_questions(name, [Question(messages=({"role": "user", "content": "Open?"},), answers=("Aye",))])
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        for answer in ("n", "y"):
            await pilot.press("ctrl+p", *"question set")
            await settle(pilot)
            await pilot.press("enter")
            await settle(pilot)
            await pilot.press("down", "enter")
            await settle(pilot)
            assert "Delete the question set old?" in painted(pilot)
            await pilot.press(answer)
            await settle(pilot)
            with CompareStore(workspace.database) as store:
                assert [each.name for each in store.sets()] == (["kept", "old"] if answer == "n" else ["kept"])


# Pairs


async def test_an_answer_becomes_a_pair_that_the_next_run_learns(workspace: Workspace, settle: Settle) -> None:
    id = write_comparison(workspace, "handbook", 11)
    with CompareStore(workspace.database) as store:
        asked = store.asked(id)[1]
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await open_answers(pilot, settle)
        await pilot.press("j")
        await settle(pilot)
        for dataset in ("no name!", "mended"):
            if dataset == "no name!":
                await pilot.press("l", "P")
                await settle(pilot)
                dialog = pilot.app.screen
                assert isinstance(dialog, MakePair)
                dialog.query_one(TextArea).load_text("Form P-33, as ever.")
            dialog.query_one(Input).value = dataset
            await pilot.press("ctrl+s")
            await settle(pilot)
        assert "learns question 2" in notices(pilot)
        await pilot.press("P")
        await settle(pilot)
        await pilot.press("ctrl+r", "ctrl+s")
        await settle(pilot)
        await pilot.press("P")
        await settle(pilot)
        dialog = pilot.app.screen
        await pilot.press("ctrl+r", "ctrl+s")
        await settle(pilot)
        assert "has this very pair already" in str(dialog.query_one(".dialog-fault", Static).render())
    with PairStore(workspace.database) as store:
        pairs = [store.get(id) for id in store.ids()]
    assert [pair.completion for pair in pairs] == ["Form P-33, as ever.", asked.answers[0]]
    assert {pair.dataset for pair in pairs} == {"mended"}, "the dataset chosen last is offered again"
    assert pairs[0].messages == list(asked.messages)
    assert pairs[0].status == "accepted"
    assert pairs[0].tags == ("from-comparison",)
    assert pairs[0].source == "comparison handbook question 2"


async def test_an_edited_answer_is_not_thrown_away_unasked(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 11)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await open_answers(pilot, settle)
        for edited in (False, True):
            await pilot.press("P")
            await settle(pilot)
            dialog = pilot.app.screen
            assert isinstance(dialog, MakePair)
            if edited:
                await pilot.press("x")
            await pilot.press("escape")
            await settle(pilot)
            assert isinstance(pilot.app.screen, Confirm) is edited
        await pilot.press("n")
        await settle(pilot)
        assert pilot.app.screen is dialog
        await pilot.press("escape", "y")
        await settle(pilot)
        assert pilot.app.screen.query_one(AnswersView).has_focus


async def test_a_better_and_a_worse_answer_become_a_preference_pair(workspace: Workspace, settle: Settle) -> None:
    id = write_comparison(workspace, "handbook", 11)
    with CompareStore(workspace.database) as store:
        answers = {answer.arm: answer.text for answer in store.answers_to(id, 0)}
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await open_answers(pilot, settle)
        await pilot.press("w")
        await settle(pilot)
        assert "worse" in painted(pilot)
        await pilot.press("j", "k")
        await settle(pilot)
        await pilot.press("h", "b")
        await settle(pilot)
        assert not isinstance(pilot.app.screen, MakePair), "the mark was of a question that was left"
        await pilot.press("l", "w")
        await settle(pilot)
        assert isinstance(pilot.app.screen, MakePair)
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert "better" not in painted(pilot), "the marks are gone"
    with PairStore(workspace.database) as store:
        (pair,) = (store.get(id) for id in store.ids())
    assert (pair.chosen, pair.rejected) == (answers["hybrid"], answers["base"])


# What is kept


async def test_two_comparisons_are_set_against_each_other(workspace: Workspace, settle: Settle) -> None:
    """By the real job, from the key to the question that changed."""
    write_comparison(workspace, "before", 33)
    id = write_comparison(workspace, "after", 33, seed=1)
    with CompareStore(workspace.database) as store:
        store._connection.execute(
            "UPDATE comparison_answers SET scores = json_set(scores, '$.right', 1.0, '$.f1', 1.0)"
            " WHERE comparison = ? AND arm = 'rag'",
            (id,),
        )
    async with WorkbenchApp(workspace).run_test(size=(100, 40)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("c")
        await settle(pilot)
        await pilot.press("enter")
        for _ in range(1200):
            pilot.app.look_at_jobs()
            await pilot.pause(0.05)
            if isinstance(pilot.app.screen, Versus):
                break
        await settle(pilot)
        text = painted(pilot)
        assert "before and then after" in " ".join(text.split())
        assert "✗ → ✓" in text
        row = next(line for line in text.splitlines() if " rag " in line and "better" in line)
        assert "100.0 %" in row
        await pilot.press("enter")
        await settle(pilot)
        view = pilot.app.screen.query_one(AnswersView)
        assert view.answers is not None
        assert view.answers.line.right["rag"] == 1.0
        assert pilot.app.screen.view == "answers"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("away", "back"), [("4", "6"), ("f1", "escape")], ids=["another screen", "a dialog"])
async def test_a_versus_that_ends_while_something_is_in_front_is_kept(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch, away: str, back: str
) -> None:
    write_comparison(workspace, "before", 11)
    id = write_comparison(workspace, "after", 11, seed=1)
    started: list[JobFolder] = []

    def fake_start(workspace: Workspace, name: str, versus: str | None = None) -> JobFolder:
        assert (name, versus) == ("after", "before")
        assert threading.current_thread() is not threading.main_thread(), "it reads the database"
        started.append(write_job(workspace, id, "running", 0, 1))
        return started[0]

    monkeypatch.setattr(compare_control, "start_verdict", fake_start)
    changed = {
        "arm": "rag", "question": "Which?", "first_number": 2, "second_number": 3, "first": "a", "second": "b",
        "first_score": 0.0, "second_score": 1.0,
    }  # fmt: skip
    result = {
        "first": "before", "second": "after", "metric": "f1", "n": 11, "cautions": [], "arms": [], "changed": [changed],
    }  # fmt: skip
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("c")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press(away)
        await settle(pilot)
        set_state(started[0], "done", 1, 1, result={"versus": result})
        pilot.app.look_at_jobs()
        await settle(pilot)
        assert not isinstance(pilot.app.screen, Versus)
        assert "before versus after is ready" in notices(pilot)
        await pilot.press(back)
        await settle(pilot)
        assert isinstance(pilot.app.screen, Versus)
        await pilot.press("enter")
        await settle(pilot)
        view = pilot.app.screen.query_one(AnswersView)
        assert view.answers is not None
        assert (view.answers.comparison.name, view.answers.line.number) == ("after", 3)


async def test_only_comparisons_that_share_questions_are_offered(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "after", 11)
    with CompareStore(workspace.database) as store:
        spec = store.comparison("after").spec
        stranger = Question(messages=({"role": "user", "content": "Open?"},), answers=("Aye",))
        store.create("stranger", spec, [stranger])
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("j", "c")
        await settle(pilot)
        assert "no other comparison asks any of its questions" in notices(pilot)
        write_comparison(workspace, "before", 5)
        await pilot.press("1", "6", "c")
        await settle(pilot)
        text = painted(pilot)
        assert "before" in text
        assert "shares 5 of 11 questions" in text
        assert text.count("shares") == 1


async def test_the_verdict_is_made_again_off_the_event_loop(
    workspace: Workspace, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_comparison(workspace, "handbook", 11)
    asked: list[str] = []

    def fake_start(workspace: Workspace, name: str, versus: str | None = None) -> JobFolder:
        assert threading.current_thread() is not threading.main_thread(), "it reads the database"
        asked.append(name)
        raise UserError("it is gone")

    monkeypatch.setattr(compare_control, "start_verdict", fake_start)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("u")
        await settle(pilot)
        assert asked == ["handbook"]
        assert "it is gone" in notices(pilot)


@pytest.mark.parametrize(("downs", "ending", "begins"), [(0, "md", "#"), (1, "html", "<!"), (2, "json", "{")])
async def test_the_verdict_is_exported(
    workspace: Workspace, settle: Settle, downs: int, ending: str, begins: str
) -> None:
    write_comparison(workspace, "handbook", 33)
    file = workspace.root / f"handbook-verdict.{ending}"
    file.write_text("older")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("o")
        await settle(pilot)
        await pilot.press(*["down"] * downs, "enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm), "what is there is not replaced unasked"
        await pilot.press("y")
        await settle(pilot)
        assert str(Path(file.name)) in notices(pilot)
    assert file.read_text().lstrip().startswith(begins)


async def test_the_cursor_stays_where_a_comparison_was_deleted(workspace: Workspace, settle: Settle) -> None:
    for name in ("oldest", "older", "newer", "newest"):
        write_comparison(workspace, name, 11)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("j")
        for current in ("older", "oldest", "newest"):  # the one below, or above the last
            await pilot.press("x", "y")
            await settle(pilot)
            assert pilot.app.screen.line.name == current  # type: ignore[attr-defined]


async def test_deleting_asks_first(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 11)
    write_comparison(workspace, "other", 11)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("x")
        await settle(pilot)
        await pilot.press("n")
        await settle(pilot)
        assert len(rows(pilot, "#comparison-table")) == 2
        await pilot.press("x")
        await settle(pilot)
        await pilot.press("y")
        await settle(pilot)
        assert [row[1] for row in rows(pilot, "#comparison-table")] == ["handbook"]
    with CompareStore(workspace.database) as store:
        assert [each.name for each in store.comparisons()] == ["handbook"]
