"""Two comparisons against each other, on the questions that both asked: e.g. before and after a run.

Heavy modules are imported where they are called: a job does it.
"""

from __future__ import annotations

import statistics as plain
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from workbench.compare.question import Question
from workbench.compare.spec import FEWEST, MAIN
from workbench.compare.store import Answered, CompareStore, Comparison
from workbench.errors import UserError

_SAME = {
    "index": "the index",
    "top_k": "the number of passages",
    "max_new_tokens": "the length of an answer",
    "temperature": "the temperature",
    "system_prompt": "the system prompt",
    "refusals": "what counts as abstaining",
}
"""Settings which, besides the run, may be behind a difference."""
_PINNED = {
    "min_fit": "the least fit of a passage",
    "min_similarity": "the least similarity of a passage",
    "reranker": "the reranker",
    "top_p": "top_p",
}
"""The same of what the workspace held when each began (`Spec.pinned`)."""

_Given = Mapping[tuple[str, str], tuple[int, Question, Answered]]


def compare(store: CompareStore, first: Comparison, second: Comparison, metric: str) -> dict[str, Any]:
    """How each arm that both have fares in the second, question by question.

    A question is the same only if everything in it is. The p values are adjusted (Holm) for the arms looked at.

    Args:
        store: that holds both.
        first: the earlier one.
        second: the later one.
        metric: a key of `metrics.METRICS`.

    Returns:
        first, second: names. metric. n: questions in both. arms: by arm the means and the difference second - first
        (mean, low, high, n, p, measurable). changed: answers that became wrong, then those that became right (of a
        metric without a reference: any whose score changed), with the questions' numbers, texts and scores.
        cautions: whole sentences.

    Raises:
        UserError: they are the same comparison, share no question or no arm, or none of these is answered in both.
    """
    if first.id == second.id:
        raise UserError("a comparison cannot be set against itself", where=first.name, do="Name another one.")
    before, after = _answers(store, first), _answers(store, second)
    shared = {each.key for each in store.asked(first.id)} & {each.key for each in store.asked(second.id)}
    if not shared:
        raise UserError(
            f"{first.name} and {second.name} have no question in common",
            do="Ask the second one the same questions: the same set, count and seed.",
        )
    arms = [arm for arm in first.arms if arm in second.arms]
    pairs = {arm: [key for key in shared if (key, arm) in before and (key, arm) in after] for arm in arms}
    if not any(pairs.values()):
        raise UserError(f"no arm has answered a question in both {first.name} and {second.name}")
    for keys in pairs.values():
        keys.sort(key=lambda key: next(after[key, arm][0] for arm in arms if (key, arm) in after))
    rows = [row for arm in arms if (row := _arm(arm, pairs[arm], before, after, metric))]
    return {
        "first": first.name,
        "second": second.name,
        "metric": metric,
        "n": len(shared),
        "arms": _adjusted(rows),
        "changed": [row for arm in arms for row in _changed(arm, pairs[arm], before, after, metric)],
        "cautions": [
            *_settings(first, second, arms),
            *_questions(first, second, len(shared), rows, arms, (before, after)),
        ],
    }


def _answers(store: CompareStore, comparison: Comparison) -> _Given:
    """By question key and arm: the question's number, the question, the answer."""
    questions = store.asked(comparison.id)
    answers = store.answers(comparison.id)
    return {(questions[each.number].key, each.arm): (each.number, questions[each.number], each) for each in answers}


def _arm(arm: str, keys: list[str], before: _Given, after: _Given, metric: str) -> dict[str, Any] | None:
    from workbench.compare import statistics

    scores = [(before[key, arm][2].scores.get(metric), after[key, arm][2].scores.get(metric)) for key in keys]
    both = [(old, new) for old, new in scores if old is not None and new is not None]
    if not both:
        return None
    old, new = [float(a) for a, _ in both], [float(b) for _, b in both]
    (difference,) = statistics.differences({"second": new, "first": old})
    change = {**asdict(difference.estimate), "p": difference.p}
    return {"arm": arm, "first": plain.fmean(old), "second": plain.fmean(new), "difference": change}


