"""The job that exports a run: read top to bottom, it is what happens between the adapter and files that answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import files
from workbench.errors import UserError
from workbench.jobs.context import Context
from workbench.models.adapter import MANIFEST as ADAPTER_MANIFEST
from workbench.models.load import be_offline, load_tokenizer
from workbench.training.export.card import card
from workbench.training.export.forms import FORMS
from workbench.training.export.place import check_room, check_target, replacing_folder, write_manifest
from workbench.training.export.source import Source, read

if TYPE_CHECKING:
    from workbench.training.export.check import Heard, Question, Tolerance

_SHOWN = 200  # characters of a sample in a message


@dataclass(frozen=True)
class _Tuned:
    """The tuned model's side of every check."""

    tokenizer: Any
    questions: Sequence[Question]
    heard: Heard
    max_new_tokens: int


def run(context: Context) -> dict[str, Any]:
    """Export `arguments["run"]` to `arguments["targets"]`, form by form; each counts once it has answered.

    Raises:
        UserError: the run cannot be exported, the disk is full, or an export is not the tuned model.
        StopRequested: the user asked to stop; forms that are not done leave nothing behind.
    """
    targets = {form: Path(folder) for form, folder in context.arguments["targets"].items()}
    context.progress(0, message="Checking the adapter and its base")
    source = read(context.workspace, context.arguments["run"])
    be_offline()
    from workbench.training.export import merge
    from workbench.training.export.check import hear, questions_of

    for target in targets.values():
        check_target(target)
    context.check_stop()
    context.progress(0, message="Loading the tuned model")
    tokenizer = load_tokenizer(source.base_folder)
    questions = questions_of(source, tokenizer)
    model = merge.tuned(source, source.adapter, tokenizer)
    parameters = sum(weight.numel() for weight in model.parameters())
    max_new_tokens = source.recipe["samples"]["max_new_tokens"]
    context.progress(0, message="Asking the tuned model")
    tuned = _Tuned(
        tokenizer, questions, hear(model, tokenizer, questions, max_new_tokens, source.rewards), max_new_tokens
    )
    if any(form != "adapter" for form in targets):
        model = merge.merged(model)
    exports = []
    # The merged model last: saving it may take the weights out of float32.
    for form, target in sorted(targets.items(), key=lambda item: item[0] == "merged"):
        context.check_stop()
        check_room(target, int(FORMS[form].bytes_per_parameter * parameters) + _bytes(source.adapter))
        try:
            exports.append(_export(context, source, form, target, model, tuned))
        except Exception as error:
            raise _told(error, target) from error
    return {"run": source.run.id, "exports": exports}


def _export(context: Context, source: Source, form: str, target: Path, model: Any, tuned: _Tuned) -> dict[str, Any]:
    with replacing_folder(target) as aside:
        context.progress(0, message=f"Writing {form}")
        main, notes, tolerance = _write(context, source, form, aside, model, tuned)
        context.check_stop()
        context.progress(0, message=f"Loading {form} again")
        checks, samples = _ask_again(source, form, aside, main, tuned, tolerance)
        context.message(f"{form}: {checks['agreement']}")
        for sample in samples:
            context.message(f"{_short(sample['prompt'])} -> {_short(sample['answer'])}")
        if source.recipe.get("context"):
            notes.append("The run was trained with passages in its prompts; without them it answers less well.")
        if source.recipe.get("load_in_4bit"):
            notes.append("The run was trained beside a base in 4 bits; here its adapter stands beside the whole base.")
        files.write_text(aside / "samples.json", json.dumps(samples, ensure_ascii=False, indent=1) + "\n")
        files.write_text(aside / "README.md", card(source, form, main, checks, notes))
        write_manifest(
            aside,
            {
                "run": source.run.id,
                "form": form,
                "base": source.base,
                "base_fingerprint": source.base_fingerprint,
                "adapter_sha256": files.sha256_of(source.adapter / "adapter_model.safetensors"),
                "pairs_sha256": source.pairs_sha256,
                "checks": checks,
            },
        )
        context.check_stop()
    context.message(f"{form} is done: {target}")
    return {"form": form, "folder": str(target), "file": main, "checks": checks, "samples": len(samples)}


def _write(
    context: Context, source: Source, form: str, folder: Path, model: Any, tuned: _Tuned
) -> tuple[str, list[str], Tolerance]:
    """Write the weights; the main file's name, what to tell of it, and how near it has to be."""
    from workbench.training.export import check, merge

    if form == "adapter":
        for path in source.adapter.iterdir():
            if path.name not in (ADAPTER_MANIFEST, "README.md"):
                shutil.copyfile(path, folder / path.name)
        merge.copy_tokenizer(source, folder)
        return "adapter_model.safetensors", [], check.EXACT
    if form == "merged":
        dtype = context.arguments["dtype"]
        merge.save(model, folder, dtype)
        merge.copy_tokenizer(source, folder)
        notes = [f"Merged in float32, saved in {dtype}."]
        half = check.HALF if dtype == "float16" else check.COARSE
        return (
            "model.safetensors",
            notes,
            check.EXACT if dtype == "float32" else check.SCORE if source.rewards else half,
        )
    from workbench.training.export import gguf_file, ollama

    kind = form.removeprefix("gguf-")
    name = f"{source.run.id}-{kind}.gguf"
    origin = gguf_file.Origin(source.run.id, source.base, source.licence)
    gguf_file.write(model, tuned.tokenizer, folder / name, kind, origin)
    described = ollama.model_file(name, tuned.tokenizer, source.system)
    files.write_text(folder / "Modelfile", described.text)
    return name, [described.note], check.HALF if kind == "f16" else check.COARSE


def _ask_again(
    source: Source, form: str, folder: Path, main: str, tuned: _Tuned, tolerance: Tolerance
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Load what was written, and ask it what the tuned model was asked.

    Raises:
        UserError: it cannot be loaded, or is not the tuned model.
    """
    from workbench.training.export import check, merge

    told = {}
    if form == "adapter":
        model, tokenizer = merge.tuned(source, folder, tuned.tokenizer), tuned.tokenizer
    elif form == "merged":
        model = merge.load_scorer(folder) if source.rewards else merge.load(folder)
        tokenizer = load_tokenizer(folder)
    else:
        from workbench.training.export import gguf_file

        model, tokenizer = gguf_file.load(folder / main)
        told["tokens of the prompts"] = gguf_file.compare_tokenizers(
            tuned.tokenizer, tokenizer, [question.prompt for question in tuned.questions]
        )
    answers = check.hear(model, tokenizer, tuned.questions, tuned.max_new_tokens, source.rewards).answers
    agreement = check.compare(tuned.heard, model, answers, source.rewards)
    check.judge(agreement, tolerance, form)
    samples = [
        {"prompt": question.text, "answer": answer, "tuned_model": wanted, "reference": question.reference}
        for question, answer, wanted in zip(tuned.questions, answers, tuned.heard.answers, strict=True)
    ]
    return {"agreement": str(agreement), "allowed": str(tolerance), **told, "figures": asdict(agreement)}, samples


def _told(error: Exception, target: Path) -> Exception:
    """A full disk in the user's words; any other error as it is."""
    from safetensors import SafetensorError

    if isinstance(error, OSError) and error.errno is not None:
        return UserError(
            f"the export cannot be written: {error.strerror}", where=str(target), do="Nothing was changed."
        )
    if isinstance(error, SafetensorError):
        return UserError(f"the export cannot be written: {error}", where=str(target), do="Nothing was changed.")
    return error


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
