"""Building, updating and searching an index with the real usearch, tantivy and SQLite; only the model is a stand-in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from sample_library import FakeEmbedder, Reporter, build_with, write_pdf

from workbench.errors import UserError
from workbench.library import catalogue, vectors
from workbench.library.fusion import convex
from workbench.library.identity import OtherEmbedder
from workbench.library.index import Index
from workbench.library.store import Store
from workbench.workspace import Workspace

TEXTS = {
    "dogs.md": "# Animals\n\n## Dogs\n\nDogs travel on a lead and pay 23 crowns.\n\n## Cats\n\nCats have a basket.\n",
    "lamps.md": "# Lamps\n\nThe lamp of Skarholm burns whale oil.\n",
    "notes.txt": "The blue ledger lies in the archive.\n\nIt is bound in leather.\n",
}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


def ask(index: Index, question: str, k: int = 3, mode: str = "fused") -> list[str]:
    vector = FakeEmbedder().encode([question], query=True)[0]
    return [hit.text for hit in index.search(question, vector, k, mode=mode)]


def test_build_and_search(docs: Path, tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    built = build_with(tmp_path / "i", [docs], embedder)
    assert (built.documents, built.chunks, built.read, built.embedded, built.faults) == (3, 4, 3, 4, [])
    assert any(text.startswith("Animals > Dogs\nDogs travel") for text in embedder.embedded)
    index = Index(tmp_path / "i")
    question = "What do dogs pay?"
    first, *_ = index.search(question, embedder.encode([question], query=True)[0], 3)
    assert (first.document, first.title, first.place) == ("dogs.md", "Animals", "Animals > Dogs · line 5")
    assert (first.dense_rank, first.lexical_rank) == (1, 1)
    assert first.parts is not None
    assert first.score == pytest.approx(sum(first.parts))
    assert first.parts[:2] == (0.5, 0.5)
    assert first.passage.place == "Animals > Dogs"
    for mode in ("fused", "dense", "lexical"):
        assert ask(index, question, mode=mode)[0] == "Dogs travel on a lead and pay 23 crowns."
    assert len(index) == 4
    assert index.search(question, None, 2, mode="lexical")[0].similarity is None


def test_every_hit_has_its_similarity_and_is_a_span_of_its_document(docs: Path, workspace: Workspace) -> None:
    build_with(workspace.index("i"), [docs], FakeEmbedder())
    index = Index(workspace.index("i"))
    vector = FakeEmbedder().encode(["lamp oil"])[0]
    hits = index.search("lamp oil", vector, 10)
    assert len(hits) == 4
    for hit in hits:
        stored = FakeEmbedder().encode([f"{hit.heading}\n{hit.text}"])[0]
        assert hit.similarity == pytest.approx(float(stored @ vector), abs=0.01)
        assert catalogue.document_text(workspace, "i", hit.document)[hit.start : hit.end] == hit.text


@pytest.mark.parametrize(
    "question",
    [
        "", " ", "AND OR NOT", 'body:"x', "a AND (b", "[1 TO", "* ? ~ ^ \\", "\0\x1b[31m", "+-+-", "'" * 10_000,
        "lamp " * 50_000,
    ],
)  # fmt: skip
def test_no_question_is_a_syntax_error(question: str, docs: Path, tmp_path: Path) -> None:
    build_with(tmp_path / "i", [docs], FakeEmbedder())
    assert ask(Index(tmp_path / "i"), question)


def test_passages_are_looked_up_one_by_one_however_many_documents_there_are(docs: Path, tmp_path: Path) -> None:
    build_with(tmp_path / "index", [docs], FakeEmbedder())
    with Store(tmp_path / "index") as store:
        asked: list[str] = []
        store._database.set_trace_callback(asked.append)
        assert store.live_chunks([1, 2]).keys() == {1, 2}
        store._database.set_trace_callback(None)
        plan = store._database.execute(f"EXPLAIN QUERY PLAN {asked[-1]}").fetchall()
    assert plan[0]["detail"].startswith("SEARCH chunks USING INTEGER PRIMARY KEY")


def test_update_embeds_only_what_changed_and_removes_what_is_gone(docs: Path, tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    build_with(tmp_path / "i", [docs], embedder)
    index = Index(tmp_path / "i")
    embedder.embedded.clear()

    assert build_with(tmp_path / "i", None, embedder).read == 0
    (docs / "dogs.md").touch()  # a new time, the same content
    assert build_with(tmp_path / "i", None, embedder).read == 0
    assert embedder.embedded == []
    manifest = (tmp_path / "i" / "manifest.json").read_bytes()

    (docs / "dogs.md").write_text(TEXTS["dogs.md"].replace("23 crowns", "99 crowns"))
    built = build_with(tmp_path / "i", None, embedder)
    assert (built.read, built.embedded, built.removed) == (1, 1, 0)
    assert embedder.embedded == ["Animals > Dogs\nDogs travel on a lead and pay 99 crowns."]
    assert (tmp_path / "i" / "manifest.json").read_bytes() != manifest
    assert ask(index, "dogs crowns")[0].endswith("99 crowns.")  # the reader that was open sees it

    (docs / "lamps.md").unlink()
    assert build_with(tmp_path / "i", None, embedder).removed == 1
    assert not any("whale" in text for text in ask(index, "whale oil lamp", k=10))
    with Store(tmp_path / "i") as store:
        assert store.counts() == (2, 3)
        assert sum(len(ids) for ids, _ in store.live_vectors()) == 3


def test_build_replaces_its_sources_and_add_keeps_them(docs: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "dogs.md").write_text("Another dog.")
    build_with(tmp_path / "i", [docs], FakeEmbedder())
    assert build_with(tmp_path / "i", [more], FakeEmbedder(), add=True).documents == 4
    assert {hit for hit in ask(Index(tmp_path / "i"), "dog", k=10)} >= {"Another dog."}
    built = build_with(tmp_path / "i", [more], FakeEmbedder())
    assert (built.documents, built.removed) == (1, 3)


def test_a_bad_file_is_told_and_skipped_and_a_known_one_stays(docs: Path, tmp_path: Path, workspace: Workspace) -> None:
    pdf = write_pdf(docs / "rules.pdf", [("Rules", "Walking on deck. " * 20), ("Fines", "A fine is 5 crowns. " * 20)])
    (docs / "broken.pdf").write_bytes(pdf.read_bytes()[:400])
    (docs / "\x1b[31mred\n.md").write_bytes(b"\0\0")
    reporter = Reporter()
    built = build_with(workspace.index("i"), [docs], FakeEmbedder(), reporter)
    assert built.documents == 4
    assert {Path(fault["path"]).name for fault in built.faults} == {"broken.pdf", "\x1b[31mred\n.md"}
    assert sum("broken.pdf cannot be read" in text for text in reporter.messages) == 1
    index = Index(workspace.index("i"))
    hit = index.search("fine crowns", FakeEmbedder().encode(["fine crowns"])[0], 1)[0]
    assert (hit.document, hit.page, hit.place) == ("rules.pdf", 2, "Fines · page 2")

    pdf.write_bytes(b"torn while it was copied")
    built = build_with(workspace.index("i"), None, FakeEmbedder())
    assert built.documents == 4
    assert any("stays" in fault.reason for fault in catalogue.faults(workspace, "i"))
    (summary,) = catalogue.indexes(workspace)
    assert (summary.state, summary.documents, summary.faults) == ("ready", 4, 3)


def test_other_weights_mean_embedding_anew(docs: Path, tmp_path: Path) -> None:
    build_with(tmp_path / "i", [docs], FakeEmbedder())
    other = FakeEmbedder("other", dimensions=32)
    before = ask(Index(tmp_path / "i"), "What do dogs pay?")
    with pytest.raises(OtherEmbedder, match=r"4 chunks to embed anew.*`workbench index update i --reembed`"):
        build_with(tmp_path / "i", None, other)
    with pytest.raises(OtherEmbedder, match="is embedded with fake; with other all of it is embedded anew"):
        build_with(tmp_path / "i", [docs], other, chosen="other")
    assert other.embedded == []
    assert ask(Index(tmp_path / "i"), "What do dogs pay?") == before  # it answers as it did
    assert build_with(tmp_path / "i", None, other, reembed=True).embedded == 4
    index = Index(tmp_path / "i")
    assert (index.fingerprint, index.dimensions) == ("other", 32)
    with pytest.raises(UserError, match="does not fit"):
        ask(index, "x")
    with pytest.raises(UserError, match="does not fit"):
        index.search("x", np.full(32, np.nan, np.float32), 3)


def test_other_weights_embed_anew_what_can_no_longer_be_read(docs: Path, tmp_path: Path) -> None:
    build_with(tmp_path / "i", [docs], FakeEmbedder())
    (docs / "lamps.md").write_bytes(b"\0torn")
    other = FakeEmbedder("other", dimensions=32)
    built = build_with(tmp_path / "i", None, other, reembed=True)
    assert (built.documents, built.chunks, built.embedded, len(built.faults)) == (3, 4, 4, 1)
    vector = other.encode(["whale oil lamp"], query=True)[0]
    first = Index(tmp_path / "i").search("whale oil lamp", vector, 3)[0]
    assert (first.text, first.place) == ("The lamp of Skarholm burns whale oil.", "Lamps · line 3")
    assert first.similarity == pytest.approx(float(vector @ other.encode([f"Lamps\n{first.text}"])[0]), abs=0.01)

    manifest = (tmp_path / "i" / "manifest.json").read_bytes()
    assert build_with(tmp_path / "i", None, other).embedded == 0
    assert (tmp_path / "i" / "manifest.json").read_bytes() == manifest
    (docs / "lamps.md").write_text(TEXTS["lamps.md"])
    built = build_with(tmp_path / "i", None, other)
    assert (built.read, built.embedded, built.faults) == (0, 0, [])


def test_a_damaged_cache_is_noticed_told_in_one_line_and_made_again(docs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "i"
    build_with(folder, [docs], FakeEmbedder())
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    wanted = ask(Index(folder), "What do dogs pay?", k=10)
    manifest = json.loads((whole / "manifest.json").read_text())
    (dense,) = manifest["segments"]
    data = (whole / dense).read_bytes()
    middle = len(data) // 2
    segment = next(name for name in manifest["files"] if name.endswith(".idx"))
    damages = {
        "truncated": lambda: (folder / dense).write_bytes(data[:middle]),
        "flipped bit": lambda: (folder / dense).write_bytes(
            data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        ),
        "zeroed tail": lambda: (folder / dense).write_bytes(data[:middle] + bytes(len(data) - middle)),
        "empty": lambda: (folder / dense).write_bytes(b""),
        "missing": (folder / dense).unlink,
        "no places": vectors.places_of(folder / dense).unlink,
        "no manifest": (folder / "manifest.json").unlink,
        "no json": lambda: (folder / "manifest.json").write_text("{"),
        "json of another kind": lambda: (folder / "manifest.json").write_text("[]"),
        "foreign json": lambda: (folder / "manifest.json").write_text('{"a": 1}'),
        "later revision": lambda: (folder / "manifest.json").write_text(json.dumps({**manifest, "revision": 9})),
        "no lexical": lambda: shutil.rmtree(folder / manifest["lexical_folder"]),
        "lexical bit": lambda: (folder / segment).write_bytes(b"x" + (folder / segment).read_bytes()[1:]),
        "lexical file missing": lambda: (folder / segment).unlink(),
    }
    for name, damage in damages.items():
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        damage()
        told: list[str] = []
        assert ask(Index(folder, tell=told.append), "What do dogs pay?", k=10) == wanted, name
        assert len(told) == 1, name
        assert told[0].startswith("Index i: ")
        assert "\n" not in told[0]
        assert Index(folder, tell=told.append) is not None
        assert len(told) == 1, name  # mended
        (made,) = folder.glob("*.usearch")
        assert made.read_bytes() == data  # the same, byte for byte, and nothing of the old is left


def test_a_database_without_embeddings_says_what_to_do_and_an_update_mends_it(docs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "i"
    build_with(folder, [docs], FakeEmbedder())
    with Store(folder) as store:
        store._database.execute("DELETE FROM embeddings WHERE rowid = 1")
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match="index update i"):
        Index(folder, tell=lambda text: None)
    assert build_with(folder, None, FakeEmbedder()).embedded == 1
    assert ask(Index(folder), "What do dogs pay?")[0].startswith("Dogs")


def test_one_writer(docs: Path, tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    with FileLock(tmp_path / "i" / ".writer.lock"), pytest.raises(UserError, match="another process"):
        build_with(tmp_path / "i", [docs], FakeEmbedder())


def test_what_cannot_be_built_or_opened_is_told(docs: Path, workspace: Workspace) -> None:
    with pytest.raises(UserError, match="no index 'i' to update"):
        build_with(workspace.index("i"), None, FakeEmbedder())
    (docs / "empty").mkdir()
    with pytest.raises(UserError, match="nothing in it"):
        build_with(workspace.index("i"), [docs / "empty"], FakeEmbedder())
    with pytest.raises(UserError, match="no build"):
        Index(workspace.index("i"))
    with pytest.raises(UserError, match="there is no index"):
        Index(workspace.index("j"))
    assert not workspace.index("j").exists()
    assert [summary.state for summary in catalogue.indexes(workspace)] == ["incomplete"]
    build_with(workspace.index("i"), [docs], FakeEmbedder())
    shutil.move(docs, docs.with_name("unmounted"))
    with pytest.raises(UserError, match="no such file or folder"):
        build_with(workspace.index("i"), None, FakeEmbedder())
    assert [summary.documents for summary in catalogue.indexes(workspace)] == [3]
    (workspace.index("i") / "index.sqlite").write_bytes(b"no database at all" * 1000)
    assert [summary.state for summary in catalogue.indexes(workspace)] == ["damaged"]


def test_vectors_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    keys = np.array([1, 2], np.uint64)
    for bad in (np.nan, np.inf):
        batch = [(keys, np.array([[1, 0], [bad, 1]], np.float32))]
        with pytest.raises(ValueError, match="finite"):
            vectors.write(tmp_path / "v", batch, dimensions=2, dtype="f16")


def test_exact_search_is_exact_for_any_number_of_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for count in (0, 1, 7, 3000):
        rows = rng.normal(size=(count, 48)).astype(np.float32)
        keys = np.arange(10, 10 + count, dtype=np.uint64)
        vectors.write(tmp_path / "v", [(keys, rows)] if count else [], dimensions=48, dtype="f16")
        segment = vectors.Segment(tmp_path / "v", dimensions=48, dtype="f16", count=count)
        opened = vectors.Vectors([segment], np.empty(0, np.uint64))
        question = rng.normal(size=48).astype(np.float32)
        cosine = rows @ question / np.maximum(np.linalg.norm(rows, axis=1) * np.linalg.norm(question), 1e-9)
        found, similarities = opened.search(question, 20)
        assert found == [int(keys[row]) for row in np.argsort(-cosine)[:20]]
        assert similarities == pytest.approx(np.sort(cosine)[::-1][:20].tolist(), abs=2e-3)


def test_scores_are_fused_not_ranks() -> None:
    parts = convex({1: 0.9, 2: 0.5, 3: 0.1, 4: 0.0}, {2: 8.0, 4: 2.0}, 3)
    assert list(parts) == [1, 2, 3, 4]
    expected = [0.5, 0, 0.25, 0.5, 0, 0, -0.0625, 0.125]
    assert [part for both in parts.values() for part in both] == pytest.approx(expected)
    assert convex({}, {}, 3) == {}
    assert convex({7: 0.2}, {}, 3) == {7: (0.5, 0.0)}
