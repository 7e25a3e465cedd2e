"""kill -9 of a run, damaged checkpoints: the truth is told, nothing is lost, the adapter comes out the same."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.jobs import control
from workbench.jobs.follow import EventReader
from workbench.training import checkpoint, runs
from workbench.training.control import start_run
from workbench.workspace import Workspace

Command = Callable[..., Any]
CHANGES = {"max_steps": 40, "save_steps": 5, "eval_steps": 10, "lora.lora_dropout": 0.1}


def finished(job: Any, seconds: float = 180) -> str:
    deadline = time.monotonic() + seconds
    while job.status().live:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job.status().state


def steps_done(job: Any) -> int:
    """Steps that all attempts together have told of, those that were done again included."""
    return sum(event["type"] == "metrics" and "loss" in event for event in EventReader(job.events).read())


@pytest.mark.slow
def test_killed_and_resumed_is_undisturbed_bit_for_bit(tuned: Workspace, command: Command) -> None:
    recipe = tuned.recipe("quick")
    undisturbed = start_run(tuned, recipe, "undisturbed", CHANGES)
    assert finished(undisturbed) == "done"

    job = start_run(tuned, recipe, "killed", CHANGES)
    kill_after = 0
    for _ in range(2):
        kill_after += 7
        while steps_done(job) < kill_after:
            assert job.status().live
            time.sleep(0.002)
        kill_after = steps_done(job)
        process = job.process()
        assert process
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        control.reap()
        assert job.status().state == "lost"
        assert command("runs", "list", "--json").lines[0]["state"] == "lost"
        control.resume(job)
    assert finished(job) == "done"
    name = "adapter/adapter_model.safetensors"
    assert (job.path / name).read_bytes() == (undisturbed.path / name).read_bytes()
    losses = [
        [
            (event["step"], event["loss"])
            for event in runs.events(each)
            if event.get("loss") and event["type"] == "metrics"
        ]
        for each in (undisturbed, job)
    ]
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over(tuned: Workspace) -> None:
    recipe = tuned.recipe("quick")
    job = start_run(tuned, recipe, "whole", {**CHANGES, "max_steps": 15, "save_total_limit": 3})
    assert finished(job) == "done"
    folders = checkpoint.all_of(job.path)
    assert [folder.name for folder in folders] == ["step-0000005", "step-0000010", "step-0000015"]
    assert all(checkpoint.fault_of(folder) is None for folder in folders)

    for name in (
        "adapter.safetensors",
        "optimizer.safetensors",
        "random.safetensors",
        "progress.json",
        "trainer_state.json",
    ):
        for damage in (_flip, _truncate, Path.unlink):
            kept = folders[-1] / name
            original = kept.read_bytes()
            damage(kept)
            told: list[str] = []
            assert checkpoint.newest_whole(job.path, told.append) == folders[-2]
            assert name in told[0]
            kept.write_bytes(original)
    (folders[-1] / "manifest.json").unlink()
    _flip(folders[-2] / "optimizer.safetensors")
    told = []
    assert checkpoint.newest_whole(job.path, told.append) == folders[-3]
    assert len(told) == 2

    # A run whose newest checkpoint is torn goes on from the one before, and says so.
    shutil.rmtree(job.path / "adapter")
    job.write_status(type(job.status())(state="running", pid=1, pid_started=-10.0))
    assert job.status().state == "lost"
    control.resume(job)
    assert finished(job) == "done"
    events = runs.events(job)
    assert any(event["type"] == "resumed" and event["step"] == 5 for event in events)
    assert sum("is not used" in event.get("text", "") for event in events) == 2


@pytest.mark.slow
def test_a_run_copied_elsewhere_is_shown_and_resumed(tuned: Workspace, tmp_path: Path, command: Command) -> None:
    from workbench.workspace import init

    job = start_run(tuned, tuned.recipe("quick"), "first", CHANGES)
    while runs.summary(job).step < 12:
        assert job.status().live
        time.sleep(0.002)
    control.stop(job)
    assert finished(job) == "stopped"
    elsewhere = init(tmp_path / "elsewhere")
    shutil.copytree(job.path, elsewhere.run("first"))
    moved = runs.find(elsewhere, "first")
    assert runs.summary(moved).step == runs.summary(job).step
    control.resume(moved)
    assert finished(moved) == "done"
    assert runs.summary(moved).step == 40


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
