"""Weights on this machine: which are there, whether they are whole, and the fingerprint that tells them apart.

It opens no socket and imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from workbench import files
from workbench.errors import UserError
from workbench.models.catalogue import catalogue
from workbench.workspace import cache_folder

MANIFEST = "workbench-manifest.json"
"""Written last into a fetched model's folder: {"source": ..., "files": {name: {"sha256", "bytes"}}}."""

_AGAIN = "Fetch it again: `workbench models fetch NAME --again`."


def models_folder() -> Path:
    """Where fetched models lie, one folder each."""
    return cache_folder() / "models"


def ensure(name: str) -> Path:
    """The folder with config.json, a tokenizer and safetensors of a model.

    Args:
        name: a name of the catalogue, a hub id that is in the Hugging Face cache, or a folder.

    Raises:
        UserError: it is not on this machine, or its files are not what they were when they came.
    """
    if folder := local_folder(name):
        return folder
    if _looks_like_folder(name):
        raise UserError("is not a folder with a model (no config.json)", where=name)
    raise UserError(f"the model {name!r} is not on this machine", do=f"Fetch it with `workbench models fetch {name}`.")


def local_folder(name: str) -> Path | None:
    """The same as `ensure`, but None when the model is not on this machine.

    Raises:
        UserError: it is here, but damaged or without safetensors.
    """
    if not _can_be_a_path(name):
        return None
    if name in catalogue():
        offered = Path(os.environ.get("WORKBENCH_MODELS", "/nonexistent")) / name
        if (offered / "config.json").is_file():
            return _checked(offered)
        folder = fetched_folder(name)
        return _checked(folder) if (folder / MANIFEST).is_file() else None
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return _checked(folder.resolve())
    if _looks_like_folder(name):
        return None
    fetched = fetched_folder(name)
    if (fetched / MANIFEST).is_file():
        return _checked(fetched)
    snapshot = hub_snapshot(name)
    return _checked(snapshot) if snapshot else None


def fetched_folder(name: str) -> Path:
    """Where a model of the catalogue or the hub lies once it is fetched."""
    return models_folder() / name.replace("/", "--")


def hub_snapshot(hub_id: str) -> Path | None:
    """The newest snapshot of a repository in the Hugging Face cache that has a config and all its safetensors."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    snapshots = cache / f"models--{hub_id.replace('/', '--')}" / "snapshots"
    whole = [path for path in snapshots.glob("*") if (path / "config.json").is_file() and _all_shards(path)]
    return max(whole, key=lambda path: path.stat().st_mtime, default=None)


def write_manifest(folder: Path, source: str, names: Iterable[str]) -> None:
    """Record what a fetched folder holds; written last, so that a folder without it is not whole."""
    listed = {
        name: {"sha256": files.sha256_of(folder / name), "bytes": (folder / name).stat().st_size}
        for name in sorted(names)
    }
    files.write_json(folder / MANIFEST, {"source": source, "files": listed})


def fingerprint(folder: Path) -> str:
    """What tells these weights from all others: sha256 over the names and hashes of the safetensors files.

    Hashing is done once for a file's size and time of change, and remembered in the cache folder.
    """
    combined = hashlib.sha256()
    for path in _weights(folder):
        combined.update(f"{path.name} {_remembered_sha256(path)}\n".encode())
    return combined.hexdigest()


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _all_shards(folder: Path) -> bool:
    """Whether no file of the weights is missing: an interrupted download leaves some of them."""
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return bool(_weights(folder))
    return {path.name for path in _weights(folder)} >= set(index["weight_map"].values())


def _can_be_a_path(name: str) -> bool:
    """Whether the system takes a name at all: nothing too long, no NUL, no home of a user who does not exist."""
    for path in (Path(name), fetched_folder(f"models--{name}")):
        try:
            path.expanduser().lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, RuntimeError, ValueError):
            return False
    return bool(name)


def _looks_like_folder(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1


def _checked(folder: Path) -> Path:
    if not _weights(folder):
        raise UserError(
            "holds no .safetensors weights; other formats can carry code and are not read",
            where=str(folder),
            do="Convert it to safetensors first.",
        )
    for path in _weights(folder):
        blob = path.resolve().name  # in the hub's cache a large file is called by its sha256
        if re.fullmatch(r"[0-9a-f]{64}", blob) and _remembered_sha256(path) != blob:
            raise UserError(f"{path.name} does not have the sha256 that the hub tells", where=str(folder), do=_AGAIN)
    manifest = folder / MANIFEST
    if manifest.is_file():
        for name, expected in json.loads(manifest.read_text(encoding="utf-8"))["files"].items():
            path = folder / name
            if not path.is_file() or _remembered_sha256(path) != expected["sha256"]:
                raise UserError(
                    f"{name} is not what was fetched",
                    where=str(folder),
                    do=_AGAIN,
                )
    return folder


def _remembered_sha256(path: Path) -> str:
    path = path.resolve()
    stat = path.stat()
    store = cache_folder() / "hashes" / (hashlib.sha256(str(path).encode()).hexdigest()[:32] + ".json")
    stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    try:
        remembered = json.loads(store.read_text(encoding="utf-8"))
        if remembered["stamp"] == stamp:
            return remembered["sha256"]
    except (OSError, ValueError, KeyError):
        pass
    digest = files.sha256_of(path)
    store.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(store, {"stamp": stamp, "sha256": digest}, durable=False)
    return digest
