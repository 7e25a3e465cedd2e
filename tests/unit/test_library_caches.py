"""Caches that are brought forward by what changed: they find what caches made anew find, and cost what changed."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_library import FakeEmbedder, Reporter, build_with

from workbench.library import caches, integrity, lexical, vectors
from workbench.library.chunks import embedded_text
from workbench.library.index import Index
from workbench.library.store import Store
from workbench.workspace import Workspace

WORDS = [f"{n}-{w}" for n in ("red", "blue", "old", "new") for w in ("oak", "pier", "moss", "fjord")]
CHUNKS = 40


def text_of(random_: random.Random) -> str:
    return " ".join(random_.choices(WORDS, k=6))


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small libraries are handled as large ones are, but for the search, which is exact."""
    monkeypatch.setattr(caches, "WHOLE_BELOW", 0)
    monkeypatch.setattr(vectors, "SEGMENT", 64)
    monkeypatch.setattr(caches, "_ABSORBED", 16)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    source = random.Random(0)
    for number in range(CHUNKS):
        (folder / f"{number}.txt").write_text(f"Note {number}. {text_of(source)}.")
    return folder


def found(index: Index, question: str, mode: str) -> set[str]:
    vector = FakeEmbedder().encode([question], query=True)[0]
    return {hit.text for hit in index.search(question, vector, 10_000, mode=mode)}


def same_as_anew(folder: Path, tmp_path: Path, docs: Path, index: Index) -> None:
    """The index finds what one that is built now finds, by either leg, with the same similarities."""
    fresh = tmp_path / f"fresh-{len(list(tmp_path.iterdir()))}"
    build_with(fresh, [docs], FakeEmbedder())
    anew = Index(fresh)
    assert len(index) == len(anew)
    for question in ("red fjord", "blue moss oak", "Note 7."):
        vector = FakeEmbedder().encode([question], query=True)[0]
        mine, theirs = index.search(question, vector, 5, mode="dense"), anew.search(question, vector, 5, mode="dense")
        assert [hit.score for hit in mine] == pytest.approx([hit.score for hit in theirs], abs=1e-6)
        assert found(index, question, "lexical") == found(anew, question, "lexical")
        assert found(index, question, "dense") == found(anew, question, "dense")


@pytest.mark.usefixtures("small_files")
def test_many_updates_answer_as_one_build_and_write_only_what_changed(docs: Path, tmp_path: Path) -> None:
    folder, embedder, source = tmp_path / "i", FakeEmbedder(), random.Random(1)
    build_with(folder, [docs], embedder)
    told: list[str] = []
    index = Index(folder, tell=told.append)
    begun = caches.read_manifest(folder)
    kept, most = set(begun.segments), 0
    for turn in range(12):
        for number in source.sample(range(CHUNKS + turn), 2):
            (docs / f"{number}.txt").write_text(f"Note {number}, turn {turn}. {text_of(source)}.")
        if turn % 3 == 0:
            (docs / f"{source.randrange(CHUNKS)}.txt").unlink(missing_ok=True)
        embedder.embedded.clear()
        build_with(folder, None, embedder)
        assert len(embedder.embedded) <= 2
        manifest = caches.read_manifest(folder)
        most = max(most, len(manifest.segments))
        if turn == 0:
            assert kept < set(manifest.segments)  # the large file is as it was
            assert manifest.removed
        if turn % 6 == 5:
            same_as_anew(folder, tmp_path, docs, index)
    assert 1 < most < 12
    assert told == []
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in on_disk if name.startswith(("vectors-", "removed-", "lexical-"))} - {
        f"{manifest.lexical_folder}/{name}" for name in (".tantivy-writer.lock", ".tantivy-meta.lock")
    } == set(manifest.files)


@pytest.mark.usefixtures("small_files")
def test_a_library_of_several_files_is_searched_as_one(
    docs: Path, workspace: Workspace, command: Callable[..., Any], tmp_path: Path
) -> None:
    source = random.Random(2)
    for number in range(CHUNKS, 3 * CHUNKS):
        (docs / f"{number}.txt").write_text(f"Note {number}. {text_of(source)}.")
    folder = workspace.index("i")
    original = Store.live_vectors
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "live_vectors", lambda self, batch=8, *, of=None: original(self, 8, of=of))
        build_with(folder, [docs], FakeEmbedder())
    assert list(caches.read_manifest(folder).segments.values()) == [64, 56]
    index = Index(folder)
    same_as_anew(folder, tmp_path, docs, index)
    (docs / "0.txt").unlink()
    build_with(folder, None, FakeEmbedder())
    answer = json.loads(command("index", "compact", "i", "--json").out)
    assert answer["removed"] == 1
    assert caches.read_manifest(folder).removed is None
    same_as_anew(folder, tmp_path, docs, index)


