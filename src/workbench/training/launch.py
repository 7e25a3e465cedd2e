"""A run of several processes, seen from its job's process: it starts them, tells how far they are, ends them.

The job's process does not train. It keeps the lock, the turn in the queue, the status and the heartbeat, and follows
`accelerate launch` (see `launcher`), which starts one `worker` for each process. They talk through files in a folder
of the run's own: what each has to tell (`rank-N.json`), how it ended (`ended-N.json`), what the launcher saw
(`failures.json`). The workers hold the other end of a pipe and end when this process is gone, however it went.

On several machines the same command is given on each, with its `machine_rank` and a name of its own. Each machine
needs the workspace, on a shared disk or as a copy, and the base model; it freezes the pairs for itself, and the run is
refused where they differ. Each run folder is whole: events, checkpoints, adapter. To resume, resume it on each.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from workbench import files
from workbench.errors import UserError
from workbench.jobs.context import Context, StopRequested
from workbench.jobs.processes import end, environment
from workbench.training.recipe import Recipe

EXCHANGE = ".launch"
"""The folder, inside the run's, that the processes of one attempt talk through."""
CONFIGURATION = "accelerate.json"
FAILURES = "failures.json"
_LOOK = 0.2  # seconds between two looks at what the processes tell


def launch(context: Context, recipe: Recipe) -> dict[str, Any]:
    """Train in several processes; the result is the first one's.

    Raises:
        UserError: a process refused its work, failed, or was killed; the run can be resumed.
        StopRequested: the user asked to stop; checkpoint and adapter are saved where training had begun.
    """
    exchange = context.folder / EXCHANGE
    shutil.rmtree(exchange, ignore_errors=True)
    exchange.mkdir()
    files.write_json(exchange / CONFIGURATION, configuration(recipe))
    launcher = subprocess.Popen(
        [sys.executable, "-P", "-m", "workbench.training.launcher", str(context.folder)],
        stdin=subprocess.PIPE,  # nothing is written to it: its end is the sign to end
        env=environment(alone=recipe.launch.num_machines == 1),
    )
    try:
        while launcher.poll() is None:
            first = _show(context, exchange)
            if context.stop_requested():
                if not (first and first.trains):
                    raise StopRequested  # nothing is half done that the next attempt does not do again
                context.job.stop_file.touch()  # SIGTERM came to this process; the workers look for the file
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.wait(_LOOK)
        _show(context, exchange)
        return _outcome(exchange, launcher.returncode, context)
    finally:
        end(launcher)
        shutil.rmtree(exchange, ignore_errors=True)


def configuration(recipe: Recipe) -> dict[str, Any]:
    """What `accelerate launch --config_file` reads. It says everything, so that no file of the user's has a say."""
    settings = recipe.launch
    alone = settings.num_machines == 1
    told: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "FSDP" if settings.strategy == "fsdp" else "MULTI_GPU",  # its word for torchrun; CPUs, too
        "num_processes": settings.num_processes,
        "num_machines": settings.num_machines,
        "machine_rank": settings.machine_rank,
        "main_process_ip": "127.0.0.1" if alone else settings.main_process_ip,
        "main_process_port": settings.main_process_port or 0,  # 0: a free one
        "mixed_precision": "no",  # the trainer's arguments say it
        "use_cpu": False,
        "gpu_ids": "all",
        "debug": False,
        "enable_cpu_affinity": False,
        "downcast_bf16": False,
    }
    if settings.strategy == "fsdp":
        told["fsdp_config"] = {
            "fsdp_version": 2,
            "fsdp_reshard_after_forward": True,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_state_dict_type": "FULL_STATE_DICT",
            "fsdp_offload_params": False,
            "fsdp_cpu_ram_efficient_loading": False,  # each process reads the base, then keeps its share
            "fsdp_activation_checkpointing": False,
        }
    return told


def arguments(recipe: Recipe, run: Path) -> list[str]:
    """Those of `accelerate launch` for the run in a folder: its configuration, what that cannot say, and the worker."""
    here = max(1, recipe.launch.num_processes // recipe.launch.num_machines)
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    return [
        "--config_file", str(run / EXCHANGE / CONFIGURATION),
        "--rdzv_backend", "loopback" if recipe.launch.num_machines == 1 else "static",
        "--num_cpu_threads_per_process", str(recipe.num_threads or max(1, cores // here)),
        "--max_restarts", "0",
        "--module", "workbench.training.worker", str(run),
    ]  # fmt: skip


@dataclass(frozen=True)
class _First:
    """What the first process tells of the run."""

    trains: bool


def _show(context: Context, exchange: Path) -> _First | None:
    """Tell the run's progress and memory as the processes tell theirs."""
    told = [known for path in exchange.glob("rank-*.json") if (known := read(path))]
    context.held_by_others(sum(known["peak_memory_bytes"] or 0 for known in told))
    for known in told:
        if known["first"]:
            context.progress(**known["progress"], **known["figures"])
            return _First(known["progress"]["unit"] == "steps")
    return None


def _outcome(exchange: Path, code: int, context: Context) -> dict[str, Any]:
    """What the processes say in the end, the clearest word first."""
    ended = [known for path in exchange.glob("ended-*.json") if (known := read(path))]
    ended.sort(key=lambda known: known["time"])  # what comes after the first fault comes of it
    for known in ended:
        if known["state"] == "refused":
            raise UserError(known["error"])
    if code == 0 or all(known["state"] == "stopped" for known in ended if known["first"]):
        for known in ended:
            if known["first"] and known["state"] == "stopped":
                raise StopRequested
            if known["first"] and known["state"] == "done":
                return known["result"]
    failures = read(exchange / FAILURES) or {"of": 0, "codes": {}}
    for rank, status in failures["codes"].items():
        if status < 0:
            raise UserError(
                f"process {int(rank) + 1} of {failures['of']} was killed (signal {-status})",
                do="Resume the run: it goes on from its newest checkpoint. If memory ran out, use a smaller batch.",
            )
    for known in ended:
        if known["state"] == "failed":
            raise UserError(known["error"])
    raise UserError(f"accelerate launch ended with code {code}", do=f"The details are in {context.job.log}.")


def read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
