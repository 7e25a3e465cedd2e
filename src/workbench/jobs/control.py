"""Starting, finding, stopping and resuming jobs, from the app or the command line."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from workbench import files
from workbench.errors import UserError
from workbench.jobs.environment import job_environment
from workbench.jobs.folder import JobFolder, Status
from workbench.jobs.kinds import KINDS
from workbench.workspace import Workspace

_children: list[subprocess.Popen[bytes]] = []  # polled, so that finished ones do not stay zombies


def start(
    workspace: Workspace, kind: str, arguments: dict[str, Any], *, title: str, folder: Path | None = None
) -> JobFolder:
    """Start a job; it is queued, and runs when its turn comes, whether or not this process lives on.

    Args:
        workspace: where it belongs.
        kind: a key of `KINDS`.
        arguments: JSON-able; the function of the kind reads them.
        title: what a person sees.
        folder: where; a run names its folder under runs/, others get one under jobs/.

    Raises:
        UserError: the folder is taken.
    """
    assert kind in KINDS, kind
    if folder is None:
        workspace.jobs.mkdir(parents=True, exist_ok=True)
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40]
        folder = workspace.jobs / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}-{slug}"
    job = JobFolder(folder)
    now = time.time()
    spec = {"kind": kind, "title": title, "arguments": arguments, "created_at": now}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / ".starting"):
        _make(folder)
        try:
            job.write_status(Status(queued_at=now, queued_mark=time.monotonic()))
            files.write_json(folder / "spec.json", spec)  # last: with it the folder is a job
            files.fsync_folder(folder.parent)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # or its name would be taken by what no list shows
            raise
    _launch(job)
    return job


def resume(job: JobFolder) -> JobFolder:
    """Start an ended job again in its own folder; what it had done is kept (see each kind).

    Raises:
        UserError: it is still going, or it is done.
    """
    with FileLock(job.path / ".resuming"):  # of two that resume it at once, the second finds it queued
        _ = job.spec  # it may have been deleted meanwhile
        status = job.status()
        if status.live:
            raise UserError(f"{job.id} is {status.state}", do="There is nothing to resume.")
        if status.state == "done":
            raise UserError(f"{job.id} is done", do="Start a new one.")
        job.stop_file.unlink(missing_ok=True)
        job.pause_file.unlink(missing_ok=True)
        again = Status(
            attempt=status.attempt + 1,
            queued_at=time.time(),
            queued_mark=time.monotonic(),
            progress=status.progress,
            figures=status.figures,
        )
        job.write_status(again)
        _launch(job)
    return job


def stop(job: JobFolder, *, now: bool = False) -> None:
    """Ask a job to stop; it saves what it can. `now` kills its process instead (it is then lost, and resumable).

    Raises:
        UserError: it is not going.
    """
    status = job.status()
    if not status.live:
        raise UserError(f"{job.id} is {status.state}", do="There is nothing to stop.")
    job.stop_file.touch()  # also for `now`: a process that is only about to start ends by it
    if now and (process := job.process()):
        process.kill()


def discard(job: JobFolder) -> None:
    """End a job that this process started, at once, and remove its folder: for one that nobody waits for any more.

    The folder is moved away first, so that nobody finds the job lost.
    """
    for child in list(_children):
        if child.args == _command(job):
            child.kill()
    aside = Workspace(job.workspace_root).private / f"discarded-{job.id}"
    aside.parent.mkdir(exist_ok=True)
    with contextlib.suppress(FileNotFoundError):  # it is discarded already
        job.path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def jobs(workspace: Workspace) -> list[JobFolder]:
    """All jobs of a workspace, runs included, newest first; without those whose spec.json is damaged."""
    reap()
    found = [JobFolder(path.parent) for place in (workspace.jobs, workspace.runs) for path in place.glob("*/spec.json")]
    dated = [(spec["created_at"], job) for job in found if (spec := job.listed) is not None]
    return [job for _, job in sorted(dated, key=lambda pair: pair[0], reverse=True)]


def find(workspace: Workspace, name: str) -> JobFolder:
    """The job or run called `name`, or the only job whose id begins with it.

    Raises:
        UserError: there is none, or there are several.
    """
    for place in (workspace.runs, workspace.jobs):
        if re.fullmatch(r"[\w.-]+", name) and (place / name / "spec.json").is_file():
            return JobFolder(place / name)
    matches = [job for job in jobs(workspace) if job.id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(f"{name!r} begins the ids of {len(matches)} jobs", do="Write more of the id.")
    raise UserError(f"there is no job {name!r}", do="See `workbench jobs list`.")


def reap() -> None:
    """Collect finished children of this process."""
    _children[:] = [child for child in _children if child.poll() is None]


def _make(folder: Path) -> None:
    """Make the folder of a new job, or take over one whose maker was killed before it was a job."""
    try:
        folder.mkdir()
    except FileExistsError:
        made = (path.name for path in folder.iterdir()) if folder.is_dir() else [folder.name]
        if any(name != "status.json" and not name.startswith(".") for name in made):
            raise UserError(f"{folder.name!r} exists", where=str(folder), do="Choose another name.") from None


def _command(job: JobFolder) -> list[str]:
    # -P: the workspace's own datasets/ folder never shadows the Hugging Face package
    return [sys.executable, "-P", "-m", "workbench.jobs", str(job.path)]


def _launch(job: JobFolder) -> None:
    reap()
    with job.log.open("ab") as log:
        _children.append(
            subprocess.Popen(
                _command(job),
                cwd=job.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=job_environment(online=KINDS[job.spec["kind"]].online),
            )
        )
