"""The Modelfile, and how a tokenizer is told to llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sample_adapter import PLAIN_CHATML

from workbench.errors import UserError
from workbench.models.load import load_tokenizer
from workbench.training.export import ollama
from workbench.training.export.gguf_tokenizer import pre_tokenizer, vocabulary

TRIMMED = PLAIN_CHATML.replace("m['content']", "m['content'] | trim")
OTHER = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
RAW_BYTES = {**BYTES, "use_regex": False}
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@pytest.fixture
def tokenizer(tiny_base: Path) -> Any:
    return load_tokenizer(tiny_base)


def test_the_modelfile_of_a_chatml_model(tokenizer: Any) -> None:
    written = ollama.model_file("tone-f16.gguf", tokenizer, "Be a pirate.\nAlways.")
    assert written.text == (
        'FROM ./tone-f16.gguf\nTEMPLATE """' + ollama.GO_CHATML + '"""\nSYSTEM """Be a pirate.\nAlways."""\n'
        'PARAMETER stop "<|im_end|>"\nPARAMETER stop "<|im_start|>"\nPARAMETER temperature 0\n'
    )
    assert "the same prompts" in written.note


def test_what_the_template_tells_by_itself_becomes_the_system_prompt(tokenizer: Any) -> None:
    assert ollama.chatml_default(tokenizer) == "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    assert 'SYSTEM """You are a helpful AI assistant named SmolLM' in ollama.model_file("a.gguf", tokenizer, None).text


@pytest.mark.parametrize(("template", "default"), [(PLAIN_CHATML, ""), (TRIMMED, None), (OTHER, None)])
def test_only_a_template_that_renders_as_chatml_is_translated(
    tokenizer: Any, template: str, default: str | None
) -> None:
    tokenizer.chat_template = template
    assert ollama.chatml_default(tokenizer) == default
    written = ollama.model_file("a.gguf", tokenizer, None)
    assert ("TEMPLATE" in written.text) == (default is not None)
    assert "SYSTEM" not in written.text
    assert 'PARAMETER stop "<|im_end|>"' in written.text


def test_a_system_prompt_that_a_modelfile_cannot_hold_is_left_out_and_told(tokenizer: Any) -> None:
    written = ollama.model_file("a.gguf", tokenizer, 'Say """now"""')
    assert "SYSTEM" not in written.text
    assert "SYSTEM is left out" in written.note


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([BYTES], "gpt-2"),
        ([{"type": "Digits", "individual_digits": True}, BYTES], "smollm"),
        ([{"type": "Split", "pattern": {"Regex": QWEN}}, RAW_BYTES], "qwen2"),
        ([{"type": "Split", "pattern": {"Regex": QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)}}, RAW_BYTES], "llama-bpe"),
    ],
)
def test_the_pre_tokenizer_is_known_by_what_it_does(steps: list[dict[str, Any]], name: str) -> None:
    parsed = {
        "normalizer": None,
        "model": {"type": "BPE"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
    }
    assert pre_tokenizer(parsed) == name


@pytest.mark.parametrize(
    ("kind", "pre", "normalizer"),
    [
        ("BPE", {"type": "Metaspace"}, None),
        ("Unigram", BYTES, None),
        ("BPE", None, None),
        ("BPE", {**BYTES, "add_prefix_space": True}, None),
        ("BPE", BYTES, {"type": "Lowercase"}),
    ],
)
def test_a_tokenizer_that_llama_cpp_would_not_follow_is_refused(kind: str, pre: Any, normalizer: Any) -> None:
    with pytest.raises(UserError, match="cannot be written as GGUF"):
        pre_tokenizer({"normalizer": normalizer, "model": {"type": kind}, "pre_tokenizer": pre})


def test_the_vocabulary_holds_every_row_of_the_embedding(tokenizer: Any) -> None:
    words = vocabulary(tokenizer, len(tokenizer) + 2)
    assert words.tokens[:3] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert (words.types[1], words.types[1000], words.types[-1]) == (3, 1, 5)  # control, normal, unused
    assert words.tokens[-2:] == [f"[PAD{len(tokenizer)}]", f"[PAD{len(tokenizer) + 1}]"]
    assert words.merges[0] == "Ġ t"
    assert (words.eos, words.add_bos) == (2, False)
