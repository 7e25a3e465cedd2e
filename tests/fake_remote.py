"""A model on another server, for tests of what asks one in a job: the OpenAI API over answers that a test gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from workbench.workspace import Workspace

NAME = "big"
"""What the settings call it."""


@dataclass
class FakeRemote:
    """Answers what `says` gives for the body of a request; ends as "length" where that begins with `CUT`, and refuses
    the request in these words where it begins with `NO`."""

    says: Callable[[dict[str, Any]], str]
    asked: list[dict[str, Any]] = field(default_factory=list)
    CUT, NO = "CUT ", "NO "

    def answer(self, body: dict[str, Any]) -> tuple[str, str]:
        self.asked.append(body)
        text = self.says(body)
        return (text.removeprefix(self.CUT), "length") if text.startswith(self.CUT) else (text, "stop")


@contextmanager
def remote(workspace: Workspace, fake: FakeRemote) -> Iterator[FakeRemote]:
    """Serve it, and name it in the workspace's settings."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text, reason = fake.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            if text.startswith(fake.NO):
                self.send_response(400)
                self.end_headers()
                self.wfile.write(json.dumps({"error": {"message": text.removeprefix(fake.NO)}}).encode())
                return
            self.send_response(200)
            self.end_headers()
            for content, ended in ((text, None), ("", reason)):
                chunk = {"choices": [{"delta": {"content": content}, "finish_reason": ended}]}
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = f"remotes:\n  {NAME}:\n    url: http://127.0.0.1:{server.server_port}/v1\n    model: large\n"
    (workspace.configs / "settings.yaml").write_text(settings, encoding="utf-8")
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
