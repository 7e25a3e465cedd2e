"""The server's process: `python -P -m workbench.chat.server --workspace DIR`.

It listens at once; models are loaded when they are asked for.

It ends with the process given as --parent, else after a while without requests.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout

from workbench.chat import address
from workbench.chat.address import Address
from workbench.chat.guard import Activity, is_loopback
from workbench.chat.routes import create_app
from workbench.errors import UserError
from workbench.jobs.folder import process_of
from workbench.workspace import Workspace

IDLE_MINUTES = 20.0
"""After so many minutes without a request, a server without a parent ends."""
_GRACE = 2  # seconds that answers in progress may take when the server ends


def main(arguments: list[str] | None = None) -> int:
    """Serve a workspace until told to end; the process's exit code."""
    parser = argparse.ArgumentParser(prog="workbench.chat.server")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--parent", type=int, help="end when this process does")
    parser.add_argument("--idle-minutes", type=float, default=IDLE_MINUTES)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    options = parser.parse_args(arguments)
    workspace = Workspace(options.workspace.resolve())
    try:
        return _serve(workspace, options)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        return 1


def _serve(workspace: Workspace, options: argparse.Namespace) -> int:
    from workbench.chat.engine import Engine

    workspace.private.mkdir(mode=0o700, parents=True, exist_ok=True)
    alone = FileLock(workspace.private / "server.lock")  # the system lets go of it when this process ends, however
    while not alone.is_locked:
        try:
            alone.acquire(timeout=0.1)
        except Timeout:  # by one that serves, that is about to, or that is about to end
            if address.running(workspace):
                print("the workspace has a server already", file=sys.stderr, flush=True)
                return address.ALREADY_SERVED
    settings = workspace.settings().server
    host = options.host or settings.host
    listener = _listen(host, settings.port if options.port is None else options.port)
    activity, token = Activity(), secrets.token_urlsafe(32)
    engine = Engine(workspace)
    app = create_app(engine, token=token, host=host, activity=activity)
    quiet = {"log_level": "warning", "access_log": False, "server_header": False}
    protocols = {"http": "h11", "ws": "none", "lifespan": "off"}
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=_GRACE, **protocols, **quiet))
    parent = options.parent
    born = None if parent is None else address.started(parent)
    here = Address(_url(listener), token, os.getpid(), address.started(os.getpid()), parent, born)
    address.publish(workspace, here)
    print(f"listening on {here.url}", flush=True)
    engine.follow()
    idle = None if parent else options.idle_minutes * 60
    threading.Thread(target=_watch, args=(server, activity, here, idle), daemon=True).start()
    # uvicorn raises the signal that ended it once more; by then there is nothing left that it should do.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        server.run(sockets=[listener])
    finally:
        address.withdraw(workspace, here)
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections; requests wait in it until the server runs."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(128)
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            do="Change `server:` in configs/settings.yaml, or name another --port.",
        ) from None
    if not is_loopback(host):
        print(f"warning: {host} can be reached from the network; whoever has the token can use it", flush=True)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _watch(server: uvicorn.Server, activity: Activity, here: Address, idle: float | None) -> None:
    """End the server when its parent has ended, or when it was idle for `idle` seconds."""
    waiting = threading.Event()
    while not server.should_exit:
        if here.parent is not None and process_of(here.parent, here.parent_started) is None:
            server.should_exit = True
        if idle is not None and activity.idle_seconds() > idle:
            server.should_exit = True
        waiting.wait(1.0 if idle is None else min(1.0, idle / 4 + 0.01))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a thread may be deep in a generation that nobody waits for
