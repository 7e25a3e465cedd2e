"""Jobs as processes: they outlive what started them, queue, stop, and are found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.training.control import start_run
from workbench.workspace import Workspace

Command = Callable[..., Any]


def until(condition: Callable[[], Any], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_heavy_jobs_queue_and_start_by_themselves(tuned: Workspace, command: Command) -> None:
    # The commands that start them have ended when they run.
    for name in ("one", "two", "three"):
        assert command("train", "quick", "--name", name, "--set", "max_steps=3").code == 0
    one, two, three = (control.find(tuned, name) for name in ("one", "two", "three"))
    until(lambda: "waiting" in three.status().progress.message or not three.status().live)
    assert three.status().state == "queued"
    control.stop(three)
    until(lambda: three.status().state == "stopped")
    assert three.status().started_at is None
    until(lambda: two.status().state == "done")
    assert one.status().state == "done"
    first, second = one.status(), two.status()
    assert first.finished_at
    assert second.started_at
    assert second.started_at >= first.finished_at - 0.5

    listed = {line["job"]: line["state"] for line in command("jobs", "list", "--json").lines}
    assert listed == {"one": "done", "two": "done", "three": "stopped"}
    followed = command("jobs", "follow", "two", "--json").lines
    assert followed[-1] == {**followed[-1], "type": "state", "state": "done"}


@pytest.mark.slow
def test_a_killed_job_lets_the_next_one_start(tuned: Workspace) -> None:
    recipe = tuned.recipe("quick")
    long = start_run(tuned, recipe, "long", {"max_steps": 100_000, "eval_steps": 100_000})
    until(lambda: long.status().progress.done >= 1)
    after = start_run(tuned, recipe, "after", {"max_steps": 1})
    until(lambda: "waiting" in after.status().progress.message)
    process = long.process()
    assert process
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: after.status().state == "done")
    assert long.status().state == "lost"


def test_sigterm_is_a_stop_with_save(tuned: Workspace) -> None:
    job = start_run(tuned, tuned.recipe("quick"), "long", {"max_steps": 100_000, "eval_steps": 100_000})
    until(lambda: job.status().progress.done >= 1)
    process = job.process()
    assert process
    process.terminate()
    until(lambda: not job.status().live)
    assert job.status().state == "stopped"
    assert (job.path / "adapter").is_dir()


def test_a_failure_is_one_line_and_the_details_are_in_the_log(tuned: Workspace, command: Command) -> None:
    job = start_run(tuned, tuned.recipe("quick"), "broken", {"max_steps": 1})
    until(lambda: not job.status().live)
    (job.path / "pairs.jsonl").write_text("changed")
    done = command("runs", "resume", "broken")
    assert done.code == 1  # it is done: nothing to resume
    assert "is done" in done.err
    job.write_status(type(job.status())(state="failed"))
    done = command("runs", "resume", "broken", "--follow")
    assert done.code == 1
    assert "is not the copy of the pairs" in done.err
    assert "Traceback" not in done.err + done.out


def test_a_pid_of_another_process_is_not_ours(tuned: Workspace) -> None:
    folder = tuned.jobs / "old"
    folder.mkdir()
    (folder / "spec.json").write_text('{"kind": "train", "title": "t", "arguments": {}, "created_at": 1}')
    job = JobFolder(folder)
    status = type(job.status())
    job.write_status(status(state="running", pid=os.getpid(), pid_started=1.0))
    assert job.status().state == "lost"
    (folder / "status.json").write_text("{torn")
    assert job.status().state == "lost"


def test_unknown_jobs_are_one_clear_error(workspace: Workspace, command: Command) -> None:
    for arguments in (["jobs", "stop", "none"], ["jobs", "follow", "../.."], ["jobs", "resume", ""]):
        done = command(*arguments)
        assert done.code == 1
        assert "there is no job" in done.err
        assert "Traceback" not in done.err


def test_a_job_is_done_by_one_process_only(tuned: Workspace) -> None:
    """Two that resume it at once, and a second process on its folder."""
    job = start_run(tuned, tuned.recipe("quick"), "one", {"max_steps": 100_000, "eval_steps": 100_000})
    until(lambda: job.status().progress.done >= 1)
    command = [sys.executable, "-P", "-m", "workbench.jobs", job.path]
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "another process does this job" in second.stdout
    assert job.status().state == "running"
    control.stop(job)
    until(lambda: job.status().state == "stopped")
    refused = []

    def resume() -> None:
        try:
            control.resume(job)
        except UserError as error:
            refused.append(str(error))

    both = [threading.Thread(target=resume) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(refused) == 1
    assert job.status().attempt == 2
    control.stop(job)
    until(lambda: not job.status().live)
