"""How much energy the machine uses, where it tells.

Processors tell it through RAPL, which the Linux kernel shows for Intel and AMD alike as files under /sys/class/powercap
(kernel documentation, power/powercap); most systems let only root read them, for they can betray secrets
(CVE-2020-8694).
NVIDIA GPUs tell it through NVML, where the package nvidia-ml-py is installed.

It is what the WHOLE machine's processor packages and GPUs use, whoever makes them work, idling included; the memory
modules, the disks and the power supply's own losses are not in it. So it is an upper bound of what one process needs of
these parts, and comparable only where nothing else is running.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Meter:
    """Adds up the energy counters that can be read.

    A counter of RAPL begins again at 0 after some 262 kJ on many processors, half an hour at 150 W: read the meter more
    often than that, or a turn is missed.

    Attributes:
        name: "RAPL", "NVML" or "RAPL + NVML".
    """

    def __init__(self, name: str, counters: list[_Counter]) -> None:
        self.name = name
        self._counters = counters

    @classmethod
    def find(cls, root: Path = POWERCAP) -> Meter | None:
        """What can be read here; None where nothing can.

        Args:
            root: where the kernel shows RAPL.
        """
        rapl, nvml = _rapl(root), _nvml()
        name = " + ".join(name for name, found in (("RAPL", rapl), ("NVML", nvml)) if found)
        return cls(name, rapl + nvml) if name else None

    def joules(self) -> float:
        """Joules used since the meter was found; never less than before. NaN once a counter cannot be read any more."""
        return sum(counter.joules() for counter in self._counters)


class _Counter:
    """A counter that begins again at 0."""

    def __init__(self, read: Callable[[], int], *, per_joule: float, turn: int = 0) -> None:
        """Begin at its present reading.

        Args:
            read: gives the reading; raises OSError or ValueError where it cannot.
            per_joule: units of a reading in a joule.
            turn: the reading after which it begins again; 0 where it only does so when its driver is loaded again.
        """
        self._read, self._per_joule, self._turn = read, per_joule, turn
        self._last, self._used = read(), 0.0

    def joules(self) -> float:
        try:
            now = self._read()
        except (OSError, ValueError):
            self._used = math.nan
            return self._used
        self._used += now - self._last if now >= self._last else now + max(0, self._turn - self._last)
        self._last = now
        return self._used / self._per_joule


def _rapl(root: Path) -> list[_Counter]:
    """The packages: cores and graphics are parts of them, and psys (the whole board) would count them twice."""
    found = []
    for zone in sorted(root.glob("intel-rapl:*")):  # the driver's name, on AMD too
        with contextlib.suppress(OSError, ValueError):
            if (zone / "name").read_text().startswith("package"):
                turn = _number(zone / "max_energy_range_uj")
                counter = _Counter(lambda file=zone / "energy_uj": _number(file), per_joule=1e6, turn=turn)
                found.append(counter)
    return found


def _number(file: Path) -> int:
    return int(file.read_text())


def _nvml() -> list[_Counter]:
    """The GPUs; from Volta on they tell it."""
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return []
    found = []
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            with contextlib.suppress(pynvml.NVMLError, ValueError):
                device = pynvml.nvmlDeviceGetHandleByIndex(number)

                def read(device: object = device) -> int:
                    try:
                        return pynvml.nvmlDeviceGetTotalEnergyConsumption(device)
                    except pynvml.NVMLError as error:
                        raise ValueError(error) from None

                found.append(_Counter(read, per_joule=1e3))
    return found
