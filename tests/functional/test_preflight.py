"""The pre-flight through the command and the app: what it counts, what it refuses, and that it changes nothing."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from screens.app import WorkbenchApp
from screens.modals.new_run import NewRun
from screens.modals.preflight import PreFlight
from workbench.models.load import load_tokenizer
from workbench.pairs.importing import import_file
from workbench.pairs.store import PairStore
from workbench.training import checkpoint, runs
from workbench.training.data import FrozenPair, encode
from workbench.workspace import Workspace

Command = Callable[..., Any]


def accept(workspace: Workspace, dataset: str, rows: list[dict[str, str]]) -> None:
    path = workspace.root / f"{dataset}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with PairStore(workspace.database) as store:
        import_file(store, path, dataset, status="accepted")


def frozen(workspace: Workspace, run: str) -> list[FrozenPair]:
    lines = (workspace.run(run) / "pairs.jsonl").read_text().splitlines()
    return [FrozenPair(**json.loads(line)) for line in lines]


def of_type(workspace: Workspace, run: str, kind: str) -> list[dict[str, Any]]:
    return [event for event in runs.events(runs.find(workspace, run)) if event["type"] == kind]


def test_the_figures_are_those_of_the_data_and_are_checked_after_the_run(
    tuned: Workspace, command: Command, tiny_base: Path
) -> None:
    long = "What comes after the number " + "one " * 300 + "?"
    accept(tuned, "numbers", [{"prompt": long, "completion": "Two."}])
    sets = ["--set", "max_length=256", "--set", "gradient_accumulation_steps=3", "--set", "num_train_epochs=2"]
    done = command("train", "quick", "--name", "first", "--follow", "--json", *sets, "--set", "max_steps=-1")
    assert done.code == 0, done.err

    tokenizer = load_tokenizer(tiny_base)
    system = runs.find(tuned, "first").spec["arguments"]["system"]
    pairs = [(encode(pair, tokenizer, system=system, max_length=4096)[0], pair) for pair in frozen(tuned, "first")]
    kept = [(example, pair) for example, pair in pairs if example and len(example.input_ids) <= 256]
    training = [example for example, pair in kept if not pair.evaluated]
    (told,) = of_type(tuned, "first", "preflight")
    assert told["pairs"] == len(training)
    assert told["eval_pairs"] == len(kept) - len(training) > 0
    assert told["tokens"] == sum(len(example.input_ids) for example in training)
    assert told["trained_tokens"] == sum(len(example.answers[0]) for example in training)
    assert told["prompt_tokens"] == told["tokens"] - told["trained_tokens"]
    assert told["longest"] == max(len(example.input_ids) for example in training)
    assert told["dropped"] == 1
    assert told["dropped_over"] == max(len(example.input_ids) for example, _ in pairs if example) - 256
    steps = [event for event in of_type(tuned, "first", "metrics") if "loss" in event]
    assert told["steps"] == steps[-1]["step"]
    assert told["tokens_to_read"] == steps[-1]["tokens"] == 2 * told["tokens"]
    newest = checkpoint.all_of(tuned.run("first"))[-1]
    from safetensors.numpy import load_file

    trained = load_file(newest / "adapter.safetensors")
    assert told["trainable_parameters"] == sum(tensor.size for tensor in trained.values())

    (check,) = of_type(tuned, "first", "preflight_check")
    status = runs.find(tuned, "first").status()
    assert check["expected"] == {name: told[name] for name in ("peak_memory_bytes", "seconds")}
    assert check["actual"]["peak_memory_bytes"] == pytest.approx(status.figures["peak_memory_bytes"], rel=0.02)
    assert 0 < check["actual"]["seconds"] <= status.figures["seconds"] + 0.1
    shown = command("runs", "show", "first").out
    assert "1 pairs dropped" in shown
    assert "expected," in shown


@pytest.mark.slow
def test_the_run_is_the_same_bit_for_bit_as_without_the_probe(
    tuned: Workspace, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout draws random numbers at every pass; a probe that left a trace would show in the first losses."""
    from workbench.jobs.context import Context
    from workbench.jobs.control import start
    from workbench.training import job as training
    from workbench.training import probe

    changes = ["--set", "lora.lora_dropout=0.2", "--set", "gradient_accumulation_steps=2"]
    assert command("train", "quick", "--name", "with", "--follow", *changes).code == 0
    monkeypatch.setattr("workbench.jobs.control._launch", lambda job: None)
    arguments = runs.find(tuned, "with").spec["arguments"]
    bare = start(tuned, "train", arguments, title="train without", folder=tuned.run("without"))
    monkeypatch.setattr(probe.Probe, "on_train_begin", lambda *_, **__: None)
    training.run(Context(bare, bare.status()))

    def curve(run: str) -> list[tuple[Any, ...]]:
        names = ("step", "loss", "eval_loss", "grad_norm", "tokens", "mean_token_accuracy")
        return [tuple(event.get(name) for name in names) for event in of_type(tuned, run, "metrics")]

    assert not of_type(tuned, "without", "preflight")
    assert curve("with") == curve("without")


@pytest.mark.parametrize("form", [["train", "quick", "--name", "x", "--dry-run"], ["preflight", "quick"]])
def test_a_dry_run_shows_the_figures_and_leaves_no_run(tuned: Workspace, command: Command, form: list[str]) -> None:
    done = command(*form, "--json")
    assert done.code == 0, done.err
    assert {"pairs": done.lines[-1]["pairs"], "steps": 8}.items() <= done.lines[-1].items()
    assert done.lines[-1]["peak_memory_bytes"] > 0 < done.lines[-1]["seconds"]
    assert not list(tuned.runs.iterdir())
    (folder,) = (path for path in tuned.jobs.iterdir() if path.is_dir())
    assert not list((folder / "checkpoints").glob("*"))
    assert not (folder / "pairs.jsonl").exists()


