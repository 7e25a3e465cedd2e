"""Starting a comparison; what can be refused is refused before a process starts, and what cannot be concluded is said.

Light: the app calls it.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.compare.energy import Meter
from workbench.compare.metrics import METRICS
from workbench.compare.question import Question, sample, set_hash
from workbench.compare.spec import AGAIN, FEWEST, MAIN, ORACLE, Arm, Spec
from workbench.compare.store import CompareStore
from workbench.compare.usable import base_identity, check, pinned, usable
from workbench.errors import UserError
from workbench.hybrid import Hybrid, check_name
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.models.adapter import MANIFEST, adapters
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.training.recipe import ContextSettings

_OTHER = re.compile(r"(?P<name>[^=@]+)=(?P<model>.+?)(?:@(?P<url>https?://\S+))?")
_MAX_NEW_TOKENS = 128  # where neither the caller nor the settings ask for fewer: base models ramble


def start_comparison(
    workspace: Workspace,
    name: str,
    *,
    run: str | None = None,
    index: str | None = None,
    question_set: str = "",
    count: int | None = None,
    seed: int = 0,
    top_k: int | None = None,
    max_new_tokens: int | None = None,
    temperature: float = 0.0,
    metric: str = "f1",
    oracle: bool = False,
    again: bool | None = None,
    others: Sequence[str] = (),
    leave_out_known: bool = False,
) -> JobFolder:
    """Start a comparison called `name`; it is queued behind other heavy jobs.

    Args:
        workspace: whose runs, indexes and question sets it uses.
        name: free, and fit to be a folder's name.
        run: whose adapter is measured; None measures no tuning.
        index: what is retrieved from; None takes the one that the run was trained with, if any; "" measures no
            retrieval.
        question_set: a set that was imported; empty takes the run's eval split.
        count: how many of the questions are drawn; None takes all.
        seed: of the drawing, and of sampled answers.
        top_k: passages given to the model; None takes the recipe's, else the setting.
        max_new_tokens: tokens at most in an answer; None takes the setting, but 128 at most.
        temperature: 0 is greedy.
        metric: what the verdict is about; a key of `metrics.METRICS`.
        oracle: also give the model the right passage, where it is known.
        again: ask the fullest arm twice, to see the noise; None does so where answers can differ: sampled, or on a GPU.
        others: more hybrids or remote models, `NAME=HYBRID` or `NAME=MODEL@http://host:port`.
        leave_out_known: leave out questions that the run was trained on instead of refusing them.

    Raises:
        UserError: there is nothing to compare, no such run, index or set, or the run was trained on some questions.
    """
    check_name(name, "comparison")
    _check_metric(metric)
    settings = workspace.settings()
    context = _context(workspace, run) if run else None
    if index and not workspace.index(index).is_dir():
        raise UserError(f"there is no index {index!r}", do=f"Build it with `workbench index build {index} FOLDER`.")
    index = (context.index if context else None) if index is None else index or None
    hybrid = Hybrid(_base(workspace, run) or settings.base_model, run, index)
    base_identity(workspace, hybrid.base)
    hybrid, cautions = usable(workspace, hybrid)
    if again is None:
        again = temperature > 0 or _may_differ()
    arms = _arms(workspace, hybrid, oracle=oracle, again=again, others=others)
    whole = _whole_set(workspace, question_set, run)
    tuned_by = dict.fromkeys(run for arm in arms if not arm.url and (run := Hybrid.parse(arm.hybrid).lora))
    questions, more = _unknown_to(workspace, whole, tuple(tuned_by), leave_out_known)
    cautions += more
    asked = sample(questions, count, seed)
    if hybrid.rag:
        cautions += _absent_documents(workspace, hybrid.rag, asked)
    metric, more = _measurable(asked, metric, has_index=hybrid.rag is not None)
    cautions += more
    system = next((each.system_prompt for each in adapters(workspace) if each.run == run), settings.system_prompt)
    spec = Spec(
        arms=arms,
        run=hybrid.lora,
        index=hybrid.rag,
        question_set=question_set,
        set_sha256=set_hash(whole),
        asked_sha256=set_hash(asked),
        seed=seed,
        top_k=top_k or (context.k if context and context.index == hybrid.rag else settings.retrieval.top_k),
        max_new_tokens=max_new_tokens or min(settings.generation.max_new_tokens, _MAX_NEW_TOKENS),
        temperature=temperature,
        system_prompt=system,
        metric=metric,
        refusals=tuple(filter(None, [context.refusal if context else None])),
        pinned=pinned(workspace, hybrid),
        cautions=tuple(cautions),
    )
    with CompareStore(workspace.database) as store:
        comparison = store.create(name, spec.as_dict(), asked)
        try:
            return control.start(workspace, "compare", {"comparison": comparison}, title=f"compare {name}")
        except BaseException:
            store.delete(comparison)
            raise


def start_verdict(workspace: Workspace, comparison: str, versus: str | None = None) -> JobFolder:
    """Start the job that makes the verdict again from what is answered by now, or sets two comparisons side by side.

    Args:
        workspace: whose comparisons.
        comparison: its name; with `versus` the later one.
        versus: the name of an earlier one.

    Raises:
        UserError: there is no such comparison.
    """
    with CompareStore(workspace.database) as store:
        for each in filter(None, (comparison, versus)):
            store.comparison(each)
    title = f"{versus} versus {comparison}" if versus else f"verdict of {comparison}"
    return control.start(workspace, "verdict", {"comparison": comparison, "versus": versus}, title=title)


def job_of(workspace: Workspace, comparison: int) -> JobFolder | None:
    """The newest job that answers a comparison, by its id; None where it is gone."""
    for job in control.jobs(workspace):
        spec = job.spec
        if spec["kind"] == "compare" and spec["arguments"].get("comparison") == comparison:
            return job
    return None


def _base(workspace: Workspace, run: str | None) -> str | None:
    if run is None:
        return None
    if not (workspace.run(run) / "adapter" / MANIFEST).is_file():
        known = ", ".join(each.run for each in adapters(workspace)) or "none"
        raise UserError(f"there is no run {run!r} with an adapter (there are: {known})", where="run")
    return next((workspace.model(each.model) for each in adapters(workspace) if each.run == run), None)


def _context(workspace: Workspace, run: str) -> ContextSettings | None:
    """How the run's pairs were given passages."""
    from workbench.training.recipe import ContextSettings
    from workbench.training.runs import find

    recipe = find(workspace, run).spec["arguments"].get("recipe") or {}
    return ContextSettings.model_validate(recipe["context"]) if recipe.get("context") else None


