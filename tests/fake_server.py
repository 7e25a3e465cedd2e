"""A server for the tests of the app: the real HTTP of the workbench over an engine that computes nothing."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from sample_index import MUSEUM

from workbench.chat import address
from workbench.chat.answer import Citation, Cut, Delta, Figures, Question
from workbench.chat.routes import create_app
from workbench.errors import UserError
from workbench.library.search import Hit
from workbench.workspace import Workspace

SUMMER = MUSEUM[MUSEUM.index("The museum is open") : MUSEUM.index("\n\n## Winter")]
WINTER = MUSEUM[MUSEUM.index("In winter") : MUSEUM.index("\n\n## Closed")]
HITS = (
    Hit(
        1, SUMMER, "museum-hours.md", "Museum hours", "Museum hours > Summer hours",
        MUSEUM.index(SUMMER), MUSEUM.index(SUMMER) + len(SUMMER), 5, 5, None, 1.62, 1, 1, 0.78, (0.5, 0.5, 0.62), 0.99,
    ),
    Hit(
        2, WINTER, "museum-hours.md", "Museum hours", "Museum hours > Winter hours",
        MUSEUM.index(WINTER), MUSEUM.index(WINTER) + len(WINTER), 9, 9, None, 1.18, 3, 2, 0.69,
        (0.34, 0.39, 0.45), 0.96,
    ),
    Hit(
        3, "The ferry leaves at 8:05 and 16:30. Dogs travel on a lead.", "ferry.md", "Ferry", "Ferry",
        9, 67, 3, 3, None, 0.41, 2, None, 0.31, (0.41, 0.0, 0.0), 0.02,
    ),
)  # fmt: skip
CITATIONS = tuple(Citation.of(number, hit) for number, hit in enumerate(HITS[:2], 1))
FIGURES = Figures(419, 33, 0.65, 58.7, 0.0)


@dataclass
class FakeEngine:
    """Answers what it was told to: text pieces, in order; a `UserError` among them is raised, an `Event` waited for."""

    says: list[str | UserError | threading.Event] = field(
        default_factory=lambda: ["The museum is open **every day** [1]."]
    )
    hits: Sequence[Any] = HITS
    citations: tuple[Citation, ...] = CITATIONS
    not_in_library: bool = False
    cut: Cut | None = None
    endless: bool = False
    """Go on after `says` until it is cancelled."""
    asked: list[Question] = field(default_factory=list)
    searched: list[tuple[str, str]] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def models(self) -> list[str]:
        return ["smollm2-135m-instruct"]

    def status(self) -> dict[str, Any]:
        loaded = "smollm2-135m-instruct"
        return {
            "loaded": [loaded],
            "loading": None,
            "paths": {loaded: "lean"},
            "memory_bytes": 1_234_000_000,
            "busy": False,
            "tokens_per_second": 58.7,
        }

    def is_remote(self, model: str) -> bool:
        return False

    def load(self, model: str) -> None:
        pass

    def embed(self, model: str, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        raise NotImplementedError

    def search(self, index: str, query: str, k: int, mode: str, filter: Any = None) -> list[Any]:
        self.searched.append((index, query))
        self.modes.append(mode)
        self.filters.append(str(filter or ""))
        if query == "broken":
            raise UserError("the index is damaged", where=f"index {index}", do="Update it.")
        return list(self.hits[:k])

    def answer(self, question: Question, cancelled: Callable[[], bool]) -> Iterator[Delta]:
        self.asked.append(question)
        if self.says and isinstance(self.says[0], UserError):
            raise self.says[0]
        yield Delta(
            citations=self.citations if "+rag:" in question.model else (),
            not_in_library=self.not_in_library,
            cut=self.cut,
        )
        for piece in self.says:
            if isinstance(piece, UserError):
                raise piece
            if isinstance(piece, threading.Event):
                piece.wait(30)
            else:
                yield Delta(piece)
        while self.endless and not cancelled():
            threading.Event().wait(0.01)
        if self.endless:
            self.cancelled.set()
            return
        yield Delta(figures=FIGURES)


@contextmanager
def serving(workspace: Workspace, engine: FakeEngine) -> Iterator[None]:
    """Serve a workspace with an engine from this process, until the block is left."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(engine, token="token")
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    workspace.private.mkdir(exist_ok=True)
    me = os.getpid()
    here = address.Address(f"http://127.0.0.1:{listener.getsockname()[1]}", "token", me, address.started(me))
    address.publish(workspace, here)
    try:
        yield
    finally:
        address.path_of(workspace).unlink(missing_ok=True)
        server.should_exit = True
        thread.join(10)
