"""The forms in which a run can be exported. Light: the app and the command line read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """One form of an export."""

    title: str
    about: str
    """What it is for, a few words."""
    bytes_per_parameter: float
    """About how large its weights get; 0 for the adapter, which is as large as it is."""


FORMS = {
    "adapter": Form("adapter", "small, for PEFT and vLLM; wants the base model beside it", 0.0),
    "merged": Form("merged safetensors", "the tuned model as a whole, for transformers and vLLM", 4.0),
    "gguf-f16": Form("GGUF, f16", "one file for Ollama and llama.cpp, nearly exact", 2.0),
    "gguf-q8_0": Form("GGUF, q8_0", "half as large as f16, a little less exact", 1.07),
}
DTYPES = ("float32", "float16", "bfloat16")
"""In which a merged model can be saved; it is merged in float32 all the same."""
REWARD_FORMS = ("adapter", "merged")
"""Those of a reward model, whose score GGUF engines do not compute."""
MANIFEST = "workbench-export.json"
"""{"run", "form", "base", "base_fingerprint", "adapter_sha256", "made_at", "checks", "files"}; written last."""
