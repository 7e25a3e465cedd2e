"""The server's life: one a workspace, found again, replaced when killed, ended with its parent or when idle."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.chat import address
from workbench.chat.client import Client
from workbench.errors import UserError
from workbench.jobs.environment import job_environment
from workbench.jobs.folder import start_mark
from workbench.workspace import Workspace

STARTER = (
    "import sys, pathlib\n"
    "from workbench.chat import address\n"
    "from workbench.workspace import Workspace\n"
    "parent = int(sys.argv[2]) if len(sys.argv) > 2 else None\n"
    "print(address.ensure_running(Workspace(pathlib.Path(sys.argv[1])), parent=parent).pid, flush=True)\n"
)


@pytest.fixture(autouse=True)
def none_left(workspace: Workspace) -> Iterator[None]:
    yield
    if here := address.running(workspace):
        os.kill(here.pid, signal.SIGKILL)


def starter(workspace: Workspace, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", STARTER, str(workspace.root), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
    return value


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_many_starters_at_once_end_with_one_server(workspace: Workspace) -> None:
    starters = [starter(workspace) for _ in range(4)]
    pids = {started.communicate(timeout=90)[0].strip() for started in starters}
    assert len(pids) == 1
    here = address.running(workspace)
    assert here is not None
    assert pids == {str(here.pid)}
    path = address.path_of(workspace)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(here.token) >= 32
    late = subprocess.run(address.command(workspace), capture_output=True, text=True, timeout=60, check=False)
    assert late.returncode == address.ALREADY_SERVED
    with Client.from_workspace(workspace) as client:
        assert client.health() == {"ok": True, "pid": here.pid}


def test_a_killed_server_is_noticed_and_replaced(workspace: Workspace) -> None:
    with Client.from_workspace(workspace) as client:
        first = client.health()["pid"]
        os.kill(first, signal.SIGKILL)
        until(lambda: address.running(workspace) is None)
        assert address.path_of(workspace).exists()
        second = client.health()["pid"]
        assert second != first


def test_a_file_that_names_another_process_is_not_believed(workspace: Workspace) -> None:
    me = psutil.Process()
    address.publish(workspace, address.Address("http://127.0.0.1:9", "x", me.pid, start_mark(me) - 100))
    assert address.running(workspace) is None
    address.path_of(workspace).write_text("{half")
    assert address.running(workspace) is None
    with Client.from_workspace(workspace) as client:
        assert client.health()["pid"] != me.pid


def test_it_ends_with_its_parent_even_if_that_is_killed(workspace: Workspace) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pid = int(starter(workspace, parent.pid).communicate(timeout=90)[0])
    assert not gone(pid)
    parent.kill()
    parent.wait()
    until(lambda: gone(pid))
    assert not address.path_of(workspace).exists()


def test_an_app_reopened_at_once_gets_a_server_of_its_own(workspace: Workspace) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    first = int(starter(workspace, parent.pid).communicate(timeout=90)[0])
    parent.kill()
    parent.wait()
    second = int(starter(workspace, os.getpid()).communicate(timeout=90)[0])
    assert second != first
    with Client.from_workspace(workspace) as client:
        assert client.health()["pid"] == second


def test_without_a_parent_it_ends_when_idle(workspace: Workspace) -> None:
    command = address.command(workspace, "--idle-minutes", str(1 / 60))
    server = subprocess.Popen(command, env=job_environment(), stdout=subprocess.DEVNULL)
    assert server.wait(60) == 0
    assert not address.path_of(workspace).exists()


def test_it_says_why_it_does_not_start(workspace: Workspace) -> None:
    (workspace.configs / "settings.yaml").write_text("server:\n  port: many\n")
    with Client.from_workspace(workspace) as client, pytest.raises(UserError, match=r"does not start: .*server\.port"):
        client.health()


def test_serve_runs_until_ctrl_c(workspace: Workspace, command: Callable[..., Any]) -> None:
    executable = Path(sys.executable).with_name("workbench")
    serving = subprocess.Popen(
        [executable, "serve", "--json"], cwd=workspace.root, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert serving.stdout is not None
    told = json.loads(serving.stdout.readline())
    with Client.from_workspace(workspace) as client:
        assert client.health()["pid"] == told["pid"]
    second = command("serve")
    assert second.code == 1
    assert "the workspace has a server already" in second.err
    os.killpg(serving.pid, signal.SIGINT)
    assert serving.wait(30) == 0
    assert gone(told["pid"])
    assert not address.path_of(workspace).exists()


def test_serve_killed_takes_the_server_with_it(workspace: Workspace) -> None:
    executable = Path(sys.executable).with_name("workbench")
    serving = subprocess.Popen([executable, "serve", "--json"], cwd=workspace.root, stdout=subprocess.PIPE, text=True)
    assert serving.stdout is not None
    told = json.loads(serving.stdout.readline())
    serving.kill()
    serving.wait()
    until(lambda: gone(told["pid"]))
