"""What stands in the tables of a report, as plain text: Markdown and HTML show the same ones.

Text in them comes from users, documents and models: whoever shows it makes it safe. Light: the app calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.compare import figures
from workbench.compare.figures import MISSING
from workbench.compare.metrics import METRICS
from workbench.compare.settling import questions_needed
from workbench.compare.spec import MAIN

Verdict = Mapping[str, Any]

HOW_COUNTED = (
    "All means, differences and effects of the main arms are over the questions that every one of them answered.",
    "Intervals are 95 % bootstrap intervals (BCa) of the mean.",
    "Differences are paired by question. p is that of an exact McNemar test where every value is 0 or 1, else of a "
    "paired permutation test (signs flipped at random); Holm's correction is over all pairs of the main arms. A "
    "difference is measurable where the corrected p is below 0.05, the interval excludes 0, and it is above the noise "
    "floor: the farther end of the interval of what an arm that was asked again differs from itself, where one was.",
    "The effect of tuning is the mean of (tuned - base) and (hybrid - rag), that of retrieval the mean of (rag - base) "
    "and (hybrid - tuned); the interaction is (hybrid - rag) - (tuned - base). Whether one is measurable goes by its "
    "own p, not corrected, its interval, and the noise floor, which is twice as high for the interaction, a difference "
    "of two differences.",
    "Questions needed: about how many would show a difference of this size with a power of 80 %. `a few more` stands "
    "where as many were asked already and it is not measurable yet, a dash where no number would settle it or the "
    "noise floor decides.",
)
"""The statistics used, a paragraph each."""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Each as long as `columns`."""
    note: str = ""


def arm(verdict: Verdict, name: str) -> Mapping[str, Any]:
    """The row of an arm; empty where it was not asked."""
    return next((each for each in verdict.get("arms") or () if each["arm"] == name), {})


def unit(metric: str) -> str:
    """The unit of a metric."""
    return METRICS[metric].unit if metric in METRICS else ""


def title(metric: str) -> str:
    """What a metric is called."""
    return METRICS[metric].title if metric in METRICS else metric


def heading(metric: str, *, difference: bool = False) -> str:
    """A metric's title with its unit, e.g. `token F1, %`."""
    if metric not in METRICS or unit(metric) in title(metric):  # "prompt tokens" needs no unit
        return title(metric)
    return f"{title(metric)}, {figures.unit_name(unit(metric), difference=difference)}"


def differences_of(verdict: Verdict, metric: str) -> list[dict[str, Any]]:
    """The differences by a metric, each of the fuller arm - the simpler one: what is above zero was gained."""
    return [
        _turned(each) if _place(each["first"]) < _place(each["second"]) else dict(each)
        for each in (verdict.get("differences") or {}).get(metric) or ()
    ]


def difference(verdict: Verdict, first: str, second: str) -> dict[str, Any] | None:
    """Of the metric that the verdict is about, first - second; None where it was not computed."""
    for each in (verdict.get("differences") or {}).get(verdict["metric"]) or ():
        if (each["first"], each["second"]) == (first, second):
            return dict(each)
        if (each["first"], each["second"]) == (second, first):
            return _turned(each)
    return None


def _place(name: str) -> int:
    return MAIN.index(name) if name in MAIN else len(MAIN)


