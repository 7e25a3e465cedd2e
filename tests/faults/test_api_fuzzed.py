"""Requests that nobody would write: the server refuses each in OpenAI's form, lives on, and does not grow."""

from __future__ import annotations

import json
import math
import os
import random
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.chat import address
from workbench.jobs.environment import job_environment
from workbench.workspace import Workspace

SEED = 20_250
STUB = """
import os, sys
import numpy as np
from workbench.chat import engine, retrieval, server
from workbench.chat.answer import Delta, Figures, UnknownModel
from workbench.models.local import local_folder

class StubEngine(engine.Engine):
    # All but the computing: names are read, indexes and weights looked for.
    def _loaded(self, hybrid):
        if hybrid.rag:
            self._retrieval.load(hybrid.rag)
        if local_folder(hybrid.base) is None:
            raise UnknownModel("no such model")

    def answer(self, question, cancelled=lambda: False):
        if question.model != "stub":
            self._loaded(engine._parse(question.model))
        yield Delta()
        yield Delta("At 8:05.", figures=Figures(3, 2))

    def embed(self, model, texts):
        return (np.zeros((len(texts), 2)), 1) if model == "stub" else super().embed(model, texts)

engine.Engine = StubEngine
retrieval._compute_alone = lambda: None  # it would import torch
os._exit(server.main(sys.argv[1:]))
"""
NOT_HTTP = b"Invalid HTTP request received."  # what is no request at all is answered below the application
TOLD = {200, 400, 401, 404, 405, 413, 421}


@dataclass
class Server:
    """A server in a process of its own."""

    host: str
    port: int
    token: str
    model: str
    embedding: str
    log: Path
    process: psutil.Process
    at_once: int = 1 << 20
    """Bytes that are sent at once: a slow client sends few."""

    def send(self, request: bytes, *, leave_after: int | None = None, last: bool = False) -> bytes:
        """What comes back until the connection ends; nothing if it is left before. `last`: say that no more comes."""
        with socket.create_connection((self.host, self.port), timeout=60) as connection:
            with suppress(ConnectionError):  # the server may refuse before all is sent
                for part in range(0, len(request[:leave_after]), self.at_once):
                    connection.sendall(request[:leave_after][part : part + self.at_once])
            if leave_after is not None:
                return b""
            if last:
                with suppress(OSError):  # the server may have hung up already
                    connection.shutdown(socket.SHUT_WR)
            pieces = []
            with suppress(ConnectionError):
                while piece := connection.recv(65536):
                    pieces.append(piece)
            return b"".join(pieces)

    def megabytes(self) -> float:
        """Of memory that it holds."""
        return self.process.memory_info().rss / 2**20


