"""The tables of a report that say what was paid, and how it was measured. As plain text; see `tables`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.compare import figures
from workbench.compare.figures import MISSING
from workbench.compare.report.tables import Table, Verdict, heading, unit


def upfront(verdict: Verdict) -> Table:
    """What a run and an index cost before the first question, and what a changed document costs."""
    costs, spec = verdict.get("costs") or {}, verdict.get("spec") or {}
    run, index, update = (costs.get(name) for name in ("run", "index", "update"))

    def missing(name: str, gone: str) -> str:
        if not spec.get("run" if name == "run" else "index"):
            return "no adapter was measured" if name == "run" else "no index was measured"
        return gone if costs else "measured when the comparison ends"

    rows = []
    if run:
        made = f"{run.get('name')}: {figures.count(run.get('tokens'))} tokens"
        rows.append(_row("training", run.get("seconds"), run.get("peak_memory_bytes"), made))
    else:
        rows.append(("training", MISSING, MISSING, missing("run", "the run is no longer there")))
    if index:
        made = ", ".join(f"{figures.count(index.get(name))} {name}" for name in ("documents", "chunks"))
        rows.append(
            _row("indexing", index.get("seconds"), index.get("peak_memory_bytes"), f"{index.get('name')}: {made}")
        )
    else:
        rows.append(("indexing", MISSING, MISSING, missing("index", "the index is no longer there")))
    if update:
        changed = "the answer changed" if update.get("answer_changed") else "the answer did not change"
        found = "found" if update.get("found") else "not found"
        rows.append(
            (
                "update: until a changed document is indexed",
                figures.seconds(update.get("seconds_to_index")),
                MISSING,
                "",
            )
        )
        told = f"{update.get('document')}: the change was {found}, {changed}"
        rows.append(
            ("update: until the answer follows it", figures.seconds(update.get("seconds_to_answer")), MISSING, told)
        )
    else:
        rows.append(
            ("update: until the answer follows it", MISSING, MISSING, missing("update", "could not be measured"))
        )
    return Table("Upfront, and for an update", ("", "time", "peak memory", "of what"), tuple(rows), _machine(costs))


def _row(name: str, seconds: Any, memory: Any, made: str) -> tuple[str, ...]:
    if not figures.known(seconds):
        made += "; the job that made it is no longer there"
    return name, figures.seconds(seconds), figures.size(memory), made


def a_question(verdict: Verdict) -> Table | None:
    """What an answer costs, by arm; None where there is no arm."""
    arms = verdict.get("arms") or ()
    columns = [("seconds", "median seconds"), ("seconds_to_first_token", "to the first token")]
    means = [("prompt_tokens", "prompt tokens"), ("completion_tokens", "completion tokens"), ("joules", "joules")]
    rows = []
    for each in arms:
        medians, metrics = each.get("medians") or {}, each.get("metrics") or {}
        cells = [figures.number(medians.get(name), "seconds") for name, _ in columns]
        cells += [figures.number((metrics.get(name) or {}).get("mean"), "tokens") for name, _ in means]
        rows.append((str(each["arm"]), *cells))
    energy = (verdict.get("costs") or {}).get("energy")
    note = "Medians of the seconds, means of the rest; "
    note += f"energy as {energy} tells it." if energy else "nothing on this machine tells its energy."
    return Table("Per query", ("", *(title for _, title in columns + means)), tuple(rows), note) if rows else None


def measured(verdict: Verdict) -> Table:
    """What decided the answers, so that they can be given again."""
    spec: Mapping[str, Any] = verdict.get("spec") or {}
    source = spec.get("question_set") or (f"the eval split of {spec['run']}" if spec.get("run") else MISSING)
    temperature = spec.get("temperature")
    rows = [
        (f"arm {each.get('name')}", str(each.get("hybrid")) + (f" at {each['url']}" if each.get("url") else ""))
        for each in spec.get("arms") or ()
    ]
    rows += [
        ("questions from", source),
        ("asked", figures.count(verdict.get("asked"))),
        ("n, answered by every main arm", figures.count(verdict.get("n"))),
        ("sha256 of the set", spec.get("set_sha256") or MISSING),
        ("sha256 of the questions asked", spec.get("asked_sha256") or MISSING),
        ("seed", str(spec.get("seed", MISSING))),
        ("k, passages given", str(spec.get("top_k", MISSING)) if spec.get("index") else f"{MISSING} (no index)"),
        ("max_new_tokens", str(spec.get("max_new_tokens", MISSING))),
        ("decoding", "greedy" if temperature == 0 else f"sampled, temperature {temperature}"),
        ("system prompt", spec.get("system_prompt") or "none"),
        ("counts as abstaining, besides what always does", "; ".join(spec.get("refusals") or ()) or "nothing"),
        ("noise: the same arm asked twice", _noise(verdict)),
        ("machine", _machine(verdict.get("costs") or {})),
        ("started", figures.moment(verdict.get("created_at"))),
        ("verdict made", figures.moment(verdict.get("made_at"))),
    ]
    return Table("What was asked of whom", ("", "value"), tuple((name, str(value)) for name, value in rows))


def _noise(verdict: Verdict) -> str:
    noise, metric = verdict.get("noise"), verdict["metric"]
    if not noise:
        return f"{MISSING} (no arm was asked twice)"
    told = figures.interval(noise, unit(metric), signed=True)
    return f"{noise.get('arm')}, {heading(metric, difference=True)}: {told}, n = {figures.count(noise.get('n'))}"


def _machine(costs: Mapping[str, Any]) -> str:
    machine = costs.get("machine")
    if not machine:
        return f"{MISSING} (it was not recorded)"
    parts = [
        machine.get("processor") or "processor not known",
        f"{figures.count(machine.get('cores'))} cores",
        figures.size(machine.get("memory_bytes")) + " of memory",
        machine.get("gpu") or "no GPU",
    ]
    return ", ".join(parts)
