"""Updates and compactions of a library that are killed, torn, cut off from power or out of room at every change they
make to the disk, and files whose bits flip: afterwards it answers as before or as after, and embeds nothing again."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

ROOMS = 40
Order = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def order() -> Iterator[Order]:
    server = subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("library_server.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def ordered(do: str, folder: Path, *, kind: str = "kill", at: int = 0, room: int = 0) -> dict[str, Any]:
        assert server.stdin
        assert server.stdout
        asked = {"do": do, "folder": str(folder), "kind": kind, "at": at, "room": room}
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    yield ordered
    assert server.stdin
    server.stdin.close()
    server.wait(30)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, order: Order) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A library that was updated a few times and whose documents have changed since; its answers before and after."""
    from sample_library import FakeEmbedder, build_with

    root = tmp_path_factory.mktemp("library")
    docs, folder = root / "docs", root / "i"
    docs.mkdir()
    for room in range(ROOMS):
        (docs / f"room-{room}.md").write_text(f"# Room {room}\n\nThe ledger of room {room} is blue.\n")
    build_with(folder, [docs], FakeEmbedder())
    for room in (5, 6):
        (docs / f"room-{room}.md").write_text(f"# Room {room}\n\nThe ledger of room {room} is grey.\n")
        assert order("update", folder)["embedded"]
    before = answers(order("ask", folder))
    (docs / "room-3.md").write_text("# Room 3\n\nThe ledger of room 3 is green.\n")
    (docs / "room-4.md").unlink()
    shutil.copytree(folder, root / "after")
    whole = order("update", root / "after")
    assert (whole["code"], len(whole["embedded"])) == (0, 1)
    after = answers(order("ask", root / "after"))
    assert (before["count"], after["count"]) == (ROOMS, ROOMS - 1)
    assert before["dense"] == before["lexical"] != after["dense"] == after["lexical"]
    return folder, before, after


def answers(told: dict[str, Any]) -> dict[str, Any]:
    assert told["code"] == 0, told
    return {name: told[name] for name in ("dense", "lexical", "count")}


def every(kind: str, fast: int, slow: int = 1) -> list[Any]:
    """Each kind of fault at every so many-th change in the fast suite, and at every change in the slow one."""
    return [pytest.param(kind, fast), pytest.param(kind, slow, marks=pytest.mark.slow)]


@pytest.mark.parametrize(
    ("kind", "stride"), [*every("kill", 9), *every("torn", 1), *every("power", 17), *every("full", 11)]
)
def test_an_update_disturbed_at_any_change(
    kind: str, stride: int, library: tuple[Path, dict[str, Any], dict[str, Any]], order: Order, tmp_path: Path
) -> None:
    template, before, after = library
    disturb(order, "update", kind, stride, template, tmp_path, [before, after], after)


@pytest.mark.parametrize(("kind", "stride"), [*every("kill", 13), *every("full", 17)])
def test_an_update_that_makes_all_anew_disturbed_at_any_change(
    kind: str, stride: int, library: tuple[Path, dict[str, Any], dict[str, Any]], order: Order, tmp_path: Path
) -> None:
    template, before, after = library
    disturb(order, "rebuild", kind, stride, template, tmp_path, [before, after], after)


@pytest.mark.parametrize(("kind", "stride"), [*every("kill", 13), *every("power", 29), *every("full", 23)])
def test_a_compaction_disturbed_at_any_change(
    kind: str, stride: int, library: tuple[Path, dict[str, Any], dict[str, Any]], order: Order, tmp_path: Path
) -> None:
    template, before, after = library
    disturb(order, "compact", kind, stride, template, tmp_path, [before], after)


def disturb(
    order: Order, do: str, kind: str, stride: int, template: Path, tmp_path: Path,
    fair: list[dict[str, Any]], after: dict[str, Any],
) -> None:  # fmt: skip
    folder, struck = tmp_path / "i", 0
    for at in range(1, 400, stride):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        disturbed = order(do, folder, kind=kind, at=at)
        assert disturbed["code"] == (0 if kind == "full" or not disturbed["fired"] else -9), disturbed
        struck += bool(disturbed["fired"])
        told = order("ask", folder)
        assert answers(told) in fair, disturbed
        embedded = told["embeddings"] - ROOMS
        again = order("update", folder)
        assert again["code"] == 0, (disturbed, again)
        assert again["error"] is None, (disturbed, again)
        assert len(again["embedded"]) == (0 if embedded > 0 or answers(told) == after else 1), disturbed
        last = order("ask", folder)
        assert answers(last) == after, disturbed
        assert not last["told"]
        if not disturbed["fired"]:
            break
    assert struck
    assert not list(folder.glob(".*.tmp"))


def test_native_code_that_finds_no_room(
    library: tuple[Path, dict[str, Any], dict[str, Any]], order: Order, tmp_path: Path
) -> None:
    template, before, _ = library
    for room in (1, 300, 3_000):
        folder = tmp_path / str(room)
        shutil.copytree(template, folder)
        # SQLite has grown already; what is left to write are the files of usearch and tantivy.
        refused = order("compact", folder, room=room)
        assert refused["code"] == 0
        assert refused["error"]
        assert answers(order("ask", folder)) == before


def test_flipped_bits_anywhere(
    library: tuple[Path, dict[str, Any], dict[str, Any]], order: Order, tmp_path: Path
) -> None:
    template, before, after = library
    source = random.Random(0)
    names = sorted(json.loads((template / "manifest.json").read_text())["files"])
    assert {Path(name).suffix for name in names} >= {".usearch", ".places", ".idx", ".term", ".json"}
    for turn, name in enumerate(names[::3]):
        folder = tmp_path / "i"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        raw = bytearray((folder / name).read_bytes())
        raw[source.randrange(len(raw))] ^= 1 << source.randrange(8)
        (folder / name).write_bytes(raw)
        if turn % 2:
            assert len(order("update", folder)["embedded"]) == 1
            told = order("ask", folder)
            assert answers(told) == after, name
        else:
            told = order("ask", folder)
            assert answers(told) == before, name
            assert len(told["told"]) == 1
        assert order("ask", folder)["told"] == []


def test_two_updates_at_once(
    library: tuple[Path, dict[str, Any], dict[str, Any]], order: Order, tmp_path: Path
) -> None:
    template, before, after = library
    folder = tmp_path / "i"
    shutil.copytree(template, folder)
    with FileLock(folder / ".writer.lock"):
        for do in ("update", "compact"):
            refused = order(do, folder)
            assert "another process" in refused["error"]
            assert refused["embedded"] == []
        assert answers(order("ask", folder)) == before  # which takes no part in that
    assert len(order("update", folder)["embedded"]) == 1
    assert answers(order("ask", folder)) == after