def _whole_set(workspace: Workspace, question_set: str, run: str | None) -> list[Question]:
    from workbench.compare import evalsplit

    if question_set:
        with CompareStore(workspace.database) as store:
            return store.questions(question_set)
    if run:
        return evalsplit.questions_of(workspace, run)
    raise UserError("there are no questions", do="Name a question set (--questions), or a run with an eval split.")


def _unknown_to(
    workspace: Workspace, questions: list[Question], runs: Sequence[str], leave_out_known: bool
) -> tuple[list[Question], list[str]]:
    """The questions that none of the runs was trained on, and what that leaves out."""
    from workbench.compare import leakage

    seen: set[int] = set()
    cautions = []
    for run in runs:
        known = leakage.known(questions, leakage.trained_on(workspace, run))
        if known and not leave_out_known:
            leakage.refuse(known, run)
        if known:
            cautions.append(f"Left out, because {run} was trained on them: {_questions(len(known))}.")
        seen |= {each.question_number for each in known}
    kept = [question for number, question in enumerate(questions) if number not in seen]
    if not kept:
        raise UserError(f"{', '.join(runs)}: trained on all of the questions", do="Take other questions.")
    return kept, cautions


def _absent_documents(workspace: Workspace, index: str, asked: Sequence[Question]) -> list[str]:
    """What the questions name as the place of their answer and the index does not hold."""
    from workbench.compare.ranking import same_document
    from workbench.library.catalogue import documents

    held = [row.document for row in documents(workspace, index)]
    named = [question.document for question in asked if question.document and question.answerable is not False]
    absent = [name for name in named if not any(same_document(document, name) for document in held)]
    if not absent:
        return []
    shown = ", ".join(list(dict.fromkeys(absent))[:3])
    return [
        f"The index {index} does not hold the document of {_questions(len(absent))} ({shown}): it cannot find them."
    ]


