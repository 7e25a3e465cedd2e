"""One of the processes that embed a library together; `accelerate launch` tells it which shard is its own.

accelerate launch ... -m workbench.library.shard_worker INDEX_FOLDER MODEL_FOLDER
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from workbench.errors import UserError
from workbench.jobs.processes import end_with_the_job
from workbench.library import shards
from workbench.library.store import Store

PAGE = 512
"""Texts that are read at once, and embedded in the order of their lengths: little is padded."""


def main(folder: Path, model: Path) -> None:
    """Embed this process's shard of what the index in `folder` has not embedded, and leave it for the build.

    Raises:
        UserError: a text stands under another model's key.
    """
    if stat.S_ISFIFO(os.fstat(0).st_mode):  # started by a build
        end_with_the_job()
    import torch

    from workbench.models.embed import Embedder

    number, of = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    embedder = Embedder(model)
    with Store(folder) as store:
        if store.not_embedded() and not store.not_embedded(embedder.fingerprint):
            print("What waits to be embedded was staged for another embedding model.", file=sys.stderr)
        for page, batch in enumerate(shards.batches(store, number, of, PAGE, embedder.fingerprint)):
            batch.sort(key=lambda item: len(item[1]), reverse=True)
            vectors = embedder.encode([text for _, text in batch])
            shards.leave(folder, f"{os.getpid()}-{number}-{page}", [key for key, _ in batch], vectors)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except UserError as error:
        sys.exit(str(error))
