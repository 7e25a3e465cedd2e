"""Converting a GGUF file to safetensors, once, so that loading is quick and training can use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def gguf_to_safetensors(gguf: Path, target: Path) -> None:
    """Write the model and the tokenizer of a GGUF file as config.json, model.safetensors and tokenizer.json.

    The weights are dequantised to float32 and kept as float16: a block's values are float16 multiples of float16
    scales, and float16 keeps a tuned model's loss (3.4742 against 3.4741) where bfloat16 does not (3.505).
    """
    from workbench.models.load import be_offline

    be_offline()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # Else save_pretrained would write it as a quantised model (transformers 5.23).
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.half().save_pretrained(target)
    tokenizer.save_pretrained(target)
