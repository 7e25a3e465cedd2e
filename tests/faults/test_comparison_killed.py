"""kill -9 of a comparison: nothing is answered twice, and the table is the one of an undisturbed comparison."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from workbench.compare.control import start_comparison
from workbench.compare.store import CompareStore
from workbench.jobs import control
from workbench.training.control import start_run
from workbench.workspace import Workspace

Command = Callable[..., Any]


def finished(job: Any, seconds: float = 180) -> str:
    deadline = time.monotonic() + seconds
    while job.status().live:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job.status().state


def rows(workspace: Workspace, name: str) -> dict[tuple[int, str], tuple[str, float]]:
    """By question and arm: the answer, and when it was given."""
    with CompareStore(workspace.database) as store:
        answers = store._connection.execute(
            "SELECT * FROM comparison_answers WHERE comparison = ?", (store.comparison(name).id,)
        ).fetchall()
    return {(row["number"], row["arm"]): (row["text"], row["answered_at"]) for row in answers}


@pytest.mark.slow
def test_killed_and_resumed_answers_nothing_twice(tuned: Workspace, command: Command) -> None:
    assert finished(start_run(tuned, tuned.recipe("quick"), "quick")) == "done"
    asked = [{"question": f"How far is harbour {n} from the light?", "answers": [f"{n} miles"]} for n in range(24)]
    path = tuned.root / "harbours.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in asked))
    assert command("compare", "questions", "import", path, "--set", "harbours").code == 0
    options: dict[str, Any] = {"run": "quick", "question_set": "harbours", "max_new_tokens": 16}
    assert finished(start_comparison(tuned, "undisturbed", **options)) == "done"

    job = start_comparison(tuned, "killed", **options)
    before: dict[Any, Any] = {}
    for least in (3, 14):
        while len(rows(tuned, "killed")) < least:
            assert job.status().live
            time.sleep(0.002)
        process = job.process()
        assert process
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        control.reap()
        assert job.status().state == "lost"
        kept = rows(tuned, "killed")
        assert len(kept) < 48, "it was killed too late to show anything"
        assert before.items() <= kept.items(), "an answer that was there was given again"
        before = kept
        assert command("compare", "show", "killed").code == 0, "what is there can be looked at"
        control.resume(job)
    assert finished(job) == "done"
    after = rows(tuned, "killed")
    assert before.items() <= after.items()
    undisturbed = rows(tuned, "undisturbed")
    assert {key: text for key, (text, _) in after.items()} == {key: text for key, (text, _) in undisturbed.items()}
    assert len(after) == 48


@pytest.mark.slow
def test_stopped_it_concludes_from_what_was_answered(tuned: Workspace, command: Command) -> None:
    assert finished(start_run(tuned, tuned.recipe("quick"), "quick")) == "done"
    path = tuned.root / "harbours.jsonl"
    path.write_text(
        "".join(json.dumps({"question": f"Harbour {n}?", "answers": ["9 miles"]}) + "\n" for n in range(60))
    )
    assert command("compare", "questions", "import", path, "--set", "harbours").code == 0
    job = start_comparison(tuned, "stopped", run="quick", question_set="harbours", max_new_tokens=16)
    while len(rows(tuned, "stopped")) < 4:
        assert job.status().live
        time.sleep(0.002)
    assert command("compare", "stop", "stopped").code == 0
    assert finished(job) == "stopped"
    with CompareStore(tuned.database) as store:
        comparison = store.comparison("stopped")
    assert comparison.verdict
    assert 0 < comparison.verdict["n"] < 60
    assert comparison.verdict["costs"]["run"]["seconds"] > 0, "what was paid before is told of a part, too"
    assert command("compare", "resume", "stopped", "--follow").code == 0
    assert len(rows(tuned, "stopped")) == 120
