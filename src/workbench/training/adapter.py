"""Writing the adapter that a run yields: PEFT's own format, a model card, a manifest that it is checked against."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from workbench import files
from workbench.errors import UserError
from workbench.models.adapter import FOLDER, MANIFEST, seal
from workbench.models.local import fingerprint

INITIAL = "initial"
"""The folder of a run with the adapter as it began, where beginning changed the base's weights."""
_ASIDE = ".adapter-"


def changes_base(init_lora_weights: bool | str) -> bool:
    """Whether this way to begin takes its part out of the base's weights (pissa, olora)."""
    return isinstance(init_lora_weights, str) and init_lora_weights.startswith(("pissa", "olora"))


def keep_beginning(run: Path, trained: Any) -> None:
    """Keep the adapter as it begins, so that what is learned can be saved as a plain LoRA of the unchanged base.

    PEFT would compute the singular vectors anew wherever the adapter is loaded; by random numbers for pissa_niter.

    Raises:
        UserError: the run was begun before, from other vectors.
    """
    from safetensors.torch import load_file

    config = trained.peft_config["default"]
    initial = run / INITIAL
    way, config.init_lora_weights = config.init_lora_weights, True
    try:
        aside = Path(tempfile.mkdtemp(prefix=".initial-", dir=run))
        trained.save_pretrained(str(aside), save_embedding_layers=False)
    finally:
        config.init_lora_weights = way
    if not initial.is_dir():
        for path in aside.iterdir():
            files.fsync_file(path)
        aside.chmod(0o755)
        aside.replace(initial)
        files.fsync_folder(run)
        return
    before, now = (load_file(folder / "adapter_model.safetensors") for folder in (initial, aside))
    shutil.rmtree(aside, ignore_errors=True)
    if any(not now[name].equal(tensor) for name, tensor in before.items()):
        raise UserError(
            f"{way} begins from other vectors here than where the run began",
            where=str(initial),
            do="Resume it on the machine that it was started on, or start it again.",
        )


def write(
    run: Path, trained: Any, *, base: str, base_folder: Path, model: str, system_prompt: str | None, card: str,
    state_dict: Any = None,
) -> Path:  # fmt: skip
    """Save the adapter to `run/adapter`, durably, replacing an earlier one as a whole.

    Args:
        run: the run's folder.
        trained: the PEFT model.
        base: hub id of the base model, or its name.
        base_folder: its weights, whose fingerprint the adapter is bound to.
        model: the base model by the name that the workspace knows it by.
        system_prompt: what it was told before every prompt.
        card: the model card.
        state_dict: the trained parameters, where `trained` holds a share of them only.

    Raises:
        OSError: the disk is full or fails; an earlier adapter is still there.
    """
    for torn in run.glob(f"{_ASIDE}*"):
        shutil.rmtree(torn, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=run))
    try:
        _fill(aside, trained, base, base_folder, model, system_prompt, card, state_dict)
        files.replace_folder(aside, run / FOLDER)
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # or what it has changed places with
    return run / FOLDER


def _fill(
    aside: Path, trained: Any, base: str, base_folder: Path, model: str, system_prompt: str | None, card: str,
    state_dict: dict[str, Any] | None,
) -> None:  # fmt: skip
    trained.peft_config["default"].base_model_name_or_path = base  # PEFT put this machine's folder there
    initial = aside.parent / INITIAL
    conversion = {"path_initial_model_for_weight_conversion": str(initial)} if initial.is_dir() else {}
    try:
        trained.save_pretrained(str(aside), save_embedding_layers=False, state_dict=state_dict, **conversion)
    except SafetensorError as error:  # an OSError that has come through Rust
        raise OSError(errno.EIO, str(error), str(aside)) from None
    files.write_text(aside / "README.md", card)
    names = sorted(path.name for path in aside.iterdir())
    for name in names:
        files.fsync_file(aside / name)
    manifest: dict[str, Any] = {
        "base": base,
        "base_fingerprint": fingerprint(base_folder),
        "model": model,
        "system_prompt": system_prompt,
        "files": {name: files.sha256_of(aside / name) for name in names},
    }
    files.write_json(aside / MANIFEST, {**manifest, "seal": seal(manifest)})
    aside.chmod(0o755)
    files.fsync_folder(aside)


def model_card(*, run: str, base: str, method: str, facts: dict[str, Any]) -> str:
    """The README.md of an adapter, with the metadata that the hub reads.

    Args:
        run: the run's name.
        base: hub id of the base model, or its name.
        method: how it was trained, as the recipe names it.
        facts: what a reader wants to know, by label.
    """
    table = "\n".join(f"| {label} | {value} |" for label, value in facts.items())
    return (
        f"---\nbase_model: {base}\nlibrary_name: peft\npipeline_tag: text-generation\n"
        f"tags:\n- lora\n- {method}\n---\n\n"
        f"# {run}\n\nA LoRA adapter for {base}, trained with Hybrid Workbench.\n\n| | |\n|---|---|\n{table}\n\n"
        "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
        f'base = AutoModelForCausalLM.from_pretrained("{base}")\nmodel = PeftModel.from_pretrained(base, "PATH")\n```\n'
    )
