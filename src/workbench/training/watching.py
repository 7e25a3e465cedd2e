"""What a stretch of work takes: seconds, and memory of the GPU where there is one, else of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import torch

from workbench.jobs.memory import available_memory_bytes, peak_memory_bytes

_LOOK = 0.005  # seconds between two looks at the memory during a pass


class Watch:
    """The seconds of a block, and the most memory that the process held meanwhile."""

    def __init__(self, trainer: Any) -> None:
        self.seconds, self.peak = 0.0, 0
        self._held: Callable[[], int] = lambda: held_bytes(trainer)
        self._cuda = trainer.args.device.type == "cuda"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        self._synchronise()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._synchronise()
        self.seconds = time.perf_counter() - self._began
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.peak = max(self.peak, self._held())
            if self._over.wait(_LOOK):
                return

    def _synchronise(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()


def held_bytes(trainer: Any) -> int:
    """Bytes in use now: of the GPU where there is one, else resident memory of this process."""
    if trainer.args.device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return psutil.Process().memory_info().rss


def peak_bytes(trainer: Any) -> int:
    """The most of it so far."""
    if trainer.args.device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return peak_memory_bytes() or held_bytes(trainer)


def available_bytes(device: str) -> int:
    """Bytes that this process can hold in all."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    return available_memory_bytes()


def place(device: str) -> str:
    """Where the memory is, for a person."""
    return "the GPU" if device == "cuda" else "this machine"


def out_of_memory(error: BaseException) -> bool:
    """Whether an allocator could not give what was asked for."""
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or "can't allocate memory" in str(error)