def test_a_filter_misses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, count = np.random.default_rng(0), 3000
    monkeypatch.setattr(vectors, "EXACT_BELOW", 1000)
    rows, ids = source.normal(size=(count, 32)).astype(np.float32), np.arange(5, 5 + count, dtype=np.uint64)
    for part, name in ((slice(0, 2000), "a"), (slice(2000, count), "b")):
        vectors.write(tmp_path / name, [(ids[part], rows[part])], dimensions=32, dtype="bf16", rows=len(ids[part]))
    segments = [
        vectors.Segment(tmp_path / "a", dimensions=32, dtype="bf16", count=2000),
        vectors.Segment(tmp_path / "b", dimensions=32, dtype="bf16", count=1000),
    ]
    removed = np.sort(source.choice(ids, 300, replace=False))
    opened = vectors.Vectors(segments, removed)
    lexical.write(tmp_path / "l", ((int(key), "", f"oak {'pier ' * (key % 7)}") for key in ids))
    words = lexical.Lexical(tmp_path / "l", count=count)
    question = source.normal(size=32).astype(np.float32)
    cosine = rows @ question / (np.linalg.norm(rows, axis=1) * np.linalg.norm(question))
    for size, scored in ((0, 10), (3, 10), (200, 1000), (200, 10), (2500, 10)):
        monkeypatch.setattr(vectors, "SCORED", scored)
        monkeypatch.setattr(lexical, "SCORED", scored)
        allowed = set(source.choice(ids, size, replace=False).tolist())
        places = [place for place, key in enumerate(ids) if int(key) in allowed and key not in removed]
        best = sorted(places, key=lambda place: -cosine[place])[:10]
        keys, scores = opened.search(question, 10, allowed=allowed)
        assert len(set(keys) & {int(ids[place]) for place in best}) >= min(len(best), 9)  # the graph may miss one
        assert scores == sorted(scores, reverse=True)
        every, weights = words.search("oak pier", count, allowed=allowed)
        assert set(every) == allowed
        assert words.search("oak pier", 10, allowed=allowed)[1] == pytest.approx(weights[:10])
    known = opened.similarities([int(ids[0]), int(ids[2500]), 999_999], question)
    assert {key: pytest.approx(cosine[key - 5], abs=5e-3) for key in known} == known
    assert set(known) == {5, 2505} - set(removed.tolist())


