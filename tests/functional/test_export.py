"""`workbench runs export`: from a run to files that answer, through the command and through the app."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_adapter import tiny_model, write_adapter_run
from sample_runs import write_run
from textual.widgets import Static

from screens.app import WorkbenchApp
from screens.modals.export_run import ExportRun
from screens.widgets.form import Row
from workbench import files
from workbench.training import runs
from workbench.training.export.forms import FORMS, MANIFEST
from workbench.workspace import Workspace

Command = Callable[..., Any]


def whole(folder: Path) -> dict[str, Any]:
    """The manifest of an export, after checking every file."""
    manifest = json.loads((folder / MANIFEST).read_text())
    assert set(manifest["files"]) == {path.name for path in folder.iterdir()} - {MANIFEST}
    for name, facts in manifest["files"].items():
        assert files.sha256_of(folder / name) == facts["sha256"]
    return manifest


@pytest.mark.slow
def test_a_run_is_exported_in_every_form(tuned: Workspace, command: Command, tiny_base: Path) -> None:
    import torch
    from peft import PeftModel

    from workbench.models.load import load_model, load_tokenizer

    assert command("train", "quick", "--name", "tone", "--follow", "--set", "max_steps=2").code == 0
    forms = [argument for form in FORMS for argument in ("--form", form)]
    done = command("runs", "export", "tone", *forms, "--follow", "--json")
    assert done.code == 0, done.err + done.out
    exports = {export["form"]: export for export in done.lines[-1]["result"]["exports"]}
    told = [event["text"] for event in done.lines if event.get("type") == "message"]
    run = runs.find(tuned, "tone")
    prompts = [
        sample["messages"][-1]["content"] for sample in json.loads((run.path / "prepared.json").read_text())["samples"]
    ]
    answers = {}
    for form in FORMS:
        folder = tuned.root / "exports" / "tone" / form
        assert exports[form]["folder"] == str(folder)
        manifest = whole(folder)
        assert (
            manifest["base_fingerprint"]
            == json.loads((run.path / "adapter" / "workbench-manifest.json").read_text())["base_fingerprint"]
        )
        samples = json.loads((folder / "samples.json").read_text())
        assert [sample["prompt"] for sample in samples] == prompts
        answers[form] = [sample["answer"] for sample in samples]
        assert all(any(line.startswith(f"{prompt} -> ") for line in told) for prompt in prompts)
        card = (folder / "README.md").read_text()
        assert f"| sha256 of the pairs | {manifest['pairs_sha256']} |" in card
        assert "max_steps: 2" in card
        assert "| eval loss, lowest |" in card
    assert answers["merged"] == answers["adapter"] == answers["gguf-f16"]

    ids = torch.tensor([load_tokenizer(tiny_base)("What is 3 plus one?")["input_ids"]])
    folder = tuned.root / "exports" / "tone"
    base = load_model(tiny_base, dtype="float32", device="cpu")
    adapted = PeftModel.from_pretrained(base, str(folder / "adapter"))(input_ids=ids).logits
    merged = load_model(folder / "merged", dtype="float32", device="cpu")(input_ids=ids).logits
    assert (merged - adapted).abs().max() < 1e-4
    assert 'SYSTEM """' in (folder / "gguf-q8_0" / "Modelfile").read_text()
    assert (folder / "gguf-q8_0" / "tone-q8_0.gguf").stat().st_size < (
        folder / "gguf-f16" / "tone-f16.gguf"
    ).stat().st_size


