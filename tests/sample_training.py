"""A workspace that can train in seconds."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.pairs.importing import import_file
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace


def ready_to_train(workspace: Workspace, tiny_base: Path) -> Workspace:
    """Bring the pairs and the recipe of `tuned` to a workspace."""
    rows = [{"prompt": f"What is {n} plus one?", "completion": f"It is {n + 1}."} for n in range(40)]
    path = workspace.root / "numbers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with PairStore(workspace.database) as store:
        import_file(store, path, "numbers", status="accepted")
    (workspace.configs / "quick.yaml").write_text(
        f"dataset: numbers\nmodel_name_or_path: {tiny_base}\nlearning_rate: 0.01\nmax_steps: 8\n"
        "per_device_train_batch_size: 4\neval_steps: 4\nsave_steps: 3\nnum_threads: 1\ntest_size: 0.2\n"
        "samples: {count: 2, max_new_tokens: 4}\n"
    )
    return workspace
