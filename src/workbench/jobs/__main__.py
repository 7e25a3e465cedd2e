"""The process of one job: `python -P -m workbench.jobs FOLDER`. Started by `control`, never by hand."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from workbench import files
from workbench.errors import UserError
from workbench.jobs.context import Context, StopRequested, of_the_disk, told
from workbench.jobs.folder import JobFolder, start_mark
from workbench.jobs.kinds import KINDS
from workbench.jobs.queue import heavy_turn


def main(folder: str) -> int:
    """Run the job in `folder`; the exit code is 0 when it is done or stopped, or nothing is to be started."""
    job = JobFolder(Path(folder).resolve())
    lock = FileLock(job.path / ".lock")
    try:
        lock.acquire(timeout=0)
        status = job.to_be_started()
        if status is None:
            _say(f"{job.id} is {job.status().state}: it is started by `workbench`, once")
            return 0
        files.remove_asides(job.path)
        kind = KINDS[job.spec["kind"]]
        context = Context(job, status)
        me = psutil.Process()
        signal.signal(signal.SIGTERM, lambda *_: context.terminate())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        context.set_state("queued", pid=me.pid, pid_started=start_mark(me))
    except Timeout:
        _say("another process does this job already")
        return 0
    except (OSError, UserError) as error:
        _say(f"cannot start: {error}")
        return 1
    threading.Thread(target=context.beat, daemon=True).start()
    try:
        with contextlib.ExitStack() as held:
            if kind.heavy:
                held.enter_context(heavy_turn(context.check_stop, lambda ahead: _tell_waiting(context, ahead), job))
            context.check_stop()
            context.set_state("running", started_at=time.time())
            module, function = kind.function.split(":")
            result = getattr(importlib.import_module(module), function)(context)
        context.end("done", result=result)
        return 0
    except StopRequested:
        return _end(context, "stopped")
    except BaseException as error:
        return _end(context, "failed", error=told(error, job))


def _tell_waiting(context: Context, ahead: int) -> None:
    context.progress(0, message=f"waiting for {ahead or 'another'} heavy job{'s' if ahead > 1 else ''}")


def _end(context: Context, state: str, **changes: str) -> int:
    """Tell how the job ended; where the disk takes nothing, job.log may, and readers will find the job lost."""
    try:
        context.end(state, **changes)
    except OSError as error:
        _say(f"{state}{': ' + changes['error'] if 'error' in changes else ''}")
        _say(f"this could not be written: {of_the_disk(error)}")
        return 1
    return int(state == "failed")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, flush=True)


if __name__ == "__main__":
    code = main(sys.argv[1])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)  # native libraries' exit handlers have nothing left to save, and can hang
