"""Runs for the tests of the app: real job folders, written as a job's own process writes them, without the training."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import psutil

from workbench import files
from workbench.jobs.folder import JobFolder, Progress, Status, start_mark
from workbench.workspace import Workspace

START = 1_760_000_000.0
"""When everything in these runs happened."""


def write_run(
    workspace: Workspace,
    name: str,
    state: str,
    *,
    step: int = 200,
    steps: int = 200,
    age: int = 0,
    error: str | None = None,
    seconds_left: float | None = None,
) -> JobFolder:
    """A run of `steps` steps that has come to `step`; a live one is this very process, so it is not lost."""
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    recipe = {"method": "sft", "dataset": "handbook"}
    spec = {
        "kind": "train",
        "title": f"train {name}",
        "arguments": {"recipe": recipe, "recipe_name": "handbook", "base": "smollm2-135m-instruct", "system": None},
        "created_at": START - age,
    }
    files.write_json(folder / "spec.json", spec, durable=False)
    (folder / "recipe.yaml").write_text("method: sft\ndataset: handbook\nlearning_rate: 0.0002\n", encoding="utf-8")
    events = [{"time": START, "type": "state", "state": "running"}]
    events += curve(step, steps)
    if state not in ("running", "queued"):
        events.append({"time": START + 90, "type": "state", "state": state, "error": error})
    append_events(JobFolder(folder), events)
    job = JobFolder(folder)
    last = {key: value for event in events for key, value in event.items() if key in ("loss", "eval_loss")}
    me = psutil.Process()
    live = state in ("running", "queued")
    job.write_status(
        Status(
            state=state,
            pid=me.pid if live else None,
            pid_started=start_mark(me) if live else None,
            queued_at=START - age,
            started_at=START,
            finished_at=None if live else START + 90,
            progress=Progress(step, steps, "steps", "Training", seconds_left) if step else Progress(),
            figures={**last, "tokens_per_second": 412.0} if step else {},
            error=error,
        ),
        durable=False,
    )
    return job


def curve(step: int, steps: int, start: int = 1) -> list[dict[str, Any]]:
    """The metrics events of the steps `start` to `step`, and an evaluation with samples every 50."""
    events: list[dict[str, Any]] = []
    for n in range(start, step + 1):
        loss = 0.8 + 2.4 * math.exp(-n / 40) + 0.12 * math.sin(n * 1.7)
        rate = 2e-4 * min(1.0, n / 10) * 0.5 * (1 + math.cos(math.pi * n / steps))
        events.append(
            {
                "time": START + n * 0.4, "type": "metrics", "step": n, "epoch": n / steps, "loss": round(loss, 4),
                "learning_rate": rate, "grad_norm": 1.2 + 0.4 * math.sin(n), "tokens": n * 800,
                "tokens_per_second": 412.0, "memory_bytes": 1_900_000_000, "cpu": 1.9,
            }
        )  # fmt: skip
        if n % 50 == 0:
            events.append({"time": START + n * 0.4, "type": "metrics", "step": n, "eval_loss": round(loss + 0.1, 4)})
            for prompt in ("When does the museum open?", "May I bring my dog on board?"):
                answer = "Ahoy! Look in the handbook under the hours of the museum." if n > 50 else "I think at nine."
                events.append(
                    {
                        "time": START + n * 0.4, "type": "sample", "step": n, "prompt": prompt, "answer": answer,
                        "reference": "Ahoy! It opens at ten.",
                    }
                )  # fmt: skip
            events.append({"time": START + n * 0.4, "type": "checkpoint", "step": n, "folder": f"checkpoint-{n}"})
    return events


def append_events(job: JobFolder, events: list[dict[str, Any]]) -> None:
    """Append to events.jsonl, as a job does."""
    with job.events.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(event) + "\n" for event in events))
        file.flush()
        os.fsync(file.fileno())
