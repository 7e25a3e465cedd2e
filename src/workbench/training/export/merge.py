"""The tuned model in memory: the base in float32 with its adapter, and both merged into one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.models.load import load_model
from workbench.training.export.source import Source

_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model",
    "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json",
)  # fmt: skip


def tuned(source: Source, adapter: Path, tokenizer: Any) -> Any:
    """A fresh base in float32 on the CPU, with the adapter in `adapter`, in evaluation mode.

    A reward model scores at the last token that is no padding, so its config has to name that one.

    Raises:
        UserError: they do not belong together.
    """
    from peft import PeftModel

    base = load_scorer(source.base_folder, 1) if source.rewards else load(source.base_folder)
    if source.rewards:
        base.config.pad_token_id = tokenizer.pad_token_id
    try:
        return PeftModel.from_pretrained(base, str(adapter)).eval().requires_grad_(False)
    except (RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"the adapter cannot be loaded: {str(error).splitlines()[0]}", where=str(adapter)) from None


def merged(peft: Any) -> Any:
    """The same model without adapter layers; `peft` is used up.

    Raises:
        UserError: merging gives weights that are not numbers.
    """
    try:
        return peft.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise UserError(str(error).splitlines()[0], do="The run has diverged; train it again.") from None


def load(folder: Path) -> Any:
    """A language model in float32 on the CPU."""
    return load_model(folder, dtype="float32", device="cpu")


def load_scorer(folder: Path, labels: int | None = None) -> Any:
    """A reward model in float32 on the CPU; `labels`: of a score that the folder does not hold yet."""
    import torch
    from transformers import AutoModelForSequenceClassification

    options = {} if labels is None else {"num_labels": labels}
    try:
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"the model cannot be loaded: {str(error).splitlines()[0]}", where=str(folder)) from None
    return model.eval().requires_grad_(False)


def save(model: Any, folder: Path, dtype: str) -> None:
    """Write a merged model as safetensors; it stays in `dtype`."""
    import torch

    kind: torch.dtype = getattr(torch, dtype)
    model.to(kind).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # the library writes them for their owner alone


def copy_tokenizer(source: Source, folder: Path) -> None:
    """The base's tokenizer and chat template, as they are: training changes neither."""
    for name in _TOKENIZER_FILES:
        if (source.base_folder / name).is_file():
            shutil.copyfile(source.base_folder / name, folder / name)
