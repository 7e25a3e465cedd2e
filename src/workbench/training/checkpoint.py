"""Checkpoints that can be trusted: written aside, hashed, renamed; read only if every byte is as it was written.

Tensors are safetensors, the rest JSON; nothing is pickled. The order of writing is what a power cut allows: every file
is on the disk before the manifest names it, the manifest before the folder gets its name.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch.distributed.tensor import DTensor, distribute_tensor

from workbench import files

FOLDER = "checkpoints"
MANIFEST = "manifest.json"
TRAINER_STATE = "trainer_state.json"
"""The name under which transformers' Trainer looks for its own state."""
_STATES = ("exp_avg", "exp_avg_sq", "step")
_PARAMETERS, _OPTIMIZER, _RANDOM = "adapter.safetensors", "optimizer.safetensors", "random.safetensors"
_PROGRESS = "progress.json"
_NEEDED = {_PARAMETERS, _RANDOM, _PROGRESS, TRAINER_STATE}


@dataclass
class Progress:
    """Where a run is, besides the tensors and the Trainer's own state."""

    step: int = 0
    """Optimizer steps done."""
    tokens: int = 0
    """Tokens read by the model, prompts included."""
    scheduler: dict[str, Any] = field(default_factory=dict)
    learning_rate: float | None = None
    """The present peak, where it was changed while the run went on."""
    best_step: int | None = None
    best: float | None = None
    """The eval loss (for an online method the reward) at `best_step`."""
    at_start: float | None = None
    """The same before the first step, which is nobody's best: there is nothing to keep of it."""
    evals_since_best: int = 0
    eval_loss: float | None = None
    """Of the last evaluation."""
    train_loss: float | None = None
    """Smoothed; to tell overfitting by."""
    train_loss_then: float | None = None
    """`train_loss` at the last evaluation."""
    overfitting: bool = False
    early: bool = False
    """Ended here, before its last step, because the evaluations got no better."""


Tensors = Mapping[str, torch.Tensor]