@contextmanager
def serving(workspace: Workspace, model: str, embedding: str, *program: str) -> Iterator[Server]:
    log = workspace.root / "fuzzed.log"
    options = ["--workspace", str(workspace.root), "--parent", str(os.getpid())]
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-P", *program, *options], stdout=subprocess.PIPE, stderr=written, env=job_environment()
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"listening")
        here = address.running(workspace)
        assert here is not None
        host, port = here.url.removeprefix("http://").split(":")
        try:
            yield Server(host, int(port), here.token, model, embedding, log, psutil.Process(process.pid))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Fuzz:
    """Makes requests; the same ones for the same seed."""

    def __init__(self, server: Server, seed: int) -> None:
        self.draw, self.server = random.Random(seed), server
        chat = {"model": server.model, "messages": [{"role": "user", "content": "When?"}], "max_tokens": 2}
        turns = [
            {"role": "system", "content": "Be brief."},
            *chat["messages"],
            {"role": "assistant", "content": "8:05"},
        ]
        self.good: list[tuple[str, Any]] = [
            ("/v1/chat/completions", chat),
            ("/v1/chat/completions", {**chat, "stream": True, "stream_options": {"include_usage": True}}),
            ("/v1/chat/completions", {**chat, "messages": turns + chat["messages"], "stop": ["x"], "seed": 1, "n": 1}),
            ("/v1/chat/completions", {**chat, "model": f"{server.model}+rag:handbook", "temperature": 0.5, "top_k": 2}),
            ("/v1/embeddings", {"model": server.embedding, "input": ["When?"], "encoding_format": "base64"}),
            ("/v1/search", {"index": "handbook", "query": "When?", "k": 2, "mode": "lexical"}),
            ("/v1/load", {"model": server.model}),
        ]

    def odd(self) -> Any:
        """A value that does not belong where it comes."""
        draw = self.draw
        return draw.choice(
            [
                None, True, False, 0, -1, 1, 2**31, -(2**63), 2**64, 10**30, 1e308, math.nan, math.inf, -math.inf, 0.5,
                "", " ", "\x00", "\ud800", "\u202e\u2066", "\U000e0041", "a" * 5000, "é" * 300, "../../etc", "~x",
                "/", "/etc", ".", "+lora:", "+rag:handbook", "x+lora:../x", "x+rag:" + "y" * 300, "%s%n", "<|im_end|>",
                "stub", self.server.model, "nul\x00l", "a/b/c", "--help", "${HOME}", "\n\r\n", [], {}, [[]], [None],
                {"a": []}, ["x"] * 3000, [1, "2", None], {"type": "text", "text": "x"}, [{"type": "image_url"}],
                {"role": "user", "content": "x"}, [{"role": "user", "content": "x"}] * 30, {"": ""}, "8:05", "1",
            ]
        )  # fmt: skip

    def mutated(self, value: Any) -> Any:
        """A copy with one thing changed, somewhere."""
        draw = self.draw
        if isinstance(value, dict) and value and draw.random() < 0.85:
            changed, key = dict(value), draw.choice(list(value))
            match draw.randrange(5):
                case 0:
                    del changed[key]
                case 1:
                    changed[draw.choice(["tools", "logprobs", "stop", "top_p", "extra", "\x00", "dimensions"])] = (
                        self.odd()
                    )
                case _:
                    changed[key] = self.mutated(changed[key])
            return changed
        if isinstance(value, list) and value and draw.random() < 0.7:
            changed, at = list(value), draw.randrange(len(value))
            changed[at : at + 1] = [[self.mutated(changed[at])], [], [changed[at]] * draw.randrange(40)][
                draw.randrange(3)
            ]
            return changed
        return self.odd()

    def body(self) -> tuple[str, bytes]:
        """A path and a body of JSON, or nearly."""
        draw = self.draw
        path, value = draw.choice(self.good)
        for _ in range(draw.randrange(4)):
            value = self.mutated(value)
        body = json.dumps(value, ensure_ascii=draw.random() < 0.8).encode("utf-8", "surrogatepass")
        match draw.randrange(12):
            case 0:
                depth = draw.choice([50, 990, 3000, 100_000])
                body = b'{"model":"stub","messages":' + b"[" * depth + b"]" * draw.choice([depth, 0]) + b"}"
            case 1:
                body = body[: draw.randrange(len(body) + 1)]
            case 2:
                at = draw.randrange(len(body) + 1)
                body = body[:at] + draw.randbytes(draw.randrange(1, 9)) + body[at:]
            case 3:
                body = body.replace(b"2", b"9" * draw.choice([20, 400, 5000]), 1)
            case 4:
                body = draw.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b" " * 9999]) + body
        return path, body

    def request(self) -> tuple[str, bytes]:
        """The kind of a request, and its bytes."""
        draw = self.draw
        path, body = self.body()
        method, host, length = "POST", "localhost", str(len(body))
        headers = [("Authorization", f"Bearer {self.server.token}"), ("Content-Type", "application/json")]
        kind = draw.choice(["body"] * 6 + ["path", "method", "header", "framing", "bytes"])
        if kind == "path":
            parts = [
                "v1",
                "chat",
                "completions",
                "models",
                "..",
                "%2e%2e",
                "%00",
                "%ff",
                "",
                "x" * 3000,
                "%E2%80%AE",
                "?a=b",
            ]
            path = "/" + "/".join(draw.choice(parts) for _ in range(draw.randrange(6)))
            path = draw.choice([path, path, "*", f"http://evil.example{path}", path + "#x", path + "?" + "q" * 9000])
            method = draw.choice(["GET", "POST", "HEAD"])
        if kind == "method":
            method = draw.choice(
                ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"]
            )
            path = draw.choice([path, "/health", "/v1/models", "/v1/status"])
        if kind == "header":
            odd = draw.choice(
                ["", "Bearer", "Bearer ", "Basic x", "Bearer \xff", "Bearer " + "x" * 20_000, "bearer\tx"]
            )
            headers[0] = draw.choice([headers[0], ("Authorization", odd)])
            types = [
                "",
                "text/plain",
                "application/json; charset=utf-16",
                "multipart/form-data",
                "application/x+json",
                "\xe9",
            ]
            headers[1] = ("Content-Type", draw.choice(types))
            host = draw.choice(
                ["localhost", "127.0.0.1:1", "[::1]evil", "[", "evil.example", "", "local\xffhost", "::1"]
            )
            headers += draw.choice(
                [[], [("Expect", "100-continue")], [("Upgrade", "websocket")], [("X-" + "y" * 99, "z")]]
            )
            headers += draw.choice([[], [("Accept-Encoding", "br")], [("Range", "bytes=9-")], [("Host", "other")]])
        if kind == "framing":
            length = draw.choice(["0", "1", "-1", "x", "9" * 30, "9" * 5000, str(2**31), "+5", ""])
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if kind == "framing" and draw.random() < 0.4:
            lines.append("Transfer-Encoding: chunked")
            size = draw.choice([f"{len(body):x}", "ffffffff", "-1", "zz", "0"])
            body = f"{size}\r\n".encode() + body + draw.choice([b"\r\n0\r\n\r\n", b"", b"\r\n"])
        else:
            lines.append(f"Content-Length: {length}")
        request = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body
        if kind == "bytes":
            changed = bytearray(request)
            for _ in range(draw.randrange(1, 6)):
                changed[draw.randrange(len(changed))] = draw.randrange(256)
            request = bytes(changed)
        return kind, request


