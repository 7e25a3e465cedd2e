"""Updates a library in children of one process that has imported everything, so that a hundred of them take seconds.

A program: JSON lines in, JSON lines out. An order is {"do", "folder", "kind", "at", "room"}, to "update", "rebuild" or
"compact", or {"do": "ask", "folder"}; an answer {"code", ...}, the code negative for a signal. "room" is how many bytes
a file may have, for what native code writes: the system then refuses to write on, as on a full disk.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tantivy  # noqa: F401
import usearch.index  # noqa: F401

from workbench.errors import UserError
from workbench.library import caches, integrity, upkeep, vectors
from workbench.library.index import Index
from workbench.library.store import Store

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
from injector import Injector  # noqa: E402
from sample_library import FakeEmbedder, build_with  # noqa: E402

QUESTION = "What colour has the ledger of room 3?"
# Small libraries are handled as large ones are: brought forward by what changed, trusted on opening, compacted.
caches.WHOLE_BELOW = 0
vectors.EXACT_BELOW = 30
vectors.SEGMENT = 64
integrity.AT_ONCE = 0


def update(order: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
    """Bring the library up to date, or compact it, disturbed."""
    folder, embedder = Path(order["folder"]), FakeEmbedder()
    injector = Injector(
        [str(folder)], order["kind"], order["at"],
        lambda what: tell({"fired": what.replace(str(folder), ""), "embedded": embedder.embedded}),
    )  # fmt: skip
    injector.install()
    if order["do"] == "rebuild":  # as of a library so small that all is made anew
        caches.WHOLE_BELOW = 10_000
    if order.get("room"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["room"], resource.RLIM_INFINITY))
    try:
        if order["do"] == "compact":
            upkeep.compact(folder)
        else:
            build_with(folder, None, embedder)
    except (OSError, UserError, ValueError) as error:
        tell({"error": str(error)})
    tell({"count": injector.count, "embedded": embedder.embedded})


def ask(order: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
    """Open the library and search it by every leg."""
    told: list[str] = []
    index = Index(Path(order["folder"]), tell=told.append)
    vector = FakeEmbedder().encode([QUESTION], query=True)[0]
    with Store(Path(order["folder"])) as store:
        embeddings = store._database.execute("SELECT count(*) FROM embeddings").fetchone()[0]
    legs = {
        mode: sorted(hit.text for hit in index.search(QUESTION, vector, 1000, mode=mode))
        for mode in ("dense", "lexical")
    }
    tell({**legs, "count": len(index), "told": told, "embeddings": embeddings})


def serve() -> None:
    """Answer orders until standard input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            write, code = os.write, 70

            def tell(line: dict[str, Any], write: Any = write, writing: int = writing) -> None:
                data = json.dumps(line).encode() + b"\n"
                while data:
                    data = data[write(writing, data) :]

            try:
                (ask if order["do"] == "ask" else update)(order, tell)
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                for thread in threading.enumerate():
                    if thread.name.startswith("check of"):
                        thread.join()
                os._exit(code)
        os.close(writing)
        answer: dict[str, Any] = {"fired": None, "error": None, "embedded": []}
        with os.fdopen(reading) as told:
            for one in told:
                answer |= json.loads(one)
        answer["code"] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
