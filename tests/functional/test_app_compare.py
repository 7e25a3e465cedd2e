"""The Compare screen, driven by its keys over stored comparisons; one verdict is really made by its job."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
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


def write_job(workspace: Workspace, comparison: int, state: str, done: int, total: int) -> JobFolder:
    """The job of a comparison; a live one is this very process."""
    folder = workspace.jobs / f"20251009-085320-compare-{comparison}"
    folder.mkdir(parents=True)
    spec = {"kind": "compare", "title": "compare going", "arguments": {"comparison": comparison}, "created_at": 1.0}
    files.write_json(folder / "spec.json", spec, durable=False)
    job = JobFolder(folder)
    set_state(job, state, done, total)
    return job


def set_state(job: JobFolder, state: str, done: int, total: int, error: str | None = None) -> None:
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
            ["handbook", "160/160", verdict["recommended"]],
            ["few", "22/22", "-"],
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
            "6 min 52 s to train", "AMD EPYC", "seed 0",
        ):  # fmt: skip
            assert part in seen, part


async def test_questions_are_filtered_by_attribution_and_by_words(workspace: Workspace, settle: Settle) -> None:
    write_comparison(workspace, "handbook", 22)
    async with WorkbenchApp(workspace).run_test(size=(100, 40)) as pilot:
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("v")
        await settle(pilot)
        listed = rows(pilot, "#question-table")
        assert [row[0].strip() for row in listed] == [str(n) for n in range(22)]
        assert listed[7][1:3] == ["✗ ✗ ✓ ✗", "tuning broke it"]
        await pilot.press("f")
        await settle(pilot)
        knew = [str(n) for n in range(22) if CATEGORIES[n] == "weights_knew"]
        assert [row[0].strip() for row in rows(pilot, "#question-table")] == knew
        assert "The base model alone is right" in painted(pilot)
        await pilot.press("f")
        await settle(pilot)
        brought = [str(n) for n in range(22) if CATEGORIES[n] == "retrieval_brought"]
        assert [row[0].strip() for row in rows(pilot, "#question-table")] == brought
        await pilot.press("slash", *"birth moth", "enter")
        await settle(pilot)
        assert rows(pilot, "#question-table") == [], "of this category none"
        await pilot.press("escape")
        await settle(pilot)
        assert len(rows(pilot, "#question-table")) == len(brought)


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
        await pilot.press("ctrl+u", *"30", "enter")
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
        assert "The next run learns question 1" in notices(pilot)
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
    assert pairs[0].source == "comparison handbook question 1"


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
