"""The four arms on SQuAD 2.0: pairs of seven articles train a run, 200 questions of three others are asked.

    .venv/bin/python -P tests/benchmarks/verdict.py SQUAD WORKSPACE [--pairs 1000] [--questions 200]

SQUAD holds documents/ (Markdown) and questions.jsonl (question, answers, answerable, document, context); WORKSPACE is
a new folder, in which everything can be looked at afterwards. All articles are indexed, as they would be in use. It
prints the verdict, what the comparison cost beside the sum of its generations, and the seconds of every step; then the
same of as many other questions of the held-out articles, since the settings below were chosen after looking at the
first ones. About 45 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from workbench.compare.store import CompareStore
from workbench.jobs import control
from workbench.workspace import Workspace, init

HELD_OUT = {"force.md", "harvard_university.md", "normans.md"}
REFUSAL = "The passages do not tell."
UNTOLD = 0.19  # share of the pairs whose question the articles do not answer
SETTINGS = """\
system_prompt: Answer the question with as few words as possible.
retrieval: {top_k: 1}
generation: {max_new_tokens: 48}
"""
RECIPE = f"""\
dataset: squad
learning_rate: 6.0e-4
warmup_steps: 0.05
num_train_epochs: 2
per_device_train_batch_size: 8
max_length: 1024
eval_steps: 120
save_steps: 120
lora: {{r: 16, lora_alpha: 32, target_modules: all-linear}}
context: {{index: squad, k: 1, without: 0.05, refusal: {REFUSAL}}}
samples: {{count: 3, max_new_tokens: 24}}
"""


def draw(squad: Path, pairs: int, folder: Path) -> None:
    """Write pairs.jsonl, of the articles that are trained on, and questions.jsonl, of those that are held out."""
    rows = [json.loads(line) for line in (squad / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    dice = random.Random(0)
    trained = [row for row in rows if row["document"] not in HELD_OUT]
    dice.shuffle(trained)
    untold = round(UNTOLD * pairs)
    taken = [row for row in trained if row["answerable"]][: pairs - untold]
    taken += [row for row in trained if not row["answerable"]][:untold]
    write(
        folder / "pairs.jsonl",
        [
            {
                "prompt": row["question"],
                "completion": min(row["answers"], key=len) if row["answers"] else REFUSAL,
                "source": row["document"],
            }
            for row in taken
        ],
    )
    held_out = [row for row in rows if row["document"] in HELD_OUT]
    names = ("question", "answers", "answerable", "document", "context")
    write(folder / "questions.jsonl", [{name: row[name] for name in names} for row in held_out])


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def step(workspace: Workspace, what: str, *arguments: object) -> None:
    """Run `workbench ARGUMENTS` in the workspace, and tell how long it took."""
    begun = time.monotonic()
    executable = Path(sys.executable).with_name("workbench")
    subprocess.run([executable, *map(str, arguments)], cwd=workspace.root, check=True, stdout=subprocess.DEVNULL)
    print(f"{what}: {time.monotonic() - begun:.0f} s", flush=True)


def compare(workspace: Workspace, name: str, question_set: str, questions: int) -> None:
    """Ask, and print the verdict."""
    options = ("--run", "squad", "-q", question_set, "-n", questions, "--name", name, "--oracle")
    step(workspace, f"comparison {name}", "compare", "start", *options, "--follow")
    overhead(workspace, name)
    executable = Path(sys.executable).with_name("workbench")
    subprocess.run([executable, "compare", "show", name], cwd=workspace.root, check=True)


def leave_out_asked(workspace: Workspace, name: str) -> None:
    """Write others.jsonl: the held-out questions that a comparison did not ask."""
    with CompareStore(workspace.database) as store:
        asked = {question.text for question in store.asked(store.comparison(name).id)}
    rows = [json.loads(line) for line in (workspace.root / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    write(workspace.root / "others.jsonl", [row for row in rows if row["question"] not in asked])


def overhead(workspace: Workspace, name: str) -> None:
    """What the comparison cost beside the sum of its generations, as far as it was answered in one go."""
    with CompareStore(workspace.database) as store:
        comparison = store.comparison(name)
        generations = sum(answer.scores["seconds"] or 0 for answer in store.answers(comparison.id))
    job = next(job for job in control.jobs(workspace) if job.spec["arguments"].get("comparison") == comparison.id)
    whole = job.status().figures["seconds"]
    print(f"{comparison.answers} answers in {whole:.0f} s: {whole / generations:.3f} x the sum of their generations")


def main() -> None:
    """Do it, and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("squad", type=Path)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=200)
    given = parser.parse_args()
    workspace = init(given.workspace)
    (workspace.configs / "settings.yaml").write_text(SETTINGS)
    (workspace.configs / "squad.yaml").write_text(RECIPE)
    draw(given.squad, given.pairs, workspace.root)
    step(workspace, "index", "index", "build", "squad", (given.squad / "documents").resolve())
    step(workspace, "pairs", "pairs", "import", "pairs.jsonl", "--dataset", "squad", "--status", "accepted")
    step(workspace, "questions", "compare", "questions", "import", "questions.jsonl", "--set", "held-out")
    step(workspace, "training", "train", "squad", "--name", "squad", "--follow")
    compare(workspace, "squad", "held-out", given.questions)
    leave_out_asked(workspace, "squad")
    step(workspace, "other questions", "compare", "questions", "import", "others.jsonl", "--set", "others")
    compare(workspace, "others", "others", given.questions)


if __name__ == "__main__":
    main()
