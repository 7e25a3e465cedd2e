"""How many threads training uses, by what the rest of the machine does.

The threads of one matrix product wait for each other. With as many threads as cores, one busy neighbour makes each
product wait for a core, and a step takes ten times as long; with one thread less, it costs what the neighbour takes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import psutil
import torch

_EVERY = 2.0  # seconds between two looks
_TOLERATED = 0.5  # cores that others may use before a thread is given up


class ThreadPolicy:
    """Leaves the cores to others that others use. Call `adjust` after every step."""

    def __init__(self, changed: Callable[[int, float], None]) -> None:
        """`changed` is told (threads, cores that others use) when the number of threads changes."""
        self._changed = changed
        self._cores = torch.get_num_threads()
        self._process = psutil.Process()
        self._seen = self._look()

    def adjust(self) -> None:
        """Look at the last seconds, and set torch's threads for the next."""
        now = self._look()
        seconds = now[0] - self._seen[0]
        if seconds < _EVERY:
            return
        others = (now[1] - self._seen[1] - (now[2] - self._seen[2])) / seconds
        self._seen = now
        threads = wanted_threads(self._cores, others, psutil.cpu_count() or self._cores)
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
            self._changed(threads, others)

    def _look(self) -> tuple[float, float, float]:
        """(now, busy seconds of all cores, busy seconds of this process)."""
        machine, mine = psutil.cpu_times(), self._process.cpu_times()
        busy = sum(getattr(machine, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))
        return time.monotonic(), busy, mine.user + mine.system


def wanted_threads(threads: int, others: float, cores: int) -> int:
    """Threads that find a core each.

    Args:
        threads: with nobody else there.
        others: cores that others use, a mean over some seconds.
        cores: of the machine.
    """
    return max(1, min(threads, cores - math.ceil(max(0.0, others - _TOLERATED))))
