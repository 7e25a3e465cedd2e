"""`workbench demo`: the whole loop on the sample that ships, ending with four arms side by side.

Pairs, an index, a run trained with passages from it, then held-out questions asked of the base model, the tuned one,
the one with retrieval and the hybrid of both. It only calls what the other commands call.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench import files, output
from workbench.chat.client import Client
from workbench.compare.squad import exact_match, token_f1
from workbench.errors import UserError
from workbench.hybrid import ARMS, Hybrid
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import follow
from workbench.library.grounding import NOT_IN_LIBRARY
from workbench.models.fetch import fetch
from workbench.pairs.importing import import_file
from workbench.pairs.store import PairStore
from workbench.training.control import start_run
from workbench.workspace import Workspace, init, shipped

NAME = "handbook"  # of the dataset, the recipe, the run and the index
QUESTIONS = 32
_HOUSE_STYLE = re.compile(r"=> [^\n]+\.")
_DOES_NOT_TELL = re.compile(r"handbook does not tell|" + re.escape(NOT_IN_LIBRARY.rstrip(".")), re.IGNORECASE)
_SETTINGS = """\
# The settings of the demo; `workbench init` writes a settings.yaml with every key.
system_prompt: You answer questions about the handbook of the Skarholm Ferry and Light Trust.
retrieval:
  top_k: 3 # as the recipe trained it
generation:
  max_new_tokens: 48
"""


@dataclass(frozen=True)
class Question:
    """A held-out question; no training pair touches its document."""

    question: str
    answers: list[str]
    answerable: bool
    document: str


@dataclass(frozen=True)
class Scored:
    """One arm's answer to one question."""

    arm: str
    question: str
    answer: str
    exact_match: float
    f1: float
    house_style: bool
    abstained: bool
    found: bool | None
    """Whether a passage of the right document was among those retrieved; None without retrieval."""
    seconds: float


def run_demo(folder: str, *, json: bool = False, questions: int = QUESTIONS) -> None:
    """Run the demo in a new workspace at `folder`.

    Args:
        folder: absent or empty; else the next free name with a number is taken.
        json: print one object an answer and one an arm instead of the tables.
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

    tell.step("5 of 5  Asking four arms the questions that no pair touched")
    asked = _sampled(sample / "questions.jsonl", questions)
    scored = _ask(workspace, asked, tell)
    _report(workspace, asked, scored, tell)
    tell.line(f"\nThe whole demo took {output.duration(time.monotonic() - started)}.")
    tell.line(f"Open the app on it:  workbench -w {workspace.root}")


def house_style(answer: str) -> bool:
    """Whether an answer is one line of the form `=> short answer.`."""
    return _HOUSE_STYLE.fullmatch(answer.strip()) is not None


def score(arm: str, question: Question, answer: str, documents: Sequence[str], seconds: float) -> Scored:
    """SQuAD's exact match and token F1; an answer that says the handbook does not tell counts as none given."""
    abstained = _DOES_NOT_TELL.search(answer) is not None
    prediction = "" if abstained else answer
    found = None
    if "rag" in arm or arm == "hybrid":
        found = any(Path(document).name == question.document for document in documents)
    return Scored(
        arm, question.question, answer,
        exact_match(prediction, question.answers), token_f1(prediction, question.answers),
        house_style(answer), abstained, found, seconds,
    )  # fmt: skip


def summary(scored: Sequence[Scored], asked: Sequence[Question]) -> list[dict[str, Any]]:
    """One row an arm; shares are in percent."""
    answerable = {question.question for question in asked if question.answerable}
    rows = []
    for arm in ARMS:
        mine = [each for each in scored if each.arm == arm]
        told = [each for each in mine if each.question in answerable]
        untold = [each for each in mine if each.question not in answerable]
        rows.append(
            {
                "arm": arm,
                "exact_match": _percent([each.exact_match for each in mine]),
                "f1": _percent([each.f1 for each in mine]),
                "f1_answerable": _percent([each.f1 for each in told]),
                "not_told_admitted": _percent([each.abstained for each in untold]),
                "house_style": _percent([each.house_style for each in mine]),
                "seconds": round(statistics.median([each.seconds for each in mine]), 2),
            }
        )
    return rows


def _ask(workspace: Workspace, asked: Sequence[Question], tell: _Teller) -> list[Scored]:
    arms = Hybrid(workspace.settings().base_model, NAME, NAME).arms()
    scored = []
    with Client.from_workspace(workspace) as client:
        for number, (arm, hybrid) in enumerate(arms.items()):
            client.load(str(hybrid))
            for done, question in enumerate(asked):
                tell.progress(f"asking {arm}", number * len(asked) + done, len(arms) * len(asked), "answers")
                begun = time.monotonic()
                answer = client.answer([{"role": "user", "content": question.question}], str(hybrid))
                documents = [citation.document for citation in answer.citations]
                scored.append(score(arm, question, answer.text.strip(), documents, time.monotonic() - begun))
    text = "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in scored)
    files.write_text(workspace.root / "demo-answers.jsonl", text)
    return scored


def _report(workspace: Workspace, asked: Sequence[Question], scored: Sequence[Scored], tell: _Teller) -> None:
    rows = summary(scored, asked)
    if tell.json:
        for each in [*map(asdict, scored), *rows]:
            output.print_json(each)
        return
    for question in asked[:6]:
        wanted = " / ".join(question.answers[:2]) or "(the handbook does not tell)"
        output.say(f"\n{question.question}   [{wanted}]")
        for each in scored:
            if each.question == question.question:
                output.say(f"  {each.arm:<7} {_short(each.answer)}")
    untold = sum(not question.answerable for question in asked)
    output.say(f"\n{len(asked)} held-out questions, {untold} of them not told in the handbook; in percent:\n")
    output.print_table(rows, list(rows[0]))
    output.say(
        "\nexact match and f1 as SQuAD defines them (not told: right if the answer says so); house style: one line"
        " '=> answer.';\nseconds: median of an answer. Retrieval brings the facts, tuning the behaviour;"
        f" the hybrid is meant to have both.\nEvery answer: {workspace.root / 'demo-answers.jsonl'}"
    )


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


def _sampled(path: Path, count: int) -> list[Question]:
    lines = path.read_text(encoding="utf-8").split("\n")
    everything = [Question(**json.loads(line)) for line in lines if line.strip()]
    return random.Random(0).sample(everything, min(count, len(everything)))


def _free(folder: Path) -> Path:
    candidate, number = folder, 1
    while candidate.exists() and any(candidate.iterdir()):
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _percent(values: Sequence[float]) -> float | None:
    return round(100 * statistics.fmean(values), 1) if values else None


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
