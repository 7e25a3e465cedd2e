"""Short runs that are disturbed, resumed, and compared with the same run undisturbed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.jobs import control
from workbench.jobs.environment import job_environment
from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import EventReader
from workbench.training import checkpoint, runs
from workbench.training.control import start_run
from workbench.workspace import Workspace

ADAPTER = "adapter/adapter_model.safetensors"
SHORT = {
    "max_steps": 4, "save_steps": 2, "eval_steps": 2, "samples.count": 1, "lora.lora_dropout": 0.1,
    "gradient_accumulation_steps": 2,
}  # fmt: skip
"""What makes the recipe `quick` a run of two seconds that has all a run can have."""
_OF_THE_MOMENT = {"time", "tokens_per_second", "memory_bytes", "cpu", "gpu"}
_HISTORY = {"metrics", "sample", "checkpoint", "best", "overfitting", "early_stop", "learning_rate"}


@dataclass
class Trials:
    """A workspace whose jobs run in children of a fork server."""

    workspace: Workspace
    state: Path
    """The queue's folder, of these jobs alone."""
    server: subprocess.Popen[str] | None = None
    trace: list[tuple[str, str]] = field(default_factory=list)
    """The changes of the file system that the last run made: what and where."""
    fired: str | None = None
    """What the last fault struck."""
    count: int = 0
    """How many changes the last run made that its kind of fault can strike."""

    def prepared(self, name: str, recipe: str, changes: dict[str, Any]) -> JobFolder:
        """A run that is queued, and whose process has not started."""
        launch, control._launch = control._launch, lambda job: None
        try:
            return start_run(self.workspace, self.workspace.recipe(recipe), name, changes)
        finally:
            control._launch = launch

    def open(self, warm_up: JobFolder) -> None:
        """Start the server; it does `warm_up` itself."""
        script = Path(__file__).with_name("fork_server.py")
        self.server = subprocess.Popen(
            [sys.executable, "-P", str(script), str(warm_up.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**job_environment(), "OMP_NUM_THREADS": "1", "WORKBENCH_STATE": str(self.state)},
        )  # fmt: skip

    def close(self) -> None:
        """Let the server end."""
        if self.server and self.server.stdin:
            self.server.stdin.close()
            self.server.wait(30)

    def run(
        self, job: JobFolder, kind: str = "kill", at: int = 0, *, clock: float = 0.0,
        asks: Sequence[tuple[str, int, str, str]] = (),
    ) -> int:  # fmt: skip
        """Do the job in a child of the server; its exit code, negative for a signal."""
        assert self.server
        assert self.server.stdin
        assert self.server.stdout
        order = {
            "folder": str(job.path), "roots": [str(job.path), str(self.state)], "state": str(self.state),
            "kind": kind, "at": at, "clock": clock, "asks": list(asks),
        }  # fmt: skip
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        answer = json.loads(self.server.stdout.readline())
        self.trace = [(what, os.path.relpath(path, job.path)) for what, path in answer["trace"]]
        self.fired, self.count = answer["fired"], answer["count"]
        return answer["code"]

    def copy(self, template: JobFolder, name: str) -> JobFolder:
        """A fresh copy of a prepared run, queued now."""
        folder = template.path.with_name(name)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template.path, folder)
        job = JobFolder(folder)
        long_ago = time.monotonic() - 60  # if its process dies without a word, nobody waits for it
        job.write_status(replace(job.status(), state="queued", finished_at=None, queued_mark=long_ago), durable=False)
        return job

    def resume(self, job: JobFolder, *, clock: float = 0.0) -> int:
        """Resume it as the command does, undisturbed."""
        codes: list[int] = []
        launch, control._launch = control._launch, lambda job: codes.append(self.run(job, clock=clock))
        try:
            control.resume(job)
        finally:
            control._launch = launch
        return codes[0]


def history(job: JobFolder) -> list[dict[str, Any]]:
    """What a run's history says, without what differs from one moment to the next."""
    return [
        {name: value for name, value in event.items() if name not in _OF_THE_MOMENT}
        for event in runs.events(job)
        if event["type"] in _HISTORY
    ]


def adapter(job: JobFolder) -> bytes:
    """The bytes that the run yields."""
    return (job.path / ADAPTER).read_bytes()


def steps(job: JobFolder) -> list[int]:
    """The steps whose training figures the history holds."""
    return [event["step"] for event in runs.events(job) if event["type"] == "metrics" and "loss" in event]


def messages(job: JobFolder) -> str:
    """All that the run told its user."""
    return "\n".join(event["text"] for event in EventReader(job.events).read() if event["type"] == "message")


def leftovers(job: JobFolder) -> list[str]:
    """What should not outlive the one that was writing it."""
    return [
        path.name
        for pattern in (".*.tmp", ".adapter-*", f"{checkpoint.FOLDER}/.writing-*")
        for path in job.path.glob(pattern)
    ]
