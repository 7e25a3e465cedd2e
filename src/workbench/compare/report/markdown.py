"""A verdict, and two comparisons against each other, as Markdown that renders on GitHub. Light: the app calls it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from workbench.compare import figures
from workbench.compare.report import costs, tables
from workbench.compare.report.tables import Table
from workbench.text import for_terminal

# What Markdown, and HTML in it, acts on: an underscore does at the edge of a word, < and & before a letter or a sign.
_ACTS = re.compile(r"[\\`*\[\]>|~#$]|<(?=[A-Za-z/!?])|&(?=[#A-Za-z])|(?<![^\W_])_|_(?![^\W_])")


def markdown(verdict: dict[str, Any], *, whole: bool = True) -> str:
    """The verdict on a page, without the questions behind its counts.

    Args:
        verdict: see `workbench.compare.verdict.build`.
        whole: with every figure and how it was measured; else what one decides by.

    Returns:
        Markdown (GitHub's); texts of others in it are escaped.
    """
    metric = verdict["metric"]
    blocks = _decided_by(verdict, metric)
    if whole:
        blocks += _measured(verdict, metric)
    return "\n\n".join(blocks) + "\n"


def _decided_by(verdict: dict[str, Any], metric: str) -> list[str]:
    return [
        f"# Verdict: {escape(verdict['comparison'])}",
        f"**{escape(verdict['recommendation'])}**",
        escape(subtitle(verdict)),
        *_list("What cannot be concluded", verdict.get("cautions") or ()),
        *_section("Without and with each", [tables.two_by_two(verdict)]),
        *_section("", tables.tested(verdict, metric)),
        *_section("Decision table", [tables.decision(verdict)]),
        *_list("What would help most next", map(advice, verdict.get("next") or ()), "1."),
        *_section("Costs", [costs.upfront(verdict), costs.a_question(verdict)]),
        *_section("Attribution", [tables.attribution(verdict)]),
    ]


def _measured(verdict: dict[str, Any], metric: str) -> list[str]:
    others = [name for name in verdict.get("differences") or {} if name != metric]
    return [
        *_section("Every figure", [tables.metrics(verdict), tables.retrieval(verdict)]),
        *_section("", [table for name in others for table in tables.tested(verdict, name)]),
        *_section("How it was measured", [costs.measured(verdict)]),
        *map(escape, tables.HOW_COUNTED),
    ]


def versus_markdown(found: dict[str, Any]) -> str:
    """Two comparisons on the questions that both asked.

    Args:
        found: see `workbench.compare.versus.compare`.
    """
    metric = found["metric"]
    unit = tables.unit(metric)
    rows = []
    for each in found.get("arms") or ():
        change = each.get("difference") or {}
        means = (figures.number(each.get(name), unit) for name in ("first", "second"))
        told = figures.interval(change, unit, signed=True)
        measurable = "yes" if change.get("measurable") else "no"
        rows.append((str(each["arm"]), *means, told, figures.p_value(change.get("p")), measurable))
    columns = ("", str(found["first"]), str(found["second"]), "difference", "p", "measurable")
    changed = [
        (str(each["arm"]), str(each["question"]), str(each["first"]), str(each["second"]))
        for each in found.get("changed") or ()
    ]
    answers = Table("Answers", ("", "question", str(found["first"]), str(found["second"])), tuple(changed))
    blocks = [
        f"# {escape(str(found['first']))} and then {escape(str(found['second']))}",
        f"{figures.count(found.get('n'))} questions stand in both.",
        *_list("What cannot be concluded", found.get("cautions") or ()),
        *_section(tables.heading(metric), [Table("", columns, tuple(rows)) if rows else None]),
        *_section("Answers that changed", [answers if changed else None]),
    ]
    return "\n\n".join(blocks) + "\n"


def subtitle(verdict: Mapping[str, Any]) -> str:
    """How many questions it rests on, and when."""
    n, asked = (figures.count(verdict.get(name)) for name in ("n", "asked"))
    return f"{n} of {asked} questions could be scored for every main arm; {figures.moment(verdict.get('made_at'))}."


def advice(row: Mapping[str, Any]) -> str:
    """A piece of advice with the number of questions that it would help, where the sentence does not tell it."""
    number = row.get("questions")
    if not figures.known(number) or re.search(rf"\b{number}\b", row["advice"]):
        return str(row["advice"])
    return f"{row['advice']} ({figures.count(number)} {'question' if number == 1 else 'questions'})"


def escape(text: object) -> str:
    """Text on one line in which Markdown, HTML and a terminal see nothing but text."""
    return _ACTS.sub(r"\\\g<0>", for_terminal(str(text), one_line=True)).strip()


def _list(title: str, items: Iterable[str], mark: str = "-") -> list[str]:
    lines = [f"{mark} {escape(item)}" for item in items]
    return [f"## {title}", "\n".join(lines)] if lines else []


def _section(title: str, tables: Iterable[Table | None]) -> list[str]:
    shown = [block for table in tables if table for block in _table(table, title)]
    return [f"## {title}", *shown] if shown and title else shown


def _table(table: Table, section: str) -> list[str]:
    head, *rows = [_line(map(escape, cells)) for cells in (table.columns, *table.rows)]
    text = "\n".join([head, _line("---" for _ in table.columns), *rows])
    blocks = [f"### {escape(table.title)}"] if table.title and table.title != section else []
    return [*blocks, text, *([escape(table.note)] if table.note else [])]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
