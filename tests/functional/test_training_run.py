"""A run from the command line to the adapter, with the real tokenizer and a tiny real model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from sample_library import FakeEmbedder, Reporter

from workbench.errors import UserError
from workbench.jobs import control
from workbench.library.build import build
from workbench.models.adapter import adapters, verified_adapter
from workbench.training import runs
from workbench.workspace import Workspace

Command = Callable[..., Any]


def test_train_gives_an_adapter_metrics_and_samples(tuned: Workspace, command: Command, tiny_base: Path) -> None:
    done = command("train", "quick", "--name", "first", "--follow", "--json", "--set", "lora.r=4")
    assert done.code == 0, done.err
    assert done.lines[-1]["state"] == "done"
    assert (done.lines[-1]["step"], done.lines[-1]["steps"]) == (8, 8)

    events = runs.events(runs.find(tuned, "first"))
    steps = [event for event in events if event["type"] == "metrics" and "loss" in event]
    assert [event["step"] for event in steps] == list(range(1, 9))
    wanted = {"loss", "learning_rate", "grad_norm", "tokens", "tokens_per_second", "memory_bytes", "epoch"}
    assert wanted <= set(steps[0])
    assert steps[-1]["tokens"] > steps[0]["tokens"] > 0
    assert steps[-1]["loss"] < steps[0]["loss"]
    evaluations = [event for event in events if event["type"] == "metrics" and "eval_loss" in event]
    assert [event["step"] for event in evaluations] == [0, 4, 8]
    assert evaluations[-1]["eval_loss"] < evaluations[0]["eval_loss"]
    samples = [event for event in events if event["type"] == "sample"]
    assert [sample["step"] for sample in samples] == [0, 0, 4, 4, 8, 8]
    assert samples[0]["prompt"] == samples[2]["prompt"]

    adapter = verified_adapter(tuned.run("first"), tiny_base)
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["r"] == 4
    assert config["base_model_name_or_path"] == str(tiny_base)
    assert "base_model:" in (adapter / "README.md").read_text()
    assert [found.run for found in adapters(tuned)] == ["first"]

    shown = command("runs", "show", "first", "--json").lines[0]
    assert shown["eval_loss"] == pytest.approx(evaluations[-1]["eval_loss"])
    assert len(shown["samples"]) == 2
    assert command("runs", "list", "--json").lines[0]["adapter"] == "runs/first/adapter"


def test_the_adapter_answers_through_peft_as_it_was_trained(
    tuned: Workspace, command: Command, tiny_base: Path
) -> None:
    """The eval loss that the fast path told is the one that plain transformers and PEFT compute from the saved file."""
    import torch
    from peft import PeftModel

    from workbench.models.load import load_model, load_tokenizer
    from workbench.training.data import encode, thaw

    assert command("train", "quick", "--name", "first", "--follow", "--set", "bf16=false").code == 0
    folder = tuned.run("first")
    prepared = json.loads((folder / "prepared.json").read_text())
    tokenizer = load_tokenizer(tiny_base)
    model = PeftModel.from_pretrained(load_model(tiny_base, dtype="float32", device="cpu"), str(folder / "adapter"))
    system = json.loads((folder / "spec.json").read_text())["arguments"]["system"]
    total, count = 0.0, 0
    for pair in thaw(folder, prepared["sha256"]):
        if pair.evaluated:
            example, _ = encode(pair, tokenizer, system=system, max_length=1024)
            assert example
            labels = [-100] * len(example.prompt_ids) + example.answers[0]
            ids = torch.tensor([example.input_ids])
            total += model(input_ids=ids, labels=torch.tensor([labels])).loss.item() * example.trained_tokens
            count += example.trained_tokens
    events = runs.events(runs.find(tuned, "first"))
    told = [event["eval_loss"] for event in events if event["type"] == "metrics" and "eval_loss" in event]
    assert total / count == pytest.approx(told[-1], abs=1e-4)


def test_stop_saves_and_resume_goes_on(tuned: Workspace, command: Command) -> None:
    started = command(
        "train", "quick", "--name", "long", "--json", "--set", "max_steps=2000", "--set", "eval_steps=9999"
    )
    assert started.lines[-1]["state"] in ("queued", "running")
    job = runs.find(tuned, "long")
    wait_until(lambda: runs.summary(job).step >= 2)
    assert command("runs", "stop", "long").code == 0
    wait_until(lambda: job.status().state == "stopped")
    stopped_at = runs.summary(job).step
    assert 2 <= stopped_at < 2000
    assert (job.path / "adapter" / "adapter_model.safetensors").is_file()
    control.resume(job)
    wait_until(lambda: runs.summary(job).step >= stopped_at + 2 or job.status().state == "failed")
    control.stop(job)
    wait_until(lambda: not job.status().live)
    steps = [event["step"] for event in runs.events(job) if event["type"] == "metrics" and "loss" in event]
    assert steps == list(range(1, len(steps) + 1))
    assert any(event == {**event, "type": "resumed", "step": stopped_at} for event in runs.events(job))


def test_a_diverged_run_stops_with_a_clear_event(
    tuned: Workspace, command: Command, tmp_path: Path, tiny_base: Path
) -> None:
    import shutil

    from safetensors.numpy import save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny_base, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    done = command("train", "quick", "--name", "nan", "--follow", "--set", f"model_name_or_path={broken}")
    assert done.code == 1
    assert "loss is nan" in done.err
    assert "Lower learning_rate" in done.err
    assert "Traceback" not in done.err
    events = runs.events(runs.find(tuned, "nan"))
    assert [event["step"] for event in events if event["type"] == "nan"] == [1]
    assert not (tuned.run("nan") / "adapter").exists()


@pytest.mark.slow
def test_a_run_that_only_gets_worse_keeps_its_best_step_and_says_so(tuned: Workspace, command: Command) -> None:
    changes = {
        "learning_rate": 1, "lora.lora_alpha": 2000, "max_grad_norm": 1000, "max_steps": 2, "eval_steps": 1,
        "lr_scheduler_type": "constant", "model_name_or_path": "smollm2-135m-instruct",
    }  # fmt: skip
    settings = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    done = command("train", "quick", "--name", "worse", "--follow", *settings)
    assert done.code == 0, done.err
    events = runs.events(runs.find(tuned, "worse"))
    losses = {
        event["step"]: event["eval_loss"] for event in events if event["type"] == "metrics" and "eval_loss" in event
    }
    best = min((step for step in losses if step), key=losses.__getitem__)
    assert losses[0] < losses[best], "a model that knew something before"
    assert [event["step"] for event in events if event["type"] == "best"][-1] == best
    told = " ".join(event["text"] for event in events if event["type"] == "message")
    assert f"no evaluation was better than the one before training: {losses[0]:.4g} then" in told
    assert best == 2 or f"the adapter is the one of step {best}" in told


def test_a_learning_rate_is_given_again_however_often_the_run_is_interrupted() -> None:
    first = [{"type": "learning_rate", "step": 5, "after": 0.1}, {"type": "learning_rate", "step": 25, "after": 0.2}]
    assert runs.learning_rates(first) == {5: 0.1, 25: 0.2}
    again = runs.without_undone([*first, {"type": "resumed", "step": 20, "learning_rates": [[25, 0.2]]}])
    assert runs.learning_rates(again) == {5: 0.1, 25: 0.2}, "the second interruption came before step 25"
    repeated = [*again, {"type": "learning_rate", "step": 25, "after": 0.2}]
    assert runs.learning_rates(repeated) == {5: 0.1, 25: 0.2}
    other = [*again, {"type": "learning_rate", "step": 22, "after": 0.3}]
    assert runs.learning_rates(other) == {5: 0.1, 22: 0.3}, "the user's newest wish stands"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "absent", "--name", "x"], "there is no recipe 'absent'"),
        (["train", "quick", "--name", "x", "--set", "dataset=other"], "no accepted pairs"),
        (["train", "quick", "--name", "x", "--set", "learning_rat=1"], "did you mean 'learning_rate'"),
        (["train", "quick", "--name", "x", "--set", "lora.rr=1", "--set", "seed=a"], "2 faults"),
        (
            ["train", "quick", "--name", "x", "--set", "lr_scheduler_type=cosine_with_min_lr"],
            "needs min_lr or min_lr_rate",
        ),
        (
            ["train", "quick", "--name", "x", "--set", "lr_scheduler_kwargs={power: 2}"],
            "power: cosine knows num_cycles",
        ),
        (["train", "quick", "--name", "../x"], "cannot name a run"),
        (["train", "quick", "--name", "x", "--set", "context.index=none"], "there is no index 'none'"),
        (
            ["train", "quick", "--name", "x", "--set", "model_name_or_path=/nowhere/at/all"],
            "is not a folder with a model",
        ),
        (["runs", "show", "none"], "there is no run 'none'"),
        (["runs", "resume", "none"], "there is no run 'none'"),
    ],
)
def test_mistakes_are_one_clear_error(tuned: Workspace, command: Command, arguments: list[str], message: str) -> None:
    done = command(*arguments)
    assert done.code == 1
    assert message in done.err
    assert "Traceback" not in done.err + done.out
    assert not list(tuned.runs.iterdir())


def test_an_index_of_other_weights_gives_no_passages(tuned: Workspace, command: Command, tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("One plus one is two.\n")
    model, other = "all-minilm-l6-v2", FakeEmbedder("other", dimensions=384)  # of the same length: it would go unseen
    build(tuned.index("sums"), [tmp_path / "one.md"], lambda _: other, Reporter(), embedding_model=model)  # type: ignore[arg-type]
    done = command("train", "quick", "--name", "x", "--follow", "--set", "context.index=sums")
    assert done.code == 1
    assert f"'sums' was built with other weights of {model}" in done.err
    assert "workbench index update sums" in done.err


def test_an_adapter_that_changed_or_another_base_is_refused(
    tuned: Workspace, command: Command, tiny_base: Path, tmp_path: Path
) -> None:
    import shutil

    from workbench.models.local import ensure

    assert command("train", "quick", "--name", "first", "--follow", "--set", "max_steps=1").code == 0
    with pytest.raises(UserError, match="was trained on"):
        verified_adapter(tuned.run("first"), ensure("smollm2-135m-instruct"))
    for name in ("flipped", "cut"):
        copy = tmp_path / name
        shutil.copytree(tuned.run("first"), copy)
        weights = copy / "adapter" / "adapter_model.safetensors"
        data = bytearray(weights.read_bytes())
        if name == "flipped":
            data[len(data) // 2] ^= 1
        weights.write_bytes(data if name == "flipped" else data[:-10])
        with pytest.raises(UserError, match="is not what was written"):
            verified_adapter(copy, tiny_base)


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Poll, for another process has to get somewhere."""
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
