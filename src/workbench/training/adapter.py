"""Writing the adapter that a run yields: PEFT's own format, a model card, a manifest that it is checked against."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from workbench import files
from workbench.models.adapter import FOLDER, MANIFEST
from workbench.models.local import fingerprint


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
    """
    target = run / FOLDER
    aside = Path(tempfile.mkdtemp(prefix=".adapter-", dir=run))
    trained.peft_config["default"].base_model_name_or_path = base  # PEFT put this machine's folder there
    trained.save_pretrained(str(aside), save_embedding_layers=False, state_dict=state_dict)
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
    files.write_json(aside / MANIFEST, manifest)
    aside.chmod(0o755)
    replaced = run / f".replaced-{FOLDER}"
    shutil.rmtree(replaced, ignore_errors=True)
    if target.exists():
        target.replace(replaced)
    aside.replace(target)
    files.fsync_folder(run)
    shutil.rmtree(replaced, ignore_errors=True)
    return target


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
