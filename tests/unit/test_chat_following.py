"""The server's follower embeds with the retrieval's own model, through the object that it builds with."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sample_library import FakeEmbedder, build_with

from workbench.chat import following, retrieval
from workbench.library import in_step, watch
from workbench.library.store import Store
from workbench.workspace import Workspace


class ToldRetrieval(retrieval.Retrieval):
    """Holds a stand-in for the model, and remembers that it was told of an update."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self.held = FakeEmbedder()
        self.threads: set[str] = set()
        self.updated = threading.Event()

    def _embedder(self, name: str) -> FakeEmbedder:  # type: ignore[override]
        self.threads.add(threading.current_thread().name)
        return self.held

    def refresh(self, index: str) -> None:
        self.updated.set()


def test_what_is_saved_is_embedded_by_the_servers_own_model(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "_compute_alone", lambda: None)  # which loads torch
    monkeypatch.setattr(watch, "embedders", lambda *_: None)  # the stand-in has no weights
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "cats.md").write_text("# Cats\n\nAll about cats.\n")
    build_with(workspace.index("i"), [docs], FakeEmbedder())
    (docs / "dogs.md").write_text("# Dogs\n\n" + "\n\n".join(f"Dog {number} barks." for number in range(200)))
    held = ToldRetrieval(workspace)
    server = following.Following(workspace, held)
    server.start()
    try:
        assert held.updated.wait(10), in_step.read(workspace.index("i"))
    finally:
        server.stop()
    assert len(held.held.embedded) > 1
    assert all(name.startswith("retrieval") for name in held.threads)
    with Store(workspace.index("i")) as store:
        texts = [text for _, _, text in store.live_texts()]
        assert len(texts) == len(held.held.embedded) + 1