def _questions(count: int) -> str:
    return f"{count:,} question{'' if count == 1 else 's'}"


def _measurable(asked: Sequence[Question], metric: str, *, has_index: bool) -> tuple[str, list[str]]:
    """The metric, or one that these questions allow; and what they do not tell."""
    cautions = []
    if len(asked) < FEWEST:
        cautions.append(
            f"Asked: {_questions(len(asked))}. The figures are shown, but no arm is recommended below {FEWEST}."
        )
    referenced = sum(bool(question.answers) or question.answerable is False for question in asked)
    if not referenced and metric in ("exact_match", "f1", "contains", "rouge_l", "right"):
        formats = any(question.pattern or question.schema is not None for question in asked)
        instead = "format_held" if formats else "support" if has_index else "words"
        cautions.append(
            "No question has a reference answer: what is right cannot be measured, only "
            f"format, abstention, support, length and costs. The verdict is about {METRICS[instead].title}."
        )
        metric = instead
    if metric == "support" and not has_index:
        raise UserError("support needs passages, and there is no index", where="metric", do="Take another metric.")
    if metric == "joules" and Meter.find() is None:
        raise UserError("this machine does not tell its energy", where="metric", do="Take another metric.")
    if metric == "format_held" and not any(question.pattern or question.schema is not None for question in asked):
        raise UserError(
            "no question has a format to hold", where="metric", do="Take another metric, or give a pattern or a schema."
        )
    return metric, cautions


def _arms(workspace: Workspace, hybrid: Hybrid, *, oracle: bool, again: bool, others: Sequence[str]) -> tuple[Arm, ...]:
    every = hybrid.arms()
    arms = [Arm(name=name, hybrid=str(each)) for name, each in every.items() if name == each.arm]
    fullest = arms[-1]
    if oracle:
        arms.append(Arm(name=ORACLE, hybrid=str(replace(hybrid, rag=None)), oracle=True))
    if again:
        arms.append(Arm(name=AGAIN, hybrid=fullest.hybrid, repeats=fullest.name))
    for other in others:
        match = _OTHER.fullmatch(other.strip())
        if match is None:
            raise UserError(
                f"{other!r} is no arm", where="--arm", do="Write NAME=HYBRID or NAME=MODEL@http://host:port."
            )
        name = check_name(match["name"].strip(), "arm")
        if name in (*MAIN, ORACLE, AGAIN) or any(arm.name == name for arm in arms):
            raise UserError(f"the name {name!r} is taken by another arm", where="--arm", do="Choose another name.")
        model = match["model"].strip()
        if not match["url"]:
            another = Hybrid.parse(model)
            check(workspace, another)
            model = str(another)
        arms.append(Arm(name=name, hybrid=model, url=match["url"] or ""))
    return tuple(arms)


def _check_metric(metric: str) -> None:
    if metric not in METRICS:
        raise UserError(f"{metric!r} is no metric", where="metric", do=f"Use one of: {', '.join(METRICS)}.")


def _may_differ() -> bool:
    """Whether greedy answers may differ from one time to the next: sums on a GPU are not always added in one order."""
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return apple or Path("/proc/driver/nvidia/version").exists()
