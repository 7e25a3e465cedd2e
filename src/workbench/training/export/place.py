"""Where an export lies: written aside, renamed as a whole, with a manifest of its bytes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import UserError
from workbench.training.export.forms import MANIFEST


def check_target(target: Path) -> None:
    """Refuse a folder that holds something else than an export.

    Raises:
        UserError: it would be lost.
    """
    if target.is_dir() and (not any(target.iterdir()) or (target / MANIFEST).is_file()):
        return
    if target.exists():
        raise UserError(
            "holds something else than an export, which would be replaced",
            where=str(target),
            do="Name another folder.",
        )


def check_room(target: Path, needed: int) -> None:
    """Refuse what will not fit on the disk.

    Raises:
        UserError: there is less room than `needed` bytes.
    """
    place = next(folder for folder in target.parents if folder.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"the export needs {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free",
            where=str(place),
            do="Make room, or name a folder on another disk.",
        )


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder aside; on success it is fsynced and renamed over `target`, on an exception it is removed.

    A kill between the two renames leaves the old export aside, whole; the next call puts it back first. One heavy job
    runs at a time, so nobody else writes here.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside, replaced = (target.with_name(f".{target.name}.{what}") for what in ("exporting", "replaced"))
    if replaced.exists() and not target.exists():
        replaced.replace(target)
    for left in (aside, replaced):
        shutil.rmtree(left, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        for path in aside.rglob("*"):
            files.fsync_folder(path) if path.is_dir() else files.fsync_file(path)
        files.fsync_folder(aside)
        if target.exists():
            target.replace(replaced)
        aside.replace(target)
        files.fsync_folder(target.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if replaced.exists() and not target.exists():
            replaced.replace(target)


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write down what the folder holds; the last file of an export."""
    listed = {
        str(path.relative_to(folder)): {"sha256": files.sha256_of(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {**facts, "made_at": time.time(), "files": listed}
    files.write_text(folder / MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
