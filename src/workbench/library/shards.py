"""Embedding a large library in several processes, a shard each, under `accelerate launch`.

A shard is a range of the keys that embeddings are stored under; they are hashes, so equal ranges hold about as many.
The processes read the index's database and leave what they embed in files, which the build, its only writer, takes
into the database as they come. What a killed build left behind is taken in by the next: nothing is embedded twice.

All of them run on one machine, on GPUs one for each: the database is in WAL mode, which works on no disk that machines
share. On several machines, copy the index's folder to each and start `workbench.library.shard_worker INDEX_FOLDER
MODEL_FOLDER` there with an `accelerate launch` of one's own; it embeds its shard of what a build has read, and only
reads the copy. Copy what it leaves in `.parts` back: the next `workbench index update` takes it in.
Run as `python -P -m workbench.library.shards` this module is the launcher.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import psutil

from workbench import files
from workbench.errors import UserError
from workbench.jobs.processes import end, end_with_the_job, environment, register_loopback
from workbench.library.store import Store, embedding_key

if TYPE_CHECKING:
    import numpy as np

    from workbench.models.embed import Embedder

PARTS = ".parts"
"""The folder, inside the index's, that embedded shards wait in."""
_LOOK = 0.2  # seconds between two looks at what the processes have left


def embed(
    store: Store,
    folder: Path,
    model: Embedder,
    processes: int,
    collected: Callable[[int], None],
    stop: Callable[[], None],
) -> int:
    """Embed every text of a model that has no embedding.

    Args:
        store: of the index in `folder`; the only one that writes.
        folder: the index's.
        model: the embedding model; the processes load their own.
        processes: how many embed, on GPUs one for each.
        collected: told how many texts have been embedded so far.
        stop: may raise to stop; what was embedded is kept.

    Returns:
        How many texts were embedded.

    Raises:
        UserError: a process failed or was killed.
    """
    done = 0

    def collect_more() -> None:
        nonlocal done
        if more := collect(store, folder, model.dimensions):
            done += more
            collected(done)

    command = [sys.executable, "-P", "-m", "workbench.library.shards", str(folder), str(model.folder), str(processes)]
    # The pipe's end is the sign to end, for the launcher and for its workers.
    launcher = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment(alone=True))
    try:
        while launcher.poll() is None:
            stop()
            collect_more()
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.wait(_LOOK)
    finally:
        end(launcher)
        collect_more()
    if launcher.returncode or store.not_embedded(model.fingerprint):
        raise UserError(
            "a process that embeds failed or was killed",
            where=f"index {folder.name}",
            do="Build again: it goes on where it was. If memory ran out, use fewer processes. The job's log has more.",
        )
    return done


def collect(store: Store, folder: Path, dimensions: int) -> int:
    """Take what processes have embedded into the store; returns how many texts that are.

    Args:
        store: of the index in `folder`.
        folder: the index's.
        dimensions: length of a vector; parts with others are dropped, as damaged ones are.
    """
    import numpy as np

    count = 0
    for path in sorted((folder / PARTS).glob("*.npz")):
        with contextlib.suppress(OSError, ValueError, KeyError, BadZipFile), np.load(path, allow_pickle=False) as part:
            keys, vectors = part["keys"], part["vectors"]
            if vectors.shape == (len(keys), dimensions) and np.isfinite(vectors).all():  # else they are embedded again
                store.add_embeddings([key.tobytes() for key in keys], vectors)
                count += len(keys)
        path.unlink(missing_ok=True)
    return count


def leave(folder: Path, name: str, keys: list[bytes], vectors: np.ndarray) -> None:
    """Leave embeddings for the build.

    Args:
        folder: the index's.
        name: no other part's.
        keys: n keys of 32 bytes.
        vectors: float32 [n, dimensions].
    """
    import numpy as np

    parts = folder / PARTS
    parts.mkdir(exist_ok=True)
    with files.replacing(parts / f"{name}.npz") as aside, aside.open("wb") as file:
        np.savez(file, keys=np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1), vectors=vectors)


def shard(number: int, of: int) -> tuple[bytes, bytes]:
    """The first key of a shard and the first beyond it."""
    first, beyond = ((1 << 256) * n // of for n in (number, number + 1))
    return first.to_bytes(33, "big")[1:], beyond.to_bytes(33, "big")[1:] if beyond < 1 << 256 else b"\xff" * 33


def batches(store: Store, number: int, of: int, size: int, fingerprint: str) -> Iterator[list[tuple[bytes, str]]]:
    """Yield keys and texts of a shard that the model with a fingerprint has not embedded, at most `size` at once, in
    the order of the keys.

    Raises:
        UserError: a text stands under another model's key.
    """
    first, beyond = shard(number, of)
    while batch := store.shard_to_embed(first, beyond, size, fingerprint):
        if any(embedding_key(fingerprint, text) != key for key, text in batch):
            raise UserError(
                "a text was staged for another embedding model",
                where=str(store.folder),
                do="Run `workbench index update` with the model of the index.",
            )
        first = batch[-1][0] + b"\0"  # the least key that is greater
        yield batch


def main(folder: Path, model: Path, processes: int) -> int:
    """Run the workers; 0 when all ended well."""
    end_with_the_job()
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    register_loopback()
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    with tempfile.TemporaryDirectory() as place:
        configuration = Path(place, "accelerate.json")
        files.write_json(
            configuration,
            {
                "compute_environment": "LOCAL_MACHINE",
                "distributed_type": "MULTI_GPU",  # its word for torchrun; CPUs, too
                "num_processes": processes,
                "num_machines": 1,
                "machine_rank": 0,
                "main_process_ip": "127.0.0.1",
                "main_process_port": 0,  # a free one
                "mixed_precision": "no",
                "use_cpu": False,
                "gpu_ids": "all",
                "debug": False,
                "enable_cpu_affinity": False,
                "downcast_bf16": False,
            },
        )
        arguments = [
            "--config_file", str(configuration),
            "--rdzv_backend", "loopback",
            "--num_cpu_threads_per_process", str(max(1, cores // processes)),
            "--max_restarts", "0",
            "--module", "workbench.library.shard_worker", str(folder), str(model),
        ]  # fmt: skip
        try:
            launch_command(launch_command_parser().parse_args(arguments))
        except ChildFailedError:
            return 1
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.flush()
    os._exit(code)
