"""`workbench demo`: the whole loop on the sample that ships, ending with four arms side by side.

Pairs, an index, a run trained with passages from it, then a comparison of the base model, the tuned one, the one with
retrieval and the hybrid of both on held-out questions. It only calls what the other commands call.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from workbench import files, output
from workbench.compare.control import start_comparison
from workbench.compare.export import write
from workbench.compare.importing import import_questions
from workbench.compare.store import CompareStore
from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import follow
from workbench.models.fetch import fetch
from workbench.pairs.importing import import_file
from workbench.pairs.store import PairStore
from workbench.training.control import start_run
from workbench.workspace import Workspace, init, shipped

NAME = "handbook"  # of the dataset, the recipe, the run and the index
QUESTIONS = 60
_SHOWN = 6  # questions whose answers are printed
_COLUMNS = {  # of the table, with their metric
    "arm": "",
    "exact_match": "exact_match",
    "f1": "f1",
    "house_style": "format_held",
    "not_told_admitted": "",
    "seconds": "",
}
_SETTINGS = """\
# The settings of the demo; `workbench init` writes a settings.yaml with every key.
system_prompt: You answer questions about the handbook of the Skarholm Ferry and Light Trust.
retrieval:
  top_k: 3 # as the recipe trained it
generation:
  max_new_tokens: 48
