"""Writing the adapter that a run yields: PEFT's own format, a model card, a manifest that it is checked against."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from workbench import files
from workbench.models.adapter import FOLDER, MANIFEST, seal
from workbench.models.local import fingerprint

_ASIDE = ".adapter-"


def write(
    run: Path, trained: Any, *, base: str, base_folder: Path, model: str, system_prompt: str | None, card: str
) -> Path:
    """Save the adapter to `run/adapter`, durably, replacing an earlier one as a whole.

    Args:
        run: the run's folder.
        trained: the PEFT model.
        base: hub id of the base model, or its name.
        base_folder: its weights, whose fingerprint the adapter is bound to.
        model: the base model by the name that the workspace knows it by.
        system_prompt: what it was told before every prompt.
        card: the model card.

    Raises:
        OSError: the disk is full or fails; an earlier adapter is still there.
    """
    for torn in run.glob(f"{_ASIDE}*"):
        shutil.rmtree(torn, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=run))
    try:
        _fill(aside, trained, base, base_folder, model, system_prompt, card)
        files.replace_folder(aside, run / FOLDER)
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # or what it has changed places with
    return run / FOLDER


def _fill(
    aside: Path, trained: Any, base: str, base_folder: Path, model: str, system_prompt: str | None, card: str
) -> None:
    trained.peft_config["default"].base_model_name_or_path = base  # PEFT put this machine's folder there
    try:
        trained.save_pretrained(str(aside), save_embedding_layers=False)
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


def model_card(*, run: str, base: str, facts: dict[str, Any]) -> str:
    """The README.md of an adapter, with the metadata that the hub reads.

    Args:
        run: the run's name.
        base: hub id of the base model, or its name.
        facts: what a reader wants to know, by label.
    """
    table = "\n".join(f"| {label} | {value} |" for label, value in facts.items())
    return (
        f"---\nbase_model: {base}\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n- lora\n- sft\n---\n\n"
        f"# {run}\n\nA LoRA adapter for {base}, trained with Hybrid Workbench.\n\n| | |\n|---|---|\n{table}\n\n"
        "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
        f'base = AutoModelForCausalLM.from_pretrained("{base}")\nmodel = PeftModel.from_pretrained(base, "PATH")\n```\n'
    )
