"""What a run has left is read with distrust: damage is seen, told and passed over, whatever the clock says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trial
from trial import SHORT, Trials

from screens.run_history import RunHistory
from workbench import files
from workbench.errors import UserError
from workbench.jobs import control, queue
from workbench.jobs.environment import job_environment
from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import EventReader
from workbench.models.adapter import verified_adapter
from workbench.training import checkpoint, runs
from workbench.training.control import LEARNING_RATE, start_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the injector reads /proc")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def wanted(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


DAMAGES = {"flipped": flip, "torn": tear, "empty": empty, "gone": Path.unlink}
MANIFESTS = {
    "a list": "[]",
    "null": "null",
    "no names": "{}",
    "numbers": '{"adapter.safetensors": 1, "random.safetensors": 2, "progress.json": 3, "trainer_state.json": 4}',
    "no text": "\udcff",
}

WORSE = {"learning_rate": 1.0, "lora.lora_alpha": 2000, "max_grad_norm": 1000, "max_steps": 7, "eval_steps": 1}
"""The eval loss is lowest after step 2."""


@pytest.fixture(scope="module")
def whole(trials: Trials) -> JobFolder:
    """A run that has ended undisturbed, with two checkpoints."""
    job = trials.prepared("whole", "quick", SHORT)
    assert trials.run(job) == 0
    assert [folder.name for folder in checkpoint.all_of(job.path)] == ["step-0000002", "step-0000004"]
    return job


def lost(trials: Trials, whole: JobFolder, name: str) -> JobFolder:
    """A copy of it whose process died before the adapter was written."""
    job = trials.copy(whole, name)
    shutil.rmtree(job.path / "adapter")
    return job


def test_damage_to_any_file_of_a_checkpoint_is_seen(whole: JobFolder, tmp_path: Path, tell: Any) -> None:
    newest = checkpoint.all_of(whole.path)[-1]
    for path in sorted(newest.iterdir()):
        for name, damage in DAMAGES.items():
            folder = Path(shutil.copytree(newest, tmp_path / f"{path.name}-{name}"))
            damage(folder / path.name)
            fault = checkpoint.fault_of(folder)
            assert fault, f"{path.name} {name}"
            assert path.name in fault or path.name == "manifest.json"
            tell(f"sft: {name}", f"a checkpoint's {path.name}", "refused, and says why")
    for name, text in MANIFESTS.items():
        folder = Path(shutil.copytree(newest, tmp_path / f"manifest-{name}"))
        (folder / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
        assert checkpoint.fault_of(folder), name
    wanted(newest, "notes.txt", "of somebody else")
    assert checkpoint.fault_of(newest) is None
    (newest / "notes.txt").unlink()


def test_damage_to_any_file_of_an_adapter_is_seen(whole: JobFolder, tiny_base: Path, tmp_path: Path, tell: Any) -> None:
    assert verified_adapter(whole.path, tiny_base)
    for path in sorted((whole.path / "adapter").iterdir()):
        for name, damage in DAMAGES.items():
            run = tmp_path / f"{path.name}-{name}"
            shutil.copytree(whole.path / "adapter", run / "adapter")
            damage(run / "adapter" / path.name)
            with pytest.raises(UserError, match=r"not what was written|no readable manifest"):
                verified_adapter(run, tiny_base)
            tell(f"sft: {name}", f"the adapter's {path.name}", "refused, and says why")


@pytest.mark.parametrize("damage", ["torn", "empty folder", "all torn"])
def test_a_run_goes_on_from_the_newest_checkpoint_that_verifies(
    trials: Trials, whole: JobFolder, tell: Any, damage: str
) -> None:
    job = lost(trials, whole, "damaged")
    first, second = checkpoint.all_of(job.path)
    if damage == "empty folder":
        checkpoint.at_step(job.path, 9).mkdir()
    else:
        tear(second / "optimizer.safetensors")
    if damage == "all torn":
        flip(first / "manifest.json")
    assert trials.resume(job) == 0
    assert trial.adapter(job) == trial.adapter(whole)
    assert trial.history(job) == trial.history(whole)
    assert trial.steps(job) == [1, 2, 3, 4]
    assert "is not used: " in trial.messages(job)
    expected = {"torn": 2, "empty folder": 4, "all torn": -1}[damage]
    assert [event["step"] for event in EventReader(job.events).read() if event["type"] == "resumed"] == [expected]
    shown = RunHistory()
    shown.feed(EventReader(job.events).read())
    assert [int(step) for step, _ in shown.series["loss"]] == [1, 2, 3, 4]
    assert shown.sample_steps == [0, 2, 4]
    tell(f"sft: {damage}", "the newest checkpoint" if damage != "all torn" else "all checkpoints", "bit-equal")


def test_a_torn_checkpoint_never_drives_out_a_whole_one(trials: Trials) -> None:
    """With one kept, the torn one of step 4 must not count as the newest when step 3 is saved."""
    changes = {**SHORT, "save_total_limit": 1, "load_best_model_at_end": False, "save_steps": 1}
    job = trials.prepared("one-kept", "quick", changes)
    assert trials.run(job) == 0
    (last,) = checkpoint.all_of(job.path)
    template = trials.prepared("one-kept-again", "quick", changes)
    again = trials.copy(template, "one-kept-torn")
    saved = next(n for n, (_, path) in enumerate(_trace(trials, template)) if _is_named(path, 1))
    assert trials.run(again, "kill", saved + 3) == -signal.SIGKILL
    shutil.copytree(last, checkpoint.at_step(again.path, 4))
    tear(checkpoint.at_step(again.path, 4) / "optimizer.safetensors")
    assert trials.resume(again) == 0
    assert trial.adapter(again) == trial.adapter(job)
    assert all(checkpoint.fault_of(folder) is None for folder in checkpoint.all_of(again.path))


def test_the_best_checkpoint_torn_is_told(trials: Trials, tell: Any) -> None:
    job = trials.prepared("worse", "quick", {**SHORT, **WORSE})
    assert trials.run(job) == 0
    assert _best(job) == 2
    torn = lost(trials, job, "worse-torn")
    tear(checkpoint.at_step(torn.path, 2) / "adapter.safetensors")
    assert trials.resume(torn) == 0
    assert "the best adapter, of step 2, is not used" in trial.messages(torn)
    assert trial.adapter(torn) != trial.adapter(job)
    tell("sft: torn", "the best checkpoint", "the last adapter, and says why")


def test_a_checkpoint_is_safe_before_it_has_its_name(trials: Trials) -> None:
    """What a power cut allows: events and data before the manifest, all of it before the name, the name before
    anything old is removed."""
    changes = {**SHORT, "save_total_limit": 1, "load_best_model_at_end": False}
    trace = _trace(trials, trials.prepared("order", "quick", changes))
    named = next(n for n, (_, path) in enumerate(trace) if _is_named(path, 4))
    assert trace[named][0] == "rename"
    began = max(n for n in range(named) if trace[n] == ("mkdir", "checkpoints"))
    saving = trace[began:named]
    aside = Path(saving[-1][1])
    data = [path for what, path in saving if what == "create" and not path.endswith("manifest.json")]
    assert len(data) == 5
    manifest = saving.index(("create", str(aside / "manifest.json")))
    assert all(saving.index(("fsync", path)) < manifest for path in data)
    events = max(n for n in range(began) if trace[n] == ("write", "events.jsonl"))
    assert ("fsync", "events.jsonl") in trace[events:began]
    assert not [path for what, path in saving if path == "events.jsonl"]
    assert saving[manifest:][:4] == [
        ("create", str(aside / "manifest.json")),
        ("write", str(aside / "manifest.json")),
        ("fsync", str(aside / "manifest.json")),
        ("fsync", str(aside)),
    ]
    safe = trace.index(("fsync", "checkpoints"), named)
    removed = [n for n, (what, path) in enumerate(trace) if what in ("remove", "rmdir") and "step-0000002" in path]
    assert removed
    assert min(removed) > safe > named


def test_a_clock_set_back_changes_nothing(trials: Trials, whole: JobFolder, tell: Any) -> None:
    template = trials.prepared("clock", "quick", SHORT)
    saved = next(n for n, (_, path) in enumerate(_trace(trials, template)) if _is_named(path, 2))
    job = trials.copy(template, "clock-back")
    assert trials.run(job, "kill", saved + 3) == -signal.SIGKILL
    assert job.status().state == "lost"
    old = time.time() - 7 * 86400
    for path in job.path.rglob("*"):
        os.utime(path, (old, old))
    assert trials.resume(job, clock=30 * 86400) == 0
    assert trial.adapter(job) == trial.adapter(whole)
    assert trial.history(job) == trial.history(whole)
    times = [event["time"] for event in EventReader(job.events).read()]
    assert min(times) < times[0] - 86400
    tell("sft: clock set back by a month", "between two attempts", "bit-equal after resume")


def test_nobody_overtakes_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    line = []
    with queue.heavy_turn(lambda: None, lambda ahead: None):
        now, now_ns = time.time, time.time_ns
        monkeypatch.setattr(time, "time", lambda: now() - 86400)
        monkeypatch.setattr(time, "time_ns", lambda: now_ns() - 86400 * 10**9)

        def look() -> None:
            line.extend(queue.line_up())
            raise InterruptedError

        with pytest.raises(InterruptedError), queue.heavy_turn(look, lambda ahead: None):
            pass
    assert [place.running for place in line] == [True, False]
    assert line[0].ticket < line[1].ticket


def test_a_new_learning_rate_survives_a_kill(trials: Trials, tell: Any) -> None:
    """Killed at every change between the request and the next checkpoint."""
    changes = {**SHORT, "max_steps": 6, "save_steps": 5, "eval_steps": 6}
    asks = [("metrics", 2, LEARNING_RATE, "0.002")]
    template = trials.prepared("rate", "quick", changes)
    whole = trials.copy(template, "rate-whole")
    assert trials.run(whole, asks=asks) == 0
    assert [event["step"] for event in runs.events(whole) if event["type"] == "learning_rate"] == [3]
    told = 1 + trials.trace.index(("remove", LEARNING_RATE))
    saved = 1 + next(n for n, (_, path) in enumerate(trials.trace) if _is_named(path, 5))
    for at in (told, told + 1, saved + 2):
        job = trials.copy(template, "rate-killed")
        assert trials.run(job, "kill", at, asks=asks) == -signal.SIGKILL
        assert trials.resume(job) == 0
        assert trial.history(job) == trial.history(whole), trials.fired
        assert trial.adapter(job) == trial.adapter(whole)
        assert not (job.path / LEARNING_RATE).exists()
    tell("sft: SIGKILL before it", "after a new learning rate", "bit-equal after resume")


VARIANTS: dict[str, dict[str, Any]] = {
    "sft in parts of a batch": {
        "dataset": "long", "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "max_steps": 3,
    },
    "sft that ends early": {**WORSE, "save_steps": 9, "early_stopping_patience": 2},
    "sft, the best is not the last": WORSE,
    "sft over the end of an epoch": {"max_steps": 11, "save_steps": 3, "eval_steps": 4},
    "dpo over the end of an epoch": {"method": "dpo", "dataset": "preferences", "max_steps": 11, "save_steps": 3},
}  # fmt: skip
_QUICK = list(VARIANTS)[1:2]


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow) for name in VARIANTS]
)
def test_killed_mid_epoch_and_at_the_end(trials: Trials, tell: Any, variant: str) -> None:
    template = trials.prepared(variant.replace(" ", "-").replace(",", ""), "quick", {**SHORT, **VARIANTS[variant]})
    whole = trials.copy(template, "variant-whole")
    assert trials.run(whole) == 0
    trace, result = trials.trace, whole.status().result or {}
    if "parts" in variant:
        assert all(event["tokens"] > 1024 * event["step"] for event in runs.events(whole) if "tokens" in event)
    if "best" in variant or "early" in variant:
        assert _best(whole) == 2
        assert result["steps"] == (4 if "early" in variant else 7)
    named = [n for n, (what, path) in enumerate(trace) if what == "rename" and path.startswith("checkpoints/step")]
    adapter = next(n for n, (_, path) in enumerate(trace) if path == "adapter")
    for at in (named[0] + 12, adapter) if variant in _QUICK else (named[0] + 12, named[-1] + 1, adapter):
        job = trials.copy(template, "variant-killed")
        assert trials.run(job, "kill", 1 + at) == -signal.SIGKILL
        assert trials.resume(job) == 0
        assert job.status().result == {**result, "adapter": "runs/variant-killed/adapter"}
        assert trial.history(job) == trial.history(whole), trials.fired
        assert trial.adapter(job) == trial.adapter(whole), trials.fired
    tell("SIGKILL before it", variant, "bit-equal after resume")


def test_a_stop_while_loading_leaves_a_run_that_can_start_again(trials: Trials, whole: JobFolder, tell: Any) -> None:
    job = trials.copy(trials.prepared("stopped", "quick", SHORT), "stopped-loading")
    assert trials.run(job, asks=[("path", 0, "stop", "")]) == 0
    assert job.status().state == "stopped"
    assert trial.steps(job) == []
    assert trials.resume(job) == 0
    assert trial.adapter(job) == trial.adapter(whole)
    assert trial.history(job) == trial.history(whole)
    tell("sft: a stop", "while the model is loaded", "bit-equal after resume")


def test_killed_or_terminated_while_it_waits(trials: Trials, whole: JobFolder, tell: Any) -> None:
    """In the queue there is nothing to save; the ticket of a dead process keeps nobody waiting."""
    with queue.heavy_turn(lambda: None, lambda ahead: None):
        for number, (sign, state) in enumerate(((signal.SIGKILL, "lost"), (signal.SIGTERM, "stopped"))):
            job = start_run(trials.workspace, trials.workspace.recipe("quick"), f"waits-{number}", SHORT)
            _until(lambda job=job: "waiting" in job.status().progress.message)
            process = job.process()
            assert process
            os.kill(process.pid, sign)
            _until(lambda job=job: not job.status().live)
            assert job.status().state == state
            assert len(queue.line_up()) == 1
    for number in range(2):
        job = JobFolder(trials.workspace.run(f"waits-{number}"))
        assert trials.resume(job) == 0
        assert trial.adapter(job) == trial.adapter(whole)
        assert trial.history(job) == trial.history(whole)
    tell("sft: SIGKILL, SIGTERM", "while it waits in the queue", "bit-equal after resume")


def test_two_starts_of_one_run(trials: Trials, whole: JobFolder, tell: Any) -> None:
    """Two processes on its folder: one works, the other says so and leaves no trace."""
    job = trials.copy(trials.prepared("twice", "quick", SHORT), "started-twice")
    arguments = [sys.executable, "-P", "-m", "workbench.jobs", str(job.path)]
    both = [
        subprocess.Popen(
            arguments, stdout=subprocess.PIPE, text=True, env={**job_environment(), "OMP_NUM_THREADS": "1"}
        )
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    refused = [text for text in printed if "another process does this job" in text or "is started by" in text]
    assert len(refused) == 1
    assert job.status().state == "done"
    assert trial.history(job) == trial.history(whole)
    assert trial.adapter(job) == trial.adapter(whole)
    late = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "is done" in late.stdout
    assert trial.history(job) == trial.history(whole)
    tell("sft: two processes at once", "the run", "one works, the other says so")


@pytest.mark.slow
def test_two_commands_that_resume_one_run(trials: Trials, whole: JobFolder, tell: Any) -> None:
    job = lost(trials, whole, "resumed-twice")
    resume = [Path(sys.executable).with_name("workbench"), "-w", trials.workspace.root, "runs", "resume", job.id]
    both = [subprocess.Popen(resume, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert sum("Error: resumed-twice is" in error and "Traceback" not in error for error in errors) == 1
    _until(lambda: not job.status().live)
    assert job.status().state == "done"
    assert job.status().attempt == 2
    assert trial.adapter(job) == trial.adapter(whole)
    tell("sft: two resumes at once", "the run", "one works, the other says so")


def test_a_folder_whose_maker_was_killed_is_not_taken(trials: Trials) -> None:
    """spec.json makes a folder a job; without it the name is free, and what is somebody's stays."""
    halfway = trials.workspace.run("halfway")
    halfway.mkdir()
    wanted(halfway, "status.json", "{}")
    assert trials.prepared("halfway", "quick", SHORT).status().state == "queued"
    theirs = trials.workspace.run("theirs")
    theirs.mkdir()
    wanted(theirs, "letter.txt", "mine")
    with pytest.raises(UserError, match="exists"):
        trials.prepared("theirs", "quick", SHORT)
    assert (theirs / "letter.txt").read_text() == "mine"


