"""A verdict as one HTML page that holds all it shows: no script, no font, no picture, no request to anywhere.

Light: the app calls it. Whatever comes from users, documents and models goes through `escape`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.compare.metrics import METRICS
from workbench.compare.question import Question
from workbench.compare.report import costs, plots, tables
from workbench.compare.report.answers import behind_the_counts
from workbench.compare.report.markdown import advice, subtitle
from workbench.compare.report.style import STYLE
from workbench.compare.report.svg import escape
from workbench.compare.report.tables import Table
from workbench.compare.store import Answered, Ranking


def html(
    verdict: dict[str, Any],
    questions: Sequence[Question],
    answers: Sequence[Answered],
    rankings: Mapping[int, Ranking],
) -> str:
    """The verdict on a page, then the questions behind its counts with their answers side by side.

    Args:
        verdict: see `workbench.compare.verdict.build`.
        questions: those of the comparison, by number.
        answers: as far as there are any.
        rankings: what the index held for them, by number.
    """
    metric = verdict["metric"]
    others = [name for name in verdict.get("differences") or {} if name != metric]
    counts = _table(tables.attribution(verdict), "last-wraps", captioned=False)
    parts = [
        f"<h1>Verdict: {escape(verdict['comparison'])}</h1>",
        f'<p class="recommendation">{escape(verdict["recommendation"])}</p>',
        f'<p class="quiet">{escape(subtitle(verdict))}</p>',
        *_list("What cannot be concluded", verdict.get("cautions") or (), "ul"),
        "<h2>Without and with each</h2>",
        _table(tables.two_by_two(verdict), "square"),
        _figure(plots.interaction(verdict)),
        _figure(plots.means(verdict)),
        _figure(plots.differences(verdict)),
        _table(tables.effects(verdict, metric)),
        *_section("Decision table", [_table(tables.decision(verdict), "", captioned=False)]),
        *_list("What would help most next", map(advice, verdict.get("next") or ()), "ol"),
        *_section("Costs", [_table(costs.upfront(verdict), "last-wraps"), _table(costs.a_question(verdict))]),
        *_section("Attribution", [_figure(plots.attribution(verdict)), counts]),
        *behind_the_counts(verdict, questions, answers, rankings),
        *_section("Every figure", [_table(tables.metrics(verdict)), _table(tables.retrieval(verdict))]),
        _table(tables.differences(verdict, metric)),
        *(_table(table) for name in others for table in tables.tested(verdict, name)),
        "<h2>How it was measured</h2>",
        _table(costs.measured(verdict), "hashes"),
        *(f"<p>{escape(each)}</p>" for each in tables.HOW_COUNTED),
        *_metrics(verdict),
    ]
    return _page(f"Verdict: {verdict['comparison']}", "\n".join(filter(None, parts)))


def _page(title: str, body: str) -> str:
    # The hash lets this style in and no other; all else is shut.
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, parts: Iterable[str]) -> list[str]:
    shown = [part for part in parts if part]
    return [f"<h2>{title}</h2>", *shown] if shown else []


def _list(title: str, items: Iterable[str], tag: str) -> list[str]:
    shown = "".join(f"<li>{escape(item)}</li>" for item in items)
    return [f"<h2>{title}</h2>", f"<{tag}>{shown}</{tag}>"] if shown else []


def _figure(plot: tuple[str, str] | None) -> str:
    return f"<figure>{plot[0]}<figcaption>{escape(plot[1])}</figcaption></figure>" if plot else ""


def _table(table: Table | None, kind: str = "figures", *, captioned: bool = True) -> str:
    """A table of a class of `report_style`; nothing if there is none. A heading may stand in for its caption."""
    if table is None:
        return ""
    caption = f"<caption>{escape(table.title)}</caption>" if captioned else ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in table.columns)
    rows = []
    for name, *cells in table.rows:
        rest = "".join(f"<td>{escape(cell, lines=True)}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{rest}</tr>')
    named = f' class="{kind}"' if kind else ""
    return (
        f'<div class="wide"><table{named}>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        + (f'<p class="note">{escape(table.note)}</p>' if table.note else "")
    )


def _metrics(verdict: Mapping[str, Any]) -> list[str]:
    """What each metric shown means."""
    shown = {name for each in verdict.get("arms") or () for name in each.get("metrics") or ()}
    told = "".join(
        f"<dt>{escape(metric.title)}</dt><dd>{escape(metric.about)}</dd>"
        for name, metric in METRICS.items()
        if name in shown
    )
    return [f"<details><summary>What each metric means</summary><dl>{told}</dl></details>"] if told else []
