"""The Modelfile with which Ollama runs an exported GGUF.

Ollama writes prompts with a Go template of its own. Here it is given for ChatML, after rendering conversations shows
that the tokenizer's template is ChatML. For any other it is left out: Ollama then has one of its own where it knows the
template that the GGUF holds, and none where it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# As the template for Qwen2.5 in Ollama's library: a last turn of the assistant is left open, to be gone on with.
GO_CHATML = """\
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}<|im_start|>{{ .Role }}
{{ .Content }}{{ if not (and $last (eq .Role "assistant")) }}<|im_end|>
{{ end }}
{{- if and $last (ne .Role "assistant") }}<|im_start|>assistant
{{ end }}
{{- end }}"""
_SYSTEM, _ASKED = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it open?\nWhen?"}
_SAID, _AGAIN = {"role": "assistant", "content": "Yes, from ten."}, {"role": "user", "content": "  Until?"}
_CONVERSATIONS = ([_SYSTEM, _ASKED], [_SYSTEM, _ASKED, _SAID, _AGAIN], [_ASKED], [_ASKED, _SAID, _AGAIN])


@dataclass(frozen=True)
class ModelFile:
    """A Modelfile, and what a reader should know of it."""

    text: str
    note: str


def model_file(file: str, tokenizer: Any, system: str | None) -> ModelFile:
    """The Modelfile of a GGUF that lies beside it.

    Args:
        file: the GGUF's name.
        tokenizer: with the chat template.
        system: what the model was told before every prompt; none takes what the template itself tells it.
    """
    default = chatml_default(tokenizer)
    lines, notes = [f"FROM ./{file}"], []
    if default is not None:
        lines.append(f'TEMPLATE """{GO_CHATML}"""')
        stops = ["<|im_end|>", "<|im_start|>"]
        notes.append("TEMPLATE writes the same prompts as the tokenizer's chat template (ChatML).")
    else:
        stops = [tokenizer.eos_token] if tokenizer.eos_token else []
        notes.append(
            "TEMPLATE is left out, for the tokenizer's chat template is not ChatML. Ollama has its own for those that"
            " it knows: see `ollama show --template`, and give TEMPLATE yourself where it shows {{ .Prompt }} alone."
        )
    told = system or default or ""
    if '"""' in told or told.endswith('"'):
        notes.append("SYSTEM is left out, for its quotation marks cannot be written in a Modelfile: give it yourself.")
    elif told:
        lines.append(f'SYSTEM """{told}"""')
    lines += [f'PARAMETER stop "{stop}"' for stop in stops if '"' not in stop]
    lines.append("PARAMETER temperature 0")
    return ModelFile("\n".join(lines) + "\n", " ".join(notes))


def chatml(messages: Sequence[dict[str, str]]) -> str:
    """What `GO_CHATML` writes for a conversation that ends with the user."""
    turns = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in messages)
    return f"{turns}<|im_start|>assistant\n"


def chatml_default(tokenizer: Any) -> str | None:
    """The system prompt that a ChatML template adds by itself, empty where it adds none; None if it is not ChatML."""
    start, end = "<|im_start|>system\n", "<|im_end|>\n"
    plain = _render(tokenizer, [_ASKED])
    default = ""
    if plain.startswith(start):
        default = plain[len(start) :].partition(end)[0]
    for conversation in _CONVERSATIONS:
        messages = list(conversation)
        if default and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": default})
        if _render(tokenizer, conversation) != chatml(messages):
            return None
    return default


def _render(tokenizer: Any, messages: Sequence[dict[str, str]]) -> str:
    return str(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False))