def test_bits_that_a_disk_flips_unseen_are_found_and_mended(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a large library, whose files are trusted on opening and read in full after it."""
    monkeypatch.setattr(integrity, "AT_ONCE", 0)
    folder, told = tmp_path / "i", list[str]()
    build_with(folder, [docs], FakeEmbedder())
    hashed: list[str] = []
    sha256_of = integrity.files.sha256_of
    monkeypatch.setattr(integrity.files, "sha256_of", lambda path: hashed.append(path.name) or sha256_of(path))
    checks: list[Callable[[], None]] = []

    class Later:
        def __init__(self, target: Callable[[], None], name: str) -> None:
            checks.append(target)

        def start(self) -> None:
            pass

    monkeypatch.setattr("workbench.library.index.threading.Thread", Later)
    index = Index(folder, tell=told.append)
    assert hashed == []  # nothing was read in full yet
    assert not (folder / "checked.json").exists()  # and if it crashed now, all would be
    wanted = found(index, "red fjord", "lexical")
    checks.pop()()
    assert set(hashed) == {name.rpartition("/")[2] for name in caches.read_manifest(folder).files}
    assert json.loads((folder / "checked.json").read_text())

    (segment,) = folder.glob("*.usearch")
    raw = bytearray(segment.read_bytes())
    raw[len(raw) // 3] ^= 4
    seen = segment.stat()
    with segment.open("r+b") as file:  # the same file, with the same times, but for the inode's
        file.write(raw)
    os.utime(segment, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    marks = json.loads((folder / "checked.json").read_text())
    marks[segment.name][-1] = segment.stat().st_ctime_ns  # which a disk that errs does not change either
    (folder / "checked.json").write_text(json.dumps(marks))
    index = Index(folder, tell=told.append)
    assert told == []
    checks.pop()()
    assert found(index, "red fjord", "lexical") == wanted
    assert ["not what was written" in text for text in told] == [True]
    assert Index(folder, tell=told.append) is not None
    assert len(told) == 1


@pytest.mark.usefixtures("small_files")
def test_damage_is_found_though_an_update_comes_between(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update leaves the large file as it is: that it was not read yet is not forgotten."""
    monkeypatch.setattr(integrity, "AT_ONCE", 60_000)
    folder, told, embedder = tmp_path / "i", list[str](), FakeEmbedder(dimensions=1024)
    build_with(folder, [docs], embedder)
    checks: list[Callable[[], None]] = []

    class Later:
        def __init__(self, target: Callable[[], None], name: str) -> None:
            self.start = lambda: checks.append(target)

    monkeypatch.setattr("workbench.library.index.threading.Thread", Later)
    index = Index(folder, tell=told.append)
    (large,) = folder.glob("*.usearch")
    (docs / "0.txt").write_text("A note on whales.")
    build_with(folder, None, embedder)
    assert [hit.document for hit in index.search("whales", None, 5, mode="lexical")] == ["0.txt"]
    assert large.exists()
    assert not (folder / "checked.json").exists()
    raw = bytearray(large.read_bytes())
    raw[len(raw) // 3] ^= 4
    large.write_bytes(raw)
    (check,) = checks
    check()
    assert index.search("whales", None, 5, mode="lexical")
    assert [text.split(";")[0] for text in told] == [f"Index i: {large.name} is not what was written"]


def test_compacting_is_not_due_again_when_it_was_done(docs: Path, tmp_path: Path) -> None:
    def due(sizes: list[int], gone: int = 0) -> bool:
        segments = {f"vectors-{number}.usearch": rows for number, rows in enumerate(sizes)}
        manifest = caches.Manifest(1, 1, sum(sizes) - gone, 64, "bf16", "fake", segments, None, "lexical-9", {})
        (tmp_path / caches.MANIFEST).write_text(json.dumps(asdict(manifest)))
        return caches.compaction_due(tmp_path)

    assert not due([vectors.SEGMENT, 300_000])  # as a build writes them
    assert not due([vectors.SEGMENT] * 3 + [499_999])
    assert due([vectors.SEGMENT, 300_000, 200_000])
    assert due([vectors.SEGMENT, 300_000], gone=200_000)
    assert not due([1000, 900])
    assert due([1000] * 40)


@pytest.mark.usefixtures("small_files")
def test_compacting_removes_as_much_as_makes_it_due(docs: Path, tmp_path: Path) -> None:
    folder, source = tmp_path / "i", random.Random(2)
    for number in range(CHUNKS, 3 * CHUNKS):
        (docs / f"{number}.txt").write_text(f"Note {number}. {text_of(source)}.")
    original = Store.live_vectors
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "live_vectors", lambda self, batch=8, *, of=None: original(self, 8, of=of))
        build_with(folder, [docs], FakeEmbedder())
    first, second = (vectors.read_ids(folder / name) for name in caches.read_manifest(folder).segments)
    with Store(folder) as store:  # of 64 and 56: 11 of 109 that stay are too many, 6 of 58 and 5 of 51 each alone
        rows = store.live_chunks([*map(int, first[:6]), *map(int, second[:5])])
    for row in rows.values():
        (docs / f"{row['title']}.txt").unlink()
    build_with(folder, None, FakeEmbedder())
    assert not caches.compaction_due(folder)


def test_the_books_of_a_database_hold_through_every_change(docs: Path, tmp_path: Path) -> None:
    folder, embedder, source = tmp_path / "i", FakeEmbedder(), random.Random(3)
    for turn in range(6):
        for number in source.sample(range(CHUNKS), 5):
            (docs / f"{number}.txt").write_text(text_of(source) + ".")
        (docs / f"{turn}.txt").unlink(missing_ok=True)
        build_with(folder, [docs], embedder)
        with Store(folder) as store:
            rows = store._database.execute
            assert store.counts() == (rows("SELECT count(*) FROM documents").fetchone()[0], store.count_chunks())
            assert store.not_embedded() == 0
            wanted = {key for (key,) in rows("SELECT embedding FROM chunks")}
            assert {key for (key,) in rows("SELECT key FROM embeddings")} == wanted
            assert rows("SELECT count(*) FROM changes").fetchone()[0] == 0
    assert len(embedder.embedded) == len(set(embedder.embedded))


def test_what_a_stopped_build_staged_for_another_model_is_left_to_that_one(docs: Path, tmp_path: Path) -> None:
    folder, first, second = tmp_path / "i", FakeEmbedder("first"), FakeEmbedder("second")
    build_with(folder, [docs], first)
    first.embedded.clear()

    def stop(unit: str, done: float) -> None:
        if unit == "chunks" and done:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        build_with(folder, None, second, Reporter(stop), chosen="second", reembed=True)
    staged = len(second.embedded)
    assert 0 < staged < CHUNKS
    (docs / "0.txt").write_text("A note on whales.")
    assert build_with(folder, None, first, only=[docs / "0.txt"]).embedded == 1
    assert first.embedded == ["A note on whales."]
    assert Index(folder).fingerprint == "first"

    build_with(folder, None, second, chosen="second", reembed=True)
    assert len(second.embedded) == len(set(second.embedded))
    with Store(folder) as store:
        texts = {chunk: embedded_text(heading, text) for chunk, heading, text in store.live_texts()}
        for ids, rows in store.live_vectors():
            assert np.allclose(rows, second.encode([texts[int(chunk)] for chunk in ids], query=True))


def test_small_updates_do_not_take_on_what_a_stopped_build_has_left(docs: Path, tmp_path: Path) -> None:
    folder, embedder = tmp_path / "i", FakeEmbedder()
    build_with(folder, [docs], embedder)
    for number in range(20):
        (docs / f"new-{number}.txt").write_text(f"New note {number}.")

    def stop(unit: str, done: float) -> None:
        if unit == "chunks":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        build_with(folder, None, embedder, Reporter(stop))
    (docs / "0.txt").write_text("A note on whales.")
    assert build_with(folder, None, embedder, only=[docs / "0.txt"]).embedded == 1
    assert build_with(folder, None, embedder).embedded == 20
