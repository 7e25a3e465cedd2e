"""What work of several processes shares: `accelerate launch`, kept to this machine where it is alone, and its end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from typing import Any

import psutil

_FOREIGN = ("ACCELERATE_", "FSDP_", "PARALLELISM_CONFIG_", "DEEPSPEED_", "MEGATRON_LM_", "TORCHELASTIC_", "PET_")
_LOOPBACK = {"linux": "lo", "darwin": "lo0"}


def environment(*, alone: bool) -> dict[str, str]:
    """This process's environment, without what would give Accelerate orders; `alone`: one machine, loopback only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    kept["PYTHONSAFEPATH"] = "1"
    interface = _LOOPBACK.get(sys.platform)
    if alone and interface:
        kept |= {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}
    return kept


def end(launcher: subprocess.Popen[bytes]) -> None:
    """End the launcher and the workers, if they still live; they follow the end of the pipe at once."""
    try:
        living = psutil.Process(launcher.pid).children(recursive=True)
    except psutil.Error:
        living = []
    assert launcher.stdin
    launcher.stdin.close()
    _, stubborn = psutil.wait_procs(living, timeout=5)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    launcher.kill()
    launcher.wait()


def end_with_the_job() -> None:
    """End this process as soon as the job's is gone: the pipe that is its standard input then has no writer."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def register_loopback() -> None:
    """Teach torchrun the rendezvous "loopback": its static one, listening on loopback alone and not everywhere."""
    from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]
    from torch.distributed.elastic.rendezvous import (
        RendezvousHandler,
        RendezvousInfo,
        RendezvousParameters,
        RendezvousStoreInfo,
        rendezvous_handler_registry,
    )
    from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

    class Loopback(StaticTCPRendezvous):
        def get_backend(self) -> str:
            return "loopback"

        def next_rendezvous(self) -> RendezvousInfo:
            # The store takes the descriptor over, and closes it.
            listening = socket.create_server((self.master_addr, self.master_port)).detach()
            self._store = TCPStore(
                self.master_addr, self.master_port, self.world_size, is_master=True, timeout=self.timeout,
                master_listen_fd=listening,
            )  # fmt: skip
            where = RendezvousStoreInfo(self.master_addr, self.master_port)
            return RendezvousInfo(PrefixStore(self.run_id, self._store), 0, 1, where)

    def create(parameters: RendezvousParameters) -> RendezvousHandler:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        options: dict[str, Any] = {"rank": 0, "world_size": 1, "run_id": parameters.run_id, "timeout": 900}
        return Loopback("127.0.0.1", port, **options)

    rendezvous_handler_registry.register("loopback", create)
