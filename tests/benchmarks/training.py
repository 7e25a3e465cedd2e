"""How fast training is, as a ratio: the packed path against the plain one (padded batches, PEFT's own layers).

    .venv/bin/python -P tests/benchmarks/training.py PAIRS.jsonl [--steps 6] [--batch 8]

PAIRS has {"prompt", "completion"} or {"question", "answer"} lines. Useful tokens are those that are no padding; the
first step of each is not counted. The losses of the same batches are compared with the plain path's in float32.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

VARIANTS = {"plain float32": (False, True), "packed float32": (False, False), "packed bfloat16": (True, False)}


def measure(variant: str, pairs: Path, steps: int, batch: int) -> dict[str, object]:
    """Train `steps` steps in this process; tokens/s, losses and peak memory."""
    from workbench.models.load import be_offline, load_tokenizer
    from workbench.models.local import ensure

    be_offline()
    import torch

    from workbench.training import model as models
    from workbench.training.data import FrozenPair, encode
    from workbench.training.recipe import Recipe

    bf16, plain = VARIANTS[variant]
    if plain:
        models._why_not_packed = lambda *_: "asked for"
    base = ensure("smollm2-135m-instruct")
    tokenizer = load_tokenizer(base)
    examples = []
    for line in pairs.read_text(encoding="utf-8").split("\n")[: steps * batch]:
        row = json.loads(line)
        prompt, completion = row.get("prompt", row.get("question")), row.get("completion", row.get("answer"))
        pair = FrozenPair(prompt, [{"role": "user", "content": prompt}], completion, "", False, [])
        example, _ = encode(pair, tokenizer, system=None, max_length=1024)
        examples += [example] if example else []
    trained = models.build(Recipe(dataset="benchmark", bf16=bf16), base, "base")
    optimizer = torch.optim.AdamW(list(trained.parameters.values()), lr=2e-4, fused=True)
    losses, tokens, begun = [], 0, 0.0
    for step in range(steps):
        rows = examples[step * batch : (step + 1) * batch]
        if step == 1:
            begun = time.perf_counter()
        loss = trained.loss(rows, sum(row.trained_tokens for row in rows))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        trained.refresh()
        losses.append(loss.item())
        tokens += sum(len(row.input_ids) for row in rows) if step else 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform != "darwin" else 1e9)
    return {"tokens_per_second": tokens / (time.perf_counter() - begun), "losses": losses, "peak": peak}


def main() -> None:
    """Measure each variant in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.variant:
        print(json.dumps(measure(given.variant, given.pairs, given.steps, given.batch)))
        return
    found = {}
    for variant in VARIANTS:
        command = [sys.executable, "-P", *sys.argv, "--variant", variant]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[variant] = json.loads(printed.splitlines()[-1])
    reference = found["plain float32"]
    print(f"{'path':<16} {'tokens/s':>9} {'ratio':>6} {'peak GB':>8} {'loss difference, mean and most':>32}")
    for variant, figures in found.items():
        apart = [abs(a - b) for a, b in zip(figures["losses"], reference["losses"], strict=True)]
        print(
            f"{variant:<16} {figures['tokens_per_second']:>9.0f}"
            f" {figures['tokens_per_second'] / reference['tokens_per_second']:>6.2f} {figures['peak']:>8.2f}"
            f" {sum(apart) / len(apart):>20.1e} {max(apart):>11.1e}"
        )


if __name__ == "__main__":
    main()
