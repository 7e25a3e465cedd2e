"""How well the pre-flight foretells: memory and duration that were expected, against what they were.

    .venv/bin/python -P tests/benchmarks/preflight.py PAIRS.jsonl [--steps 25] [--only NAME ...] [--pairs 600]

PAIRS has {"prompt", "completion"} or {"question", "answer"} lines. Each recipe is a real run of the default base model
through the command, in a workspace that is thrown away. The duration can only be foretold on a machine whose load stays
as it is: the load during each run is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

RECIPES = {
    "batch 2": ["per_device_train_batch_size=2"],
    "batch 8": [],
    "accumulation": ["per_device_train_batch_size=2", "gradient_accumulation_steps=4"],
    "float32": ["per_device_train_batch_size=2", "bf16=false"],
    "plain path": ["per_device_train_batch_size=2", "lora.use_dora=true"],
    "dpo": ["per_device_train_batch_size=2", "method=dpo", "dataset=preferences", "learning_rate=1e-5"],
}
AIM = 0.2


def workbench(root: Path, *arguments: object) -> list[dict[str, object]]:
    """Run the command in the workspace; its JSON lines."""
    command = [str(Path(sys.executable).with_name("workbench")), *map(str, arguments)]
    environment = {**os.environ, "WORKBENCH_STATE": str(root / "state")}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def fill(root: Path, source: Path, pairs: int, steps: int) -> None:
    """The workspace: pairs, preferences made of them (the worse answer is the one before), and the recipe."""
    workbench(root, "init", root)
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").split("\n")[:pairs] if line]
    texts = [(row.get("prompt") or row["question"], row.get("completion") or row["answer"]) for row in rows]
    plain = [{"prompt": prompt, "completion": answer} for prompt, answer in texts]
    preferences = [
        {"prompt": prompt, "chosen": answer, "rejected": texts[number - 1][1]}
        for number, (prompt, answer) in enumerate(texts)
    ]
    for name, lines in (("pairs", plain), ("preferences", preferences)):
        path = root / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        workbench(root, "pairs", "import", path, "--dataset", name, "--status", "accepted")
    (root / "configs" / "real.yaml").write_text(
        f"dataset: pairs\nmax_steps: {steps}\neval_steps: {steps}\nsave_steps: 10\ntest_size: 0.02\n", encoding="utf-8"
    )


def main() -> None:
    """Run each recipe, and print expected, actual and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs_file", type=Path, metavar="PAIRS")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--pairs", type=int, default=600, help="lines of PAIRS that are used")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    given = parser.parse_args()
    off = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root, given.pairs_file.resolve(), given.pairs, given.steps)
        print(f"{'recipe':<14}{'GB expected':>12}{'was':>7}{'ratio':>7}{'s expected':>12}{'was':>7}{'ratio':>7}  load")
        for name in given.only:
            changes = [part for change in RECIPES[name] for part in ("--set", change)]
            before = os.getloadavg()[0]
            run = name.replace(" ", "-")
            told = workbench(root, "train", "real", "--name", run, "--follow", "--json", *changes)
            check = next(event for event in told if event.get("type") == "preflight_check")
            figures = []
            for figure, unit in (("peak_memory_bytes", 1e9), ("seconds", 1)):
                expected, actual = check["expected"][figure] / unit, check["actual"][figure] / unit
                figures.append(f"{expected:>12.2f}{actual:>7.2f}{actual / expected:>7.2f}")
                off += abs(actual / expected - 1) > AIM
            print(f"{name:<14}{''.join(figures)}  {before:.1f} to {os.getloadavg()[0]:.1f}", flush=True)
    print(f"{off} figures are off by more than {AIM:.0%}")


if __name__ == "__main__":
    main()
