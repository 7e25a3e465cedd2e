"""A run of two processes: the same losses as one, steered alike, and clear and resumable when a process is gone."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.training import checkpoint, launch, runs
from workbench.training.control import change_learning_rate, go_on, pause, save_now, start_run
from workbench.workspace import Workspace

Command = Callable[..., Any]

ONE = {
    "max_steps": 20, "per_device_train_batch_size": 8, "save_steps": 5, "eval_steps": 10, "bf16": False, "test_size": 0,
}  # fmt: skip
TWO = {**ONE, "per_device_train_batch_size": 4, "launch.num_processes": 2}
ENDLESS = {**TWO, "max_steps": 100_000, "eval_steps": 100_000}


def losses(job: JobFolder) -> list[float]:
    """By step, without undone ones; each step once."""
    told = [event for event in runs.events(job) if event["type"] == "metrics" and "loss" in event]
    assert [event["step"] for event in told] == list(range(1, len(told) + 1))
    return [event["loss"] for event in told]


def workers(job: JobFolder) -> list[psutil.Process]:
    """The processes that train, by rank."""
    told = [launch.read(path) for path in sorted((job.path / launch.EXCHANGE).glob("rank-*.json"))]
    return [psutil.Process(each["pid"]) for each in told if each]


def wait_until(condition: Callable[[], Any], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def ended(job: JobFolder) -> str:
    wait_until(lambda: not job.status().live)
    return job.status().state


def events(job: JobFolder, kind: str) -> list[dict[str, Any]]:
    return [event for event in runs.events(job) if event["type"] == kind]


def start_on_two_machines(
    tuned: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **different: list[Any]
) -> list[JobFolder]:
    """Two machines with a process each, both this one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    jobs = []
    for rank in (0, 1):
        monkeypatch.setenv("WORKBENCH_STATE", str(tmp_path / f"state-{rank}"))  # each machine has its own queue
        machine = {"num_machines": 2, "machine_rank": rank, "main_process_ip": "127.0.0.1", "main_process_port": port}
        changes = {f"launch.{key}": value for key, value in machine.items()}
        changes |= {key: values[rank] for key, values in different.items()}
        jobs.append(start_run(tuned, tuned.recipe("quick"), f"machine-{rank}", {**TWO, **changes}))
    return jobs


@pytest.fixture
def one(tuned: Workspace) -> JobFolder:
    """A run of one process."""
    job = start_run(tuned, tuned.recipe("quick"), "one", ONE)
    assert ended(job) == "done"
    return job


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_even_if_one_of_them_is_killed(one: JobFolder, tuned: Workspace) -> None:
    job = start_run(tuned, tuned.recipe("quick"), "two", TWO)
    wait_until(lambda: len(events(job, "checkpoint")) >= 2 or not job.status().live)
    workers(job)[1].kill()
    assert ended(job) == "failed"
    assert "process 2 of 2 was killed (signal 9)" in (job.status().error or "")
    assert "Traceback" not in (job.status().error or "")
    assert not (job.path / launch.EXCHANGE).exists()
    assert checkpoint.newest_whole(job.path, pytest.fail)

    control.resume(job)
    assert ended(job) == "done"
    assert losses(job) == pytest.approx(losses(one), abs=1e-5)
    last = [events(each, "metrics")[-1] for each in (one, job)]
    assert last[1]["tokens"] == last[0]["tokens"]
    assert last[1]["grad_norm"] == pytest.approx(last[0]["grad_norm"], rel=1e-3)
    memory = [each.status().figures["peak_memory_bytes"] for each in (one, job)]
    assert memory[1] > 1.5 * memory[0]  # both processes count
    assert (job.path / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_it_is_steered_like_one_process_and_nothing_outlives_the_job(tuned: Workspace) -> None:
    job = start_run(tuned, tuned.recipe("quick"), "long", ENDLESS)
    wait_until(lambda: runs.summary(job).step >= 2)
    process = job.process()
    assert process
    sockets = [each for child in process.children(recursive=True) for each in child.net_connections("inet")]
    assert sockets
    assert {each.laddr.ip for each in sockets} <= {"127.0.0.1", "::ffff:127.0.0.1"}

    pause(job)
    wait_until(lambda: events(job, "paused"))
    assert job.status().state == "paused"
    save_now(job)
    change_learning_rate(job, 1e-3)
    wait_until(lambda: events(job, "checkpoint") and events(job, "learning_rate"))
    go_on(job)
    wait_until(lambda: events(job, "continued"))
    process.terminate()  # as the system does when it shuts down, and then as with `stop`: training saves what it can
    assert ended(job) == "stopped"
    last = events(job, "checkpoint")[-1]
    assert last["why"] == "stop"
    assert (job.path / "adapter" / "adapter_model.safetensors").is_file()

    control.resume(job)
    wait_until(lambda: runs.summary(job).step >= last["step"] + 2)
    assert events(job, "resumed")[-1]["step"] == last["step"]
    process = job.process()
    assert process
    family = process.children(recursive=True)
    assert len(family) == 3  # the launcher and two workers
    os.kill(process.pid, signal.SIGKILL)
    _, living = psutil.wait_procs(family, timeout=10)
    assert not living
    assert job.status().state == "lost"


def test_a_mistake_found_by_the_processes_is_one_clear_error(
    tuned: Workspace, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    options = [f"--set={key}={value}" for key, value in {**TWO, "launch.strategy": "fsdp"}.items()]
    done = command("train", "quick", "--name", "x", "--follow", *options)
    assert done.code == 1
    assert done.err.count("fsdp needs GPUs") == 1
    assert "Traceback" not in done.err + done.out
    assert runs.find(tuned, "x").status().state == "failed"


@pytest.mark.slow
def test_two_machines_learn_what_one_process_learns(
    one: JobFolder, tuned: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = start_on_two_machines(tuned, tmp_path, monkeypatch)
    for job in jobs:
        assert ended(job) == "done"
        assert losses(job) == pytest.approx(losses(one), abs=1e-5)
        assert checkpoint.newest_whole(job.path, pytest.fail)
    adapters = [job.path / "adapter" / "adapter_model.safetensors" for job in jobs]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


@pytest.mark.slow
def test_machines_with_different_pairs_are_refused(
    tuned: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = start_on_two_machines(tuned, tmp_path, monkeypatch, test_size=[0, 0.3])
    for job in jobs:
        assert ended(job) == "failed"
    assert any("do not have the same pairs" in (job.status().error or "") for job in jobs)
