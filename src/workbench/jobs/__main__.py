"""The process of one job: `python -P -m workbench.jobs FOLDER`. Started by `control`, never by hand."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from workbench.errors import UserError
from workbench.jobs.context import Context, StopRequested
from workbench.jobs.folder import JobFolder, start_mark
from workbench.jobs.kinds import KINDS
from workbench.jobs.queue import heavy_turn


def main(folder: str) -> int:
    """Run the job in `folder`; the exit code is 0 when it is done or stopped."""
    job = JobFolder(Path(folder).resolve())
    lock = FileLock(job.path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("another process does this job already", flush=True)
        return 0
    kind = KINDS[job.spec["kind"]]
    me = psutil.Process()
    status = job.status()
    context = Context(job, status)
    signal.signal(signal.SIGTERM, lambda *_: context.terminate())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    context.set_state("queued", pid=me.pid, pid_started=start_mark(me))
    threading.Thread(target=context.beat, daemon=True).start()
    try:
        with contextlib.ExitStack() as held:
            if kind.heavy:
                held.enter_context(heavy_turn(context.check_stop, lambda ahead: _tell_waiting(context, ahead), job))
            context.check_stop()
            context.set_state("running", started_at=time.time())
            module, function = kind.function.split(":")
            result = getattr(importlib.import_module(module), function)(context)
        _finish(context, "done", result=result)
        return 0
    except StopRequested:
        _finish(context, "stopped")
        return 0
    except UserError as error:
        _finish(context, "failed", error=str(error))
    except MemoryError:
        _finish(context, "failed", error="out of memory. Use a smaller model, batch or max_length.")
    except BaseException as error:
        traceback.print_exc()
        _finish(context, "failed", error=f"{type(error).__name__}: {error} (the details are in {job.log})")
    return 1


def _tell_waiting(context: Context, ahead: int) -> None:
    context.progress(0, message=f"waiting for {ahead or 'another'} heavy job{'s' if ahead > 1 else ''}")


def _finish(context: Context, state: str, **changes: object) -> None:
    context.end()
    context.set_state(state, finished_at=time.time(), **changes)


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    os._exit(code)  # native libraries' exit handlers have nothing left to save, and can hang
