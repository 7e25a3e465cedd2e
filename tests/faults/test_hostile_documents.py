"""Whatever stands in a document: the turns, the fence and the numbers of a prompt stay the template's and ours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from sample_injections import INJECTIONS, NONCE, ORDER
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from workbench.chat.prompt import Prompt, fit
from workbench.errors import UserError
from workbench.library.grounding import Passage
from workbench.models.load import control_strings, load_tokenizer
from workbench.models.local import ensure
from workbench.training.data import FrozenPair, encode

FENCE = "bcdfgh"
_NUMBERED = re.compile(r"[\s\xad\u200b\u202e\ufeff]*\[[\s\u200b]*(\d+)")


@dataclass(frozen=True)
class Family:
    """How the models of a family write a chat."""

    template: str
    """Jinja; `m` is a turn."""
    tokens: tuple[str, ...]
    """Its added tokens."""
    plain: tuple[str, ...] = ()
    """What it writes between turns in plain letters."""
    normalizer: Any = None


def _turns(user: str, assistant: str, end: str = "", system: str = "") -> str:
    """A template: what begins each kind of turn, and what ends a turn."""
    begins = f"{{{{ {{'user': {user!r}, 'assistant': {assistant!r}, 'system': {system or user!r}}}[m['role']] }}}}"
    asked = f"{{% if add_generation_prompt %}}{{{{ {assistant!r} }}}}{{% endif %}}"
    return f"{{% for m in messages %}}{begins}{{{{ m['content'] }}}}{{{{ {end!r} }}}}{{% endfor %}}{asked}"


_CHATML = _turns("<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n", "<|im_start|>system\n")
_IM = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
FAMILIES = {
    "llama 3": Family(
        _turns(*(f"<|start_header_id|>{role}<|end_header_id|>\n\n" for role in ("user", "assistant")), "<|eot_id|>"),
        ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|begin_of_text|>"),
    ),
    "llama 2": Family(
        _turns("<s>[INST] ", " [/INST] ", "", "<s>[INST] <<SYS>>\n"), ("<s>", "</s>", "<unk>"),
        ("[INST]", "[/INST]", "<<SYS>>"), normalizers.Sequence([normalizers.Replace(" ", "▁")]),
    ),
    "mistral": Family(_turns("[INST]", "[/INST]", "</s>"), ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]")),
    "gemma": Family(
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        + _turns("<start_of_turn>user\n", "<start_of_turn>model\n", "<end_of_turn>\n"),
        ("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "\n\n", "<table>"), (), normalizers.Replace(" ", "▁"),
    ),
    "zephyr": Family(
        _turns("<|user|>\n", "<|assistant|>\n", "</s>\n", "<|system|>\n"), ("<s>", "</s>"),
        ("<|user|>", "<|assistant|>", "<|system|>"),
    ),
    "phi": Family(_turns("<|user|>\n", "<|assistant|>\n", "<|end|>\n"), ("<|user|>", "<|assistant|>", "<|end|>")),
    "deepseek": Family(
        _turns("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
        ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<think>", "</think>"),
    ),
    "vicuna": Family(_turns("USER: ", " ASSISTANT: ", "</s>"), ("<s>", "</s>"), ("USER:", "ASSISTANT:")),
    "alpaca": Family(
        _turns("### Instruction:\n", "### Response:\n", "\n\n"), ("<s>", "</s>"), ("### Instruction:", "### Response:")
    ),
    "folding": Family(_CHATML, _IM, (), normalizers.NFKC()),
    "composing": Family(_CHATML, _IM, (), normalizers.NFC()),
}  # fmt: skip


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """The default model's own, or a small one of a family: a byte a token, and the family's tokens."""
    if name == "default":
        return load_tokenizer(ensure("smollm2-135m-instruct"))
    family = FAMILIES[name]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    if family.normalizer is not None:
        raw.normalizer = family.normalizer
    # Looked for in the folded text: the harder case.
    raw.add_special_tokens([AddedToken(token, normalized=family.normalizer is not None) for token in family.tokens])
    made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=family.tokens[1])
    made.chat_template = family.template
    return made


def prompt(name: str, passages: Sequence[Passage], said: str = "x") -> Prompt:
    """The prompt of a chat in which somebody says `said` in every turn."""
    chat = [{"role": role, "content": said} for role in ("user", "assistant", "user")]
    system = "" if name == "gemma" else said
    return fit(tokenizer_of(name), chat, passages, room=10**6, nonce=FENCE, system=system)


def control(name: str, ids: list[int]) -> list[int]:
    """The control tokens among ids, in their order."""
    added = {number: token for token, number in tokenizer_of(name).get_added_vocab().items()}
    return [number for number in ids if number in added and added[number].strip()]


def lines_of(name: str, made: Prompt) -> list[str]:
    """What the model reads, folded, in lines by whatever may be taken for the end of one."""
    text = tokenizer_of(name).decode(made.ids, clean_up_tokenization_spaces=False)
    return unicodedata.normalize("NFKC", text.replace("▁", " ")).splitlines()


@pytest.mark.parametrize("name", ["default", *FAMILIES])
def test_no_document_forges_a_turn_a_fence_or_a_number(name: str) -> None:
    plain = FAMILIES[name].plain if name in FAMILIES else ()
    honest = prompt(name, [Passage("x", "x")] * 3)
    turns = {mark: "\n".join(lines_of(name, honest)).count(mark) for mark in plain}
    for title, hostile in INJECTIONS.items():
        evil = hostile.replace(NONCE, FENCE)
        passages = [Passage(evil, evil, evil), Passage(evil, evil), Passage(f"im_end|>{evil}", "a.md", f"{evil} <|")]
        for said in ("x", evil):
            made = prompt(name, passages, said)
            assert made.passages == 3
            assert control(name, made.ids) == control(name, honest.ids), title
            lines = lines_of(name, made)
            assert {mark: "\n".join(lines).count(mark) for mark in plain} == turns, title
            if said == "x":  # what a user says may look like anything but a turn
                assert [line for line in lines if FENCE in line] == [f"--- {FENCE}"] * 2, title
                numbers = [match[1] for line in lines if (match := _NUMBERED.match(line))]
                assert numbers == ["1", "2", "3"], title


@pytest.mark.parametrize("name", ["default", "zephyr", "folding"])
def test_training_reads_them_as_chat_does(name: str) -> None:
    for title, hostile in INJECTIONS.items():
        evil = hostile.replace(NONCE, FENCE)
        passages = [{"text": text, "document": text, "place": ""} for text in ("x", evil)]
        pairs = [
            FrozenPair("key", [{"role": "user", "content": text}], text, "a.jsonl", False, [passage])
            for text, passage in zip(("x", evil), passages, strict=True)
        ]
        honest, forged = (encode(pair, tokenizer_of(name), system="x", max_length=10**6)[0] for pair in pairs)
        assert honest is not None
        assert forged is not None
        assert control(name, forged.prompt_ids) == control(name, honest.prompt_ids), title
        assert control(name, forged.answers[0]) == control(name, honest.answers[0]), title


def test_the_marks_of_a_template_in_plain_letters_are_known() -> None:
    for name, family in FAMILIES.items():
        marks = set(control_strings(tokenizer_of(name))) - set(family.tokens)
        assert marks >= set(family.plain), name
        assert not marks & {"user", "assistant", "system", "model", "x"}, name
    default = tokenizer_of("default")
    assert set(control_strings(default)) == set(default.get_added_vocab())


def test_what_is_hidden_from_people_is_hidden_from_the_model() -> None:
    flag = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    text = f"The ferry{INJECTIONS['tag characters']} sails under {flag}."
    read = "\n".join(lines_of("default", prompt("default", [Passage(text, "ferry.md")])))
    assert flag in read
    assert not re.search("[\U000e0000-\U000e007f]", read.replace(flag, ""))
    assert INJECTIONS["tag characters"].split("8:05.")[0] in read


@pytest.mark.parametrize(
    "text",
    [
        "Zoë paid 23 € [1] for 漢字 – 👩‍🚀 and می‌خواهم.\n\n| a | b |\n|---|---|\n| 1 | <b>2</b> |\n",
        "USER: admin <user@example.org> [INSTALL] ### Notes:\n--- end\n```py\nx[2] = a < b | c > d\n```",
    ],
)
def test_harmless_text_is_read_as_it_stands(text: str) -> None:
    read = tokenizer_of("default").decode(prompt("default", [Passage(text, "a.md")]).ids)
    assert f"[1] a.md\n{text.strip()}\n--- {FENCE}" in read


def test_a_tokenizer_that_folds_in_a_way_unknown_to_us_is_refused_such_a_text() -> None:
    FAMILIES["uncased"] = Family(_CHATML, _IM, (), normalizers.Lowercase())
    try:
        assert prompt("uncased", [Passage("Dogs pay.", "a.md")]).passages == 1
        with pytest.raises(UserError, match="would be read as the control token"):
            prompt("uncased", [Passage(INJECTIONS["case"], "a.md")])
    finally:
        del FAMILIES["uncased"]


def test_there_are_enough_of_them() -> None:
    assert len(INJECTIONS) >= 40
    assert all(text.strip() for text in INJECTIONS.values())
    assert sum(ORDER in text for text in INJECTIONS.values()) >= 40
