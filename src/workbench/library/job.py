"""The job that builds or updates an index."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.jobs.context import Context
from workbench.models.embed import Embedder
from workbench.models.local import ensure


def run(context: Context) -> dict[str, Any]:
    """Do it; arguments: name, then paths (absolute) and perhaps add, or update: true; perhaps embedder (the model to
    build with), reembed and processes.

    It waits for another process that is at this index.

    Returns:
        index, and the fields of `workbench.library.build.Built`.
    """
    from workbench.library.build import build

    arguments = context.arguments
    built = build(
        context.workspace.index(arguments["name"]),
        None if arguments.get("update") else [Path(path) for path in arguments["paths"]],
        lambda name: Embedder(ensure(name)),
        context,
        embedding_model=context.workspace.settings().embedding_model,
        add=bool(arguments.get("add")),
        chosen=arguments.get("embedder"),
        reembed=bool(arguments.get("reembed")),
        patience=math.inf,
        processes=int(arguments.get("processes", 1)),
    )
    moved = f", {built.moved} moved" if built.moved else ""
    faults = f", {len(built.faults)} not indexed" if built.faults else ""
    context.message(
        f"{built.documents} documents, {built.chunks} chunks: {built.read} read, {built.embedded} chunks embedded,"
        f" {built.removed} removed{moved}{faults}."
    )
    return {"index": arguments["name"], **asdict(built)}
