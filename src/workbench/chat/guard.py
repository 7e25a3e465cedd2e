"""Who may talk to the server: the holder of the token, under a name of this machine, with a request of bounded size."""

from __future__ import annotations

import ipaddress
import json
import secrets
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workbench.chat.protocol import error

MAX_BYTES = 4 * 1024 * 1024
"""Bytes of a request's body at most."""
OPEN = ("/health",)
"""Paths that need no token; they tell nothing secret."""


@dataclass
class Activity:
    """How much the server is used; it ends when idle for long."""

    running: int = 0
    last: float = field(default_factory=time.monotonic)

    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while there is one."""
        return 0.0 if self.running else time.monotonic() - self.last


class Guard:
    """ASGI middleware before everything else.

    The Host header must name this machine: a page of the web can have its own name resolve to 127.0.0.1 and so make a
    browser send requests here, but it cannot make the browser lie in that header (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, token: str, host: str, activity: Activity) -> None:
        self._app, self._token, self._activity = app, token.encode(), activity
        self._loopback = is_loopback(host)
        self._names = {"localhost"} if self._loopback else {"localhost", host.lower(), socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not self._names_this_machine(headers.get("host", "")):
            await _refuse(send, 421, "the Host header does not name this server", "wrong_host")
            return
        if scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self._token):
            message = "the token is missing or wrong; it is in .workbench/server.json of the workspace"
            await _refuse(send, 401, message, "invalid_api_key")
            return
        body = await _body(receive, headers.get("content-length", ""))
        if body is None:
            message = f"the request is larger than {MAX_BYTES // 2**20} MiB"
            await _refuse(send, 413, message, "request_too_large")
            return
        self._activity.running += 1
        try:
            await self._app(scope, _replaying(body, receive), send)
        finally:
            self._activity.running -= 1
            self._activity.last = time.monotonic()

    def _names_this_machine(self, host: str) -> bool:
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name.lower() in self._names
        return address.is_loopback or not self._loopback


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


async def _body(receive: Receive, announced: str) -> bytes | None:
    """The whole body, or None if it is too large."""
    if announced.isascii() and announced.isdigit() and (len(announced) > 12 or int(announced) > MAX_BYTES):
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, then what still comes: the message that the client is gone."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Send, status: int, message: str, code: str) -> None:
    body: Any = json.dumps(error(message, code=code)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
