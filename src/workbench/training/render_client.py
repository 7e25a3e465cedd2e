"""Asking for pairs as the model sees them, in a process that must not load what computes it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from typing import IO

from workbench.errors import UserError
from workbench.jobs.environment import job_environment
from workbench.training.rendered import Rendering
from workbench.training.runs import runs
from workbench.workspace import Workspace

DEFAULT = "sft"
"""The recipe that ships, where nothing was trained yet."""
_LOG = "render.log"
_TRIES = 2  # a process that was killed is started once again


def default_recipe(workspace: Workspace) -> str:
    """The newest run's recipe, as `Workspace.recipe` takes it; the one that ships where there is no run."""
    for run in runs(workspace):
        if (workspace.run(run.run) / "recipe.yaml").is_file():
            return f"runs/{run.run}/recipe.yaml"
    return DEFAULT


class RenderClient:
    """One process that renders, started when it is first asked; ask it from one thread at a time."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._starting = threading.Lock()
        self.ended = ""
        """How a process ended that had to be replaced, for a person; whoever tells it empties it."""

    def ask(self, pair: int, recipe: str) -> Rendering:
        """A pair as a run of the recipe would take it; waits for the answer, at first for seconds.

        Raises:
            UserError: what `Renderer.render` raises; the process cannot be started, or ended twice; or `close` was
                called.
        """
        question = json.dumps({"pair": pair, "recipe": recipe}).encode() + b"\n"
        for _ in range(_TRIES):
            process = self._running()
            assert process.stdin
            assert process.stdout
            answer = b""
            with contextlib.suppress(OSError, ValueError):  # it is gone
                process.stdin.write(question)
                process.stdin.flush()
                answer = process.stdout.readline()
            if answer.endswith(b"\n"):
                return _read(answer)
            self._bury(process)
        raise UserError(
            f"the process that renders pairs {self.ended} twice over this pair",
            where=str(self._workspace.private / _LOG),
            do="Look there for the reason; where memory ran out, choose a recipe without context: or close something.",
        )

    def close(self) -> None:
        """End the process, also while it is asked; may be called from any thread."""
        with self._starting:
            self._closed = True
            if self._process is not None:
                self._process.kill()
                if self._process.stdin:
                    with contextlib.suppress(OSError):
                        self._process.stdin.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._bury(self._process)
        with self._starting:
            if self._closed:
                raise UserError("nothing is rendered any more")
            if self._process is None:
                self._process = self._start()
            return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        folder = self._workspace.private
        folder.mkdir(exist_ok=True)
        with (folder / _LOG).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "workbench.training.render_worker", str(self._workspace.root)],
                cwd=self._workspace.root, env=job_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        """Take note of how a process ended that is to be replaced."""
        process.kill()  # it may have closed its output and live on
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            _close(pipe)
        self._process = None
        if not self._closed:
            self.ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _read(answer: bytes) -> Rendering:
    data = json.loads(answer)
    if "error" in data:
        error = data["error"]
        raise UserError(error["what"], where=error["where"], do=error["do"])
    return Rendering.from_dict(data["rendering"])


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()
