"""Writing a merged model as one GGUF file, for llama.cpp and what is built on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from torch import Tensor

from workbench.errors import UserError
from workbench.training.export.architecture import check_config
from workbench.training.export.gguf_tokenizer import Vocabulary, vocabulary

_FILE_TYPES = {Type.F16: gguf.LlamaFileType.MOSTLY_F16, Type.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0}


@dataclass(frozen=True)
class Origin:
    """What the file tells of where it comes from."""

    name: str
    base: str
    licence: str | None


def write(model: Any, tokenizer: Any, path: Path, kind: str, origin: Origin) -> None:
    """Write the file, one tensor after the other.

    Args:
        model: merged, in float32.
        tokenizer: its own, with the chat template.
        path: of the file.
        kind: f16 or q8_0; norms and biases stay float32, and rows that q8_0 cannot hold stay f16.
        origin: for the file's metadata.

    Raises:
        UserError: the model or its tokenizer cannot be written as GGUF.
    """
    config = model.config
    check_config(json.loads(config.to_json_string(use_diff=False)))
    wanted = Type[kind.upper()]
    writer = gguf.GGUFWriter(path, config.model_type)
    _describe(writer, config, origin, wanted)
    _add_vocabulary(writer, vocabulary(tokenizer, model.get_input_embeddings().weight.shape[0]))
    writer.add_chat_template(tokenizer.get_chat_template())
    tensors = _named(model)
    for name, tensor in tensors.items():
        stored = _type_of(tensor, wanted)
        block, size = gguf.GGML_QUANT_SIZES[stored]
        writer.add_tensor_info(
            name, tensor.shape, np.dtype(np.float32), tensor.numel() // block * size, raw_dtype=stored
        )  # fmt: skip
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, tensor in tensors.items():
            array = _as_written(name, tensor, config).numpy()
            writer.write_tensor_data(gguf.quantize(array, _type_of(tensor, wanted)))
    finally:
        writer.close()


def _describe(writer: gguf.GGUFWriter, config: Any, origin: Origin, wanted: Type) -> None:
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_type("model")
    writer.add_name(origin.name)
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, origin.base)
    if origin.licence:
        writer.add_license(origin.licence.lower())
    writer.add_file_type(int(_FILE_TYPES[wanted]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _add_vocabulary(writer: gguf.GGUFWriter, words: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    writer.add_token_merges(words.merges)
    for add, id in (
        (writer.add_bos_token_id, words.bos),
        (writer.add_eos_token_id, words.eos),
        (writer.add_pad_token_id, words.pad),
        (writer.add_unk_token_id, words.unk),
    ):
        if id is not None:
            add(id)
    writer.add_add_bos_token(words.add_bos)


def _named(model: Any) -> dict[str, Tensor]:
    """The weights by their names in a GGUF; a tied output layer is left out, as engines read the embedding then."""
    config = model.config
    names = gguf.get_tensor_name_map(_architecture(config.model_type), config.num_hidden_layers)
    found = {}
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise UserError(f"the tensor {key} has no name in a GGUF", where="gguf", do="Export merged.")
        found[name] = tensor.detach()
    return found


def _architecture(kind: str) -> gguf.MODEL_ARCH:
    return next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == kind)


def _type_of(tensor: Tensor, wanted: Type) -> Type:
    if tensor.ndim < 2:
        return Type.F32
    return wanted if tensor.shape[-1] % gguf.GGML_QUANT_SIZES[wanted][0] == 0 else Type.F16


def _as_written(name: str, tensor: Tensor, config: Any) -> Tensor:
    """A tensor in the order that llama.cpp wants.

    Its llama rotates neighbouring rows of q and k where transformers rotates the two halves of a head
    (`LlamaModel.permute` in its convert_hf_to_gguf.py).
    """
    tensor = tensor.to(torch.float32)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2])
    if config.model_type != "llama" or heads is None:
        return tensor.contiguous()
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape).contiguous()


def load(path: Path) -> tuple[Any, Any]:
    """A GGUF's own model, dequantised to float32, and its own tokenizer, both read by transformers.

    Raises:
        UserError: transformers cannot read it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise UserError(f"the file cannot be loaded again: {str(error).splitlines()[0]}", where=path.name) from None
    return model.eval().requires_grad_(False), tokenizer


def compare_tokenizers(original: Any, written: Any, texts: Sequence[str]) -> str:
    """Say for how many texts the file's own tokenizer gives the same tokens.

    Raises:
        UserError: the vocabulary, the last token or the chat template is not the original's.
    """
    found = written.get_vocab()
    if any(found.get(token) != id for token, id in original.get_vocab().items()):
        raise UserError("the vocabulary in the file is not the tokenizer's", where="gguf")
    if written.eos_token_id != original.eos_token_id or written.get_chat_template() != original.get_chat_template():
        raise UserError("the last token or the chat template in the file is not the tokenizer's", where="gguf")
    same = sum(
        original(text, add_special_tokens=False)["input_ids"] == written(text, add_special_tokens=False)["input_ids"]
        for text in texts
    )
    return f"the same for {same} of {len(texts)}, as transformers reads the file"
