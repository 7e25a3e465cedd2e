"""The most memory that a process has held, what there is for it, and how it gives some back."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path


def peak_memory_bytes() -> int | None:
    """The most resident memory that this process, or one of its children that have ended, has held; None where the
    system does not tell. What a GPU holds is not in it.

    Children (the parser of documents) are not added, for they need not have been at their largest when this process
    was: it is the largest of all, and what both held together may have been more.
    """
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return getattr(psutil.Process().memory_info(), "peak_wset", None)
    unit = 1 if sys.platform == "darwin" else 1024
    # On Linux ru_maxrss outlives exec: a small program that a large one starts begins with the memory of the large
    # one. For this process there is a figure without it; a child begins with what this process held, so that the
    # larger of the two is right.
    own = _high_water_mark() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit) or None


def available_memory_bytes() -> int:
    """Bytes that this process can hold in all: what it holds now, and what is free; the limits of its control groups
    (a container's, systemd's) count. What a GPU has is not in it.
    """
    import psutil

    free = [psutil.virtual_memory().available]
    free += [limit - used for limit, used in _control_group_limits()]
    return psutil.Process().memory_info().rss + max(0, min(free))


def return_free_memory() -> None:
    """Give the system back what this process has freed. glibc keeps the holes between batches of different lengths, so
    that a run of hours grows; nothing happens where the C library has no such call.
    """
    import ctypes

    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _control_group_limits(
    root: Path = Path("/sys/fs/cgroup"), mine: Path = Path("/proc/self/cgroup")
) -> list[tuple[int, int]]:
    """(limit, used) in bytes of this process's control groups and of all above them, of version 1 and 2."""
    found = []
    with contextlib.suppress(OSError):
        for line in mine.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top = root / "memory" if controllers else root
            names = (
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                if controllers
                else ("memory.max", "memory.current", "inactive_file")
            )
            folder = top / path.lstrip("/")
            for place in (folder, *folder.parents):
                if place.is_relative_to(top) and (pair := _limit_in(place, *names)):
                    found.append(pair)
    return found


def _limit_in(folder: Path, limit: str, used: str, reclaimable: str) -> tuple[int, int] | None:
    """None where there is no limit. Files that the kernel keeps at hand are not in use: it lets go of them first."""
    with contextlib.suppress(OSError, ValueError):
        stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines())
        held = int((folder / used).read_text(encoding="utf-8")) - int(stat.get(reclaimable, 0))
        return int((folder / limit).read_text(encoding="utf-8")), max(0, held)  # "max" is no number: no limit
    return None


def _high_water_mark() -> int | None:
    """Bytes, from /proc; None on other systems than Linux."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
