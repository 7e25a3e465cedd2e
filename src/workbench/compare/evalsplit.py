"""The questions that a run kept for evaluation: the pairs of its eval split, and where their answers stand."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from workbench.compare.question import Question
from workbench.errors import UserError
from workbench.library.grounding import NOT_IN_LIBRARY
from workbench.library.refusals import abstains
from workbench.pairs.pair import key_of, normalised
from workbench.pairs.store import PairStore
from workbench.training import runs
from workbench.training.data import FrozenPair, thaw
from workbench.workspace import Workspace

_PREPARED = "prepared.json"  # as `workbench.training.prepare` writes it


def questions_of(workspace: Workspace, run: str) -> list[Question]:
    """The pairs of a run's eval split as questions; pairs with the same messages become one question.

    The completion is the reference answer. Where it is what the recipe's `context:` has the model say when the
    passages do not tell, the question is not answerable. The document is that of the right passage, else the last part
    of the pair's source where that looks like a document's name; the context is the right passage.

    A pair whose right passage was withheld was frozen with the refusal in place of its completion: the completion is
    then taken from the workspace's pairs, and a pair that is no longer there is left out.

    Raises:
        UserError: there is no such run, it has not frozen its pairs yet, they were changed, or it keeps none for
            evaluation.
    """
    recipe, pairs = frozen(workspace, run)
    held_out = [pair for pair in pairs if pair.evaluated]
    if not held_out:
        raise UserError(
            f"the run {run!r} kept none of its {len(pairs)} pairs for evaluation (test_size {recipe['test_size']:g})",
            do="Import a question set and compare with --questions NAME, or train with a higher test_size.",
        )
    context = recipe.get("context") or {}
    refusals = {normalised(NOT_IN_LIBRARY), normalised(context.get("refusal") or NOT_IN_LIBRARY)}
    withheld = {pair.key for pair in held_out if context and _was_replaced(pair, refusals)}
    known = _completions(workspace, recipe["dataset"], withheld)
    found: dict[str, Question] = {}
    for pair in held_out:
        completion = known.get(pair.key) if pair.key in withheld else pair.completion
        if completion is not None:
            question = _question(pair, completion, refusals)
            asked = json.dumps(pair.messages)
            found[asked] = _joined(found[asked], question) if asked in found else question
    if not found:
        raise UserError(
            f"of the {len(held_out)} pairs that the run {run!r} kept for evaluation, no completion is known any more",
            do="Import a question set and compare with --questions NAME.",
        )
    return list(found.values())


def frozen(workspace: Workspace, run: str) -> tuple[dict[str, Any], list[FrozenPair]]:
    """The recipe of a run, and its copy of its pairs.

    Raises:
        UserError: there is no such run, it has not frozen its pairs yet, or they were changed.
    """
    job = runs.find(workspace, run)
    recipe = job.spec["arguments"]["recipe"]
    try:
        sha256 = json.loads((job.path / _PREPARED).read_text(encoding="utf-8"))["sha256"]
    except FileNotFoundError:
        raise UserError(
            f"the run {run!r} has not chosen its pairs yet",
            do=f"Wait until it trains, or resume it with `workbench runs resume {run}`.",
        ) from None
    return {"test_size": 0.0, **recipe}, thaw(job.path, sha256)


def document_name(source: str) -> str:
    """The last part of a source that looks like a document's name ("handbook/leave.md"); "" for any other.

    The training data is built by the same rule: a name has a dot, and no colon, as "rows.jsonl:17" has.
    """
    name = PurePosixPath(source.strip()).name
    return name if "." in name and ":" not in name else ""


def _was_replaced(pair: FrozenPair, refusals: Collection[str]) -> bool:
    """Whether the refusal took the place of the completion: the key still tells the content of old."""
    return normalised(pair.completion) in refusals and key_of(pair.messages, pair.completion, None, None) != pair.key


def _completions(workspace: Workspace, dataset: str, keys: Collection[str]) -> dict[str, str]:
    """The completions of those of these pairs that the dataset still has, by key."""
    if not keys:
        return {}
    with PairStore(workspace.database) as store:
        return {pair.key: pair.completion for pair in store.pairs(dataset) if pair.key in keys and pair.completion}


def _question(pair: FrozenPair, completion: str, refusals: Collection[str]) -> Question:
    messages, document = tuple(pair.messages), document_name(pair.source)
    if normalised(completion) in refusals or abstains(completion):
        return Question(messages=messages, answerable=False, document=document)
    right = None if pair.right is None else pair.passages[pair.right]
    if right is None or not _holds(right["text"], completion):
        return Question(messages=messages, answers=(completion,), answerable=True, document=document)
    return Question(
        messages=messages,
        answers=(completion,),
        answerable=True,
        document=right["document"],
        context=right["text"],
    )


def _holds(passage: str, completion: str) -> bool:
    return f" {_words(completion)} " in f" {_words(passage)} "


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _joined(first: Question, second: Question) -> Question:
    """Two pairs with the same messages: each completion is right; one that tells something beats a refusal."""
    if not (first.answers and second.answers):
        return first if first.answers else second
    placed = second if second.context and not first.context else first
    return replace(placed, answers=tuple(dict.fromkeys(first.answers + second.answers)))