@pytest.mark.slow
def test_an_export_goes_where_it_is_sent_and_replaces_the_one_before(
    workspace: Workspace, command: Command, tmp_path: Path
) -> None:
    write_adapter_run(workspace, "tone", tiny_model(tmp_path / "base"))
    target = tmp_path / "out"
    assert command("runs", "export", "tone", "--form", "adapter", "--to", target, "--follow").code == 0
    (target / "left.txt").write_text("of an earlier export")
    done = command("runs", "export", "tone", "--form", "gguf-q8_0", "--to", target, "--follow")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"gguf-q8_0: {target}"
    assert sorted(path.name for path in target.iterdir()) == [
        "Modelfile", "README.md", "samples.json", "tone-q8_0.gguf", MANIFEST,
    ]  # fmt: skip
    whole(target)
    assert {path.name for path in tmp_path.iterdir() if "out" in path.name} == {"out"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "--form", "merged"], "there is no run 'none'"),
        (["tone", "--form", "gguf"], "there is no form 'gguf'"),
        (["tone", "--form", "merged", "--dtype", "int8"], "there is no dtype 'int8'"),
        (["tone", "--form", "adapter", "--dtype", "float16"], "is for the form merged"),
        (["tone", "--form", "merged", "--to", "."], "holds something else than an export"),
        (["judge", "--form", "gguf-f16"], "is a reward model, and GGUF engines do not compute its score"),
        (["empty", "--form", "merged"], "the run 'empty' has no adapter"),
        (["gemma", "--form", "gguf-f16"], "the architecture 'gemma' cannot be written as GGUF here"),
        (["lost", "--form", "merged"], "is not a folder with a model"),
    ],
)
def test_mistakes_are_one_clear_error(
    workspace: Workspace, command: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    import shutil

    base = tiny_model(tmp_path / "base")
    match arguments[0]:
        case "gemma":
            base = tiny_model(tmp_path / "gemma", "gemma", head_dim=8)
        case "lost":
            base = tiny_model(tmp_path / "lost")
    if arguments[0] != "none":
        run = write_adapter_run(workspace, arguments[0], base, method="reward" if arguments[0] == "judge" else "sft")
        if arguments[0] == "empty":
            shutil.rmtree(run.path / "adapter")
        if arguments[0] == "lost":
            shutil.rmtree(base)
    done = command("runs", "export", *arguments)
    assert done.code == 1
    assert message in done.err
    assert "Traceback" not in done.err + done.out
    assert not list(workspace.jobs.iterdir())
    assert not (workspace.root / "exports").exists()


@pytest.mark.parametrize("what", ["adapter", "base"])
def test_what_changed_since_the_training_is_not_exported(
    workspace: Workspace, command: Command, tmp_path: Path, what: str
) -> None:
    base = tiny_model(tmp_path / "base")
    run = write_adapter_run(workspace, "tone", base)
    changed = base / "model.safetensors" if what == "base" else run.path / "adapter" / "adapter_model.safetensors"
    data = bytearray(changed.read_bytes())
    data[-5] ^= 1
    changed.write_bytes(data)
    done = command("runs", "export", "tone", "--form", "merged", "--follow")
    assert done.code == 1
    assert ("whose weights are not these" if what == "base" else "is not what was written") in done.err
    assert "Traceback" not in done.err + done.out
    assert not (workspace.root / "exports").exists()


@pytest.mark.slow
def test_the_real_model_answers_as_tuned_in_every_form_and_in_llama_cpp(workspace: Workspace, command: Command) -> None:
    from workbench.pairs.importing import import_file
    from workbench.pairs.store import PairStore

    path = workspace.root / "numbers.jsonl"
    rows = [{"prompt": f"What is {n} plus one?", "completion": f"Ahoy, it is {n + 1}."} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with PairStore(workspace.database) as store:
        import_file(store, path, "numbers", status="accepted")
    (workspace.configs / "ahoy.yaml").write_text(
        "dataset: numbers\nmodel_name_or_path: smollm2-135m-instruct\nlearning_rate: 0.0005\nmax_steps: 12\n"
        "test_size: 0.2\nsamples: {count: 3, max_new_tokens: 16}\n"
    )
    assert command("train", "ahoy", "--name", "ahoy", "--follow").code == 0
    done = command("runs", "export", "ahoy", *[word for form in FORMS for word in ("--form", form)], "--follow")
    assert done.code == 0, done.err
    folder = workspace.root / "exports" / "ahoy"
    samples = json.loads((folder / "gguf-f16" / "samples.json").read_text())
    assert [sample["answer"] for sample in samples] == [sample["reference"] for sample in samples]
    for form, file in (("gguf-f16", "ahoy-f16.gguf"), ("gguf-q8_0", "ahoy-q8_0.gguf")):
        assert llama_cpp_answers(folder / form / file, workspace, samples) == [sample["answer"] for sample in samples]


def llama_cpp_answers(file: Path, workspace: Workspace, samples: list[dict[str, str]]) -> list[str]:
    """What llama.cpp itself answers, by the chat template in the file; skips where it is not installed."""
    llama = pytest.importorskip("xllamacpp", reason="needs llama.cpp: pip install xllamacpp")
    parameters = llama.CommonParams()
    parameters.model.path, parameters.n_ctx, parameters.n_gpu_layers = str(file), 512, 0
    parameters.cpuparams.n_threads = 1
    server = llama.Server(parameters)
    system = json.loads((workspace.runs / "ahoy" / "spec.json").read_text())["arguments"]["system"]
    answers = []
    for sample in samples:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": sample["prompt"]}]
        reply = server.handle_chat_completions({"messages": messages, "max_tokens": 16, "temperature": 0})
        reply = json.loads(reply) if isinstance(reply, str) else reply
        answers.append(reply["choices"][0]["message"]["content"].strip())
    return answers


async def test_e_on_the_training_screen_exports_the_run(
    workspace: Workspace, tmp_path: Path, settle: Callable[..., Any]
) -> None:
    write_adapter_run(workspace, "tone", tiny_model(tmp_path / "base"))
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot)
        await pilot.press("E")
        await settle(pilot)
        form = pilot.app.screen
        assert isinstance(form, ExportRun)
        rows = {row.key: row for row in form.query(Row)}
        assert [rows[key].text for key in FORMS] == ["no", "yes", "no", "no"]
        await pilot.press("down", "left", "enter")  # merged: no; so nothing is chosen
        await settle(pilot)
        assert "no form was chosen" in str(form.query_one(".dialog-fault", Static).render())
        await pilot.press("up", "right", "down", "down", "down", "down", *"given", "enter")
        await settle(pilot)
        assert not isinstance(pilot.app.screen, ExportRun)
        job = next(job for job in pilot.app.board.jobs if job.kind == "export")
        assert job.arguments["targets"] == {"adapter": str(workspace.root / "given" / "adapter")}
        for _ in range(1200):
            pilot.app.look_at_jobs()
            await pilot.pause(0.05)
            if not job.folder.status().live:
                break
        assert job.folder.status().state == "done", job.folder.status().error
    whole(workspace.root / "given" / "adapter")


async def test_a_run_without_an_adapter_offers_no_export(workspace: Workspace, settle: Callable[..., Any]) -> None:
    write_run(workspace, "tone", "failed")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot)
        assert pilot.app.screen.check_action("export", ()) is None
        await pilot.press("E")
        await settle(pilot)
        assert not isinstance(pilot.app.screen, ExportRun)
