"""A tokenizer as GGUF's metadata holds it: byte-level BPE only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gguf import TokenType

from workbench.errors import UserError

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
_REST = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
_PATTERNS = {
    f"{_CONTRACTIONS}\\p{{N}}{_REST}": "qwen2",
    f"{_CONTRACTIONS}\\p{{N}}{{1,3}}{_REST}": "llama-bpe",
}
"""How the text is split before BPE, by the name that llama.cpp gives it (its src/llama-vocab.cpp)."""


@dataclass(frozen=True)
class Vocabulary:
    """What `tokenizer.ggml.*` holds."""

    pre: str
    """llama.cpp's name of the pre-tokenizer."""
    tokens: list[str]
    types: list[int]
    merges: list[str]
    bos: int | None
    eos: int | None
    pad: int | None
    unk: int | None
    add_bos: bool
    """Whether the tokenizer itself puts the first token before a text."""


def vocabulary(tokenizer: Any, size: int) -> Vocabulary:
    """Read a fast tokenizer.

    Args:
        tokenizer: of transformers.
        size: rows of the model's embedding; ids without a token are filled up.

    Raises:
        UserError: it is not byte-level BPE, or splits text in a way that llama.cpp has no name for.
    """
    parsed = json.loads(tokenizer.backend_tokenizer.to_str())
    pre = pre_tokenizer(parsed)
    by_id = {id: token for token, id in tokenizer.get_vocab().items()}
    added = {token["id"]: token for token in parsed["added_tokens"]}
    tokens, types = [], []
    for id in range(size):
        if id in added:
            tokens.append(added[id]["content"])
            types.append(int(TokenType.CONTROL if added[id]["special"] else TokenType.USER_DEFINED))
        elif id in by_id:
            tokens.append(by_id[id])
            types.append(int(TokenType.NORMAL))
        else:
            tokens.append(f"[PAD{id}]")
            types.append(int(TokenType.UNUSED))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in parsed["model"]["merges"]]
    first = tokenizer("a")["input_ids"][0]
    return Vocabulary(
        pre, tokens, types, merges,
        bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id,
        unk=tokenizer.unk_token_id, add_bos=first == tokenizer.bos_token_id,
    )  # fmt: skip


def pre_tokenizer(parsed: dict[str, Any]) -> str:
    """llama.cpp's name of how a tokenizer.json splits text.

    Raises:
        UserError: it has none that is known here.
    """
    normalizer = (parsed.get("normalizer") or {}).get("type")
    steps = parsed.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps] if steps else [])
    kinds = [step["type"] for step in steps]
    if parsed["model"]["type"] == "BPE" and kinds[-1:] == ["ByteLevel"] and normalizer in (None, "NFC"):
        last = steps[-1]
        plain = last["use_regex"] and not last["add_prefix_space"]
        if kinds == ["ByteLevel"] and plain:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"] and plain:
            return "smollm"
        if kinds == ["Split", "ByteLevel"] and not last["use_regex"]:
            pattern = steps[0]["pattern"].get("Regex")
            if pattern in _PATTERNS:
                return _PATTERNS[pattern]
    raise UserError(
        f"its tokenizer ({parsed['model']['type']}, split by {', '.join(kinds) or 'nothing'}) cannot be written as GGUF"
        " here",
        where="gguf",
        do="Export merged, and convert that with llama.cpp's convert_hf_to_gguf.py.",
    )
