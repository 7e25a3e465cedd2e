"""The number of threads follows what the machine does."""

from __future__ import annotations

from workbench.chat.threads import Threads


class FakeMachine:
    """A clock that runs as fast as the number of threads makes it."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.now, self.number, self.log = seconds, 0.0, 0, list[int]()

    def set_number(self, number: int) -> None:
        self.number = number

    def tokens(self, threads: Threads, count: int) -> list[int]:
        log = []
        for _ in range(count):
            with threads.for_a_token():
                log.append(self.number)
                self.now += self.seconds[self.number]
        return log


def test_the_fastest_number_is_taken_and_looked_for_again() -> None:
    machine = FakeMachine({1: 4.0, 2: 3.0, 4: 2.0, 6: 1.0})
    threads = Threads(6, machine.set_number, lambda: machine.now)
    log = machine.tokens(threads, 72)
    assert log == [1, 1, 2, 2, 4, 4, 6, 6] + [6] * 64
    threads.for_a_prompt()
    assert machine.number == 6
    machine.seconds = {1: 1.0, 2: 9.0, 4: 9.0, 6: 9.0}  # a neighbour became busy
    assert set(machine.tokens(threads, 70)[8:]) == {1}
    threads.for_a_prompt()
    assert machine.number == 1


def test_one_core_needs_no_choice() -> None:
    machine = FakeMachine({1: 1.0})
    assert set(machine.tokens(Threads(1, machine.set_number, lambda: machine.now), 70)) == {1}
