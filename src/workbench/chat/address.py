"""Where a workspace's server is: .workbench/server.json; finding the server, and starting it where there is none.

Light: the app's process uses it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from workbench import files
from workbench.errors import UserError
from workbench.jobs.environment import job_environment
from workbench.jobs.folder import process_of, start_mark
from workbench.workspace import Workspace

ALREADY_SERVED = 3
"""The exit code of a server that finds that the workspace has one."""
_PATIENCE = 60.0  # seconds that a new server may take until it listens
_children: list[subprocess.Popen[bytes]] = []  # polled, so that ended ones do not stay zombies


@dataclass(frozen=True)
class Address:
    """How to reach a server."""

    url: str
    token: str
    pid: int
    pid_started: float
    """With the pid it names one process: pids are reused."""
    parent: int | None = None
    """The process with whose end the server ends; None if it lives by itself."""
    parent_started: float | None = None


def is_loopback(url: str) -> bool:
    """Whether a URL is of this machine by its name."""
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def path_of(workspace: Workspace) -> Path:
    """The file that tells a server's address, readable by its user only."""
    return workspace.private / "server.json"


def log_of(workspace: Workspace) -> Path:
    """What a server prints."""
    return workspace.private / "server.log"


def running(workspace: Workspace) -> Address | None:
    """The workspace's server, or None if there is none.

    The file that a killed server left does not count, nor does a server whose parent has ended: it is about to end.
    """
    try:
        address = Address(**json.loads(path_of(workspace).read_text(encoding="utf-8")))
        lives = process_of(address.pid, address.pid_started) is not None
        orphan = address.parent is not None and process_of(address.parent, address.parent_started) is None
    except (OSError, ValueError, TypeError):
        return None
    return address if lives and not orphan else None


def publish(workspace: Workspace, address: Address) -> None:
    """Tell where the server listens."""
    files.write_text(path_of(workspace), json.dumps(asdict(address)), mode=0o600)


def withdraw(workspace: Workspace, address: Address) -> None:
    """The server ends: remove its file, unless it is another's by now."""
    if running(workspace) in (address, None):
        path_of(workspace).unlink(missing_ok=True)


def started(pid: int) -> float:
    """The start mark of a living process; -1 if there is none."""
    process = process_of(pid, None)
    return start_mark(process) if process else -1.0


def ensure_running(workspace: Workspace, *, parent: int | None = None) -> Address:
    """The workspace's server; started if there is none. However many start one at once, there is one.

    Args:
        workspace: whose server.
        parent: the process with whose end a server started here ends; None: it ends when idle for long.

    Raises:
        UserError: it does not start; the last line of its log says why.
    """
    if address := running(workspace):
        return address
    workspace.private.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(workspace.private / "server.starting"):
        if address := running(workspace):
            return address
        child = _start(workspace, parent)
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            code = child.poll()
            if address := running(workspace):
                return address
            if code not in (None, ALREADY_SERVED):
                break
            time.sleep(0.02)
        else:
            child.kill()
    raise UserError(f"the server does not start: {last_words(workspace)}", where=str(log_of(workspace)))


def command(workspace: Workspace, *options: str) -> list[str]:
    """The command line of a workspace's server. -P: the workspace's datasets/ never shadows a package."""
    return [sys.executable, "-P", "-m", "workbench.chat.server", "--workspace", str(workspace.root), *options]


def last_words(workspace: Workspace) -> str:
    """The last line of the server's log."""
    try:
        with log_of(workspace).open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4096))
            lines = log.read().decode("utf-8", "replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip().removeprefix("Error: ") for line in reversed(lines) if line.strip()), "it left no word")


def _start(workspace: Workspace, parent: int | None) -> subprocess.Popen[bytes]:
    _children[:] = [child for child in _children if child.poll() is None]
    options = ["--parent", str(parent)] if parent is not None else []
    with log_of(workspace).open("wb") as log:
        child = subprocess.Popen(
            command(workspace, *options),
            cwd=workspace.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=job_environment(),
        )
    _children.append(child)
    return child