"""


def run_demo(folder: str, *, json: bool = False, questions: int = QUESTIONS) -> None:
    """Run the demo in a new workspace at `folder`.

    Args:
        folder: absent or empty; else the next free name with a number is taken.
        json: print one object an answer, then the verdict, instead of the tables.
        questions: how many of the held-out questions are asked.

    Raises:
        UserError: a model cannot be fetched, or a job failed.
    """
    started = time.monotonic()
    tell = _Teller(json)
    workspace = init(_free(Path(folder)))
    files.write_text(workspace.configs / "settings.yaml", _SETTINGS)
    sample = shipped("datasets") / NAME
    tell.step(f"1 of 5  Workspace {workspace.root}")

    tell.step("2 of 5  Models and pairs")
    for model in (workspace.settings().embedding_model, workspace.settings().base_model):
        fetch(model, lambda what, done, total, model=model: tell.progress(f"{model}: {what}", done, total, "bytes"))
    with PairStore(workspace.database) as store:
        result = import_file(store, sample / "pairs.jsonl", NAME, status="accepted")
    tell.line(f"{result.imported} pairs ({result.form}) imported and accepted")

    tell.step("3 of 5  Indexing the handbook")
    documents = (
        workspace.root / "datasets" / NAME
    )  # a copy: change one, run `workbench index update handbook`, ask again
    shutil.copytree(sample / "documents", documents)
    arguments = {"name": NAME, "paths": [str(documents)]}
    indexed = _finish(control.start(workspace, "index", arguments, title=f"index {NAME}"), tell)
    tell.line(f"{indexed['documents']} documents, {indexed['chunks']} chunks")

    tell.step("4 of 5  Training a LoRA adapter on the pairs, with passages from the index")
    run = _finish(start_run(workspace, workspace.recipe(NAME), NAME), tell)
    tell.line(f"adapter: {run['adapter']}, eval loss {run['eval_loss']:.3f}")

    tell.step("5 of 5  Comparing four arms on questions that no pair touched")
    _compare(workspace, questions, tell)
    tell.line(f"\nThe whole demo took {output.duration(time.monotonic() - started)}.")
    tell.line(f"Open the app on it:  workbench -w {workspace.root}")


def _compare(workspace: Workspace, count: int, tell: _Teller) -> None:
    with CompareStore(workspace.database) as store:
        import_questions(store, shipped("datasets") / NAME / "questions.jsonl", NAME)
    _finish(start_comparison(workspace, NAME, run=NAME, question_set=NAME, count=count), tell)
    with CompareStore(workspace.database) as store:
        comparison = store.comparison(NAME)
        questions, answers = store.asked(comparison.id), store.answers(comparison.id)
    verdict = comparison.verdict
    assert verdict is not None  # the job is done
    page = workspace.root / "verdict.html"
    write(workspace, NAME, verdict, page, "html")
    if tell.json:
        for answer in answers:
            output.print_json(answer)
        output.print_json(verdict)
        return
    for number, question in enumerate(questions[:_SHOWN]):
        output.say(f"\n{question.text}   [{' / '.join(question.answers[:2]) or '(the handbook does not tell)'}]")
        for answer in answers:
            if answer.number == number:
                output.say(f"  {answer.arm:<7} {_short(answer.text)}")
    output.say(f"\n{len(questions)} held-out questions; in percent, with 95 % intervals:\n")
    output.print_table([_row(arm) for arm in verdict["arms"]], list(_COLUMNS))
    output.say(f"\n{verdict['recommendation']}")
    for each in verdict["attribution"]:
        if each["count"]:
            output.say(f"  {each['count']:>3}  {each['title']}")
    output.say(f"\nThe whole verdict, with every answer: {page}")


def _row(arm: dict[str, Any]) -> dict[str, Any]:
    """One arm of the verdict in the table."""
    shown: dict[str, Any] = {"arm": arm["arm"]}
    for column, metric in _COLUMNS.items():
        if metric in arm["metrics"]:
            found = arm["metrics"][metric]
            shown[column] = f"{100 * found['mean']:.1f} ({100 * found['low']:.0f} to {100 * found['high']:.0f})"
    untold = arm["abstention"]["recall"]
    shown["not_told_admitted"] = None if untold is None else f"{100 * untold:.0f}"
    seconds = arm["medians"].get("seconds")
    shown["seconds"] = None if seconds is None else f"{seconds:.2f}"
    return shown


def _finish(job: JobFolder, tell: _Teller) -> dict[str, Any]:
    for event in follow(job):
        if event["type"] == "progress":
            loss = f" loss {event['loss']:.3f}" if event.get("loss") and event["unit"] == "steps" else ""
            left = f", {output.duration(event['seconds_left'])} left" if event["seconds_left"] else ""
            tell.progress(f"{event['message']}{loss}{left}", event["done"], event["total"], event["unit"])
        elif event["type"] == "message":
            tell.line(event["text"])
    status = job.status()
    if status.state != "done":
        raise UserError(status.error or f"it was {status.state}", where=job.id, do=f"See {job.log}.")
    return status.result or {}


def _free(folder: Path) -> Path:
    candidate, number = folder, 1
    while candidate.exists() and any(candidate.iterdir()):
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _short(answer: str) -> str:
    line = " ".join(answer.split())
    return line if len(line) <= 110 else line[:109] + "…"


class _Teller:
    """Progress on one line where there is a terminal, plain lines now and then where there is none."""

    _EVERY = 5.0  # seconds between plain lines

    def __init__(self, json: bool) -> None:
        self.json = json
        self._live = sys.stderr.isatty()
        self._last, self._open = 0.0, False

    def step(self, text: str) -> None:
        self.line(f"\n{text}")

    def line(self, text: str) -> None:
        self._close()
        if self.json:
            output.warn(text)
        else:
            output.say(text)

    def progress(self, what: str, done: float, total: float | None, unit: str) -> None:
        scale = 1e6 if unit == "bytes" else 1
        share = f"  {done / scale:.0f} of {total / scale:.0f} {'MB' if unit == 'bytes' else unit}" if total else ""
        if self._live:
            print(f"\r\x1b[K  {what}{share}", end="", file=sys.stderr, flush=True)
            self._open = True
        elif time.monotonic() - self._last >= self._EVERY:
            self._last = time.monotonic()
            output.warn(f"  {what}{share}")

    def _close(self) -> None:
        if self._open:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._open = False
