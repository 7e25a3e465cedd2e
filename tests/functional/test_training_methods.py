"""Every method on a small problem whose direction is known, from the command to the adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import UserError
from workbench.models.adapter import verified_adapter
from workbench.models.load import load_tokenizer
from workbench.training import model, runs
from workbench.training.recipe import OnlineSettings, Recipe
from workbench.training.recipe_sections import RewardFunction
from workbench.training.rewards import reward_functions
from workbench.workspace import Workspace

Command = Callable[..., Any]

BETTER, WORSE = "Aye, it is {}.", "I do not know, sorry."


@pytest.fixture
def preferring(tuned: Workspace, command: Command) -> Workspace:
    """Beside the completions of `numbers`, 40 accepted preference pairs: a sailor's answer is better."""
    rows = [{"prompt": f"What is {n} plus one?", "chosen": BETTER.format(n + 1), "rejected": WORSE} for n in range(40)]
    path = tuned.root / "style.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert command("pairs", "import", path, "--dataset", "style", "--status", "accepted").code == 0
    return tuned


def metrics(workspace: Workspace, run: str, name: str) -> list[float]:
    events = runs.events(runs.find(workspace, run))
    return [event[name] for event in events if event["type"] == "metrics" and event.get(name) is not None]


def train(command: Command, method: str, *changes: str, dataset: str = "style") -> None:
    """A run called after its method; the recipe `quick` with changes."""
    settings = [f"method={method}", f"dataset={dataset}", *changes]
    done = command("train", "quick", "--name", method, "--follow", *(part for s in settings for part in ("--set", s)))
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "loss",
    [
        '["sigmoid"]',
        *(pytest.param(loss, marks=pytest.mark.slow) for loss in
          ('["ipo"]', '["hinge"]', '["apo_zero"]', '["sigmoid", "sft"]', '["robust"]')),
    ],
)  # fmt: skip
def test_dpo_widens_the_margin(preferring: Workspace, command: Command, loss: str) -> None:
    extra = ["dpo.label_smoothing=0.1"] if "robust" in loss else []
    train(command, "dpo", f"dpo.loss_type={loss}", "dpo.beta=0.5", *extra)
    margins = metrics(preferring, "dpo", "eval_rewards/margins")
    assert margins[0] == pytest.approx(0, abs=1e-2)
    assert margins[-1] > 0.1
    assert metrics(preferring, "dpo", "eval_rewards/accuracies")[-1] == 1.0
    losses = metrics(preferring, "dpo", "eval_loss")
    assert losses[-1] < losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ['["sigmoid"]', '["sigmoid", "sft"]', '["aot"]'])
def test_dpo_learns_the_same_on_both_paths(preferring: Workspace, command: Command, loss: str) -> None:
    """TRL with padded batches and its own head gives the losses that the fast path gives."""
    # Sixteen pairs are more tokens than the fast path computes at once: it divides the batch.
    common = [
        f"dpo.loss_type={loss}", "bf16=false", "max_steps=4", "dpo.precompute_ref_log_probs=false",
        "per_device_train_batch_size=16",
    ]  # fmt: skip
    train(command, "dpo", *common)
    settings = ["method=dpo", "dataset=style", *common, "gradient_checkpointing=true"]
    done = command("train", "quick", "--name", "plain", "--follow", *(part for s in settings for part in ("--set", s)))
    assert done.code == 0, done.err
    paths = [event["path"] for run in ("dpo", "plain") for event in runs.events(runs.find(preferring, run))
             if event["type"] == "path"]  # fmt: skip
    assert paths == ["packed", "plain"]
    for name in ("loss", "rewards/margins", "eval_loss"):
        assert metrics(preferring, "dpo", name) == pytest.approx(metrics(preferring, "plain", name), abs=1e-4)


@pytest.mark.slow
def test_kto_prefers_what_is_wanted(preferring: Workspace, command: Command) -> None:
    train(command, "kto", "kto.beta=0.5", "max_steps=12")
    margins = metrics(preferring, "kto", "eval_rewards/margins")
    assert margins[-1] > max(0.05, margins[0])


@pytest.mark.slow
def test_a_reward_model_prefers_the_chosen(preferring: Workspace, command: Command, tiny_base: Path) -> None:
    train(command, "reward", "max_steps=16", "eval_steps=16")
    accuracy = metrics(preferring, "reward", "eval_accuracy")
    assert accuracy[-1] == 1.0
    assert metrics(preferring, "reward", "eval_margin")[-1] > 0.1
    assert verified_adapter(preferring.run("reward"), tiny_base)
    samples = [event for event in runs.events(runs.find(preferring, "reward")) if event["type"] == "sample"]
    assert samples[-1]["answer"].startswith("chosen +")
    online, plan = OnlineSettings(rewards=[RewardFunction(run="reward")]), model.plan(Recipe(dataset="d"), tiny_base)
    tokenizer = load_tokenizer(tiny_base)
    assert len(reward_functions(preferring, online, tokenizer, plan)) == 1
    tokenizer.chat_template += " "
    with pytest.raises(UserError, match="another tokenizer or chat template"):
        reward_functions(preferring, online, tokenizer, plan)


