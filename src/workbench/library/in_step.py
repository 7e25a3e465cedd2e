"""Whether an index is in step with its folders, as who follows it tells in a file of the index's folder.

The file is told to everybody who reads it and believed only while the process that wrote it lives.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

from workbench import files
from workbench.jobs.folder import process_of, start_mark

FILE = "in-step.json"


@dataclass(frozen=True)
class InStep:
    """How an index that is followed stands to its folders."""

    state: str
    """in step; checking (every file is looked at); updating; waiting (another process builds it); behind (something
    keeps it from being updated)."""
    done: int = 0
    total: int = 0
    """While it is updated: of so many `unit`s."""
    unit: str = "files"
    why: str = ""
    """What keeps it behind."""
    looked: str = ""
    """Why its folders are looked through again and again, where the system does not tell what changes in them."""

    @property
    def in_words(self) -> str:
        """For a person, in a few words."""
        if self.state == "updating" and self.total:
            return f"updating: {min(self.done, self.total):,} of {self.total:,} {self.unit}"
        return f"not in step: {self.why}" if self.state == "behind" else self.state


def write(folder: Path, now: InStep) -> None:
    """Tell how the index in a folder stands; for who follows it."""
    me = psutil.Process()
    with contextlib.suppress(OSError):  # a full disk: what is told is not what counts
        files.write_json(folder / FILE, {**asdict(now), "pid": me.pid, "started": start_mark(me)}, durable=False)


def withdraw(folder: Path) -> None:
    """This process follows the index no more."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        if json.loads((folder / FILE).read_text(encoding="utf-8"))["pid"] == os.getpid():
            (folder / FILE).unlink()


def read(folder: Path) -> InStep | None:
    """How the index in a folder stands; None where nobody follows it."""
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if process_of(told["pid"], told["started"]) is None:
            return None
        return InStep(**{field.name: told[field.name] for field in fields(InStep)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