def check(request: bytes, answer: bytes) -> int:
    """The status of an answer that is as it should be."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    assert status in TOLD, (request[:2000], answer[:2000])
    if status == 200 or request.startswith(b"HEAD "):
        return status
    if NOT_HTTP in body:
        assert status == 400
        return status
    problem = json.loads(body)["error"]
    assert set(problem) >= {"message", "type", "param", "code"}
    assert problem["type"] == "invalid_request_error", (request[:2000], answer)
    assert problem["message"]
    assert len(body) < 70_000
    assert b"Traceback" not in body
    return status


def fuzz(server: Server, count: int, *, megabytes: float) -> Counter[Any]:
    """Send so many requests; how often each status came, and None where the client left or the server hung up."""
    made, told, before = Fuzz(server, SEED), Counter[Any](), 0.0
    for number in range(count):
        if number == count // 4:
            before = server.megabytes()
        kind, request = made.request()
        server.at_once = 97 if number % 20 == 0 and len(request) < 20_000 else 1 << 20
        if made.draw.random() < 0.08:
            server.send(request, leave_after=made.draw.randrange(1, len(request) + 1))
            told["left"] += 1
            continue
        unfinished = kind in ("framing", "bytes")  # a body may be announced and never come
        answer = server.send(request, last=unfinished)
        if answer or not unfinished:
            told[check(request, answer)] += 1
        else:
            told["hung up"] += 1
    body = json.dumps(made.good[0][1]).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    assert check(b"", server.send(head.encode() + body)) == 200
    assert "Traceback" not in server.log.read_text(errors="replace")
    assert server.megabytes() - before < megabytes
    print(f"{count:,} requests: {dict(told)}; memory {before:.0f} -> {server.megabytes():.0f} MiB")
    return told


def test_a_few_hundred_odd_requests(workspace: Workspace) -> None:
    with serving(workspace, "stub", "stub", "-c", STUB) as server:
        told = fuzz(server, 500, megabytes=48)
    assert {status for status in TOLD if told[status]} >= {200, 400, 401, 404, 405, 421}
    assert told[200] > 20


@pytest.mark.slow
def test_ten_thousand_odd_requests_to_a_real_model(workspace: Workspace, tiny_base: Path, command: Any) -> None:
    (workspace.configs / "settings.yaml").write_text(f"base_model: {tiny_base}\ngeneration: {{max_new_tokens: 4}}\n")
    (workspace.root / "docs").mkdir()
    (workspace.root / "docs" / "ferry.md").write_text("# Ferry\n\nThe ferry leaves at 8:05. When? In the morning.\n")
    assert command("index", "build", "handbook", "docs").code == 0
    with serving(workspace, str(tiny_base), "all-minilm-l6-v2", "-m", "workbench.chat.server") as server:
        told = fuzz(server, 10_000, megabytes=160)
    assert {status for status in TOLD if told[status]} == TOLD