def _turned(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same difference the other way round."""
    turned = {"mean": "mean", "low": "high", "high": "low"}
    signs = {name: -row[of] if figures.known(row.get(of)) else None for name, of in turned.items()}
    swapped = {"first": "second", "second": "first", "wins": "losses", "losses": "wins"}
    return {**row, **signs, **{name: row.get(of) for name, of in swapped.items()}}


def two_by_two(verdict: Verdict) -> Table:
    """The four arms, with what each step adds at the margins and the interaction in the corner."""
    metric = verdict["metric"]
    asked = {each["arm"] for each in verdict.get("arms") or ()}

    def mean(name: str) -> str:
        return figures.interval((arm(verdict, name).get("metrics") or {}).get(metric), unit(metric))

    def step(first: str, second: str) -> str:
        return figures.interval(difference(verdict, first, second), unit(metric), signed=True)

    effects = {each["name"]: each for each in (verdict.get("effects") or {}).get(metric) or ()}
    corner = figures.interval(effects.get("interaction"), unit(metric), signed=True)
    columns = ["", "without retrieval", "with retrieval", "retrieval adds"]
    rows = [
        ["untuned", mean("base"), mean("rag"), step("rag", "base")],
        ["tuned", mean("tuned"), mean("hybrid"), step("hybrid", "tuned")],
        ["tuning adds", step("tuned", "base"), step("hybrid", "rag"), f"interaction {corner}"],
    ]
    if not asked & {"tuned", "hybrid"}:
        rows = rows[:1]
    if not asked & {"rag", "hybrid"}:
        columns, rows = columns[:2], [row[:2] for row in rows]
    name = figures.unit_name(unit(metric), difference=True)
    absent = [each for each in MAIN if each not in asked]
    note = f"95 % intervals in brackets, n = {figures.count(verdict.get('n'))}; what a step adds is in {name}."
    if absent:
        note += f" Not asked: {', '.join(absent)}."
    return Table(heading(metric), tuple(columns), tuple(map(tuple, rows)), note)


def effects(verdict: Verdict, metric: str) -> Table | None:
    """By one metric the effects of tuning and retrieval and their interaction; None where none could be computed."""
    found = (verdict.get("effects") or {}).get(metric) or ()
    rows = [
        (
            each["name"],
            figures.interval(each, unit(metric), signed=True),
            figures.p_value(each.get("p")),
            _measurable(each),
            _needed(each),
        )
        for each in found
    ]
    columns = ("effect", heading(metric, difference=True), "p", "measurable", "questions needed")
    return Table(f"Effects on {title(metric)}", columns, tuple(rows)) if rows else None


def differences(verdict: Verdict, metric: str) -> Table | None:
    """Every pair of the main arms by one metric; None where there is no pair."""
    rows = [
        (
            f"{each['first']} {figures.MINUS} {each['second']}",
            figures.interval(each, unit(metric), signed=True),
            f"{each.get('wins', MISSING)} / {each.get('losses', MISSING)} / {each.get('ties', MISSING)}",
            figures.p_value(each.get("p")),
            figures.p_value(each.get("p_holm")),
            str(each.get("test") or MISSING),
            _measurable(each),
            _needed(each),
        )
        for each in differences_of(verdict, metric)
    ]
    columns = (
        "arms", heading(metric, difference=True), "above / below / equal", "p", "p (Holm)", "test", "measurable",
        "questions needed",
    )  # fmt: skip
    return Table(f"Differences in {title(metric)}", columns, tuple(rows)) if rows else None


def _measurable(row: Mapping[str, Any]) -> str:
    """Verdicts of before effects told it do not tell it."""
    told = row.get("measurable")
    return MISSING if told is None else "yes" if told else "no"


def _needed(row: Mapping[str, Any]) -> str:
    return questions_needed(row, row.get("n") or 0, row.get("floor") or 0.0)


def tested(verdict: Verdict, metric: str) -> list[Table | None]:
    """All that was tested by one metric."""
    return [effects(verdict, metric), differences(verdict, metric)]


def decision(verdict: Verdict) -> Table | None:
    """The field's decision table with the user's own figures."""
    found = verdict.get("decision") or ()
    told = {name for each in found for name in each.get("values") or {}}
    names = [name for name in MAIN if name in told] + sorted(told - set(MAIN))
    noted = any(each.get("note") for each in found)
    rows = [
        (
            str(each["row"]),
            str(each.get("measure") or ""),
            *(str((each.get("values") or {}).get(name) or MISSING) for name in names),
            *([str(each.get("note") or "")] if noted else []),
        )
        for each in found
    ]
    columns = ("", "measured by", *names, *(["note"] if noted else []))
    return Table("Decision table", columns, tuple(rows)) if rows else None


def metrics(verdict: Verdict) -> Table | None:
    """Every metric of every arm that has values of it."""
    arms = verdict.get("arms") or ()
    names = [name for name in METRICS if any(name in (each.get("metrics") or {}) for each in arms)]
    rows = [
        (heading(name), *(figures.interval((each.get("metrics") or {}).get(name), unit(name)) for each in arms))
        for name in names
    ]
    if any(each.get("f1_answerable") for each in arms):
        cells = (figures.interval(each.get("f1_answerable"), "share") for each in arms)
        rows.append(("token F1 of answerable questions, %", *cells))
    for part, told in (("precision", "abstention: precision, %"), ("recall", "abstention: recall, %")):
        values = [(each.get("abstention") or {}).get(part) for each in arms]
        if any(figures.known(value) for value in values):
            rows.append((told, *(figures.number(value) for value in values)))
    if not rows:
        return None
    rows.append(("questions", *(figures.count(each.get("n")) for each in arms)))
    return Table("Every metric", ("", *(str(each["arm"]) for each in arms)), tuple(rows), _abstention_note(arms))


def _abstention_note(arms: Sequence[Mapping[str, Any]]) -> str:
    told = [(each["arm"], each.get("abstention") or {}) for each in arms]
    unanswerable = max((each.get("n_unanswerable") or 0 for _, each in told), default=0)
    abstained = ", ".join(f"{name} {figures.count(each.get('n_abstained'))}" for name, each in told if each)
    return (
        f"Unanswerable questions: {unanswerable}. Times that an arm abstained: {abstained}. Precision is the share of "
        "these that were rightly so, recall the share of the unanswerable questions on which it abstained."
        if abstained
        else ""
    )


def retrieval(verdict: Verdict) -> Table | None:
    """How well the index was searched; None where no index was measured or no question's place is known."""
    found = verdict.get("retrieval")
    if not found:
        return None
    k = found.get("k", "k")
    columns = ("", f"hit@{k}, %", f"MRR@{k}", f"nDCG@{k}", "questions")
    values = [f"{found[name]:.3f}" if figures.known(found.get(name)) else MISSING for name in ("mrr", "ndcg")]
    row = ("retrieval", figures.number(found.get("hit")), *values, figures.count(found.get("n")))
    return Table("Retrieval", columns, (row,), "Against the known place of the answer.")


def attribution(verdict: Verdict) -> Table | None:
    """What each question owes its outcome to, counted."""
    found = verdict.get("attribution") or ()
    total = sum(each["count"] for each in found)
    rows = [
        (each["title"], str(each["count"]), figures.share(each["count"] / total if total else None), each["about"])
        for each in found
    ]
    return Table("Attribution", ("", "questions", "share", "meaning"), tuple(rows)) if rows else None
