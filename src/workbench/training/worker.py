"""One of the processes that train a run together. Each does the whole of `job.train`; Accelerate gives it its rank.

The first process of each machine writes to the run's folder there; the others are silent. Started by `launcher`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from workbench import files
from workbench.errors import UserError
from workbench.jobs.context import Context, StopRequested, told
from workbench.jobs.folder import JobFolder
from workbench.jobs.memory import peak_memory_bytes
from workbench.jobs.processes import end_with_the_job
from workbench.training.launch import EXCHANGE

Value = TypeVar("Value")


class WorkerContext(Context):
    """A job's context in one of its processes: the first of a machine appends events, status.json is the job's own."""

    def __init__(self, job: JobFolder) -> None:
        super().__init__(job, job.status())
        self.rank = int(os.environ["RANK"])
        self._first = os.environ["LOCAL_RANK"] == "0"
        self._status = type(self._status)(attempt=self._status.attempt)  # its own progress and figures

    @property
    def first(self) -> bool:
        """Whether this process writes to the run's folder."""
        return self._first

    def in_turn(self, work: Callable[[], Value]) -> Value:
        """Do `work` in the first process of each machine, then in the others."""
        from accelerate import PartialState

        with PartialState().local_main_process_first():
            return work()

    def event(self, type: str, **fields: Any) -> None:
        """Append one event, in the first process."""
        if self.first:
            super().event(type, **fields)

    def check_stop(self) -> None:
        """Nothing: the processes agree between steps, and before them the job's process ends them all."""

    def ended(self, state: str, **more: Any) -> None:
        """Leave the last word of this process."""
        with self._lock:
            self._ended.set()  # no heartbeat more
            self.sync_events()
        self._show()
        files.write_json(
            self.folder / EXCHANGE / f"ended-{self.rank}.json",
            {"time": time.time(), "state": state, **self._who(), **more},
        )

    def _show(self) -> None:
        status = self._status
        progress = {name: value for name, value in asdict(status.progress).items() if name != "seconds_left"}
        files.write_json(
            self.folder / EXCHANGE / f"rank-{self.rank}.json",
            {"progress": progress, "figures": status.figures, "peak_memory_bytes": peak_memory_bytes(), **self._who()},
            durable=False,
        )

    def _who(self) -> dict[str, Any]:
        return {"rank": self.rank, "first": self.first, "pid": os.getpid()}


def main(folder: Path) -> int:
    """Train as one of the processes; 0 when the run is done or stopped."""
    end_with_the_job()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who asks to stop asks the job, and all save what they can
    context = WorkerContext(JobFolder(folder))
    threading.Thread(target=context.beat, daemon=True).start()
    try:
        _join()
        from workbench.training.job import train

        context.ended("done", result=train(context))
        return 0
    except StopRequested:
        context.ended("stopped")
        return 0
    except UserError as error:
        context.ended("refused", error=str(error))
    except BaseException as error:
        context.ended("failed", error=told(error, context.job))
    return 1


def _join() -> None:
    """Meet the other processes.

    Raises:
        UserError: this machine has fewer GPUs than processes, or none where the strategy needs them.
    """
    import torch
    from accelerate import PartialState

    from workbench.models.load import device

    place, here = device(), int(os.environ["LOCAL_WORLD_SIZE"])
    if place == "cuda" and torch.cuda.device_count() < here:
        raise UserError(
            f"this machine has {torch.cuda.device_count()} GPUs for {here} processes",
            where="launch.num_processes",
            do="Give each process a GPU of its own.",
        )
    if place not in ("cuda", "cpu"):
        raise UserError(f"{place} trains in one process", where="launch.num_processes", do="Set it to 1.")
    if place == "cpu" and os.environ.get("ACCELERATE_USE_FSDP"):
        raise UserError("fsdp needs GPUs", where="launch.strategy", do="Use ddp, or a machine with a GPU a process.")
    if place == "cpu":
        PartialState(cpu=True, backend="gloo")
    else:
        PartialState()


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # as the job's own process
