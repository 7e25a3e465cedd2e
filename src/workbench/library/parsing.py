"""Reading PDF, HTML, EPUB and Word files in a child process with limits on its memory and time.

The parsers are native code fed with files that nobody vouches for: a crash, a bomb or an endless loop takes only the
child, and is reported as what is wrong with that one file. Run as `python -P -m workbench.library.parsing` it is the
child: requests come on standard input, answers go to standard output, each a length and that many bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from workbench.library.extracting import extract

SECONDS = 60.0
"""A file that takes longer is given up."""
MEMORY_BYTES = 2 << 30
"""Address space of the child."""
_ANSWER_BYTES = 400_000_000  # no honest answer is longer: JSON needs at most 12 bytes for a character
_GRACE = 5  # seconds after which the child ends by itself, were its parent killed meanwhile


@dataclass(frozen=True)
class Parsed:
    """What the child made of one file: Markdown, page by page."""

    pages: tuple[str, ...] = ()
    paged: bool = False
    """Whether `pages` are the pages of the file; a format without pages gives all its text as one."""
    title: str = ""
    error: str | None = None
    """Why it could not be read; the rest is empty then."""


class Parser:
    """The child process, started when first needed and again after it died. A context manager; for one thread."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Parser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def parse(self, kind: str, data: bytes) -> Parsed:
        """Read a file's bytes.

        Args:
            kind: pdf, html, epub or docx.
            data: the whole file.
        """
        child = self._child = self._child or _start()
        assert child.stdin is not None
        assert child.stdout is not None
        out_of_time = threading.Event()

        def give_up() -> None:
            out_of_time.set()
            child.kill()

        timer = threading.Timer(self._seconds, give_up)
        timer.start()
        try:
            _send(child.stdin, kind.encode())
            _send(child.stdin, data)
            answer = _receive(child.stdout)
        except OSError:
            answer = None
        finally:
            timer.cancel()
        if answer is None:
            self.close()
            reason = f"takes longer than {self._seconds:g} seconds to read" if out_of_time.is_set() else (
                "makes its reader crash or run out of memory"
            )  # fmt: skip
            return Parsed(error=reason)
        fields = json.loads(answer)
        return Parsed(tuple(fields["pages"]), fields["paged"], fields["title"], fields["error"])


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "workbench.library.parsing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _send(stream: IO[bytes], data: bytes) -> None:
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    head = stream.read(8)
    if len(head) < 8:
        return None
    (length,) = struct.unpack("<Q", head)
    if length > _ANSWER_BYTES:
        return None
    data = stream.read(length)
    return data if len(data) == length else None


def serve() -> None:
    """Be the child, until standard input ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints must not come between the answers
    with contextlib.suppress(ImportError, ValueError, OSError):  # not every system has this limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    while (kind := _receive(requests)) is not None and (data := _receive(requests)) is not None:
        _alarm(int(SECONDS) + _GRACE)
        try:
            answer = {"error": None, **extract(kind.decode(), data)}
        except MemoryError:
            answer = {"pages": [], "paged": False, "title": "", "error": "needs too much memory to read"}
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            answer = {"pages": [], "paged": False, "title": "", "error": f"cannot be read: {reason}"}
        _alarm(0)
        _send(answers, json.dumps(answer).encode())


def _alarm(seconds: int) -> None:
    """Be killed after so long, also inside native code; 0 calls it off."""
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(seconds)


if __name__ == "__main__":
    serve()
