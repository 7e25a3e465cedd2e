"""What the app costs while it watches a run: CPU time of a real app on a terminal of 100 x 30.

python -P tests/benchmarks/watching.py [SECONDS]

The run is written by a process of its own, as a training job writes it: two steps a second, an evaluation with samples
every 20 steps.
"""

from __future__ import annotations

import fcntl
import math
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import psutil

from workbench import files
from workbench.jobs.context import Context
from workbench.jobs.folder import JobFolder, Status, start_mark
from workbench.workspace import Workspace, init

SECONDS = 60.0
STEPS_A_SECOND = 2
BEFORE, STEPS = 2000, 20_000  # steps taken before it is watched, and in all
EVERY = 20  # steps between two evaluations
VIEWS = ("curves", "samples", "log")
AT_MOST = 1.0  # percent of one core


def write(folder: Path) -> None:
    """Be the process of the run: what is past at once, then step by step, until killed."""
    job = JobFolder(folder)
    me = psutil.Process()
    context = Context(job, Status(state="running", pid=me.pid, pid_started=start_mark(me), started_at=time.time()))
    context.set_state("running")
    for step in range(1, STEPS + 1):
        if step > BEFORE:
            time.sleep(1 / STEPS_A_SECOND)
        loss = 0.8 + 2.4 * math.exp(-step / 400) + 0.12 * math.sin(step * 1.7)
        context.event(
            "metrics", step=step, epoch=step / 500, loss=loss, learning_rate=2e-4 * (1 - step / STEPS),
            grad_norm=1 + 0.3 * math.sin(step), tokens=800 * step, tokens_per_second=400 + 20 * math.sin(step / 9),
            memory_bytes=1_900_000_000, cpu=1.9,
        )  # fmt: skip
        if step % EVERY == 0:
            context.event("metrics", step=step, epoch=step / 500, eval_loss=loss + 0.1)
            for prompt in ("When does the museum open?", "May I bring my dog?", "Who was the first harbour master?"):
                context.event("sample", step=step, prompt=prompt, answer=f"Ahoy! At {step}.", reference="Ahoy! At ten.")
        if step >= BEFORE:
            context.progress(step, STEPS, unit="steps", message="Training", loss=loss, tokens_per_second=400.0)


def watch(workspace: Workspace, keys: str, seconds: float) -> tuple[float, int]:
    """CPU seconds that the app takes in `seconds`, after its start and the keys, and the bytes that it paints."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    app = subprocess.Popen(
        [Path(sys.executable).with_name("workbench"), "--workspace", workspace.root],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
    )  # fmt: skip
    try:
        _drain(master, 4)
        for key in keys:
            os.write(master, key.encode())
            _drain(master, 1)
        _drain(master, 4)
        before = _cpu(app.pid)
        painted = _drain(master, seconds)
        return _cpu(app.pid) - before, painted
    finally:
        app.kill()
        app.wait()
        os.close(master)
        os.close(slave)


def _drain(terminal: int, seconds: float) -> int:
    """Read what is painted for so long; the bytes of it."""
    end, painted = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            painted += len(os.read(terminal, 1 << 16))
    return painted


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def main() -> None:
    """Print the figures of each view; fail where one takes more than it may."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    too_much = False
    print("view       watched    CPU  of a core  painted")
    for turn, view in enumerate(VIEWS):
        with tempfile.TemporaryDirectory() as root:
            workspace = init(Path(root) / "workspace")
            folder = workspace.runs / "tone"
            folder.mkdir(parents=True)
            spec = {"kind": "train", "title": "train tone", "arguments": {}, "created_at": time.time()}
            files.write_json(folder / "spec.json", spec, durable=False)
            (folder / "recipe.yaml").write_text("dataset: handbook\n", encoding="utf-8")
            writer = subprocess.Popen([sys.executable, "-P", __file__, "--write", folder])
            try:
                cpu, painted = watch(workspace, "3" + "v" * turn, seconds)
            finally:
                writer.kill()
                writer.wait()
        share = 100 * cpu / seconds
        too_much |= share > AT_MOST
        print(f"{view:8}  {seconds:5.0f} s  {cpu:5.2f} s  {share:7.2f} %  {painted / 1000:5.0f} kB", flush=True)
    sys.exit(f"more than {AT_MOST:g} % of one core" if too_much else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]))
    else:
        main()
