"""Loading a model and its tokenizer from a folder: safetensors only, no code from the folder, no network."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import UserError
from workbench.jobs.environment import OFFLINE
from workbench.models.local import fingerprint

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["be_offline", "control_strings", "device", "fingerprint", "load_model", "load_tokenizer"]


def be_offline() -> None:
    """Keep the Hugging Face libraries from the network; before their first import in a process."""
    for key, value in OFFLINE.items():
        os.environ.setdefault(key, value)


def device() -> str:
    """The best device here: cuda, mps or cpu."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in `folder`, with a padding token and a chat template.

    Raises:
        UserError: it cannot be loaded, or has no chat template.
    """
    be_offline()
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"the tokenizer cannot be loaded: {_first_line(error)}", where=str(folder)) from None
    if tokenizer.chat_template is None:
        raise UserError(
            "the tokenizer has no chat template", where=str(folder), do="Choose an instruction-tuned model."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


_SENTINEL = "\ue000"  # of the private use area: stands for what is said
_CHATS = (("system", "user", "assistant", "user"), ("user", "assistant", "user"), ("user",))


@lru_cache(maxsize=4)
def control_strings(tokenizer: PreTrainedTokenizerFast) -> tuple[str, ...]:
    """What no text may hold that stands in a chat: the tokenizer's added tokens, and what its chat template writes
    between turns in plain letters, such as `[INST]`, `<|user|>` or `### Instruction:`.

    Of plain letters only lines with a sign in them count: `user`, between two tokens, is a word like any other.
    """
    from jinja2 import TemplateError

    added = list(tokenizer.get_added_vocab())
    between: set[str] = set()
    for roles in _CHATS:
        chat = [{"role": role, "content": _SENTINEL} for role in roles]
        try:
            text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        except TemplateError:  # it has no system turn, say
            continue
        between |= set(str(text).split(_SENTINEL))
    tokens = re.compile("|".join(re.escape(token) for token in sorted(added, key=len, reverse=True) if token.strip()))
    lines = {line.strip() for piece in between for rest in tokens.split(piece) for line in rest.splitlines()}
    words = {word for line in lines for word in _markers(line)}
    return (*added, *sorted(words - set(added)))


def _markers(line: str) -> list[str]:
    """The marks of a turn in a line of a template: `[INST]`, `USER:`, `### Response:`; none where it is prose."""
    return re.findall(r"<+[^<>\s]+>+|\[[^\[\]\s]+\]|^#+ ?[\w ]+:?|\b[A-Z][A-Za-z]*:$", line)


def load_model(
    folder: Path, *, dtype: str = "auto", device: str = "auto", scores: bool = False, **options: Any
) -> PreTrainedModel:
    """The causal language model in `folder`, in evaluation mode, without gradients.

    Args:
        folder: with config.json and safetensors.
        dtype: float32, bfloat16, float16, or auto: float32 on CPU, bfloat16 elsewhere.
        device: cpu, cuda, mps, or auto.
        scores: with a fresh head that gives one score instead of the language model's: what a reward model starts from.
        options: passed on to `from_pretrained`, e.g. attn_implementation.

    Raises:
        UserError: the folder does not hold a model that transformers can load.
    """
    be_offline()
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would paint over the terminal or fill a log
    place = globals()["device"]() if device == "auto" else device
    kind: torch.dtype = getattr(torch, ("float32" if place == "cpu" else "bfloat16") if dtype == "auto" else dtype)
    kinds = AutoModelForSequenceClassification if scores else AutoModelForCausalLM
    if scores:
        options["num_labels"] = 1
    try:
        model: Any = kinds.from_pretrained(
            folder, dtype=kind, local_files_only=True, use_safetensors=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"the model cannot be loaded: {_first_line(error)}", where=str(folder)) from None
    if "quantization_config" not in options:  # which has put it where it belongs
        model = model.to(place)
    return model.eval().requires_grad_(False)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
