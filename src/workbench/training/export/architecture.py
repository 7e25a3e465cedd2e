"""Which models can be written as GGUF here. Light: it reads a config, no weights."""

from __future__ import annotations

from typing import Any

from workbench.errors import UserError

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Those whose tensors are written here; llama.cpp names them alike."""


def check_config(config: dict[str, Any]) -> None:
    """Refuse what would be written wrong, or could not be checked. `config`: of config.json.

    Raises:
        UserError: the architecture, or something that it can do, is not known here.
    """
    kind = config.get("model_type")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rope_type = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ARCHITECTURES:
        wrong = f"the architecture {kind!r} cannot be written as GGUF here (only {', '.join(ARCHITECTURES)})"
    elif rope_type != "default":
        wrong = f"rope of the type {rope_type!r} cannot be written as GGUF here"
    elif config.get("use_sliding_window"):
        wrong = "attention with a sliding window cannot be written as GGUF here"
    elif kind != "qwen2" and (config.get("attention_bias") or config.get("mlp_bias")):
        wrong = f"{kind} with biases cannot be written as GGUF here"
    else:
        return
    raise UserError(wrong, where="gguf", do="Export merged, and convert that with llama.cpp's convert_hf_to_gguf.py.")
