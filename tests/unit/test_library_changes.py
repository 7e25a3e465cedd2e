"""An update costs what changed: files that look the same are not opened, moved ones keep their chunks; nothing is lost
to another writer or a drive that is gone. Real store and caches; only the model is a stand-in."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from filelock import FileLock
from sample_library import FakeEmbedder, Reporter, build_with

from workbench.library import changes, documents
from workbench.library.build import Busy
from workbench.library.index import Index
from workbench.library.store import Store


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(changes, "SETTLED", 0.0)  # the files of a test are all of this moment
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("cats", "dogs", "lamps"):
        (folder / f"{name}.md").write_text(f"# {name.title()}\n\nAll about {name}.\n")
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the documents that are read from the disk."""
    names: list[str] = []
    read = documents.read_content

    def reading(path: Path) -> documents.FileContent:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(documents, "read_content", reading)
    return names


def different(folder: Path) -> list[str]:
    with Store(folder) as store:
        return sorted(path.name for path in changes.look(store))


def listed(folder: Path) -> dict[str, tuple[str, int]]:
    """Title and first chunk of every document, by its name."""
    with Store(folder) as store:
        rows = store._rows(
            "SELECT name, title, (SELECT min(id) FROM chunks WHERE document = documents.id) FROM documents"
        )
    return {name: (title, chunk) for name, title, chunk in rows}


def test_what_looks_the_same_is_not_opened(docs: Path, tmp_path: Path, opened: list[str]) -> None:
    folder = tmp_path / "i"
    (docs / "torn.md").write_bytes(b"\0\0")
    build_with(folder, [docs], FakeEmbedder())
    opened.clear()
    assert different(folder) == []
    assert build_with(folder, None, FakeEmbedder()).read == 0
    assert opened == ["torn.md"]  # an update that somebody asks for tries it again; a look does not

    opened.clear()
    os.utime(docs / "cats.md")  # new times, the same content: compared once
    assert (different(folder), different(folder)) == ([], [])
    assert opened == ["cats.md"]

    same_size = (docs / "dogs.md").read_text().replace("dogs", "gods")
    times = (docs / "dogs.md").stat()
    (docs / "dogs.md").write_text(same_size)
    os.utime(docs / "dogs.md", ns=(times.st_atime_ns, times.st_mtime_ns))  # as a program that keeps a file's time
    (docs / "torn.md").write_text("Whole again.")
    (docs / "lamps.md").unlink()
    (docs / "new.md").write_text("New.")
    assert different(folder) == ["dogs.md", "lamps.md", "new.md", "torn.md"]


