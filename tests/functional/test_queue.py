"""The order of waiting jobs, with real processes that wait for their turn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_queue import busy, names_in, until, waiting, waiting_jobs

from workbench.jobs import queue
from workbench.jobs.folder import JobFolder
from workbench.workspace import Workspace

Command = Callable[..., Any]


@pytest.fixture
def ran(tmp_path: Path) -> Callable[[], list[str]]:
    """The names of those that had their turn, in order."""
    return lambda: names_in(tmp_path / "ran")


@pytest.fixture
def waiters(workspace: Workspace, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start a waiting job by name, and wait until it stands in the line."""
    with waiting_jobs(workspace.jobs, tmp_path / "ran") as start:
        yield start


def test_jobs_run_in_the_order_in_which_they_were_put(
    workspace: Workspace, waiters: Any, ran: Any, command: Command
) -> None:
    with busy():
        for name in ("a", "b", "c", "d"):
            waiters(name)
        assert waiting() == ["a", "b", "c", "d"]
        assert command("jobs", "move", "d", "--first").code == 0
        assert waiting() == ["d", "a", "b", "c"]
        assert command("jobs", "move", "a", "--down").code == 0
        assert command("jobs", "move", "d", "--last").code == 0
        moved = command("jobs", "move", "c", "--up", "--json").lines
        assert [(line["place"], line["job"], line["state"]) for line in moved] == [
            (0, "another program", "running"), (1, "b", "waiting"), (2, "c", "waiting"), (3, "a", "waiting"),
            (4, "d", "waiting"),
        ]  # fmt: skip
        # At the ends there is nowhere to go, and who comes now comes last.
        assert [line["job"] for line in command("jobs", "move", "b", "--up", "--json").lines[1:]] == list("bcad")
        waiters("e")
        assert waiting() == ["b", "c", "a", "d", "e"]
        (workspace.jobs / "a" / "stop").touch()
        until(lambda: waiting() == ["b", "c", "d", "e"])
        assert ran() == []
    until(lambda: ran() == ["b", "c", "d", "e"])
    assert queue.line_up() == []


def test_a_killed_job_leaves_the_line_wherever_it_was_put(waiters: Any, ran: Any, workspace: Workspace) -> None:
    with busy():
        waiters("a")
        waiters("b")
        killed = waiters("c")
        queue.move(JobFolder(workspace.jobs / "c"), "first")
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(10)
        assert waiting() == ["a", "b"]
    until(lambda: ran() == ["a", "b"])


def test_many_movers_at_once_lose_nobody(waiters: Any, ran: Any, workspace: Workspace) -> None:
    mover = (
        "import sys; from pathlib import Path; from workbench.jobs.folder import JobFolder; from workbench.jobs import"
        " queue\nfor n in range(40): queue.move(JobFolder(Path(sys.argv[1])), queue.MOVES[n % 4])"
    )
    with busy():
        for name in ("a", "b", "c"):
            waiters(name)
        movers = [
            subprocess.Popen([sys.executable, "-P", "-c", mover, str(workspace.jobs / name)]) for name in ("a", "b")
        ]
        assert [process.wait(60) for process in movers] == [0, 0]
        assert sorted(waiting()) == ["a", "b", "c"]
        for where, name in (("last", "a"), ("last", "b"), ("first", "c")):
            queue.move(JobFolder(workspace.jobs / name), where)
        assert waiting() == ["c", "a", "b"]
    until(lambda: ran() == ["c", "a", "b"])


def test_a_torn_order_is_the_order_of_coming(waiters: Any, workspace: Workspace) -> None:
    with busy():
        waiters("a")
        waiters("b")
        queue.move(JobFolder(workspace.jobs / "b"), "first")
        order = queue._folder() / "order"
        for torn in ('["', '{"a": 1}', "[1, null]", ""):
            order.write_text(torn)
            assert waiting() == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jobs", "move", "none", "--up"], "there is no job 'none'"),
        (["jobs", "move", "ended", "--up"], "ended is lost, and does not wait"),
        (["jobs", "move", "ended"], "Give one of --up"),
        (["jobs", "move", "ended", "--up", "--last"], "Give one of --up"),
    ],
)
def test_who_does_not_wait_cannot_be_moved(
    workspace: Workspace, command: Command, arguments: list[str], message: str
) -> None:
    folder = workspace.jobs / "ended"
    folder.mkdir()
    (folder / "spec.json").write_text('{"kind": "train", "title": "t", "arguments": {}, "created_at": 1}')
    done = command(*arguments)
    assert done.code == 1
    assert message in done.err
    assert "Traceback" not in done.err
    assert "Nothing runs" in command("jobs", "queue").out
