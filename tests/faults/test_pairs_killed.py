"""kill -9 in the midst of changes of the pairs: the store reopened is as before, or as after, never between."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from workbench.pairs.importing import import_file
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace

ROWS = 3000

# Does one thing to a store, and kills itself at the n-th statement, or after so many steps of SQLite's machine; where
# it comes through, it prints how many there were.
CHILD = """
import os, signal, sys
from pathlib import Path
from workbench import database

database_path, rows, action, unit, at = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
count, connect = 0, database.connect

def step(*_):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)

def counting_connect(*arguments, **more):
    connection = connect(*arguments, **more)
    if unit == "statement":
        connection.set_trace_callback(step)
    else:
        connection.set_progress_handler(step, 50_000)
    return connection

database.connect = counting_connect
from workbench.pairs.importing import import_file
from workbench.pairs.store import PairStore, Selection

with PairStore(database_path) as store:
    if action == "import":
        import_file(store, rows, "d")
    elif action == "undo":
        store.undo()
    elif action == "delete":
        store.delete(Selection("d"))
    elif action == "search":
        store.catch_up()
    else:
        store.set_status_where("accepted", dataset="d")
print(count)
"""


def run_child(database: Path, rows: Path, action: str, unit: str, at: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", CHILD, str(database), str(rows), action, unit, str(at)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def state(path: Path) -> list[object]:
    """All that a user can find in a store, and what undo and redo make of it. It leaves the store as it was."""

    def found() -> list[object]:
        return [*store.pairs(), store.count(search="answ"), *store.datasets()]

    with PairStore(path) as store:
        store.catch_up()
        states: list[object] = [found()]
        for go, back in ((store.undo, store.redo), (store.redo, store.undo)):
            steps = 0
            while label := go():
                steps += 1
                states += [label, found()]
            for _ in range(steps):
                back()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO pair_search (pair_search) VALUES ('integrity-check')")
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    return states


SLOW = [pytest.param(action, marks=pytest.mark.slow) for action in ("delete", "search")]


@pytest.mark.parametrize("action", ["import", "undo", "accept", *SLOW])
def test_kill_at_any_moment(workspace: Workspace, action: str) -> None:
    rows = workspace.root / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"p{n}", "completion": f"answer {n}"}) + "\n" for n in range(ROWS)))
    with PairStore(workspace.database) as store:
        store.add("d", [NewPair(messages=[{"role": "user", "content": "before"}], completion="answer")])
        if action != "import":
            import_file(store, rows, "d")

    def copy() -> Path:
        folder = workspace.root / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in workspace.root.glob("workbench.sqlite*"):
            shutil.copy2(path, folder)
        return folder / "workbench.sqlite"

    before = state(copy())
    after: list[object] = []
    for unit in ("statement", "machine"):
        through = run_child(whole := copy(), rows, action, unit, -1)
        assert through.returncode == 0, through.stderr
        after = state(whole)
        assert (after == before) == (action == "search")  # nothing of that can be seen but that words are found
        total = int(through.stdout)
        moments = sorted({max(1, total * part // 12) for part in range(1, 13)} | {max(1, total - 1)})
        states = []
        for at in moments:
            killed = run_child(path := copy(), rows, action, unit, at)
            assert killed.returncode == -signal.SIGKILL, (at, killed)
            states.append(state(path))
            assert states[-1] in (before, after), (unit, at)
        assert states[0] == before


def test_an_import_that_was_killed_can_be_done_again(workspace: Workspace) -> None:
    rows = workspace.root / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"p{n}", "completion": "x"}) + "\n" for n in range(ROWS)))
    PairStore(workspace.database).close()
    total = int(run_child(workspace.root / "other.sqlite", rows, "import", "machine", -1).stdout)
    killed = run_child(workspace.database, rows, "import", "machine", total - 1)
    assert killed.returncode == -signal.SIGKILL
    with PairStore(workspace.database) as store:
        assert store.count() == 0
        result = import_file(store, rows, "d")
        assert (result.imported, result.duplicates) == (ROWS, 0)
