"""kill -9 of an index build while it embeds: nothing is lost, nothing embedded twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_library import FakeEmbedder, build_with

from workbench.jobs import control
from workbench.library import catalogue, changes
from workbench.library.index import Index
from workbench.library.store import Store
from workbench.workspace import Workspace

Command = Callable[..., Any]

KILLED_AT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pytest
from sample_library import FakeEmbedder, build_with
last, done = int(sys.argv[4]), 0
def counted(function):
    def call(*arguments, **options):
        global done
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return function(*arguments, **options)
    return call
for owner, name in ((os, "fsync"), (os, "replace"), (Path, "replace"), (FakeEmbedder, "encode")):
    setattr(owner, name, counted(getattr(owner, name)))
paths = [Path(path) for path in sys.argv[5:]]  # that changed, as who follows the index is told
build_with(Path(sys.argv[2]), None if paths else [Path(sys.argv[3])], FakeEmbedder(), only=paths or None)
"""


def texts(index: Index) -> list[str]:
    question = "What colour has the ledger of room 3?"
    return [hit.text for hit in index.search(question, FakeEmbedder().encode([question])[0], 10)]


@pytest.mark.slow
def test_killed_while_following_what_is_not_done_is_seen_and_done_next(tmp_path: Path) -> None:
    docs, folder = tmp_path / "docs", tmp_path / "i"
    docs.mkdir()
    for room in range(4):
        (docs / f"room-{room}.md").write_text(f"# Room {room}\n\nThe ledger of room {room} is blue.\n")
    build_with(folder, [docs], FakeEmbedder())
    before = texts(Index(folder))
    changed, moved = docs / "room-3.md", docs / "moved.md"
    changed.write_text("# Room 3\n\nThe ledger of room 3 is green.\n")
    (docs / "room-0.md").rename(moved)
    told = [str(changed), str(docs / "room-0.md"), str(moved)]
    for last in range(100):
        again = shutil.copytree(folder, tmp_path / f"i{last}")
        code = subprocess.run(
            [sys.executable, "-P", "-c", KILLED_AT, str(Path(__file__).parents[1]), again, docs, str(last), *told],
            capture_output=True,
        ).returncode
        assert code in (0, -signal.SIGKILL)
        with Store(again) as store:
            left = {path.name for path in changes.look(store)}
        assert left in (set(), {"room-3.md", "room-0.md", "moved.md"}), "all of an update or nothing"
        answers = texts(Index(again, tell=lambda text: None))
        assert (answers == before) == bool(left)
        built = build_with(again, None, FakeEmbedder(), only=[Path(path) for path in told])
        assert (built.documents, built.embedded) in ((4, 0), (4, 1))
        after = texts(Index(again))
        assert any("green" in text for text in after)
        if code == 0:
            break
    assert last > 3


@pytest.mark.slow
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
