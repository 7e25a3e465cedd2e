"""Checkpoints that can be trusted: written aside, hashed, renamed; read only if every byte is as it was written.

Tensors are safetensors, the rest JSON; nothing is pickled.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from workbench import files
from workbench.training.model import TrainedModel

FOLDER = "checkpoints"
_MANIFEST = "manifest.json"
_STATES = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class TrainerState:
    """Where a run is, besides the tensors."""

    step: int
    """Optimizer steps done."""
    tokens: int
    """Tokens seen by the model, prompts included."""
    eval_loss: float | None
    """Of the last evaluation."""
    scheduler: dict[str, Any]


def save(run: Path, model: TrainedModel, optimizer: torch.optim.Optimizer, state: TrainerState, keep: int) -> Path:
    """Write `checkpoints/step-N`, durably, then remove all but the newest `keep`."""
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    target = folder / f"step-{state.step:07d}"
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    parameters = model.parameters
    save_file({name: p.detach().cpu().contiguous() for name, p in parameters.items()}, aside / "adapter.safetensors")
    save_file(_optimizer_tensors(parameters, optimizer), aside / "optimizer.safetensors")
    random_states = {"cpu": torch.get_rng_state()}
    if model.device == "cuda":
        random_states["cuda"] = torch.cuda.get_rng_state()
    save_file(random_states, aside / "random.safetensors")
    files.write_json(aside / "state.json", asdict(state))
    names = sorted(path.name for path in aside.iterdir())
    for name in names:
        files.fsync_file(aside / name)
    files.write_json(aside / _MANIFEST, {name: files.sha256_of(aside / name) for name in names})
    shutil.rmtree(target, ignore_errors=True)
    aside.replace(target)
    files.fsync_folder(folder)
    for old in all_of(run)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    for torn in folder.glob(".writing-*"):
        shutil.rmtree(torn, ignore_errors=True)
    return target


def all_of(run: Path) -> list[Path]:
    """The run's checkpoints, oldest first, verified or not."""
    return sorted((run / FOLDER).glob("step-*"))


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
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "its manifest is missing or torn"
    for name, expected in manifest.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if files.sha256_of(path) != expected:
            return f"{name} is not what was written"
    return None


def load(folder: Path, model: TrainedModel, optimizer: torch.optim.Optimizer) -> TrainerState:
    """Bring model, optimizer and random generators back to where they were; the folder must have been verified."""
    parameters = model.parameters
    saved = load_file(folder / "adapter.safetensors")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])
    model.refresh()
    tensors = load_file(folder / "optimizer.safetensors")
    for name, parameter in parameters.items():
        optimizer.state[parameter] = {
            key: tensors[f"{key}:{name}"].to(parameter.device)  # fused AdamW wants "step" there, too
            for key in _STATES
            if f"{key}:{name}" in tensors
        }
    random_states = load_file(folder / "random.safetensors")
    torch.set_rng_state(random_states["cpu"])
    if "cuda" in random_states and model.device == "cuda":
        torch.cuda.set_rng_state(random_states["cuda"])
    return TrainerState(**json.loads((folder / "state.json").read_text(encoding="utf-8")))


def _optimizer_tensors(
    parameters: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    return {
        f"{key}:{name}": optimizer.state[parameter][key].detach().cpu().contiguous()
        for name, parameter in parameters.items()
        for key in _STATES
        if key in optimizer.state[parameter]
    }
