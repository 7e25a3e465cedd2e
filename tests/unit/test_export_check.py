"""What an export is, form by form and adapter by adapter, and what it refuses; the job's function in this process."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sample_adapter import SYSTEM, tiny_model, write_adapter_run
from sample_library import Reporter

from workbench import files
from workbench.errors import UserError
from workbench.training.export import job
from workbench.training.export.architecture import check_config
from workbench.training.export.forms import MANIFEST
from workbench.training.export.place import replacing_folder
from workbench.workspace import Workspace


@dataclass
class FakeContext(Reporter):
    """What the job's function is given, without the process around it."""

    workspace: Workspace
    arguments: dict[str, Any]
    messages: list[str] = field(default_factory=list)

    def progress(self, *_: Any, **__: Any) -> None:
        pass


def export(workspace: Workspace, run: str, *forms: str, dtype: str = "float32") -> dict[str, Any]:
    targets = {form: str(workspace.root / "exports" / run / form) for form in forms}
    context = FakeContext(workspace, {"run": run, "targets": targets, "dtype": dtype})
    result = job.run(context)  # type: ignore[arg-type]
    return {done["form"]: done for done in result["exports"]}


@pytest.mark.parametrize(
    ("lora", "convert"),
    [
        ({"use_dora": True}, False),
        ({"use_rslora": True}, False),
        ({"init_lora_weights": "pissa"}, False),
        ({"init_lora_weights": "olora"}, False),
        ({"init_lora_weights": "pissa_niter_2"}, True),
        ({"modules_to_save": ["embed_tokens"]}, False),
    ],
    ids=["dora", "rslora", "pissa", "olora", "pissa_niter converted", "modules_to_save"],
)
def test_every_kind_of_adapter_merges_to_the_model_that_it_makes(
    workspace: Workspace, tiny_base: Path, lora: dict[str, Any], convert: bool
) -> None:
    import torch

    from workbench.training.export import merge
    from workbench.training.export.source import read

    write_adapter_run(workspace, "tone", tiny_base, convert=convert, **lora)
    done = export(workspace, "tone", "merged")["merged"]
    source, ids = read(workspace, "tone"), torch.arange(5, 25)[None]
    base, tuned = (
        merge.load(tiny_base)(input_ids=ids).logits,
        merge.tuned(source, source.adapter, None)(input_ids=ids).logits,
    )
    found = merge.load(Path(done["folder"]))(input_ids=ids).logits
    assert (tuned - base).abs().max() > 0.01  # there is something to merge
    assert (found - tuned).abs().max() < 1e-4
    assert done["checks"]["figures"]["same_answers"] == done["samples"] == 2


def test_an_adapter_whose_base_cannot_be_made_again_is_refused(workspace: Workspace, tiny_base: Path) -> None:
    write_adapter_run(workspace, "tone", tiny_base, init_lora_weights="pissa_niter_2")
    with pytest.raises(UserError, match="began with pissa_niter_2, whose random start PEFT cannot repeat"):
        export(workspace, "tone", "adapter")
    assert not (workspace.root / "exports").exists()


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {"head_dim": 16}),
        ("llama", {"digits": True}),
        ("llama", {"tie_word_embeddings": False}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 128}),
    ],
    ids=["llama", "llama digits", "llama untied", "qwen2", "qwen3"],
)
def test_a_gguf_of_every_architecture_is_the_tuned_model(
    workspace: Workspace, tmp_path: Path, architecture: str, changes: dict[str, Any]
) -> None:
    base = tiny_model(tmp_path / "base", architecture, **changes)
    write_adapter_run(workspace, "tone", base)
    done = export(workspace, "tone", "gguf-f16")["gguf-f16"]
    assert done["checks"]["figures"]["mean_kl"] < 1e-4
    assert done["checks"]["figures"]["max_abs_difference"] < 0.1


