"""The adapter of a run, checked before use: its bytes are as they were written, its base is the one it knows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import UserError
from workbench.models.local import fingerprint
from workbench.workspace import Workspace

FOLDER = "adapter"
"""The folder inside a run's; PEFT's own format."""
MANIFEST = "workbench-manifest.json"
"""{"base", "base_fingerprint", "model", "system_prompt", "files": {name: sha256}, "seal"}; written last."""


@dataclass(frozen=True)
class Adapter:
    """An adapter that a workspace has."""

    run: str
    model: str
    """The base model, by the name that the workspace knows it by."""
    system_prompt: str
    """What the model was told before every prompt that it was trained on."""


def adapters(workspace: Workspace) -> list[Adapter]:
    """The adapters of a workspace, by the names of their runs; unreadable ones are left out."""
    found = []
    for path in sorted(workspace.runs.glob(f"*/{FOLDER}/{MANIFEST}")):
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            found.append(Adapter(path.parents[1].name, manifest["model"], manifest["system_prompt"] or ""))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def has_adapter(run: Path) -> bool:
    """Whether the folder of a run holds an adapter; not whether it is whole."""
    return (run / FOLDER / MANIFEST).is_file()


def seal(manifest: Mapping[str, Any]) -> str:
    """The sha256 of a manifest, its own seal left out."""
    rest = {name: value for name, value in manifest.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def verified_adapter(run: Path, base_folder: Path) -> Path:
    """The adapter's folder, after checking every file and that it was trained on this base.

    Args:
        run: the run's folder.
        base_folder: the weights it is to be used with.

    Raises:
        UserError: the run has no adapter yet, a file is not what was written, or the base is another one.
    """
    folder = run / FOLDER
    if not folder.is_dir():
        raise UserError(f"the run {run.name!r} has no adapter", do="Let it finish, or see `workbench runs list`.")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected, base = dict(manifest["files"]), manifest["base_fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError("has no readable manifest", where=str(folder), do="Train the run again.") from None
    if "seal" in manifest and manifest["seal"] != seal(manifest):  # adapters of older versions have none
        raise UserError(f"{MANIFEST} is not what was written", where=str(folder), do="Train the run again.")
    for name, digest in expected.items():
        if not (folder / name).is_file() or files.sha256_of(folder / name) != digest:
            raise UserError(f"{name} is not what was written", where=str(folder), do="Train the run again.")
    if base != fingerprint(base_folder):
        raise UserError(
            f"the adapter of {run.name!r} was trained on {manifest['base']}, whose weights are not these",
            where=str(base_folder),
            do="Choose that base model, or train the adapter on this one.",
        )
    return folder
