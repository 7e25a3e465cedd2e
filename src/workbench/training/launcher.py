"""The process between a run's job and its workers: `accelerate launch`, kept to this machine where it is alone.

Started by `launch`, never by hand.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from workbench import files
from workbench.training.launch import EXCHANGE, FAILURES, arguments
from workbench.training.recipe import Recipe


def main(folder: Path) -> int:
    """Run the workers of the run in `folder`; 0 when all ended well."""
    end_with_the_job()
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    recipe = Recipe.model_validate(
        json.loads((folder / "spec.json").read_text(encoding="utf-8"))["arguments"]["recipe"]
    )
    _register_loopback()
    try:
        launch_command(launch_command_parser().parse_args(arguments(recipe, folder)))
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        files.write_json(folder / EXCHANGE / FAILURES, {"of": recipe.launch.num_processes, "codes": codes})
        return 1
    return 0


def end_with_the_job() -> None:
    """End this process as soon as the job's is gone: the pipe that is its standard input then has no writer."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _register_loopback() -> None:
    """torchrun's static rendezvous, whose store otherwise listens on every interface, on loopback alone."""
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


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)
