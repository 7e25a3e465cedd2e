"""A follower keeps an index in step: real notices of the system, store and caches; only the model is a stand-in."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from sample_library import FakeEmbedder, build_with

from workbench.errors import UserError
from workbench.library import in_step, notices, watch
from workbench.library.identity import Embedders
from workbench.library.index import Index
from workbench.library.watch import Follower
from workbench.workspace import Workspace


class Following:
    """A follower in a thread, what it told, and what it embedded."""

    def __init__(self, workspace: Workspace, *, jobs: bool = False) -> None:
        self.workspace, self.embedder = workspace, FakeEmbedder()
        self.told: list[dict[str, Any]] = []
        self._heard = threading.Condition()
        names = lambda: [path.name for path in workspace.indexes.iterdir()]  # noqa: E731
        self.follower = Follower(workspace, names, lambda _: self.embedder, jobs=jobs, tell=self.hear)  # type: ignore[arg-type]

    def hear(self, event: dict[str, Any]) -> None:
        with self._heard:
            self.told.append(event)
            self._heard.notify_all()

    @property
    def state(self) -> str:
        states = [event["state"] for event in self.told if event["state"] != "updated"]
        return states[-1] if states else ""

    @property
    def updates(self) -> list[dict[str, Any]]:
        return [event for event in self.told if event["state"] == "updated"]

    def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        with self._heard:
            assert self._heard.wait_for(condition, seconds), self.told

    def after(self, change: Callable[[], object]) -> dict[str, Any]:
        """Change something; the one update that comes of it."""
        before = len(self.updates)
        change()
        self.until(lambda: len(self.updates) > before and self.state == "in step")
        assert len(self.updates) == before + 1
        return self.updates[-1]


@pytest.fixture
def docs(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(watch, "embedders", lambda *_: None)  # the stand-in has no weights
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("cats", "dogs", "lamps"):
        (folder / f"{name}.md").write_text(f"# {name.title()}\n\nAll about {name}.\n")
    build_with(workspace.index("i"), [folder], FakeEmbedder())
    return folder


@contextmanager
def followed(workspace: Workspace, **options: Any) -> Iterator[Following]:
    following = Following(workspace, **options)
    thread = threading.Thread(target=following.follower.run)
    thread.start()
    try:
        following.until(lambda: following.state in ("in step", "behind"))
        yield following
    finally:
        following.follower.stop()
        thread.join(20)
    assert not thread.is_alive()


def found(workspace: Workspace, words: str) -> set[str]:
    vector = FakeEmbedder().encode([words])[0]
    return {hit.document for hit in Index(workspace.index("i")).search(words, vector, 10, mode="lexical")}


def test_what_is_saved_moved_and_deleted_is_followed(workspace: Workspace, docs: Path) -> None:
    (docs / "dogs.md").write_text("# Dogs\n\nChanged before anybody followed.\n")
    with followed(workspace) as following:
        assert following.embedder.embedded == ["Dogs\nChanged before anybody followed."]
        following.embedder.embedded.clear()

        def save() -> None:  # as editors do: aside, then into its place
            (docs / ".cats.md.swp").write_text("swap")
            (docs / "cats.md~").write_text("backup")
            (docs / "4913.md.tmp").write_text("# Cats\n\nCats purr.\n")
            (docs / "4913.md.tmp").rename(docs / "cats.md")

        assert following.after(save)["embedded"] == 1
        assert found(workspace, "purr") == {"cats.md"}
        assert following.after(lambda: (docs / "cats.md").rename(docs / "felines.md"))["moved"] == 1
        assert found(workspace, "purr") == {"felines.md"}

        def bring() -> None:
            (docs / "new" / "deep").mkdir(parents=True)
            (docs / "new" / "deep" / "kelp.md").write_text("Kelp is a plant.")

        following.after(bring)
        assert following.after(lambda: (docs / "new").rename(docs / "plants"))["moved"] == 1
        assert found(workspace, "kelp") == {"plants/deep/kelp.md"}
        assert following.after(lambda: shutil.rmtree(docs / "plants"))["removed"] == 1
        assert found(workspace, "kelp") == set()
        assert following.embedder.embedded == ["Cats\nCats purr.", "Kelp is a plant."], "nothing twice"
        assert in_step.read(workspace.index("i")) == in_step.InStep("in step")
    assert in_step.read(workspace.index("i")) is None


def test_a_folder_that_vanishes_changes_nothing_and_is_followed_when_it_is_back(
    workspace: Workspace, docs: Path
) -> None:
    with followed(workspace) as following:
        docs.rename(docs.with_name("unmounted"))
        following.until(lambda: following.state == "behind")
        assert "no such file or folder" in following.told[-1]["why"]
        assert found(workspace, "lamps") == {"lamps.md"}
        (docs.with_name("unmounted") / "lamps.md").write_text("# Lamps\n\nWhale oil.\n")
        docs.with_name("unmounted").rename(docs)
        following.until(lambda: following.state == "in step")
        assert found(workspace, "whale") == {"lamps.md"}
        following.after(lambda: (docs / "lamps.md").write_text("# Lamps\n\nSeal oil.\n"))  # it is watched again
        assert following.embedder.embedded == ["Lamps\nWhale oil.", "Lamps\nSeal oil."]


def test_many_files_at_once_are_one_update(workspace: Workspace, docs: Path) -> None:
    with followed(workspace) as following:

        def unpack() -> None:
            for number in range(2 * watch.MANY):
                (docs / f"room-{number}.txt").write_text(f"Room {number}.")
                if number % 100 == 99:
                    time.sleep(0.2)  # longer than the quiet after which few changes are told

        assert following.after(unpack)["read"] == 2 * watch.MANY
        assert any(event.get("total") == 2 * watch.MANY for event in following.told)


def test_many_files_are_left_to_a_job_which_is_not_started_twice(
    workspace: Workspace, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []

    class EndedJob:
        def status(self) -> Any:
            from workbench.jobs.folder import Status

            return Status(state="failed", error="the disk is full")

    def start(*_: object, **spec: Any) -> Any:
        started.append(spec)
        return EndedJob()

    monkeypatch.setattr(watch.control, "start", start)
    monkeypatch.setattr(watch, "MANY", 2)
    with followed(workspace, jobs=True) as following:
        for number in range(5):
            (docs / f"room-{number}.txt").write_text(f"Room {number}.")
        following.until(lambda: following.state == "behind")
        assert following.told[-1]["why"] == "its update was failed: the disk is full"
        build_with(workspace.index("i"), None, FakeEmbedder())  # somebody updates it
        following.until(lambda: following.state == "in step")
    assert [spec["title"] for spec in started] == ["update index i"]
    assert following.embedder.embedded == []


def test_what_changes_while_the_job_waits_for_its_turn_is_not_kept_waiting(
    workspace: Workspace, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class QueuedJob:
        def status(self) -> Any:
            from workbench.jobs.folder import Status

            return Status(state="queued")

    monkeypatch.setattr(watch.control, "start", lambda *_, **__: QueuedJob())
    monkeypatch.setattr(watch, "MANY", 2)
    with followed(workspace, jobs=True) as following:
        for number in range(5):
            (docs / f"room-{number}.txt").write_text(f"Room {number}.")
        following.until(lambda: following.told[-1].get("total") == 5)
        (docs / "cats.md").write_text("# Cats\n\nCats purr.\n")
        following.until(lambda: len(following.updates) == 1 and following.state == "updating")
        assert found(workspace, "purr") == {"cats.md"}
    assert following.embedder.embedded == ["Cats\nCats purr."]


def test_while_another_process_builds_it_waits_and_loses_nothing(workspace: Workspace, docs: Path) -> None:
    with followed(workspace) as following:
        with FileLock(workspace.index("i") / ".writer.lock"):
            (docs / "cats.md").write_text("# Cats\n\nCats purr.\n")
            following.until(lambda: following.state == "waiting")
        following.until(lambda: following.state == "in step")
        assert found(workspace, "purr") == {"cats.md"}


def test_without_notices_it_looks_again_and_again_and_says_why(
    workspace: Workspace, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "file_system_of", lambda path: "nfs4")
    monkeypatch.setattr(watch, "_POLL", 0.2)
    with followed(workspace) as following:
        assert following.told[-1]["looked"] == "on a network (nfs4)"
        assert "looking again and again: on a network" in watch.describe(following.told[-1])
        following.after(lambda: (docs / "cats.md").write_text("# Cats\n\nCats purr.\n"))
        assert found(workspace, "purr") == {"cats.md"}


def test_no_more_watches_is_told(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from watchfiles import _rust_notify

    def exhausted(*_: object) -> None:
        raise OSError('OS file watch limit reached. about ["/srv"]')

    monkeypatch.setattr(_rust_notify, "RustNotify", exhausted)
    with pytest.raises(notices.NoNoticesError, match="too many folders for the system to watch"):
        notices.Notices([docs], lambda paths: None)


def test_another_embedder_is_told_and_the_index_stays(
    workspace: Workspace, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Embedders("i", "fake", "fake", same=False, chunks=3, seconds=None)
    with followed(workspace) as following:
        monkeypatch.setattr(watch, "embedders", lambda *_: other)
        (docs / "cats.md").write_text("# Cats\n\nCats purr.\n")
        following.until(lambda: following.state == "behind")
        assert "was built with other weights of fake than are here now" in following.told[-1]["why"]
        assert "workbench index update i --reembed" in following.told[-1]["why"]
    assert found(workspace, "cats") == {"cats.md"}
    assert following.embedder.embedded == []
    with pytest.raises(UserError, match="3 chunks"):
        other.check()
