"""How many threads compute a token: measured again and again, for a busy neighbour makes more of them slower.

The threads of one product meet at a barrier some hundred times a token. On a quiet machine all cores are fastest; when
another process takes one of them, every barrier waits for it, and one thread can be 5 times faster than two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

MOST = torch.get_num_threads()
"""What torch takes by itself: the cores, or OMP_NUM_THREADS. Read before any thread is given another number."""
_TRIES = 2  # tokens for which each number is tried: the first wakes the threads
_AGAIN = 64  # tokens until the numbers are tried again
_BUSY = 1.5  # times as long as with the best number, all threads take on a busy machine


def only_one() -> None:
    """Let the calling thread compute alone. A second pool of threads beside the decoder's would slow both."""
    torch.set_num_threads(1)


class Threads:
    """Sets the number of threads for the one thread that decodes."""

    def __init__(
        self,
        most: int = MOST,
        set_number: Callable[[int], None] = torch.set_num_threads,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._most, self._set, self._clock = most, set_number, clock
        self._numbers = [*(2**power for power in range(most.bit_length()) if 2**power < most), most]
        self._seconds: dict[int, float] = {}
        self._trials: list[int] = []
        self._best, self._left = most, 0

    def for_a_prompt(self) -> None:
        """All of them, for large products meet seldom; but the best number on a machine that was busy lately."""
        busy = self._left and self._seconds[self._most] > _BUSY * self._seconds[self._best]
        self._set(self._best if busy else self._most)

    @contextmanager
    def for_a_token(self) -> Iterator[None]:
        """The number that was fastest lately, or the next one to try."""
        if not self._trials and self._left == 0:
            self._trials = [number for number in self._numbers for _ in range(_TRIES)]
            self._seconds.clear()
        if not self._trials:
            self._left -= 1
            self._set(self._best)
            yield
            return
        number = self._trials.pop(0)
        self._set(number)
        begun = self._clock()
        yield
        self._seconds[number] = min(self._clock() - begun, self._seconds.get(number, float("inf")))
        if not self._trials:
            self._best, self._left = min(self._seconds, key=self._seconds.__getitem__), _AGAIN
