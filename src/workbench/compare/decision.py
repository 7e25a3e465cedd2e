"""The field's decision table (retrieval, tuning or both?) filled with the figures of one comparison.

Each row names what was measured, gives it for every main arm, and says where something is not known and why.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from workbench.compare.evidence import Evidence
from workbench.compare.figures import MISSING, known, number, seconds, size

Row = dict[str, Any]


def table(evidence: Evidence) -> list[Row]:
    """The rows, in their order; `values` has every main arm, `MISSING` where nothing is known.

    Args:
        evidence: of a comparison; only paired questions count, so that arms are told apart by nothing else.
    """
    rows = (_behaviour, _knowledge, _hallucination, _update_speed, _upfront, _per_query, _freshness)
    return [row(evidence) for row in rows]


def _behaviour(evidence: Evidence) -> Row:
    formats = {arm: _values(evidence, arm, "format_held") for arm in evidence.main}
    if any(formats.values()):
        n = max(map(len, formats.values()))
        values = {arm: _percent(given) for arm, given in formats.items()}
        return _row("Behaviour", "answers that hold the format asked for", values, f"{n} questions ask for a format.")
    values = {}
    for arm in evidence.main:
        alike, words = _percent(_values(evidence, arm, "rouge_l")), _median(_values(evidence, arm, "words"))
        values[arm] = MISSING if words is None else f"{alike}, {_count(words, 'word')}"
    note = "No question asks for a format: likeness to the references' wording and length stand in for it."
    return _row("Behaviour", "ROUGE-L with the references, median length", values, note)


def _knowledge(evidence: Evidence) -> Row:
    numbers = [each for each in _scored(evidence) if evidence.questions[each].answerable is not False]
    values = {arm: _percent([float(evidence.is_right(each, arm)) for each in numbers]) for arm in evidence.main}
    note = f"Of {_count(len(numbers), 'question')}." if numbers else "No answerable question has a reference answer."
    return _row("Knowledge", "answers that are right, answerable questions", values, note)


def _hallucination(evidence: Evidence) -> Row:
    """Two figures an arm: what is made up where nothing tells, and what the passages do not carry."""
    from workbench.library.support import SUPPORTED

    numbers = [each for each in evidence.paired if evidence.questions[each].answerable is False]
    values, unsupported = {}, 0
    for arm in evidence.main:
        told = [1.0 - given for each in numbers if (given := evidence.score(each, arm, "abstained")) is not None]
        carried = _values(evidence, arm, "support")
        unsupported += len(carried)
        parts = [f"{_percent(told)} made up"] if told else []
        parts += [f"{_percent([float(value < SUPPORTED) for value in carried])} unsupported"] if carried else []
        values[arm] = ", ".join(parts) or MISSING
    notes = [f"Of {_count(len(numbers), 'unanswerable question')}."]
    if not numbers:
        notes = ["No question is unanswerable, so what is made up where nothing tells was not measured."]
    if unsupported:
        notes.append("Support goes by words and cannot see whether they are used rightly.")
    if any(arm in evidence.main for arm in ("base", "tuned")):
        notes.append("An arm without passages has nothing to be supported by.")
    measure = (
        f"answered though nothing tells it; of the answers given, those supported by less than {_percent([SUPPORTED])}"
    )
    return _row("Hallucination", measure, values, " ".join(notes))


def _update_speed(evidence: Evidence) -> Row:
    run, update = _cost(evidence, "run"), _cost(evidence, "update")
    retrained, indexed = seconds(run.get("seconds")), seconds(update.get("seconds_to_answer"))
    values = {"base": "never", "tuned": retrained, "rag": indexed, "hybrid": indexed}
    notes = []
    if evidence.has_index and not known(update.get("seconds_to_answer")):
        notes.append("How soon the index answers from a changed document was not measured.")
    if evidence.has_run and not known(run.get("seconds")):
        notes.append("How long the run took is not known.")
    if "hybrid" in evidence.main and known(run.get("seconds")):
        notes.append(f"What tuning put into the hybrid's weights changes only with a new run ({retrained}).")
    return _row(
        "Update speed", "from a changed document to an answer from it", _only(evidence, values), " ".join(notes)
    )


def _upfront(evidence: Evidence) -> Row:
    run, index = _cost(evidence, "run"), _cost(evidence, "index")
    values = {"base": "nothing", "tuned": _spent(run), "rag": _spent(index), "hybrid": _spent(run, index)}
    notes = []
    if evidence.has_run and not run:
        notes.append("The run's costs are not known.")
    if evidence.has_index and not index:
        notes.append("The index's costs are not known.")
    return _row(
        "Upfront cost", "seconds and peak memory of the run and the index", _only(evidence, values), " ".join(notes)
    )


def _per_query(evidence: Evidence) -> Row:
    values = {}
    for arm in evidence.main:
        took = _median(_values(evidence, arm, "seconds"))
        tokens = [_median(_values(evidence, arm, name)) for name in ("prompt_tokens", "completion_tokens")]
        joules = _median(_values(evidence, arm, "joules"))
        parts = [seconds(took)] if took is not None else []
        known_tokens = [f"{round(each):,}" for each in tokens if each is not None]
        parts += [f"{' + '.join(known_tokens)} tokens"] if len(known_tokens) == 2 else []
        parts += [f"{number(joules, 'joules')} J"] if joules is not None else []
        values[arm] = ", ".join(parts) or MISSING
    energy = evidence.comparison.costs.get("energy")
    note = (
        f"Energy of the whole machine while it answered ({energy})."
        if energy
        else "This machine does not tell its energy."
    )
    return _row("Cost per query", "median seconds, tokens read + written, energy", values, note)


def _freshness(evidence: Evidence) -> Row:
    update = _cost(evidence, "update")
    follows = MISSING
    if update:
        found, changed = update.get("found"), update.get("answer_changed")
        follows = "yes" if found and changed else "found, not used" if found else "no"
    values = {"base": "no", "tuned": "not before a new run", "rag": follows, "hybrid": follows}
    note = "Nothing in an arm without an index reads documents."
    if evidence.has_index:
        how = (
            f"measured by changing one made-up document ({update['document']})"
            if update.get("document")
            else "measured"
        )
        note = f"With an index it was {how}." if update else "With an index it was not measured."
    return _row("Freshness", "whether the answer follows a document that changed", _only(evidence, values), note)


def _row(name: str, measure: str, values: Mapping[str, str], note: str) -> Row:
    return {"row": name, "measure": measure, "values": dict(values), "note": note}


def _only(evidence: Evidence, values: Mapping[str, str]) -> dict[str, str]:
    return {arm: values[arm] for arm in evidence.main}


def _scored(evidence: Evidence) -> list[int]:
    return evidence.scored("right", evidence.main)


def _values(evidence: Evidence, arm: str, metric: str) -> list[float]:
    return [value for each in evidence.paired if (value := evidence.score(each, arm, metric)) is not None]


def _cost(evidence: Evidence, name: str) -> dict[str, Any]:
    return evidence.comparison.costs.get(name) or {}


def _spent(*parts: Mapping[str, Any]) -> str:
    """Seconds together, memory of the one that took most: they are made one after the other."""
    if not all(parts):
        return MISSING
    memory = _of(parts, "peak_memory_bytes", max)
    told = [seconds(_of(parts, "seconds", sum)), size(memory) if memory else MISSING]
    return ", ".join(each for each in told if each != MISSING) or MISSING


def _of(parts: Sequence[Mapping[str, Any]], name: str, how: Callable[[Iterable[float]], float]) -> float | None:
    values = [part.get(name) for part in parts]
    return how(value for value in values if known(value)) if all(map(known, values)) else None


def _percent(values: Sequence[float]) -> str:
    return f"{100 * statistics.fmean(values):.0f} %" if values else MISSING


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _count(n: float, noun: str) -> str:
    return f"{round(n):,} {noun}{'' if round(n) == 1 else 's'}"
