"""How fast and how true training is, against TRL and the HF Trainer on the same pairs in the same order.

    .venv/bin/python -P tests/benchmarks/training.py PAIRS.jsonl [--steps 6] [--loss-steps 60] [--preload LIB]

PAIRS has {"prompt", "completion"} or {"question", "answer"} lines. SmolLM2-135M, LoRA r = 16 on all linear layers, each
variant in a process of its own, one after the other. Useful tokens are those that are no padding; the first step of
each is not counted. "ours" is the product's own trainer. `--preload` gives all of them an allocator (tcmalloc).

The second table compares losses step by step with float32 (`--loss-steps`, two pairs a step); all start from the same
adapter. The third is for preference pairs (DPO) made of the same file. The fourth trains beside a process that keeps a
core busy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

SPEED = {
    "TRL SFTTrainer, defaults": "trl",
    "TRL packing (bfd)": "trl-packing",
    "HF Trainer float32": "hf-float32",
    "ours float32": "ours-float32",
    "ours bfloat16": "ours",
}
LOSSES = ("hf-float32", "ours-float32", "ours", "trl")
DPO = {"TRL DPOTrainer, defaults": "trl-dpo", "ours": "ours-dpo"}


def measure(variant: str, pairs: Path, steps: int, batch: int, start: Path | None) -> dict[str, Any]:
    """Train `steps` steps in this process; tokens/s, losses, peak memory and the share of the matrix-product peak."""
    from workbench.models.load import be_offline, load_tokenizer
    from workbench.models.local import ensure

    be_offline()
    base = ensure("smollm2-135m-instruct")
    rows = read(pairs, steps * batch + 1)
    ours = variant.startswith("ours")
    with tempfile.TemporaryDirectory() as folder:
        build = our_trainer if ours else their_trainer
        trainer = build(variant, rows, base, load_tokenizer(base), steps, batch, Path(folder))
        same_start(trainer.model, start)
        if ours:
            trainer.fast.refresh()
        clock = watch(trainer)
        trainer.train()
    return {**clock.figures(), "losses": clock.losses, "peak": peak_gigabytes()}


def our_trainer(
    variant: str, rows: list[dict[str, str]], base: Path, tokenizer: Any, steps: int, batch: int, folder: Path
) -> Any:
    """The trainer of a run, without its process."""
    from workbench import files
    from workbench.jobs.context import Context
    from workbench.jobs.folder import JobFolder, Status
    from workbench.training import model
    from workbench.training.methods import make_trainer
    from workbench.training.recipe import Recipe

    dpo = variant.endswith("dpo")
    recipe = Recipe(
        dataset="benchmark", method="dpo" if dpo else "sft", bf16=not variant.endswith("float32"), max_steps=steps,
        per_device_train_batch_size=batch, learning_rate=2e-4, lr_scheduler_type="constant", warmup_steps=0,
        eval_steps=10**6, save_steps=10**6, max_length=1024,
    )  # fmt: skip
    examples = encoded(rows[: steps * batch], tokenizer, preferences=dpo)
    job = JobFolder(folder / "workspace" / "runs" / "benchmark")
    job.path.mkdir(parents=True)
    files.write_json(job.path / "spec.json", {"kind": "train", "title": "", "arguments": {}})
    context = Context(job, Status())
    plan = model.plan(recipe, base)
    lm = model.load_base(plan, recipe, base)
    return make_trainer(context, recipe, plan, lm, tokenizer, examples, [], lambda *_: [], None)


def encoded(rows: list[dict[str, str]], tokenizer: Any, *, preferences: bool = False) -> list[Any]:
    """The rows as the product's examples: token ids of prompt and answers, each up to the token that ends it."""
    from workbench.training.data import FrozenPair, encode

    examples = []
    for row in rows:
        rejected = row["rejected"] if preferences else None
        pair = FrozenPair("k", [{"role": "user", "content": row["prompt"]}], row["completion"], "", False, [],
                          rejected=rejected)  # fmt: skip
        example, _ = encode(pair, tokenizer, system=None, max_length=1024)
        assert example
        examples.append(example)
    return examples