def _adjusted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from workbench.compare.statistics import LEVEL, holm

    for row, p in zip(rows, holm([row["difference"]["p"] for row in rows]), strict=True):
        change = row["difference"]
        change["p"] = p
        change["measurable"] = bool(p < LEVEL and not change["low"] <= 0 <= change["high"])
    return rows


def _changed(arm: str, keys: list[str], before: _Given, after: _Given, metric: str) -> list[dict[str, Any]]:
    found = []
    for key in keys:
        (first_number, question, old), (second_number, _, new) = before[key, arm], after[key, arm]
        name = "right" if old.scores.get("right") is not None and new.scores.get("right") is not None else metric
        scores = old.scores.get(name), new.scores.get(name)
        if None not in scores and scores[0] != scores[1]:
            row = {
                "arm": arm, "question": question.text, "first_number": first_number, "second_number": second_number,
                "first": old.text, "second": new.text, "first_score": scores[0], "second_score": scores[1],
            }  # fmt: skip
            found.append(row)
    return sorted(found, key=lambda row: row["second_score"] - row["first_score"])


def _settings(first: Comparison, second: Comparison, arms: list[str]) -> list[str]:
    """What else than the run was another: in the spec, and in what the workspace held when each began."""
    one, other = first.spec, second.spec
    differ = [words for name, words in _SAME.items() if one.get(name) != other.get(name)]
    differ += [words for name, words in _PINNED.items() if _moved(one, other, name)]
    bases = [{arm["name"]: arm["hybrid"].split("+")[0] for arm in each["arms"]} for each in (one, other)]
    if any(bases[0][arm] != bases[1][arm] for arm in arms):
        differ.insert(0, "the base model")
    elif _moved(one, other, "base_fingerprint"):
        differ.insert(0, "the base model's weights")
    found = []
    if differ:
        run = "the run" if one.get("run") != other.get("run") or _moved(one, other, "adapter_sha256") else ""
        what = " and ".join(filter(None, [", ".join(differ), run]))
        found.append(f"They differ in {what}: a difference may come of any of these.")
    if one.get("index") and one.get("index") == other.get("index"):
        if _moved(one, other, "index_fingerprint"):
            found.append("The index was rebuilt with another embedding model in between: it may find other passages.")
        elif _moved(one, other, "index_revision"):
            found.append("The index was rebuilt or updated in between: it may hold or find other passages.")
    if one.get("run") and one.get("run") == other.get("run") and _moved(one, other, "adapter_sha256"):
        found.append(f"The run {one['run']} was trained anew in between: its adapter is another one.")
    return found


def _moved(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    """Whether something that both pinned is another; comparisons of before there was `pinned` tell nothing."""
    pinned = [each.get("pinned") or {} for each in (one, other)]
    return all(name in each for each in pinned) and pinned[0].get(name) != pinned[1].get(name)


def _questions(
    first: Comparison,
    second: Comparison,
    shared: int,
    rows: list[dict[str, Any]],
    arms: list[str],
    answers: tuple[_Given, _Given],
) -> list[str]:
    """What the figures rest on."""
    found = []
    if only := max(first.questions, second.questions) - shared:
        found.append(f"{shared} questions stand in both; up to {only} that only one of them asked are left out.")
    for each, given in zip((first, second), answers, strict=True):
        # An oracle is asked only where the place of the answer is known: of the main arms alone all is expected.
        main = [arm for arm in each.arms if arm in MAIN]
        if sum(arm in main for _, arm in given) < each.questions * len(main):
            found.append(f"{each.name} has not answered everything; what is missing in either is left out.")
    least = min((row["difference"]["n"] for row in rows), default=0)
    if least < FEWEST:
        found.append(
            f"The figures of some arm rest on {least} questions: of fewer than {FEWEST} intervals are too narrow."
        )
    if missing := [arm for arm in dict.fromkeys((*first.arms, *second.arms)) if arm not in arms]:
        found.append(f"Only one of them has {' and '.join(missing)}.")
    if (first.spec.get("temperature") or 0) > 0 or (second.spec.get("temperature") or 0) > 0:
        found.append("Answers are sampled: some of what changed is chance.")
    return found
