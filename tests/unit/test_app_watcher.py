"""The app's view of all jobs, over real job folders."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from typing import Any

import pytest
from sample_runs import append_events, write_run

from screens import watcher
from screens.watcher import JobBoard
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.workspace import Workspace


@pytest.fixture(autouse=True)
def look_at_all_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "_LOOK_AT_ENDED", 0.0)


def test_jobs_come_newest_first_and_the_running_before_the_queued(workspace: Workspace) -> None:
    write_run(workspace, "old", "done", age=100)
    write_run(workspace, "waiting", "queued", step=0, age=50)
    write_run(workspace, "going", "running", age=0)
    (workspace.runs / "not-a-job").mkdir()
    board = JobBoard(workspace)
    assert board.look()
    assert [job.id for job in board.jobs] == ["going", "waiting", "old"]
    assert [job.id for job in board.live] == ["going", "waiting"]
    assert not board.look(), "nothing changed"


def test_progress_end_resume_and_removal_are_seen(workspace: Workspace) -> None:
    job = write_run(workspace, "tone", "running", step=10)
    board = JobBoard(workspace)
    board.look()
    status = job.status()
    job.write_status(replace(status, progress=replace(status.progress, done=11)))
    assert board.look()
    assert board.jobs[0].status.progress.done == 11
    append_events(job, [{"type": "message", "text": "on we go"}])
    assert board.look(), "events were added"
    job.write_status(replace(status, state="done", pid=None))
    assert board.look()
    assert [ended.id for ended in board.ended] == ["tone"]
    assert not board.look()
    assert board.ended == [], "an end is told once"
    job.write_status(status)  # somebody resumed it
    assert board.look()
    assert board.live
    shutil.rmtree(job.path)
    assert board.look()
    assert board.jobs == []


def test_a_process_that_died_without_a_word_is_lost(workspace: Workspace) -> None:
    job = write_run(workspace, "tone", "running", step=10)
    board = JobBoard(workspace)
    board.look()
    status = job.status()
    dead = replace(status, pid_started=(status.pid_started or 0) - 1000)
    job.write_status(dead)
    assert board.look()
    assert board.jobs[0].status.state == "lost"
    assert [ended.id for ended in board.ended] == ["tone"]


def test_an_end_is_told_of_a_job_that_was_never_seen_alive(workspace: Workspace) -> None:
    write_run(workspace, "old", "done")
    board = JobBoard(workspace)
    board.look()
    assert board.ended == [], "it had ended before"
    write_run(workspace, "quick", "done")
    board.look()
    assert [ended.id for ended in board.ended] == ["quick"]


@pytest.mark.parametrize(
    "damage",
    [{"created_at": None}, {"created_at": "now"}, {"arguments": []}, {"arguments": None}, {"title": 3}, {"kind": {}}],
)
def test_a_damaged_job_is_left_out_of_all_lists(workspace: Workspace, damage: dict[str, Any]) -> None:
    write_run(workspace, "tone", "done")
    spec = write_run(workspace, "damaged", "done").path / "spec.json"
    spec.write_text(json.dumps({**json.loads(spec.read_text()), **damage}))
    board = JobBoard(workspace)
    board.look()
    assert [job.id for job in board.jobs] == ["tone"]
    assert [job.id for job in control.jobs(workspace)] == ["tone"]


def test_an_idle_look_reads_no_job(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        write_run(workspace, f"run-{number}", "done", step=1, age=number)
    board = JobBoard(workspace)
    board.look()
    monkeypatch.setattr(JobFolder, "status", lambda self: pytest.fail(f"read {self.id}"))
    started = time.process_time()
    for _ in range(20):
        assert not board.look()
    assert (time.process_time() - started) / 20 < 0.02, "seconds of processor a look at 200 ended jobs"
