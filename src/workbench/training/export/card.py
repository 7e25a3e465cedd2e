"""The model card of an export: README.md, with the metadata that the hub reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workbench.training.export.forms import FORMS
from workbench.training.export.source import Loss, Source


def card(source: Source, form: str, file: str, checks: Mapping[str, Any], notes: list[str]) -> str:
    """Name base, data, recipe, measured losses and what the checks gave.

    Args:
        source: what was exported.
        form: a key of `FORMS`.
        file: the one that holds the weights.
        checks: by label, as they are in the manifest; what is text is told.
        notes: sentences that a reader should know.
    """
    run, recipe = source.run.id, source.recipe
    context = recipe.get("context")
    facts = {
        "base": source.base,
        "fingerprint of the base": source.base_fingerprint,
        "licence of the base": source.licence or "not known here; see the base",
        "method": recipe.get("method", "sft"),
        "dataset": recipe["dataset"],
        "sha256 of the pairs": source.pairs_sha256,
        "system prompt": source.system,
        "trained with passages from the index": context["index"] if context else None,
        **_losses(source.losses),
    }
    parts = [
        _front(source, form),
        f"# {_cell(run)}\n\n{FORMS[form].title[0].upper()}{FORMS[form].title[1:]} of {_cell(source.base)} tuned by the"
        f" run {_cell(run)}, exported by Hybrid Workbench.\n",
        _table({label: value for label, value in facts.items() if value not in (None, "")}),
        "## How to use it\n\n" + _usage(source, form, file),
        "## What was checked\n\nThe exported files were loaded again and compared with the tuned model, the base with"
        " its adapter in float32, on samples of the run (samples.json).\n\n"
        + _table({label: value for label, value in checks.items() if isinstance(value, str)}),
    ]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes) + "\n")
    if source.recipe_yaml:
        fence = "`" * (max((len(ticks) for ticks in re.findall("`+", source.recipe_yaml)), default=2) + 1)
        fence = max(fence, "```")
        parts.append(f"## Recipe\n\n{fence}yaml\n{source.recipe_yaml.rstrip()}\n{fence}\n")
    return "\n".join(parts)


def _front(source: Source, form: str) -> str:
    method = source.recipe.get("method", "sft")
    library = {"adapter": "peft", "merged": "transformers"}.get(form, "gguf")
    task = "text-classification" if source.rewards else "text-generation"
    licence = f"license: {source.licence.lower()}\n" if source.licence else ""
    relation = "adapter" if form == "adapter" else "quantized" if form == "gguf-q8_0" else "finetune"
    return (
        f"---\nbase_model: {_quoted(source.base)}\nbase_model_relation: {relation}\nlibrary_name: {library}\n"
        f"pipeline_tag: {task}\n{licence}tags:\n- lora\n- {method}\n---\n"
    )


def _losses(losses: list[Loss]) -> dict[str, str]:
    if not losses:
        return {"eval loss": "not measured: the run had no eval split"}
    best = min(losses, key=lambda loss: loss.loss)
    named = {"first": losses[0], "lowest": best, "last": losses[-1]}
    return {f"eval loss, {name}": f"{loss.loss:.4f} at step {loss.step}" for name, loss in named.items()}


def _usage(source: Source, form: str, main: str) -> str:
    if form.startswith("gguf"):
        return (
            f"```sh\nollama create {source.run.id.lower()} -f Modelfile\nollama run {source.run.id.lower()}\n```\n\n"
            f"or with llama.cpp: `llama-cli -m {main} --temp 0`.\n"
        )
    kind = "AutoModelForSequenceClassification" if source.rewards else "AutoModelForCausalLM"
    options = ", num_labels=1" if source.rewards else ""
    if form == "adapter":
        return (
            f"```python\nfrom peft import PeftModel\nfrom transformers import {kind}\n\n"
            f"base = {kind}.from_pretrained({source.base!r}{options})\n"
            'model = PeftModel.from_pretrained(base, "PATH OF THIS FOLDER")\n```\n'
        )
    return (
        f"```python\nfrom transformers import AutoTokenizer, {kind}\n\n"
        f'model = {kind}.from_pretrained("PATH OF THIS FOLDER")\n'
        'tokenizer = AutoTokenizer.from_pretrained("PATH OF THIS FOLDER")\n```\n'
    )


def _table(facts: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| {label} | {_cell(value)} |" for label, value in facts.items())
    return f"| | |\n|---|---|\n{rows}\n"


def _cell(value: Any) -> str:
    """Text that cannot break out of its cell, nor act as Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(value).split()))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