def test_an_adapter_is_there_at_every_moment(whole: JobFolder, tmp_path: Path) -> None:
    """Replaced as a whole: a kill between any two changes leaves the old one or the new one."""
    run = Path(shutil.copytree(whole.path, tmp_path / "run"))
    new = Path(shutil.copytree(run / "adapter", run / ".adapter-new"))
    wanted(new, "README.md", "new")
    files.replace_folder(new, run / "adapter")
    assert (run / "adapter" / "README.md").read_text() == "new"
    assert (new / "README.md").read_text() != "new"


@pytest.mark.parametrize("name", ["prepared.json", "pairs.jsonl"])
@pytest.mark.parametrize("damage", ["flipped", "torn"])
def test_damaged_frozen_pairs_are_refused(trials: Trials, whole: JobFolder, tell: Any, name: str, damage: str) -> None:
    job = lost(trials, whole, "frozen")
    if (name, damage) == ("prepared.json", "flipped"):
        frozen = json.loads((job.path / name).read_text())
        wanted(job.path, name, json.dumps({**frozen, "sha256": "0" * 64}))
    else:
        DAMAGES[damage](job.path / name)
    assert trials.resume(job) == 1
    assert job.status().state == "failed"
    assert "cannot be resumed faithfully" in (job.status().error or "")
    assert "Traceback" not in job.log.read_text()
    tell(f"sft: {damage}", f"the run's {name}", "refused, and says why")


def _trace(trials: Trials, template: JobFolder) -> list[tuple[str, str]]:
    """What an undisturbed run changes on the disk, in its order."""
    probe = trials.copy(template, f"{template.id}-traced")
    assert trials.run(probe) == 0
    shutil.rmtree(probe.path)
    return trials.trace


def _best(job: JobFolder) -> int:
    return [event["step"] for event in runs.events(job) if event["type"] == "best"][-1]


def _is_named(path: str, step: int) -> bool:
    return path == f"checkpoints/step-{step:07d}"


def _until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        control.reap()
        time.sleep(0.05)