def test_a_file_that_changed_this_moment_is_not_trusted(
    docs: Path, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_with(tmp_path / "i", [docs], FakeEmbedder())
    monkeypatch.setattr(changes, "SETTLED", 3600.0)
    os.utime(docs / "cats.md")
    opened.clear()
    assert different(tmp_path / "i") == []
    assert different(tmp_path / "i") == []
    assert opened.count("cats.md") == 2


def test_a_moved_file_keeps_its_chunks_and_a_copy_is_not_read_again(docs: Path, tmp_path: Path) -> None:
    folder, embedder = tmp_path / "i", FakeEmbedder()
    (docs / "plain.txt").write_text("A text without a heading.")
    build_with(folder, [docs], embedder)
    before = listed(folder)
    embedder.embedded.clear()
    (docs / "deep").mkdir()
    (docs / "cats.md").rename(docs / "deep" / "tigers.md")
    (docs / "plain.txt").rename(docs / "note.txt")
    shutil.copy(docs / "dogs.md", docs / "wolves.md")
    (docs / "lamps.md").rename(docs / "lamps.txt")  # another kind of file, which is read in another way
    built = build_with(folder, None, embedder)
    assert (built.moved, built.read, built.removed) == (2, 1, 1)
    assert embedder.embedded == ["# Lamps\n\nAll about lamps."]
    after = listed(folder)
    assert after["deep/tigers.md"] == before["cats.md"]
    assert after["note.txt"] == ("note", before["plain.txt"][1])
    assert after["wolves.md"][0] == "Dogs"
    hits = Index(folder).search("tigers dogs", FakeEmbedder().encode(["about dogs"])[0], 10, mode="dense")
    assert {hit.document for hit in hits} == {"deep/tigers.md", "dogs.md", "wolves.md", "note.txt", "lamps.txt"}


def test_an_update_of_some_paths_looks_at_nothing_else(docs: Path, tmp_path: Path, opened: list[str]) -> None:
    folder, embedder = tmp_path / "i", FakeEmbedder()
    (docs / "torn.md").write_bytes(b"\0\0")
    build_with(folder, [docs], embedder)
    embedder.embedded.clear()
    opened.clear()
    (docs / "cats.md").write_text("# Cats\n\nCats purr.\n")
    (docs / "dogs.md").write_text("# Dogs\n\nNot told.\n")
    (docs / "sub" / "deep").mkdir(parents=True)
    (docs / "sub" / "deep" / "new.md").write_text("Deep.")
    (docs / ".hidden.md").write_text("Hidden.")
    (docs / "link.md").symlink_to(docs / "dogs.md")
    (docs / "lamps.md").unlink()
    told = [docs / name for name in ("cats.md", "sub", ".hidden.md", "link.md", "lamps.md", "never-was.md", "x.swp")]
    built = build_with(folder, None, embedder, only=[*told, tmp_path / "elsewhere"])
    assert (built.documents, built.read, built.removed) == (3, 2, 1)
    assert sorted(opened) == ["cats.md", "new.md"]
    assert sorted(embedder.embedded) == ["Cats\nCats purr.", "Deep."]
    with Store(folder) as store:
        assert [Path(fault.path).name for fault in store.list_faults()] == ["torn.md"]
        assert store._one("SELECT count(*) FROM embeddings") == 3  # those of what is gone are gone
    assert different(folder) == ["dogs.md"]
    shutil.rmtree(docs / "sub")
    (docs / "torn.md").write_text("Whole.")
    built = build_with(folder, None, embedder, only=[docs / "sub", docs / "torn.md"])
    assert (built.documents, built.removed, built.faults) == (3, 1, [])
    with Store(folder) as store:
        assert store.list_faults() == []
    assert build_with(folder, None, embedder, only=[tmp_path]).read == 1  # a folder that holds the whole source
    assert different(folder) == []


def test_the_last_document_may_go(docs: Path, tmp_path: Path) -> None:
    build_with(tmp_path / "i", [docs], FakeEmbedder())
    for path in docs.iterdir():
        path.unlink()
    assert build_with(tmp_path / "i", None, FakeEmbedder()).documents == 0
    assert Index(tmp_path / "i").search("dogs", FakeEmbedder().encode(["dogs"])[0], 3) == []


def test_nothing_is_concluded_from_a_drive_that_is_not_mounted(docs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "i"
    build_with(folder, [docs], FakeEmbedder())
    with Store(folder) as store:  # as if the documents had been on another device
        store.set_facts(devices=store.facts()["devices"].replace(str(docs.stat().st_dev), "1"))
    shutil.rmtree(docs)
    docs.mkdir()  # the place where it was mounted
    with pytest.raises(changes.SourceGone, match="is empty, and another drive"):
        build_with(folder, None, FakeEmbedder())
    with pytest.raises(changes.SourceGone):
        different(folder)
    assert len(listed(folder)) == 3


def test_the_second_of_two_updates_waits_and_says_so(docs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "i"
    build_with(folder, [docs], FakeEmbedder())
    (docs / "cats.md").write_text("# Cats\n\nCats purr.\n")
    first = FileLock(folder / ".writer.lock")
    first.acquire()
    with pytest.raises(Busy):
        build_with(folder, None, FakeEmbedder(), patience=0.0)
    waits = threading.Event()

    class Waiting(Reporter):
        def message(self, text: str, *, level: str = "info") -> None:
            super().message(text)
            waits.set()

    reporter, done = Waiting(), []
    second = threading.Thread(
        target=lambda: done.append(build_with(folder, None, FakeEmbedder(), reporter, patience=60.0))
    )
    second.start()
    assert waits.wait(20)
    assert "waiting for it" in reporter.messages[0]
    first.release()
    second.join(30)
    assert done[0].read == 1
