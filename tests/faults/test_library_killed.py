"""kill -9 of an index build while it embeds: nothing is lost, nothing embedded twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.jobs import control
from workbench.library import catalogue
from workbench.library.store import Store
from workbench.workspace import Workspace

Command = Callable[..., Any]


def test_killed_while_embedding_goes_on_where_it_was(workspace: Workspace, tmp_path: Path, command: Command) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    chunks = 240
    for part in range(8):
        sections = (f"## Section {part}-{n}\n\n{'Ferries and lamps. ' * (5 + n)}\n" for n in range(chunks // 8))
        (docs / f"part-{part}.md").write_text("\n".join(sections))
    job = control.start(workspace, "index", {"name": "big", "paths": [str(docs)], "add": False}, title="index big")
    while embedded(workspace) < 64:
        assert job.status().live, job.log.read_text()
        time.sleep(0.01)
    process = job.process()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert job.status().state == "lost"
    had = embedded(workspace)
    assert 64 <= had < chunks
    assert [summary.state for summary in catalogue.indexes(workspace)] == ["incomplete"]

    control.resume(job)
    assert command("jobs", "follow", job.id).code == 0
    result = job.status().result
    assert result is not None
    assert result["chunks"] == embedded(workspace) == chunks
    assert result["embedded"] == chunks - had
    assert result["read"] == 0  # what was read before the kill was kept as well
    assert [summary.state for summary in catalogue.indexes(workspace)] == ["ready"]


def embedded(workspace: Workspace) -> int:
    if not (workspace.index("big") / "index.sqlite").is_file():
        return 0
    with Store(workspace.index("big")) as store:
        return store._database.execute("SELECT count(*) FROM embeddings").fetchone()[0]