def save_checkpoint(
    run: Path, progress: Progress, parameters: Tensors, moments: Tensors | None,
    trainer_state: str, random_states: Sequence[Tensors], why: str,
) -> Path:  # fmt: skip
    """Write `checkpoints/step-N`, durably.

    Args:
        run: the run's folder.
        progress: where it is.
        parameters: the trained ones by name, whole.
        moments: AdamW's over them, see `moments_of`; None leaves them out.
        trainer_state: the Trainer's own state as JSON.
        random_states: of each process, see `random_state`.
        why: it is written; told again by a run that goes on from it and finds no event of it.

    Raises:
        OSError: the disk is full or fails; no checkpoint of this step is left that would verify.
    """
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    target = folder / f"step-{progress.step:07d}"
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        contents = {
            _PARAMETERS: save({name: whole(tensor) for name, tensor in parameters.items()}),
            _RANDOM: save(
                {f"{rank}:{name}": tensor for rank, state in enumerate(random_states) for name, tensor in state.items()}
            ),
            TRAINER_STATE: trainer_state.encode(),
            _PROGRESS: json.dumps({**vars(progress), "why": why}).encode(),
        }
        if moments is not None:
            contents[_OPTIMIZER] = save(dict(moments))
        digests = {name: files.write_new(aside / name, data) for name, data in contents.items()}
        files.write_new(aside / MANIFEST, json.dumps(digests).encode())
        files.fsync_folder(aside)
        aside.chmod(0o755)
        files.replace_folder(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def tidy(run: Path, step: int, keep: int, best_step: int | None) -> None:
    """After one was written at `step`: keep the newest `keep` up to it and the one of `best_step`, remove the others.

    Those of later steps did not verify when the run went on from an earlier one; they must not count as the newest.
    """
    upto = [folder for folder in all_of(run) if step_of(folder) <= step]
    kept = {*upto[-keep:], at_step(run, best_step or -1)}
    for folder in all_of(run):
        if folder not in kept:
            shutil.rmtree(folder, ignore_errors=True)
    for torn in (run / FOLDER).glob(".writing-*"):
        shutil.rmtree(torn, ignore_errors=True)


def all_of(run: Path) -> list[Path]:
    """The run's checkpoints, oldest first, verified or not."""
    return sorted(path for path in (run / FOLDER).glob("step-*") if re.fullmatch(r"step-\d{7,}", path.name))


def step_of(folder: Path) -> int:
    """The step that a checkpoint was made at."""
    return int(folder.name.partition("-")[2])


def at_step(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies, if there is one."""
    return run / FOLDER / f"step-{step:07d}"


def newest_whole(run: Path, refused: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that verifies; `refused` is told of each newer one that does not."""
    for folder in reversed(all_of(run)):
        if fault := fault_of(folder):
            refused(f"{folder.name} is not used: {fault}")
        else:
            return folder
    return None


def fault_of(folder: Path) -> str | None:
    """Why a checkpoint cannot be trusted, or None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "its manifest is missing or torn"
    if not isinstance(manifest, dict) or not manifest.keys() >= _NEEDED:
        return "its manifest is not what was written"
    for name, expected in manifest.items():
        try:
            if files.sha256_of(folder / name) != expected:
                return f"{name} is not what was written"
        except FileNotFoundError:
            return f"{name} is missing"
        except (OSError, ValueError):
            return f"{name} cannot be read"
    try:
        progress_in(folder)
    except TypeError:
        return "it was written by another version"
    return None


def progress_in(folder: Path) -> Progress:
    """Where the run was; the folder must have been verified."""
    saved = _progress(folder)
    saved.pop("why", None)
    return Progress(**saved)


def why_of(folder: Path) -> str:
    """Why a checkpoint was written; the folder must have been verified."""
    return _progress(folder).get("why", "schedule")


def _progress(folder: Path) -> dict[str, Any]:
    return json.loads((folder / _PROGRESS).read_text(encoding="utf-8"))


@torch.no_grad()
def load_parameters(folder: Path, parameters: Tensors) -> None:
    """Bring the trained parameters back; the folder must have been verified."""
    saved = load_file(folder / _PARAMETERS)
    for name, parameter in parameters.items():
        parameter.copy_(_as_shared(saved[name], parameter))


def load_optimizer(folder: Path, parameters: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Bring AdamW's moments back; the folder must have been verified."""
    tensors = load_file(folder / _OPTIMIZER)
    for name, parameter in parameters.items():
        optimizer.state[parameter] = {
            key: _as_shared(tensors[f"{key}:{name}"].to(parameter.device), parameter)  # "step" goes there, too
            for key in _STATES
            if f"{key}:{name}" in tensors
        }


def random_state() -> dict[str, torch.Tensor]:
    """The state of every generator of random numbers that training draws from, in this process."""
    state = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(random.getstate()[1], dtype=torch.int64),
        "numpy": torch.from_numpy(np.random.get_state()[1].astype(np.int64)),  # type: ignore[index]
        "numpy-at": torch.tensor(np.random.get_state()[2]),  # type: ignore[index]
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def load_random_state(folder: Path, rank: int) -> None:
    """Bring this process's generators back; the folder must have been verified."""
    saved = load_file(folder / _RANDOM)
    state = {name.partition(":")[2]: tensor for name, tensor in saved.items() if name.startswith(f"{rank}:")}
    if not state:
        return  # the run goes on with more processes than it was saved by
    set_random_state(state)


def set_random_state(state: Tensors) -> None:
    """Bring this process's generators back to what `random_state` told."""
    torch.set_rng_state(state["torch"])
    random.setstate((3, tuple(state["python"].tolist()), None))
    np.random.set_state(("MT19937", state["numpy"].numpy().astype(np.uint32), int(state["numpy-at"]), 0, 0.0))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def moments_of(parameters: Tensors, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """AdamW's state by `KEY:PARAMETER`, whole. Where it is sharded, all processes have to call this."""
    return {
        f"{key}:{name}": whole(optimizer.state[parameter][key])
        for name, parameter in parameters.items()
        for key in _STATES
        if key in optimizer.state[parameter]
    }


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, on CPU. Where it is sharded, all processes have to call this."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu().contiguous()


def _as_shared(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A whole tensor as the parameter's process holds it: its share, where the parameter is sharded."""
    if not isinstance(parameter, DTensor) or tensor.dim() == 0:
        return tensor
    return distribute_tensor(
        tensor.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )
