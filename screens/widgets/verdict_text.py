"""A verdict on one page, as lines made for a width: the recommendation first, then what it rests on. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from textual.content import Content

from screens.widgets.columns import Column, columns
from screens.widgets.forest import Bar, forest
from screens.widgets.scores import direction, flowed, indented, line, muted, said, title_of, unit_of
from workbench.compare import figures
from workbench.compare.settling import floor_of, settle
from workbench.compare.spec import MAIN
from workbench.output import duration

Verdict = Mapping[str, Any]


def verdict_lines(verdict: Verdict, room: int) -> list[Content]:
    """All of a verdict, as `workbench.compare.verdict.build` makes it."""
    parts = (
        _recommendation, _square, _means, _effects, _differences, _cautions, _attribution, _next, _decision,
        _every_metric, _retrieval, _costs, _asked,
    )  # fmt: skip
    sections = [lines for part in parts if (lines := part(verdict, room))]
    return [row for number, lines in enumerate(sections) for row in ([Content("")] if number else []) + lines]


def _recommendation(verdict: Verdict, room: int) -> list[Content]:
    mark = "[$text-success]▌[/] " if verdict.get("recommended") else "[$text-warning]▌[/] "
    bar = Content.from_markup(mark)
    text = Content(line(verdict["recommendation"])).stylize("bold")
    lines = [bar + row for row in text.wrap(max(10, room - 2))]
    if count := len(verdict.get("cautions", ())):
        words = f"{count} caution{'s' if count > 1 else ''} below: what cannot be concluded, and why"
        lines += indented(muted(words), room, Content.from_markup("[$text-warning]! [/]"))
    return lines


def _cautions(verdict: Verdict, room: int) -> list[Content]:
    lines = [_title("Cautions")] if verdict.get("cautions") else []
    for caution in verdict.get("cautions", ()):
        lines += indented(muted(line(caution)), room, Content.from_markup("[$text-warning]! [/]"))
    return lines


def _square(verdict: Verdict, room: int) -> list[Content]:
    """The 2x2: tuned or not, with retrieval or not."""
    means = {arm["arm"]: _mean(verdict, arm) for arm in verdict["arms"]}
    if not all(arm in means for arm in MAIN):
        return []
    cells = {arm: _cell(arm, means[arm], verdict) for arm in MAIN}
    rows = [
        (muted("not tuned"), cells["base"], cells["rag"]),
        (muted("tuned"), cells["tuned"], cells["hybrid"]),
    ]
    heads = (Column(""), Column("without retrieval"), Column("with retrieval"))
    return [_title(f"{_what(verdict)}, 2x2"), *columns(heads, rows, room)]


def _cell(arm: str, mean: Mapping[str, Any] | None, verdict: Verdict) -> Content:
    name = Content(arm.ljust(7)).stylize("bold $text-success" if arm == verdict.get("recommended") else "")
    value = said(mean["mean"] if mean else None, unit_of(verdict["metric"]))
    return name + Content.from_markup("[b]$value[/]", value=f"{value:>8}")


def _means(verdict: Verdict, room: int) -> list[Content]:
    unit = unit_of(verdict["metric"])
    bars = []
    for arm in verdict["arms"]:
        if (mean := _mean(verdict, arm)) and mean["low"] is not None:
            name = Content(line(arm["arm"])).truncate(12, ellipsis=True)
            best = arm["arm"] == verdict.get("recommended")
            color = "text-success" if best else "primary" if arm["arm"] in MAIN else "foreground-muted"
            bars.append(Bar(name.stylize("bold $text-success") if best else name, *_ends(mean), color=color))
    if not bars:
        return []
    title = _title(_what(verdict), f"mean and 95 % interval, n = {verdict['n']:,}")
    return [title, *forest(bars, room, partial(said, unit=unit), most=1.0 if unit == "share" else None)]


def _effects(verdict: Verdict, room: int) -> list[Content]:
    effects = verdict.get("effects", {}).get(verdict["metric"], ())
    bars = []
    for effect in effects:
        certain = bool(effect.get("measurable"))  # verdicts of before this field say nothing of it
        color = _color(verdict, effect, certain)
        bars.append(Bar(Content(line(effect["name"])), *_ends(effect), color=color, certain=certain))
    if not bars:
        return []
    return [_title("Effects", _unit_of_differences(verdict)), *forest(bars, room, _points(verdict), zero=True)]


def _differences(verdict: Verdict, room: int) -> list[Content]:
    found = verdict.get("differences", {}).get(verdict["metric"], ())
    bars, notes = [], []
    for difference in map(_of_the_fuller, found):
        certain = bool(difference["measurable"])
        label = f"{line(difference['first'])} {figures.MINUS} {line(difference['second'])}"
        color = _color(verdict, difference, certain)
        bars.append(Bar(Content(label), *_ends(difference), color=color, certain=certain))
        if not certain:
            floor = difference.get("floor", floor_of(verdict.get("noise")))
            told = settle(difference, difference["n"], floor, unit_of(verdict["metric"]))
            notes += indented(muted(told), room, muted(f"○ {label}: "))
    if not bars:
        return []
    if noise := verdict.get("noise"):
        bars.append(Bar(muted(f"{line(noise['arm'])} again"), *_ends(noise), color="foreground-muted", certain=False))
    title = _title("Differences", _unit_of_differences(verdict))
    return [title, *forest(bars, room, _points(verdict), zero=True), *notes]


def _of_the_fuller(difference: Mapping[str, Any]) -> Mapping[str, Any]:
    """The difference from the arm with less in it to the one with more, so that red means that more does harm."""
    first, second = difference["first"], difference["second"]
    if first not in MAIN or second not in MAIN or MAIN.index(first) > MAIN.index(second):
        return difference
    mean, low, high = _ends(difference)
    return {**difference, "first": second, "second": first, "mean": -mean, "low": -high, "high": -low}


def _attribution(verdict: Verdict, room: int) -> list[Content]:
    kinds = [kind for kind in verdict.get("attribution", ()) if kind["count"]]
    most = max((kind["count"] for kind in kinds), default=0)
    if not most:
        return []
    width = max(len(kind["title"]) for kind in kinds)
    cells = max(4, min(24, room - width - 10))
    lines = [_title("Why", "each question explained; v shows them")]
    for kind in kinds:
        lines.append(
            Content.from_markup(
                "$title  [$primary]$bar[/] [b]$count[/]",
                title=line(kind["title"]).ljust(width),
                bar="█" * max(1, round(cells * kind["count"] / most)),
                count=str(kind["count"]),
            )
        )
    return lines


def _next(verdict: Verdict, room: int) -> list[Content]:
    lines = [_title("What would help next")] if verdict.get("next") else []
    for number, advice in enumerate(verdict.get("next", ()), 1):
        lines += indented(Content(line(advice["advice"])), room, muted(f"{number}. "))
    return lines


def _decision(verdict: Verdict, room: int) -> list[Content]:
    """The field's table: a row a consideration, a column an arm; under each other where the columns have no room."""
    rows = verdict.get("decision", ())
    if not rows:
        return []
    arms = [arm["arm"] for arm in verdict["arms"] if any(arm["arm"] in row["values"] for row in rows)]
    lines = [_title("Decision table")]
    table = columns([Column(""), *(Column(line(arm), ">") for arm in arms)], _decision_rows(rows, arms), 10_000)
    fits = max(row.cell_length for row in table) <= room
    if fits:
        lines.append(table[0])
    for row, cells in zip(rows, table[1:], strict=True):
        if fits:
            lines.append(cells)
        else:
            lines += indented(Content(line(row["row"])).stylize("bold"), room)
        lines += indented(muted(line(row["measure"])), room, "  ")
        if not fits:
            given = [(arm, line(row["values"][arm])) for arm in arms if arm in row["values"]]
            pairs = [Content.from_markup("$arm [b]$value[/]", arm=line(arm), value=value) for arm, value in given]
            for part in flowed(pairs, room - 2, 3):
                lines += indented(part, room, "  ")
        if row.get("note"):
            lines += indented(muted(line(row["note"])), room, "  ")
    return lines


def _decision_rows(rows: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[list[Content | str]]:
    return [
        [Content(line(row["row"])).stylize("bold"), *(line(row["values"].get(arm, "")) for arm in arms)] for row in rows
    ]


def _every_metric(verdict: Verdict, room: int) -> list[Content]:
    from workbench.compare.metrics import METRICS

    arms = verdict["arms"]
    rows: list[list[Content | str]] = []
    for name, metric in METRICS.items():
        values = [_value(arm, name) for arm in arms]
        if any(value is not None for value in values):
            rows.append([metric.title, *(said(value, metric.unit, short=True) for value in values)])
    for side in ("precision", "recall"):
        values = [(arm.get("abstention") or {}).get(side) for arm in arms]
        if any(value is not None for value in values):
            rows.append([f"abstention, {side}", *(said(value, "share", short=True) for value in values)])
    heads = [Column(""), *(Column(line(arm["arm"]), ">") for arm in arms)]
    return [_title("Every metric", "shares are means, all else medians"), *columns(heads, rows, room)] if rows else []


def _value(arm: Mapping[str, Any], metric: str) -> float | None:
    if metric in (medians := arm.get("medians") or {}):
        return medians[metric]
    return (arm["metrics"].get(metric) or {}).get("mean")


def _retrieval(verdict: Verdict, room: int) -> list[Content]:
    found = verdict.get("retrieval")
    if not found:
        return []
    k = found["k"]
    values = [(f"hit@{k}", found["hit"]), (f"MRR@{k}", found["mrr"]), (f"nDCG@{k}", found["ndcg"])]
    text = "   ".join(f"{name} {figures.MISSING if value is None else f'{value:.2f}'}" for name, value in values)
    return [_title("Retrieval", f"{found['n']:,} questions whose place is known"), Content(text)]


def _costs(verdict: Verdict, room: int) -> list[Content]:
    costs = verdict.get("costs") or {}
    lines: list[Content] = []
    for noun, words in (("run", "to train"), ("index", "to index")):
        if part := costs.get(noun):
            facts = [f"{line(part.get('name', '?'))}: {duration(part.get('seconds'))} {words}"]
            if memory := part.get("peak_memory_bytes"):
                facts.append(f"{memory / 1e9:.1f} GB at most")
            facts += [f"{part[key]:,} {key}" for key in ("tokens", "documents", "chunks") if part.get(key)]
            lines += indented(Content(", ".join(facts)), room, muted(f"{noun:<8}"))
    if update := costs.get("update"):
        came = "the answer changed" if update.get("answer_changed") else "the answer did not change"
        text = f"{duration(update.get('seconds_to_answer'))} from a changed document to its answer ({came})"
        lines += indented(Content(text), room, muted("update  "))
    if machine := costs.get("machine"):
        parts = [machine.get("processor"), f"{machine['cores']} cores" if machine.get("cores") else None]
        parts.append(machine.get("gpu"))
        lines += indented(Content(line(", ".join(filter(None, parts)))), room, muted("machine "))
    return [_title("Costs"), *lines] if lines else []


def _asked(verdict: Verdict, room: int) -> list[Content]:
    spec = verdict["spec"]
    source = line(spec.get("question_set") or f"the eval split of {spec.get('run')}")
    parts = [
        f"{verdict['asked']:,} questions of {source}",
        f"seed {spec.get('seed')}", f"k {spec.get('top_k')}", f"{spec.get('max_new_tokens')} tokens at most",
    ]  # fmt: skip
    for name, key in (("sha256 of the set", "set_sha256"), ("of those asked", "asked_sha256")):
        if spec.get(key):
            parts.append(f"{name} {line(spec[key])[:12]}")
    return [_title("Asked"), *indented(muted(" · ".join(parts)), room)]


def _title(text: str, about: str = "") -> Content:
    title = Content.from_markup("[b $text-accent]$text[/]", text=text)
    return title + "  " + muted(about) if about else title


def _what(verdict: Verdict) -> str:
    title = line(verdict.get("metric_title") or title_of(verdict["metric"]))
    return title[:1].upper() + title[1:]


def _mean(verdict: Verdict, arm: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = arm["metrics"].get(verdict["metric"])
    return found if found and found["mean"] is not None else None


def _ends(value: Mapping[str, Any]) -> tuple[float, float, float]:
    return value["mean"], value["low"], value["high"]


def _color(verdict: Verdict, difference: Mapping[str, Any], certain: bool) -> str:
    return direction(verdict["metric"], difference["mean"])[1] if certain else "foreground-muted"


def _points(verdict: Verdict) -> Any:
    return partial(said, unit=unit_of(verdict["metric"]), sign=True)


def _unit_of_differences(verdict: Verdict) -> str:
    unit = unit_of(verdict["metric"])
    return f"in {'points' if unit == 'share' else unit}; ● measurable, ○ inside the noise"
