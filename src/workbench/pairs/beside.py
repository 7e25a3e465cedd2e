"""Reading a large file in a process beside the one that writes, so that each has a processor of its own.

The parent starts `python -P -m workbench.pairs.beside` and takes frames from its pipe: a length, then a value as
`marshal` writes it. Both are one interpreter, and nobody else can write there. When either ends, so does the other.
"""

from __future__ import annotations

import contextlib
import gc
import json
import marshal
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from workbench.errors import UserError
from workbench.pairs.detecting import Detection
from workbench.pairs.prepared import Batch, batches
from workbench.pairs.readers import RowFile
from workbench.pairs.row import Fault

_LENGTH = struct.Struct("<Q")
_PIPE = 2**20  # bytes that a pipe holds, where the system lets it


@contextmanager
def reading(path: Path, found: Detection, limit: int | None = None) -> Iterator[Iterator[Batch]]:
    """The batches of a file (see `batches`), read by another process, which has ended when the context has.

    Raises:
        UserError: as `batches`; or the process was killed.
    """
    asked = json.dumps({"path": str(path.absolute()), "found": asdict(found), "limit": limit})
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, asked],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        bufsize=_PIPE,
        process_group=0,  # ctrl+c is for the parent, which ends this one
    )
    assert process.stdout
    try:
        yield _frames(process.stdout, path)
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _frames(pipe: IO[bytes], path: Path) -> Iterator[Batch]:
    while len(head := pipe.read(_LENGTH.size)) == _LENGTH.size:
        body = pipe.read(_LENGTH.unpack(head)[0])
        kind, *values = marshal.loads(body)
        if kind == "end":
            return
        if kind == "error":
            what, where, do = values
            raise UserError(what, where=where, do=do)
        rows, faults, *read = values
        yield Batch(rows, [Fault(*fault) for fault in faults], *read)
    raise UserError("the process that read it was killed", where=str(path), do="Nothing was imported; try again.")


def _main() -> None:
    gc.disable()  # nothing here refers to itself
    asked = json.loads(sys.argv[1])
    # What is printed by mistake must not stand between the frames.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb", 0) as pipe:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _widen(pipe)
        try:
            for batch in batches(RowFile(Path(asked["path"])), Detection(**asked["found"]), asked["limit"]):
                _send(pipe, "batch", batch.rows, [(fault.line, fault.reason) for fault in batch.faults], *batch[2:])
            _send(pipe, "end")
        except UserError as error:
            _send(pipe, "error", error.what, error.where, error.do)
        except BrokenPipeError:
            pass  # nobody wants it any more


def _send(pipe: IO[bytes], *values: Any) -> None:
    body = marshal.dumps(values)
    rest = memoryview(_LENGTH.pack(len(body)) + body)
    while rest:
        rest = rest[pipe.write(rest) :]


def _widen(pipe: IO[bytes]) -> None:
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


if __name__ == "__main__":
    _main()
