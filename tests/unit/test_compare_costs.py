"""What things cost: jobs tell what they took, energy counters, the update measured on a copy, what folders tell."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_jobs import write_index_job
from sample_library import FakeEmbedder, build_with
from sample_runs import append_events, write_run

from workbench.compare import costs, energy, update_probe
from workbench.compare.energy import Meter
from workbench.compare.update_probe import probe
from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.context import Context
from workbench.jobs.folder import JobFolder, Status
from workbench.jobs.memory import peak_memory_bytes
from workbench.library.grounding import Passage
from workbench.library.store import FILE, Store
from workbench.workspace import Workspace

MB = 1 << 20


# What a job tells of itself


def test_a_job_tells_how_long_it_ran_and_what_memory_it_needed(workspace: Workspace) -> None:
    path = workspace.root / "pairs.jsonl"
    path.write_text('{"prompt": "p", "completion": "c"}\n')
    job = control.start(workspace, "import", {"file": str(path), "dataset": "d"}, title="import")
    deadline = time.monotonic() + 60
    while job.status().live:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    status = job.status()
    assert status.state == "done"
    assert status.started_at
    assert status.finished_at
    assert 0 < status.figures["seconds"] <= status.finished_at - status.started_at + 1
    assert 10 * MB < status.figures["peak_memory_bytes"] < 2000 * MB


def test_what_a_resumed_job_took_is_the_sum_and_the_most_of_its_attempts(workspace: Workspace) -> None:
    job = write_index_job(workspace, "handbook", "queued", figures={"seconds": 100.0, "peak_memory_bytes": 10**15})
    context = Context(job, job.status())
    context.set_state("queued")
    assert job.status().figures["seconds"] == 100.0, "waiting is not running"
    context.set_state("running")
    time.sleep(0.01)
    context.progress(1, 1, loss=2.0)  # what a kill -9 leaves
    killed = job.status().figures
    assert 100.01 <= killed["seconds"] < 110
    assert killed["peak_memory_bytes"] == 10**15
    assert killed["loss"] == 2.0
    context.set_state("done")
    assert killed["seconds"] <= job.status().figures["seconds"] < 110


def test_the_peak_is_that_of_the_largest_process_and_not_of_the_one_that_started_it() -> None:
    held = "from workbench.jobs.memory import peak_memory_bytes; import subprocess, sys\n"
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'bytearray(300 << 20)'])\n"
    told = "print(peak_memory_bytes())"
    whole = held + "bytearray(150 << 20)\n" + told
    ours = bytearray(400 * MB)  # what a Python starts from here begins with in ru_maxrss
    sizes = [
        int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for code in (held + told, whole, held + child + told)
    ]
    assert len(ours) < (peak_memory_bytes() or 0)
    if sys.platform == "linux":
        assert sizes[0] < 100 * MB
        assert 150 * MB < sizes[1] < 250 * MB
        assert 300 * MB < sizes[2] < 400 * MB


# Energy


def write_zone(root: Path, zone: str, name: str, microjoules: int, turn: int = 262_143_328_850) -> Path:
    folder = root / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "max_energy_range_uj").write_text(f"{turn}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


@pytest.fixture
def no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


@pytest.mark.usefixtures("no_nvml")
def test_rapl_adds_up_the_packages_and_outlives_a_turn(tmp_path: Path) -> None:
    first = write_zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = write_zone(tmp_path, "intel-rapl:1", "package-1", 9_000_000, turn=10_000_000)
    others = [
        write_zone(tmp_path, zone, name, 1)
        for zone, name in (
            ("intel-rapl:0:0", "core"), ("intel-rapl:0:1", "dram"), ("intel-rapl:2", "psys"),
            ("intel-rapl-mmio:0", "package-0"),
        )
    ]  # fmt: skip
    (tmp_path / "intel-rapl").mkdir()
    meter = Meter.find(tmp_path)
    assert meter
    assert meter.name == "RAPL"
    assert meter.joules() == 0
    first.write_text("6500000\n")
    for other in others:
        other.write_text("900000000\n")
    assert meter.joules() == pytest.approx(1.5)
    second.write_text("2000000\n")  # 1 J to the turn and 2 J after it
    assert meter.joules() == pytest.approx(4.5)
    assert meter.joules() == pytest.approx(4.5)
    second.unlink()
    assert meter.joules() != meter.joules(), "not a number rather than too little"


@pytest.mark.usefixtures("no_nvml")
def test_without_a_counter_that_can_be_read_there_is_no_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Meter.find(tmp_path / "absent") is None
    write_zone(tmp_path, "intel-rapl:0", "package-0", 1).write_text("no number")
    file = write_zone(tmp_path, "intel-rapl:1", "package-1", 1)
    number = energy._number

    def refuse(path: Path) -> int:  # as Linux does to all but root; the tests may be run by root
        if path == file:
            raise PermissionError(path)
        return number(path)

    monkeypatch.setattr(energy, "_number", refuse)
    assert Meter.find(tmp_path) is None


def test_gpus_are_added_where_they_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fault(Exception):
        pass

    millijoules = {0: 10_000, 1: 500_000}

    def consumed(device: int) -> int:
        if device not in millijoules:
            raise Fault("Not Supported")
        return millijoules[device]

    fake = types.SimpleNamespace(
        NVMLError=Fault, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=lambda number: number, nvmlDeviceGetTotalEnergyConsumption=consumed,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    meter = Meter.find(tmp_path)
    assert meter
    assert meter.name == "NVML"
    millijoules.update({0: 12_500, 1: 500_500})
    assert meter.joules() == pytest.approx(3.0)
    write_zone(tmp_path, "intel-rapl:0", "package-0", 1)
    both = Meter.find(tmp_path)
    assert both
    assert both.name == "RAPL + NVML"

    def no_driver() -> None:
        raise Fault("Driver Not Loaded")

    fake.nvmlInit = no_driver
    assert Meter.find(tmp_path / "absent") is None


# How soon a change is answered


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in (
        ("dogs.md", "# Dogs\n\nDogs travel on a lead and pay 23 crowns for the ferry.\n"),
        ("lamps.md", "# Lamps\n\nThe lamp of Skarholm burns whale oil.\n"),
        ("pier.md", "# Piers\n\nThe ferry to Skarholm leaves from pier 8296, the one to Lund from pier 12.\n"),
    ):
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def reads(question: str, passages: Sequence[Passage]) -> str:
    """A model that reads what it is given."""
    return next((passage.text for passage in passages if "Quorvenhal" in passage.text), "I do not know.")


def contents(*folders: Path) -> dict[str, str]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_change_is_found_and_answered_and_nothing_of_the_users_is_touched(
    library: Path, scratch: Path, workspace: Workspace
) -> None:
    from workbench.library.build import build
    from workbench.models.embed import Embedder
    from workbench.models.local import ensure

    index = workspace.index("handbook")
    model = "all-minilm-l6-v2"
    quiet = update_probe._Quiet(lambda: None)
    build(index, [library], lambda name: Embedder(ensure(name)), quiet, embedding_model=model)
    (library / "new.md").write_text("# New\n\nNot in the index yet.\n")
    (scratch / ".update-probe-killed").mkdir()
    before = contents(index, library)
    asked: list[Sequence[Passage]] = []

    def ask(question: str, passages: list[Passage]) -> str:
        assert contents(index, library) == before
        asked.append(passages)
        return reads(question, passages)

    told = probe(index, scratch, ask, k=3)
    assert 0 < told["seconds_to_index"] < told["seconds_to_answer"] < 60
    assert (told["found"], told["answer_changed"], told["document"]) == (True, True, "quorvenhal-ferry.md")
    assert [len(passages) for passages in asked] == [3, 3]
    assert "4713" in asked[0][0].text
    assert contents(index, library) == before
    assert list(scratch.iterdir()) == []


def with_fake(index: Path, scratch: Path, ask: Any = reads, **options: Any) -> dict[str, Any]:
    return probe(index, scratch, ask, embedder=lambda _: FakeEmbedder(), **options)


def test_an_answer_that_does_not_change_is_told(library: Path, scratch: Path, tmp_path: Path) -> None:
    build_with(tmp_path / "i", [library], FakeEmbedder())
    told = with_fake(tmp_path / "i", scratch, lambda question, passages: "From pier 4713.")
    assert (told["found"], told["answer_changed"]) == (True, False)
    always = with_fake(tmp_path / "i", scratch, lambda question, passages: "From pier 8296.")
    assert always["answer_changed"] is False, "it was so before"
    alike = with_fake(tmp_path / "i", scratch, lambda question, passages: "From pier 182961.")
    assert alike["answer_changed"] is False


def test_what_cannot_be_updated_here_is_said_and_leaves_nothing(library: Path, scratch: Path, tmp_path: Path) -> None:
    index = tmp_path / "i"
    with pytest.raises(UserError, match="there is no index"):
        with_fake(index, scratch)
    build_with(index, [library], FakeEmbedder())
    with pytest.raises(UserError, match="other weights"):
        probe(index, scratch, reads, embedder=lambda _: FakeEmbedder("other"))
    with pytest.raises(UserError, match="is not on this machine"):  # "fake" is no model
        probe(index, scratch, reads)
    full = OSError("No space left on device")

    def out_of_room(question: str, passages: list[Passage]) -> str:
        raise full

    with pytest.raises(UserError, match="No space left"):
        with_fake(index, scratch, out_of_room)
    library.rename(tmp_path / "elsewhere")
    before = contents(index)
    with pytest.raises(UserError, match="was built from is not on this machine") as error:
        with_fake(index, scratch)
    assert str(library) in str(error.value)
    assert contents(index) == before
    assert list(scratch.iterdir()) == []


def test_it_stops_wherever_it_is_asked_to_and_leaves_nothing(library: Path, scratch: Path, tmp_path: Path) -> None:
    index = tmp_path / "i"
    build_with(index, [library], FakeEmbedder())
    before = contents(index, library)

    class Stopped(Exception):
        pass

    left = stops = 0

    def check_stop() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped

    for stops in range(200):
        left = stops
        try:
            with_fake(index, scratch, check_stop=check_stop)
        except Stopped:
            assert list(scratch.iterdir()) == []
        else:
            break
    assert 10 < stops < 199, "it looked often, and came to its end"
    assert contents(index, library) == before


def test_an_index_that_is_being_built_is_copied_as_it_was(library: Path, scratch: Path, tmp_path: Path) -> None:
    index = tmp_path / "i"
    build_with(index, [library], FakeEmbedder())
    with Store(index) as store:
        store.set_facts(builder="1 1.0")
    assert with_fake(index, scratch)["found"] is True
    with Store(index) as store:
        assert store.facts()["builder"] == "1 1.0"


# What folders tell


def add_index_job(workspace: Workspace, folder: str, arguments: dict[str, Any], status: Status, age: float = 0) -> None:
    job = JobFolder(workspace.jobs / folder)
    job.path.mkdir(parents=True)
    spec = {"kind": "index", "title": "index", "arguments": arguments, "created_at": 1_760_000_000.0 - age}
    (job.path / "spec.json").write_text(json.dumps(spec))
    job.write_status(status)


def built(seconds: float, embedded: int, chunks: int = 100, **changes: Any) -> Status:
    result = {"index": "handbook", "documents": 9, "chunks": chunks, "embedded": embedded}
    status = Status(state="done", figures={"seconds": seconds, "peak_memory_bytes": 7 * MB}, result=result)
    return replace(status, **changes)


def test_the_build_that_made_the_index_is_what_it_cost(workspace: Workspace) -> None:
    name = {"name": "handbook"}
    add_index_job(workspace, "first", name, built(400.0, 50, chunks=50), age=90)
    add_index_job(workspace, "whole", name, built(300.0, 98), age=80)
    add_index_job(workspace, "other", {"name": "other"}, built(1.0, 100), age=70)
    add_index_job(workspace, "update", {**name, "update": True}, built(2.0, 100), age=60)
    add_index_job(workspace, "add", {**name, "add": True}, built(3.0, 60), age=50)
    add_index_job(workspace, "again", name, built(4.0, 1), age=40)
    add_index_job(workspace, "failed", name, built(5.0, 100, state="failed"), age=30)
    whole = {"name": "handbook", "seconds": 300.0, "peak_memory_bytes": 7 * MB, "documents": 9, "chunks": 100}
    assert costs.upfront(workspace, None, "handbook") == {"run": None, "index": whole}
    add_index_job(workspace, "resumed", name, built(500.0, 10, attempt=2), age=20)
    assert costs.upfront(workspace, None, "handbook")["index"]["seconds"] == 500.0


def test_an_index_without_its_job_has_its_size_only(workspace: Workspace, library: Path) -> None:
    assert costs.upfront(workspace, None, "handbook")["index"] is None
    build_with(workspace.index("handbook"), [library], FakeEmbedder())
    index = {"name": "handbook", "seconds": None, "peak_memory_bytes": None, "documents": 3, "chunks": 3}
    assert costs.upfront(workspace, None, "handbook")["index"] == index
    (workspace.index("handbook") / FILE).write_bytes(b"damaged" * 1000)
    assert costs.upfront(workspace, None, "handbook")["index"] is None


def test_a_run_tells_what_it_cost_also_one_of_an_older_version(workspace: Workspace) -> None:
    job = write_run(workspace, "tone", "done")
    old = {"name": "tone", "seconds": 90.0, "peak_memory_bytes": 1_900_000_000, "tokens": 160_000}
    assert costs.upfront(workspace, "tone", None) == {"run": old, "index": None}
    figures = {"seconds": 91.5, "peak_memory_bytes": 5 * MB}
    job.write_status(replace(job.status(), figures=figures, result={"tokens": 161_000}))
    assert costs.upfront(workspace, "tone", None)["run"] == {"name": "tone", **figures, "tokens": 161_000}
    assert costs.upfront(workspace, "none", None)["run"] is None
    assert costs.upfront(workspace, "../..", None)["run"] is None


def test_time_between_a_kill_and_its_resume_is_nobodys(workspace: Workspace) -> None:
    job = write_run(workspace, "tone", "lost", step=0)
    job.events.unlink()
    states = ((0, "queued"), (50, "running"), (60, None), (5000, "queued"), (5010, "running"), (5030, "stopped"))
    append_events(
        job,
        [{"time": at, **({"type": "state", "state": state} if state else {"type": "sample"})} for at, state in states],
    )
    assert costs.upfront(workspace, "tone", None)["run"]["seconds"] == 30


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("spec.json", "{torn"),
        ("spec.json", '{"kind": "train", "title": "t", "arguments": 5, "created_at": 1}'),
        ("status.json", "{torn"),
        ("status.json", '{"progress": {}, "figures": 5, "result": [1], "state": 7}'),
        ("status.json", '{"progress": {}, "state": "running", "pid": "x", "pid_started": "y"}'),
        ("status.json", '{"progress": {}, "figures": {"seconds": "x", "peak_memory_bytes": NaN}, "state": "done"}'),
        ("events.jsonl", '{"time": "x", "type": "state"}\n{"type": 1}\n[]\n\x00\n{"memory_bytes": "m"'),
        ("events.jsonl", None),
    ],
)
def test_a_damaged_folder_is_no_fault(workspace: Workspace, file: str, text: str | None) -> None:
    run, index = write_run(workspace, "tone", "done"), write_index_job(workspace, "handbook", "done")
    for job in (run, index):
        (job.path / file).unlink(missing_ok=True)
        if text is None:
            (job.path / file).mkdir()
        else:
            (job.path / file).write_text(text)
    told = costs.upfront(workspace, "tone", "handbook")
    assert told["run"]["name"] == "tone"
    assert told["index"] is None
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_the_machine_is_told() -> None:
    told = costs.machine()
    assert told["processor"]
    assert told["cores"] >= 1
    assert told["memory_bytes"] > 100 * MB
    assert told["gpu"] is None or isinstance(told["gpu"], str)
    json.dumps(told)