def test_a_tensor_in_the_wrong_order_is_found_and_the_export_before_stays(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.training.export import gguf_file

    base = tiny_model(tmp_path / "base")
    write_adapter_run(workspace, "tone", base)
    folder = Path(export(workspace, "tone", "gguf-f16")["gguf-f16"]["folder"])
    before = {path.name: files.sha256_of(path) for path in folder.iterdir()}
    monkeypatch.setattr(gguf_file, "_as_written", lambda name, tensor, config: tensor)
    with pytest.raises(UserError, match=r"the exported model is not the tuned one: largest difference of a logit \d"):
        export(workspace, "tone", "gguf-f16")
    assert {path.name: files.sha256_of(path) for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["gguf-f16"]


def test_a_reward_model_gives_the_same_scores(workspace: Workspace, tiny_base: Path) -> None:
    write_adapter_run(workspace, "judge", tiny_base, method="reward")
    done = export(workspace, "judge", "adapter", "merged")
    for form in ("adapter", "merged"):
        samples = json.loads((Path(done[form]["folder"]) / "samples.json").read_text())
        assert len(samples) == 6  # chosen, completion, rejected of two pairs
        assert all(sample["answer"] == sample["tuned_model"] for sample in samples)
        assert len({sample["answer"] for sample in samples}) > 1
    assert "AutoModelForSequenceClassification" in (Path(done["merged"]["folder"]) / "README.md").read_text()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_merged_model_can_be_saved_in_half_precision(workspace: Workspace, tiny_base: Path, dtype: str) -> None:
    from safetensors import safe_open

    write_adapter_run(workspace, "tone", tiny_base)
    folder = Path(export(workspace, "tone", "merged", dtype=dtype)["merged"]["folder"])
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert {str(weights.get_tensor(name).dtype) for name in weights.keys()} == {f"torch.{dtype}"}  # noqa: SIM118
    assert json.loads((folder / "config.json").read_text())["dtype"] == dtype


@contextmanager
def small_files() -> Iterator[None]:
    """No file can grow beyond 1 kB, which the kernel refuses as it refuses to write to a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("form", ["adapter", "merged", "gguf-q8_0"])
def test_what_cannot_be_written_leaves_nothing(workspace: Workspace, tiny_base: Path, form: str) -> None:
    write_adapter_run(workspace, "tone", tiny_base)
    with small_files(), pytest.raises(UserError, match=r"the export cannot be written: .*[Ff]ile too large"):
        export(workspace, "tone", form)
    assert list((workspace.root / "exports" / "tone").iterdir()) == []


def test_a_disk_without_room_is_told_before_anything_is_written(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    write_adapter_run(workspace, "tone", tiny_base)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 2_000_000))  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"the export needs \d+ MB, and 2 MB are free"):
        export(workspace, "tone", "merged")
    assert not (workspace.root / "exports").exists()


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    target = tmp_path / "merged"
    with replacing_folder(target) as aside:
        (aside / "old").write_text("old")
    target.rename(tmp_path / ".merged.replaced")  # as far as a process came that was killed
    (tmp_path / ".merged.exporting").mkdir()
    with pytest.raises(KeyError), replacing_folder(target):
        raise KeyError
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "gemma3"}, "the architecture 'gemma3' cannot be written as GGUF here"),
        ({"model_type": "llama", "rope_parameters": {"rope_type": "llama3"}}, "rope of the type 'llama3'"),
        ({"model_type": "llama", "rope_scaling": {"type": "yarn"}}, "rope of the type 'yarn'"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "a sliding window"),
        ({"model_type": "llama", "attention_bias": True}, "llama with biases"),
    ],
)
def test_what_gguf_would_hold_wrong_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_config(config)


def test_the_files_tell_where_they_come_from(workspace: Workspace, tiny_base: Path) -> None:
    run = write_adapter_run(workspace, "tone", tiny_base)
    folder = Path(export(workspace, "tone", "adapter")["adapter"]["folder"])
    manifest = json.loads((folder / MANIFEST).read_text())
    assert set(manifest["files"]) == {path.name for path in folder.iterdir()} - {MANIFEST}
    assert all(files.sha256_of(folder / name) == facts["sha256"] for name, facts in manifest["files"].items())
    card = (folder / "README.md").read_text()
    sha256 = json.loads((run.path / "prepared.json").read_text())["sha256"]
    for told in (
        f"| sha256 of the pairs | {sha256} |",
        f"| fingerprint of the base | {manifest['base_fingerprint']} |",
        f"| system prompt | {SYSTEM} |",
        "| eval loss, first | 4.5000 at step 0 |",
        "| eval loss, lowest | 3.2500 at step 4 |",
        "```yaml\nmethod: sft\ndataset: numbers\n```",
        "2 of 2 answers the same",
    ):
        assert told in card
