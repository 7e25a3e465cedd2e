"""The jobs of a comparison: asking every arm every question, and concluding from what was answered."""

from __future__ import annotations

import json
import time
from typing import Any

from workbench import files
from workbench.compare import costs, verdict, versus
from workbench.compare.answering import Answerer
from workbench.compare.ranking import rank
from workbench.compare.spec import Spec
from workbench.compare.store import CompareStore, Comparison
from workbench.compare.update_probe import probe
from workbench.compare.usable import check_unchanged
from workbench.errors import UserError
from workbench.jobs.context import Context, StopRequested
from workbench.models.load import be_offline


def run(context: Context) -> dict[str, Any]:
    """Ask what was not asked yet; argument: `comparison`, its id.

    An answer is kept as it comes, so a comparison that was stopped or killed goes on where it was. The verdict is made
    at the end, and of what there is when the user stops.

    Raises:
        UserError: the weights, the index or a remote server cannot be used, or they are not those that it began with.
        StopRequested: the user asked to stop.
    """
    with CompareStore(context.workspace.database) as store:
        comparison = store.comparison(context.arguments["comparison"])
        try:
            _answer(context, store, comparison)
        except StopRequested:
            conclude(store, comparison.id)
            raise
        context.progress(0, message="Concluding")
        concluded = conclude(store, comparison.id)
        context.message(concluded["recommendation"])
        return {"comparison": comparison.name, "recommendation": concluded["recommendation"]}


def conclude_again(context: Context) -> dict[str, Any]:
    """Make the verdict of what is answered by now; arguments: `comparison`, and perhaps `versus`, both names."""
    with CompareStore(context.workspace.database) as store:
        comparison = store.comparison(context.arguments["comparison"])
        if other := context.arguments.get("versus"):
            return {"versus": versus.compare(store, store.comparison(other), comparison, comparison.spec["metric"])}
        return {"verdict": conclude(store, comparison.id)}


def conclude(store: CompareStore, comparison: int, *, keep: bool = True) -> dict[str, Any]:
    """Make the verdict from the answers in the store, as JSON has it.

    Args:
        store: of the comparison.
        comparison: its id.
        keep: in the store; not while its own job may do so.
    """
    answers = store.answers(comparison)
    made = verdict.build(store.comparison(comparison), store.asked(comparison), answers, store.rankings(comparison))
    made = json.loads(files.strict_json({**made, "answers": len(answers)}))
    if keep:
        store.set_verdict(comparison, made)
    return made


def _answer(context: Context, store: CompareStore, comparison: Comparison) -> None:
    spec = Spec.from_dict(comparison.spec)
    check_unchanged(context.workspace, spec)
    questions = store.asked(comparison.id)
    answered = store.answered(comparison.id)
    ranked = store.rankings(comparison.id)
    total = comparison.expected
    # What one question costs in all arms comes together, so that those of a stopped comparison are paired.
    left = [
        (number, question, [arm for arm in spec.arms if (number, arm.name) not in answered])
        for number, question in enumerate(questions)
    ]
    done = len(answered)
    context.progress(done, total, unit="answers", message="Loading the models")
    be_offline()
    answerer = Answerer(context.workspace, spec)
    try:
        if done < total:
            answerer.load()
        measured = {
            **comparison.costs,
            **costs.upfront(context.workspace, spec.run, spec.index),
            "energy": answerer.energy,
            "machine": costs.machine(),
            "measured_at": time.time(),
        }
        store.set_costs(comparison.id, measured)  # before the answers, for the verdict of a comparison that is stopped
        for number, question, arms in left:
            if not arms:
                continue
            hits = answerer.hits(question) if number not in ranked or any(arm.oracle for arm in arms) else []
            if spec.index and number not in ranked:
                store.set_ranking(comparison.id, number, rank(hits, question))
            for arm in arms:
                context.check_stop()
                passage = answerer.right_passage(question, hits) if arm.oracle else None
                if not arm.oracle or passage:
                    given = (passage,) if passage else None
                    answer = answerer.ask(number, question, arm, given, context.stop_requested)
                    context.check_stop()
                    assert answer is not None
                    store.add_answer(comparison.id, answer)
                    done += 1
            context.progress(done, total, unit="answers", message="Answering")
        store.set_costs(comparison.id, {**measured, "update": _update(context, spec, answerer)})
    finally:
        answerer.close()


def _update(context: Context, spec: Spec, answerer: Answerer) -> dict[str, Any] | None:
    """How soon a changed document changes an answer; None without retrieval, or where it could not be measured."""
    if not spec.index:
        return None
    context.progress(0, message="Measuring how soon a changed document changes an answer")
    index = context.workspace.index(spec.index)
    try:
        return probe(index, context.folder, answerer.plainly, context.check_stop, k=spec.top_k)
    except UserError as error:
        context.message(f"How soon a change is answered could not be measured: {error}", level="warning")
        return None
