"""What all tests share: a workspace of their own, the command as a subprocess, the developer's folders kept out."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workbench.workspace import Workspace, init

ROOT = Path(__file__).parents[1]


@dataclass
class Ran:
    """What a command left: exit code, output, and its JSON lines."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines() if line.startswith(("{", "["))]


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's workspace, home configuration or queue; the weights cache is shared."""
    monkeypatch.delenv("WORKBENCH_WORKSPACE", raising=False)
    monkeypatch.setenv("WORKBENCH_STATE", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A fresh workspace."""
    return init(tmp_path / "workspace")


@pytest.fixture
def command(workspace: Workspace) -> Callable[..., Ran]:
    """Run `workbench ARGUMENTS` in the workspace as a user would, in a process of its own."""

    def run(*arguments: object, timeout: float = 300, stdin: str | None = None) -> Ran:
        executable = Path(sys.executable).with_name("workbench")
        done = subprocess.run(
            [executable, *map(str, arguments)],
            cwd=workspace.root,
            capture_output=True,
            text=True,
            timeout=timeout,
            input=stdin,
            env=dict(os.environ),
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that want it skip without it."""
    for folder in (Path(os.environ.get("WORKBENCH_TEST_DATA", "")), ROOT.parent / "shared" / "data"):
        if (folder / "squad").is_dir():
            return folder
    pytest.skip("needs the shared data folder beside the checkout")


@pytest.fixture
def settle() -> Callable[..., Any]:
    """`await settle(pilot)`: until the app has no work left and has painted what came of it."""

    async def until_quiet(pilot: Any) -> None:
        from textual.worker import WorkerFailed

        quiet = 0
        for _ in range(400):
            await pilot.pause()
            working = [worker for worker in pilot.app.workers if not worker.is_finished and worker.group != "server"]
            quiet = 0 if working else quiet + 1
            if quiet == 3:  # what a paint calls for may start new work
                await pilot.wait_for_scheduled_animations()
                return
            for worker in working:
                with contextlib.suppress(WorkerFailed):  # the app has shown it
                    await worker.wait()
        raise AssertionError(f"the app does not come to rest: {working}")

    return until_quiet


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real but tiny Llama with SmolLM2's tokenizer: training it takes seconds."""
    import shutil

    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    from workbench.models.local import ensure

    real = ensure("smollm2-135m-instruct")
    folder = tmp_path_factory.mktemp("tiny-base")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, eos_token_id=2, pad_token_id=2, bos_token_id=1,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(real / name, folder / name)
    return folder


@pytest.fixture
def tuned(workspace: Workspace, tiny_base: Path) -> Workspace:
    """A workspace ready to train: the tiny base, 40 accepted pairs, a recipe `quick` that takes seconds."""
    from sample_training import ready_to_train

    return ready_to_train(workspace, tiny_base)
