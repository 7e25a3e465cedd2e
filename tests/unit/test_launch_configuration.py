"""What `accelerate launch` makes of a recipe's `launch:`, read by Accelerate's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accelerate.commands import launch as accelerate_launch
from accelerate.utils.launch import prepare_multi_gpu_env

from workbench import files
from workbench.jobs.processes import environment
from workbench.training import launch
from workbench.training.recipe import Recipe


def launched(tmp_path: Path, settings: dict[str, Any], **recipe: Any) -> Any:
    """The arguments as Accelerate takes them."""
    asked = Recipe(dataset="d", launch=settings, **recipe)  # type: ignore[arg-type]
    files.write_json(tmp_path / launch.EXCHANGE / launch.CONFIGURATION, launch.configuration(asked), durable=False)
    parsed = accelerate_launch.launch_command_parser().parse_args(launch.arguments(asked, tmp_path))
    return accelerate_launch._validate_launch_command(parsed)[0]


@pytest.fixture(autouse=True)
def a_default_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would send every run elsewhere."""
    (tmp_path / launch.EXCHANGE).mkdir()
    theirs = tmp_path / "default_config.yaml"
    theirs.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: FSDP\nnum_processes: 64\nnum_machines: 8\n"
        "main_process_ip: 10.0.0.1\nmixed_precision: fp16\ngpu_ids: '3'\nfsdp_config: {fsdp_version: 1}\n"
    )
    monkeypatch.setattr(accelerate_launch, "default_config_file", str(theirs))


def test_one_machine_stays_on_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    monkeypatch.setenv("PET_NNODES", "4")
    taken = launched(tmp_path, {"num_processes": 4}, num_threads=3)
    assert (taken.multi_gpu, taken.use_fsdp, taken.cpu) == (True, False, False)
    assert (taken.num_processes, taken.num_machines, taken.machine_rank) == (4, 1, 0)
    assert (taken.main_process_ip, taken.rdzv_backend, taken.gpu_ids) == ("127.0.0.1", "loopback", "all")
    assert (taken.mixed_precision, taken.num_cpu_threads_per_process, taken.max_restarts) == ("no", 3, 0)
    assert (taken.module, taken.training_script) == (True, "workbench.training.worker")
    assert taken.training_script_args == [str(tmp_path)]
    kept = environment(alone=True)
    assert "ACCELERATE_MIXED_PRECISION" not in kept
    assert "PET_NNODES" not in kept


def test_several_machines_meet_at_the_first(tmp_path: Path) -> None:
    machines = {"num_machines": 2, "machine_rank": 1, "main_process_ip": "192.0.2.7", "main_process_port": 29400}
    taken = launched(tmp_path, {"num_processes": 8, **machines})
    prepare_multi_gpu_env(taken)
    assert (taken.nnodes, taken.nproc_per_node, taken.node_rank) == ("2", "4", 1)
    assert (taken.rdzv_endpoint, taken.rdzv_backend) == ("192.0.2.7:29400", "static")


def test_fsdp_is_version_2_and_wraps_layer_by_layer(tmp_path: Path) -> None:
    taken = launched(tmp_path, {"num_processes": 2, "strategy": "fsdp"})
    assert (taken.use_fsdp, taken.multi_gpu) == (True, False)
    told = prepare_multi_gpu_env(taken)
    assert told["ACCELERATE_USE_FSDP"] == "true"
    assert told["FSDP_VERSION"] == "2"
    assert told["FSDP_AUTO_WRAP_POLICY"] == "TRANSFORMER_BASED_WRAP"
    assert told["FSDP_RESHARD_AFTER_FORWARD"] == "true"
    assert told["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false"
