"""Jobs for the tests of the app, as a job's own process writes them, without the work."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from workbench import files
from workbench.jobs.folder import JobFolder, Progress, Status, start_mark
from workbench.workspace import Workspace

START = 1_760_000_000.0
"""When everything in these jobs happened."""


def write_index_job(
    workspace: Workspace,
    name: str,
    state: str,
    *,
    progress: tuple[float, float | None, str, str, float | None] = (0, None, "", "", None),
    figures: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    error: str | None = None,
) -> JobFolder:
    """A build of an index; a live one is this very process, so it is not lost.

    Args:
        workspace: where.
        name: of the index.
        state: of the job.
        progress: done, total, unit, message, seconds left.
        figures: the latest.
        warnings: of files that are not indexed.
        error: why it failed.
    """
    folder = workspace.jobs / f"20251009-085320-{name}"
    folder.mkdir(parents=True)
    spec = {"kind": "index", "title": f"index {name}", "arguments": {"name": name, "paths": ["/srv"]}}
    files.write_json(folder / "spec.json", {**spec, "created_at": START}, durable=False)
    lines = [{"time": START, "type": "message", "level": "warning", "text": text} for text in warnings]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    live = state in ("queued", "running")
    job = JobFolder(folder)
    job.write_status(
        Status(
            state=state,
            pid=os.getpid() if live else None,
            pid_started=start_mark(psutil.Process()) if live else None,
            queued_at=START,
            started_at=START,
            finished_at=None if live else START + 90,
            progress=Progress(*progress),
            figures=dict(figures or {}),
            error=error,
        ),
        durable=False,
    )
    return job
