"""How long after a file is saved, moved or deleted the server's answers are from the new state of the folder.

    .venv/bin/python -P tests/benchmarks/freshness.py DOCUMENTS [--files 2000] [--rounds 10]

A real server with the default embedding model follows a copy of DOCUMENTS and, with --files, so many short files
beside it. Every round saves, adds, moves and deletes a file, asks /v1/search again and again, and takes the time until
the answer has changed. Last, a thousand files (or half of --files) are changed at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from workbench.chat.client import Client
from workbench.jobs import control
from workbench.library.store import Store
from workbench.workspace import Workspace, init

_PATIENCE = 600.0
WORDS = (
    "anchor",
    "brass",
    "copper",
    "delta",
    "ember",
    "flint",
    "garnet",
    "harbour",
    "indigo",
    "kelp",
    "lantern",
    "opal",
)


def measure(workspace: Workspace, docs: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds until each kind of change is in the answers, by kind."""
    seconds: dict[str, list[float]] = {"save": [], "add": [], "move": [], "delete": []}
    with Client.from_workspace(workspace, parent=os.getpid()) as client:

        def found(word: str) -> dict[str, str]:
            """Documents that hold the word, and their text, among the best hits for it."""
            hits = client.search("library", f"Who is {word}?", 8)
            return {hit["document"]: hit["text"] for hit in hits if word in hit["text"]}

        def timed(kind: str, change: Callable[[], object], done: Callable[[], bool]) -> None:
            change()
            begun = time.perf_counter()
            while not done():
                if time.perf_counter() - begun > _PATIENCE:
                    raise SystemExit(f"{kind}: not seen in {_PATIENCE:g} s")
                time.sleep(0.02)
            seconds[kind].append(time.perf_counter() - begun)

        first = sorted(path for path in docs.glob("*.md"))[0]
        text = first.read_text(encoding="utf-8")
        found("warm")
        time.sleep(3)  # the first look at every file

        def one_round(saved: str, added: str, new: Path, moved: Path) -> None:
            timed("save", lambda: first.write_text(f"{text}\n\nThe keeper is {saved}.\n"), lambda: bool(found(saved)))
            timed("add", lambda: new.write_text(f"# New\n\nThe pilot is {added}.\n"), lambda: bool(found(added)))
            timed("move", lambda: new.rename(moved), lambda: list(found(added)) == [moved.name])
            timed("delete", moved.unlink, lambda: not found(added))

        for number in range(rounds):
            names = docs / f"new-{number}.md", docs / f"moved-{number}.md"
            one_round(f"zarquon{number}", f"vexxor{number}", *names)
    return seconds


def burst(workspace: Workspace, folder: Path, count: int) -> tuple[float, float, int]:
    """Change many files at once: seconds to change them, until all are in the answers, and how many jobs it took."""
    with Client.from_workspace(workspace, parent=os.getpid()) as client:
        begun = time.perf_counter()
        for number in range(count):
            (folder / f"room-{number}.md").write_text(_room(number, "quagmire"))
        changed = time.perf_counter() - begun

        def left() -> int:
            with Store(workspace.index("library")) as store:
                rows = store._database.execute(
                    "SELECT count(*) FROM documents WHERE live = 1 AND text LIKE '%quagmire%'"
                )
                return count - rows.fetchone()[0]

        before = len(control.jobs(workspace))
        while left():
            if time.perf_counter() - begun > _PATIENCE:
                raise SystemExit("the many changes are not in the index")
            time.sleep(0.25)
        while not any("quagmire" in hit["text"] for hit in client.search("library", "Who lives in the quagmire?", 8)):
            time.sleep(0.05)
        return changed, time.perf_counter() - begun, len(control.jobs(workspace)) - before


def _room(number: int, word: str) -> str:
    words = " ".join(WORDS[(number // step) % len(WORDS)] for step in (1, 11, 121))
    return f"# Room {number}\n\nThe {word} of room {number} is kept by {words}.\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--files", type=int, default=0, help="short files beside the documents")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["WORKBENCH_STATE"] = str(Path(place) / "state")  # its jobs wait for no others
        workspace, docs = init(Path(place) / "workspace"), Path(place) / "documents"
        shutil.copytree(options.documents, docs)
        many = docs / "rooms"
        many.mkdir()
        for number in range(options.files):
            (many / f"room-{number}.md").write_text(_room(number, "ledger"))
        begun = time.perf_counter()
        job = control.start(workspace, "index", {"name": "library", "paths": [str(docs)]}, title="index library")
        while job.status().live:
            time.sleep(0.2)
        built = job.status().result
        if built is None:
            raise SystemExit(job.status().error)
        print(
            f"{built['documents']:,} documents, {built['chunks']:,} chunks,"
            f" indexed in {time.perf_counter() - begun:.1f} s\n"
        )
        seconds = measure(workspace, docs, options.rounds)
        print(f"{'change':<10}{'median s':>10}{'worst s':>10}")
        for kind, taken in seconds.items():
            print(f"{kind:<10}{statistics.median(taken):>10.2f}{max(taken):>10.2f}")
        if options.files:
            count = min(1000, options.files // 2)
            changed, all_in, jobs = burst(workspace, many, count)
            print(
                f"\n{count:,} files changed in {changed:.1f} s: all in the answers after {all_in:.1f} s, by {jobs} job"
            )


if __name__ == "__main__":
    main()
