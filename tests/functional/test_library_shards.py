"""A library that several processes embed, a shard each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sample_library import FakeEmbedder, Reporter, build_with

from workbench.errors import UserError
from workbench.library import shards
from workbench.library.index import Index
from workbench.library.store import Store
from workbench.models.embed import Embedder
from workbench.models.local import ensure

DOCUMENTS = 60


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(ensure("all-minilm-l6-v2"))


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(DOCUMENTS):
        (folder / f"{number}.md").write_text(f"# Ship {number}\n\nShip {number} carries {number * 7} barrels of oil.\n")
    return folder


def made(folder: Path, documents: Path, embedder: Any, **more: Any) -> tuple[int, dict[str, np.ndarray]]:
    """How many texts were embedded, and the vectors by text."""
    built = build_with(folder, [documents], embedder, more.pop("report", None), **more)
    with Store(folder) as store:
        texts = {id: text for id, _, text in store.live_texts()}
        vectors = {int(id): vector for ids, rows in store.live_vectors() for id, vector in zip(ids, rows, strict=True)}
    return built.embedded, {text: vectors[id] for id, text in texts.items()}


@pytest.mark.slow
def test_shards_give_what_one_process_gives(tmp_path: Path, documents: Path, embedder: Embedder) -> None:
    alone, expected = made(tmp_path / "alone", documents, embedder)
    together, found = made(tmp_path / "together", documents, embedder, processes=2)
    assert alone == together == DOCUMENTS
    assert found.keys() == expected.keys()
    for text, vector in expected.items():  # other batches round otherwise
        assert vector @ found[text] > 0.999
    hits = Index(tmp_path / "together").search("49 barrels", embedder.encode(["Ship 7"], query=True)[0], 3)
    assert hits[0].document == "7.md"
    assert not list((tmp_path / "together" / shards.PARTS).iterdir())


@pytest.mark.slow
def test_a_killed_process_is_told(tmp_path: Path, documents: Path, embedder: Embedder) -> None:
    killer = Killer()
    with pytest.raises(UserError, match="failed or was killed"):
        made(tmp_path / "index", documents, embedder, processes=2, report=killer)
    assert killer.killed
    assert made(tmp_path / "index", documents, embedder)[0] == DOCUMENTS


def test_what_the_shards_of_a_killed_build_left_is_not_embedded_again(tmp_path: Path, documents: Path) -> None:
    folder, embedder = tmp_path / "index", FakeEmbedder()
    with pytest.raises(InterruptedError):
        made(folder, documents, embedder, report=Reporter(stopped_before_embedding))
    with Store(folder) as store:
        batches = [shards.batches(store, number, 2, 7, embedder.fingerprint) for number in range(2)]
        halves = [[item for batch in half for item in batch] for half in batches]
        assert not list(shards.batches(store, 0, 1, 7, "another model's"))
    assert len({key for half in halves for key, _ in half}) == len(halves[0]) + len(halves[1]) == DOCUMENTS
    keys, texts = zip(*halves[0], strict=True)
    shards.leave(folder, "by-a-killed-build", list(keys), embedder.encode(texts))
    shards.leave(folder, "of-another-length", [key for key, _ in halves[1]], np.ones((len(halves[1]), 3), np.float32))
    (folder / shards.PARTS / "torn.npz").write_bytes(b"PK torn")
    embedder.embedded.clear()
    assert made(folder, documents, embedder)[0] == len(halves[1])
    assert sorted(embedder.embedded) == sorted(text for _, text in halves[1])
    assert not list((folder / shards.PARTS).iterdir())


def stopped_before_embedding(unit: str, done: float) -> None:
    if unit == "chunks":
        raise InterruptedError


class Killer(Reporter):
    """Kills the processes that embed as soon as there are any."""

    killed = 0

    def check_stop(self) -> None:
        for process in psutil.Process().children(recursive=True):
            if "workbench.library.shard_worker" in " ".join(process.cmdline()):
                process.kill()
                self.killed += 1
