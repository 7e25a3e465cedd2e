"""The plots of a report: which figures of a verdict go into which plot, each with its caption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.compare import figures
from workbench.compare.report import svg
from workbench.compare.report.svg import Mark
from workbench.compare.report.tables import Verdict, arm, differences_of, heading, unit

_RIGHT = ("weights_knew", "retrieval_brought", "tuning_taught", "took_both", "abstained_rightly")
"""The categories in which the fullest arm is right."""


def means(verdict: Verdict) -> tuple[str, str] | None:
    """Every arm's mean with its interval: SVG and caption; None where no arm has one."""
    marks = [_mean(verdict, str(each["arm"])) for each in verdict.get("arms") or ()]
    if not any(figures.known(mark.mean) for mark in marks):
        return None
    name = heading(verdict["metric"])
    about = f"Mean {name} of each arm, with 95 % intervals."
    return svg.forest("means", "The arms", about, [marks], name), about


def interaction(verdict: Verdict) -> tuple[str, str] | None:
    """The 2x2: SVG and caption; None where fewer than two of the main arms have a mean."""
    untuned = [_mean(verdict, name) for name in ("base", "rag")]
    tuned = [_mean(verdict, name) for name in ("tuned", "hybrid")]
    if sum(figures.known(mark.mean) for mark in untuned + tuned) < 2:
        return None
    name = heading(verdict["metric"])
    about = (
        f"Mean {name}, with 95 % intervals, without and with retrieval: before tuning (dashed) and after it (solid)."
    )
    if len([mark for mark in untuned + tuned if figures.known(mark.mean)]) == 4:
        about += " Lines that are not parallel are an interaction."
    return svg.interaction("interaction", "Tuning and retrieval", about, untuned, tuned, name), about


def differences(verdict: Verdict) -> tuple[str, str] | None:
    """The paired differences and the effects around zero: SVG and caption; None where there are none."""
    metric = verdict["metric"]
    pairs = [
        _difference(f"{each['first']} {figures.MINUS} {each['second']}", each, metric, bool(each.get("measurable")))
        for each in differences_of(verdict, metric)
    ]
    effects = [
        _difference(_EFFECTS.get(each["name"], str(each["name"])), each, metric, bool(each.get("measurable")))
        for each in (verdict.get("effects") or {}).get(metric) or ()
    ]
    groups = [group for group in (pairs, effects) if group]
    if not groups:
        return None
    name = heading(metric, difference=True)
    about = f"Differences in {name}, paired by question, with 95 % intervals"
    about += ", and the effects of tuning and retrieval." if effects else "."
    about += " A filled point is measurably off zero (for pairs of arms after Holm's correction), a hollow one is not."
    return svg.forest("differences", "Differences and effects", about, groups, f"difference in {name}"), about


def attribution(verdict: Verdict) -> tuple[str, str] | None:
    """How many questions each category has: SVG and caption; None where no question has one."""
    found = verdict.get("attribution") or ()
    total = sum(each["count"] for each in found)
    if not total:
        return None
    marks = [
        Mark(
            each["title"],
            each["count"],
            text=f"{each['count']} ({figures.share(each['count'] / total)})",
            filled=each["category"] in _RIGHT,
        )
        for each in found
    ]
    about = "What each question owes its outcome to. Filled bars: the fullest arm is right; hollow ones: it is wrong."
    return svg.bars("attribution", "Attribution", about, marks, "questions"), about


_EFFECTS = {"tuning": "effect of tuning", "retrieval": "effect of retrieval", "interaction": "interaction"}


def _mean(verdict: Verdict, name: str) -> Mark:
    metric = verdict["metric"]
    return _mark(name, (arm(verdict, name).get("metrics") or {}).get(metric) or {}, metric, signed=False)


def _difference(label: str, row: Mapping[str, Any], metric: str, filled: bool) -> Mark:
    return _mark(label, row, metric, signed=True, filled=filled)


def _mark(label: str, row: Mapping[str, Any], metric: str, *, signed: bool, filled: bool = True) -> Mark:
    mean, low, high = (figures.scaled(row.get(name), unit(metric)) for name in ("mean", "low", "high"))
    return Mark(label, mean, low, high, figures.interval(row, unit(metric), signed=signed), filled)