def their_trainer(
    variant: str, rows: list[dict[str, str]], base: Path, tokenizer: Any, steps: int, batch: int, folder: Path
) -> Any:
    """What a user of TRL starts: its defaults, but for what the variant is named after."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    shared: dict[str, Any] = {
        "output_dir": str(folder), "max_steps": steps, "per_device_train_batch_size": batch, "learning_rate": 2e-4,
        "lr_scheduler_type": "constant", "logging_steps": 1, "save_strategy": "no", "report_to": [], "use_cpu": True,
        "disable_tqdm": True,
    }  # fmt: skip
    if variant == "hf-float32":
        shared |= {"bf16": False, "gradient_checkpointing": False}
    if variant == "trl-packing":
        shared |= {"packing": True, "max_length": 1024, "per_device_train_batch_size": max(1, batch // 4)}
    turn = lambda role, text: [{"role": role, "content": text}]  # noqa: E731
    if variant == "trl-dpo":
        data = [
            {"prompt": turn("user", row["prompt"]), "chosen": turn("assistant", row["completion"]),
             "rejected": turn("assistant", row["rejected"])} for row in rows[: steps * batch]
        ]  # fmt: skip
        kind, arguments = DPOTrainer, DPOConfig(**shared)
    else:
        # The same tokens: by itself TRL also trains the line break after the token that ends an answer.
        data = [
            {"input_ids": each.input_ids, "completion_mask": [0] * len(each.prompt_ids) + [1] * each.trained_tokens}
            for each in encoded(rows[: steps * batch], tokenizer)
        ]
        kind, arguments = SFTTrainer, SFTConfig(**shared, completion_only_loss=True)
    return kind(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        args=arguments,
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )


class Clock:
    """Follows a trainer: seconds and useful tokens of each step, and its loss."""

    def __init__(self, model: Any) -> None:
        self.seconds: list[float] = []
        self.tokens: list[int] = []
        self.trained: list[int] = []
        self.losses: list[float] = []
        names = {name: p.numel() for name, p in model.named_parameters() if "_proj" in name}
        self.base_weights = sum(size for name, size in names.items() if "lora" not in name)
        self.lora_weights = sum(size for name, size in names.items() if "lora" in name)
        head = model.get_output_embeddings()
        self.head_weights = head.weight.numel() if head is not None else 0

    def figures(self) -> dict[str, float]:
        """Means over the steps after the first."""
        seconds, tokens, trained = (sum(each[1:]) for each in (self.seconds, self.tokens, self.trained))
        # Forward and the gradient of the input: 4 operations a weight; the adapter's own gradient 2 more.
        operations = tokens * (4 * self.base_weights + 6 * self.lora_weights) + trained * 4 * self.head_weights
        return {"tokens_per_second": tokens / seconds, "gigaflops": operations / seconds / 1e9}


def watch(trainer: Any) -> Clock:
    """Take the pairs in their order, and follow the steps."""
    import torch
    from transformers import TrainerCallback

    clock = Clock(trainer.model)
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(trainer.train_dataset)
    collate = trainer.data_collator

    def counted(rows: Any) -> Any:
        batch = collate(rows)
        mask = batch.get("attention_mask")
        clock.tokens.append(int(mask.sum()) if mask is not None else batch["input_ids"].numel())
        answers = batch["labels"] != -100 if "labels" in batch else batch["completion_mask"]
        clock.trained.append(int(answers.sum()))
        return batch

    trainer.data_collator = counted

    class Follow(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.begun = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.seconds.append(time.perf_counter() - self.begun)

        def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
            if logs and "loss" in logs:
                clock.losses.append(logs["loss"])

    trainer.add_callback(Follow())
    return clock


def same_start(model: Any, start: Path | None) -> None:
    """Begin from the adapter in `start`, which the first variant writes."""
    import torch
    from safetensors.torch import load_file, save_file

    if start is None:
        return
    adapter = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if start.exists():
        with torch.no_grad():
            for name, tensor in load_file(start).items():
                adapter[name].copy_(tensor)
    else:
        save_file({name: p.detach().contiguous() for name, p in adapter.items()}, start)


def read(path: Path, count: int) -> list[dict[str, str]]:
    """Prompts and completions; the rejected answer is the completion of the next line."""
    rows = []
    for line in path.read_text(encoding="utf-8").split("\n")[: count + 1]:
        row = json.loads(line)
        rows.append({"prompt": row.get("prompt", row.get("question")),
                     "completion": row.get("completion", row.get("answer"))})  # fmt: skip
    return [{**row, "rejected": other["completion"]} for row, other in pairwise(rows)]


def peak_gigabytes() -> float:
    """The most resident memory of this process."""
    from workbench.jobs.memory import peak_memory_bytes

    return (peak_memory_bytes() or 0) / 1e9


def product_peak() -> float:
    """GFLOP/s of a bfloat16 matrix product of 2,048 in all directions."""
    import torch

    a, b = (torch.randn(2048, 2048).bfloat16() for _ in range(2))
    best = 0.0
    for _ in range(10):
        begun = time.perf_counter()
        a @ b
        best = max(best, 2 * 2048**3 / (time.perf_counter() - begun) / 1e9)
    return best


def main() -> None:
    """Measure each variant in a process of its own, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--loss-steps", type=int, default=60)
    parser.add_argument("--preload", help="a library for LD_PRELOAD, for all variants alike")
    parser.add_argument("--only", choices=("speed", "loss", "dpo", "busy"), help="one of the tables")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.variant:
        figures = measure(given.variant, given.pairs, given.steps, given.batch, given.start)
        print(json.dumps(figures), flush=True)
        os._exit(0)
    environment = {**os.environ, **({"LD_PRELOAD": given.preload} if given.preload else {})}

    def run(variant: str, steps: int, batch: int, *more: str) -> dict[str, Any]:
        command = [sys.executable, "-P", __file__, str(given.pairs), "--variant", variant, "--steps", str(steps),
                   "--batch", str(batch), *more]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            sys.exit(done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    if given.only in (None, "speed"):
        speed_table({name: run(variant, given.steps, given.batch) for name, variant in SPEED.items()})
    if given.only in (None, "loss"):
        with tempfile.TemporaryDirectory() as folder:
            more = ("--start", str(Path(folder, "adapter.safetensors")))
            loss_table({variant: run(variant, given.loss_steps, 2, *more)["losses"] for variant in LOSSES})
    if given.only in (None, "dpo"):
        speed_table({name: run(variant, given.steps, max(1, given.batch // 2)) for name, variant in DPO.items()})
    if given.only in (None, "busy"):
        quiet = run("ours", 2 * given.steps, given.batch)
        neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            busy = run("ours", 2 * given.steps, given.batch)
        finally:
            neighbour.kill()
        speed_table({"ours, alone": quiet, "ours, beside a busy process": busy})


def speed_table(found: dict[str, dict[str, Any]]) -> None:
    """Tokens/s and memory, as ratios to the first."""
    first, peak = next(iter(found.values())), product_peak()
    print(f"\n{'':<26}{'useful tokens/s':>16}{'ratio':>7}{'peak GB':>9}{'ratio':>7}{'of the product peak':>21}")
    for name, figures in found.items():
        print(
            f"{name:<26}{figures['tokens_per_second']:>16.0f}"
            f"{figures['tokens_per_second'] / first['tokens_per_second']:>7.2f}{figures['peak']:>9.2f}"
            f"{figures['peak'] / first['peak']:>7.2f}{figures['gigaflops'] / peak:>20.0%}"
        )


def loss_table(found: dict[str, list[float]]) -> None:
    """How far the losses lie from float32's."""
    reference = found[LOSSES[0]]
    print(f"\nloss less float32's over {len(reference)} steps")
    print(f"{'':<16}{'mean of |.|':>12}{'mean, signed':>14}{'most':>10}{'above in':>10}")
    for variant, losses in list(found.items())[1:]:
        apart = [a - b for a, b in zip(losses, reference, strict=True)]
        print(
            f"{variant:<16}{sum(map(abs, apart)) / len(apart):>12.1e}{sum(apart) / len(apart):>+14.1e}"
            f"{max(map(abs, apart)):>10.1e}{sum(each > 0 for each in apart):>10}"
        )


if __name__ == "__main__":
    main()