@pytest.mark.parametrize(
    "method", ["dpo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("grpo", "kto", "reward", "rloo"))]
)
def test_every_method_is_measured(tuned: Workspace, command: Command, method: str) -> None:
    rows = [{"prompt": f"What is {n} plus two?", "chosen": f"{n + 2}.", "rejected": f"{n}, or so."} for n in range(24)]
    accept(tuned, "numbers", rows)
    sets = ["--set", f"method={method}", "--set", "max_steps=2"]
    if method in ("grpo", "rloo"):
        sets += [
            "--set",
            f"{method}.rewards=[{{function: length, max_words: 4}}]",
            "--set",
            f"{method}.max_completion_length=4",
        ]
    done = command("train", "quick", "--name", method, "--follow", "--json", *sets)
    assert done.code == 0, done.err
    (told,) = of_type(tuned, method, "preflight")
    assert told["steps"] == 2
    assert told["guess"] == (method in ("grpo", "rloo"))
    last = [event for event in of_type(tuned, method, "metrics") if "loss" in event][-1]
    if method in ("dpo", "reward"):
        assert told["tokens_to_read"] == last["tokens"]
    (check,) = of_type(tuned, method, "preflight_check")
    assert check["ratio"].keys() == {"peak_memory_bytes", "seconds"}


@pytest.mark.slow
def test_a_run_that_was_stopped_is_compared_by_its_memory_alone(tuned: Workspace, command: Command) -> None:
    done = command(
        "train", "quick", "--name", "early", "--follow", "--set", "early_stopping_patience=1", "--set", "eval_steps=1",
        "--set", "learning_rate=1.0", "--set", "max_steps=40",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert of_type(tuned, "early", "early_stop")
    (check,) = of_type(tuned, "early", "preflight_check")
    assert check["actual"].keys() == {"peak_memory_bytes"}
    assert "the run was ended after step" in check["not_compared"][0]


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (lambda n: {"prompt": f"What  IS {n} plus one?", "completion": "Look it up."}, "What IS"),
        (
            lambda n: {"prompt": f"Say what is {n} plus one, please, for me?", "completion": "It is so. " * 10},
            "please",
        ),
    ],
)
def test_an_eval_split_that_leaked_is_refused(
    tuned: Workspace, command: Command, rows: Callable[[int], dict[str, str]], named: str
) -> None:
    accept(tuned, "numbers", [rows(n) for n in range(40)])
    done = command("train", "quick", "--name", "leak", "--follow")
    assert done.code == 1
    assert "the eval split has leaked into training" in done.err
    assert named in done.err
    assert done.err.count("evaluated;") == 3
    assert "Traceback" not in done.err
    assert not of_type(tuned, "leak", "metrics")


def test_pairs_of_the_wrong_kind_are_refused_with_what_there_is(tuned: Workspace, command: Command) -> None:
    done = command("train", "quick", "--name", "wrong", "--follow", "--set", "method=dpo")
    assert done.code == 1
    assert "has no accepted preference pairs" in done.err
    assert "it has 40 pairs with a completion" in done.err


def test_an_empty_split_is_refused_or_told(tuned: Workspace, command: Command) -> None:
    done = command("train", "quick", "--name", "none", "--follow", "--set", "test_size=0.9999")
    assert done.code == 1
    assert "fell into the eval split; none is left to train on" in done.err
    done = command("train", "quick", "--name", "few", "--follow", "--set", "test_size=0.00001", "--set", "max_steps=1")
    assert done.code == 0, done.err
    assert "nothing will be evaluated" in done.out


async def test_the_form_shows_the_pre_flight_of_what_it_holds(tuned: Workspace, settle: Callable[..., Any]) -> None:
    app = WorkbenchApp(tuned)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.push_screen(NewRun(tuned, tuned.configs / "quick.yaml", {}, changes={"max_steps": 5}))
        await settle(pilot)
        await pilot.press("ctrl+f")
        assert isinstance(app.screen, PreFlight)

        def shown() -> str:
            return str(app.screen.query_one("#preflight-figures", Static).render())

        for _ in range(1200):  # another process does it
            app.look_at_jobs()
            await pilot.pause(0.1)
            if "duration" in shown():
                break
        assert "5 in " in shown(), shown()
        assert "at its peak" in shown()
        await pilot.press("escape")
        assert isinstance(app.screen, NewRun)
        assert not list(tuned.runs.iterdir())


def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(
    tuned: Workspace, command: Command, tiny_base: Path, tmp_path: Path
) -> None:
    import shutil

    huge = tmp_path / "huge"
    shutil.copytree(tiny_base, huge)
    header = {
        "lm_head.weight": {"dtype": "BF16", "shape": [700_000, 1_000_000], "data_offsets": [0, 1_400_000_000_000]}
    }
    text = json.dumps(header).encode()
    (huge / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    done = command("train", "quick", "--name", "huge", "--follow", "--set", f"model_name_or_path={huge}")
    assert done.code == 1
    assert "the base model does not fit into memory: its 700.0 billion parameters need" in done.err
    assert "Choose a smaller base model" in done.err
