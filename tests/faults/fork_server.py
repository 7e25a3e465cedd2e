"""Runs jobs in children of one process that has imported everything, so that hundreds of them take a minute.

A program: JSON lines in, JSON lines out. Each order is {"folder", "roots", "state", "kind", "at", "clock", "asks"}; the
answer {"code", "fired", "count", "trace"}. `code` is negative for a signal.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def serve(warm_up: str) -> None:
    """Answer orders until standard input ends; `warm_up` is a job that is done here, for what it imports."""
    answers = os.fdopen(os.dup(1), "w")
    log = os.open(str(Path(warm_up) / "job.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import torch

    torch.set_num_threads(1)
    from workbench.jobs import context
    from workbench.jobs.__main__ import main
    from workbench.training import job

    context._SHOW = 0.0  # every progress is written, no heartbeat by the clock: the same writes each time
    context._BEAT = 3600.0
    job.load_tokenizer = functools.cache(job.load_tokenizer)  # each child has its own copy of the process
    main(warm_up)
    gc.freeze()
    for line in sys.stdin:
        json.dump(run(json.loads(line)), answers)
        answers.write("\n")
        answers.flush()


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Do one job in a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(order, writing)
    os.close(writing)
    with os.fdopen(reading) as told:
        lines = [json.loads(line) for line in told]
    status = os.waitpid(child, 0)[1]
    answer: dict[str, Any] = {"code": os.waitstatus_to_exitcode(status), "fired": None, "count": 0, "trace": []}
    for line in lines:
        answer |= line
    return answer


def _child(order: dict[str, Any], told: int) -> None:
    import faulthandler

    from injector import Injector

    from workbench.jobs.__main__ import main

    code = 70
    try:
        os.setsid()
        log = os.open(Path(order["folder"], "job.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(order["folder"])
        os.environ["WORKBENCH_STATE"] = order["state"]
        faulthandler.dump_traceback_later(60, exit=True)
        write = os.write
        injector = Injector(
            order["roots"], order["kind"], order["at"], lambda what: _tell(write, told, {"fired": what})
        )
        _set_clock_back(order["clock"])
        _ask(order["asks"])
        injector.install()
        code = main(order["folder"])
        sys.stdout.flush()
        _tell(write, told, {"count": injector.count, "trace": injector.trace})
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _set_clock_back(seconds: float) -> None:
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() - seconds
    time.time_ns = lambda: now_ns() - int(seconds * 1e9)


def _ask(files: list[tuple[str, int, str, str]]) -> None:
    """Put a file into the run's folder when an event has been told: (type, step, name, content) each."""
    from workbench.jobs.context import Context

    event = Context.event

    def told(self: Context, type: str, **fields: Any) -> None:
        event(self, type, **fields)
        for asked, step, name, content in files:
            if asked == type and fields.get("step", 0) == step and "eval_loss" not in fields:
                (self.folder / name).write_text(content)

    Context.event = told  # type: ignore[method-assign]


def _tell(write: Any, told: int, line: dict[str, Any]) -> None:
    data = json.dumps(line).encode() + b"\n"
    while data:
        data = data[write(told, data) :]


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    serve(sys.argv[1])
