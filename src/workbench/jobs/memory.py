"""The most memory that a process has held."""

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


def _high_water_mark() -> int | None:
    """Bytes, from /proc; None on other systems than Linux."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