@pytest.mark.slow
def test_answers_become_worth_more_to_a_reward_model(preferring: Workspace, command: Command) -> None:
    train(command, "reward", "max_steps=16", "eval_steps=16")
    train(
        command, "rloo", "rloo.rewards=[{run: reward}]", "rloo.num_generations=4", "rloo.max_completion_length=8",
        "per_device_train_batch_size=16", "max_steps=12", "eval_steps=12", "learning_rate=0.03", dataset="numbers",
    )  # fmt: skip
    rewards = metrics(preferring, "rloo", "reward")
    assert len(rewards) == 12
    assert sum(rewards[-4:]) > sum(rewards[:4])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_online_methods_raise_the_reward_of_a_function(preferring: Workspace, command: Command, method: str) -> None:
    train(
        command, method, f"{method}.rewards=[{{function: length, max_words: 6}}]", f"{method}.num_generations=8",
        f"{method}.max_completion_length=12", "per_device_train_batch_size=16", "max_steps=16", "eval_steps=16",
        "learning_rate=0.03", dataset="numbers",
    )  # fmt: skip
    rewards = metrics(preferring, method, "reward")
    assert len(rewards) == 16
    assert sum(rewards[-4:]) > sum(rewards[:4])
    assert any(event["type"] == "best" and "eval_reward" in event for event in
               runs.events(runs.find(preferring, method)))  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["method=dpo"], "no accepted preference pairs"),
        (["method=sft", "dataset=style"], "no accepted pairs with a completion"),
        (["method=grpo"], "grpo needs a section grpo"),
        (["method=rloo", "rloo.rewards=[{function: pattern, pattern: '('}]"], "is no regular expression"),
        (["method=rloo", "rloo.rewards=[{run: absent}]"], "there is no run 'absent'"),
        (
            ["method=grpo", "grpo.rewards=[{function: json}]", "per_device_train_batch_size=512"],
            "prompts are fewer than the 128 that are answered at once",
        ),
        (["load_in_4bit=true"], "4-bit training needs an NVIDIA GPU"),
        (["use_liger_kernel=true"], "Liger's kernels need an NVIDIA GPU"),
        (["lora.target_modules=[nothing]"], "Target modules"),
        (["method=dpo", "dataset=style", "lora.init_lora_weights=pissa"], "pissa"),
    ],
)
def test_what_cannot_be_trained_is_one_clear_error(
    preferring: Workspace, command: Command, changes: list[str], message: str
) -> None:
    done = command("train", "quick", "--name", "x", "--follow", *(part for s in changes for part in ("--set", s)))
    assert done.code == 1
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(["lora.use_rslora=true"], marks=pytest.mark.slow),
        ["lora.use_dora=true"],
        pytest.param(["lora.init_lora_weights=pissa"], marks=pytest.mark.slow),
        pytest.param(["lora.init_lora_weights=pissa_niter_4"], marks=pytest.mark.slow),
        pytest.param(["lora.init_lora_weights=olora"], marks=pytest.mark.slow),
        ["lora.loraplus_lr_ratio=16"],
        pytest.param(["lora.modules_to_save=[lm_head]"], marks=pytest.mark.slow),
        pytest.param(["neftune_noise_alpha=5"], marks=pytest.mark.slow),
        pytest.param(
            ["lr_scheduler_type=warmup_stable_decay", "lr_scheduler_kwargs={num_decay_steps: 3}"],
            marks=pytest.mark.slow,
        ),
        ["gradient_accumulation_steps=2", "weight_decay=0.1", "max_grad_norm=0.5", "lora.lora_dropout=0.1"],
    ],
)
def test_every_kind_of_lora_learns_and_loads_again(
    tuned: Workspace, command: Command, tiny_base: Path, changes: list[str]
) -> None:
    """Plain transformers and PEFT compute from the saved adapter the eval loss that the run told."""
    import torch
    from peft import PeftModel

    from workbench.models.load import load_model, load_tokenizer
    from workbench.training.data import encode, thaw

    settings = ["bf16=false", "load_best_model_at_end=false", *changes]
    done = command("train", "quick", "--name", "x", "--follow", *(part for s in settings for part in ("--set", s)))
    assert done.code == 0, done.err
    told = metrics(tuned, "x", "eval_loss")
    assert told[-1] < told[0]
    folder = tuned.run("x")
    prepared = json.loads((folder / "prepared.json").read_text())
    system = json.loads((folder / "spec.json").read_text())["arguments"]["system"]
    tokenizer = load_tokenizer(tiny_base)
    model = PeftModel.from_pretrained(load_model(tiny_base, dtype="float32", device="cpu"), str(folder / "adapter"))
    total, count = 0.0, 0
    for pair in thaw(folder, prepared["sha256"]):
        if pair.evaluated:
            example, _ = encode(pair, tokenizer, system=system, max_length=1024)
            assert example
            labels = [-100] * len(example.prompt_ids) + example.answers[0]
            with torch.no_grad():
                loss = model(input_ids=torch.tensor([example.input_ids]), labels=torch.tensor([labels])).loss
            total += loss.item() * example.trained_tokens
            count += example.trained_tokens
    assert total / count == pytest.approx(told[-1], abs=1e-3)
