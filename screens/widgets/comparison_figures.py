"""A comparison's state, and the figures of one that is being answered, in words and bars. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text
from textual.content import Content

from screens.compare_state import ComparisonLine, Means
from screens.widgets.columns import Column, columns
from screens.widgets.job_figures import state_content, state_mark
from screens.widgets.scores import line, muted, said, title_of, unit_of
from screens.widgets.status_line import progress_bar
from workbench.compare.figures import MISSING
from workbench.output import duration

_BAR = 20  # cells of the highest mean
WELCOME = Content.from_markup(
    "[b]No comparison yet.[/]\n\n"
    "[$foreground-muted]A comparison asks the same questions of the base model, of the tuned one, of both with"
    " retrieval, and tells which of the two your task needs, how sure that is, and why for every question.[/]\n\n"
    "[b $text-accent]n[/]  starts one, with a run, an index or both.\n"
    "[b $text-accent]i[/]  brings in questions of your own: JSONL, JSON, CSV or Parquet with columns such as\n\n"
    "   [$text-primary]question, answer[/]                 [$foreground-muted]or answers, a list[/]\n"
    "   [$text-primary]answerable[/]                       [$foreground-muted]true or false[/]\n"
    "   [$text-primary]document, context[/]                [$foreground-muted]where the answer stands[/]\n"
    "   [$text-primary]pattern, schema[/]                  [$foreground-muted]a format to hold[/]\n\n"
    "[$foreground-muted]Without a set, the questions are those of the run's eval split.[/]"
)


COLUMNS = (("", 1), ("comparison", 12), ("asked", None), ("use", 6))
"""Of the list of comparisons: each one's title and width."""


def cells(shown: ComparisonLine, theme: Mapping[str, str]) -> tuple[Text, ...]:
    """A comparison's row in the list; `theme`: `app.theme_variables`."""
    fraction = shown.comparison.answers / shown.asked if shown.asked else 0.0
    asked = f"{shown.comparison.questions:,}" if shown.state == "done" else f"{int(fraction * 100)}%"
    return (
        state_mark(shown.state, theme),
        Text(line(shown.name), no_wrap=True, overflow="ellipsis"),
        Text(asked, justify="right"),
        Text(line(shown.recommended) or (MISSING if shown.comparison.verdict else "")),
    )


def describe_comparison(shown: ComparisonLine) -> Content:
    """Two lines: how far it is, or how it ended; and what is compared on which questions."""
    comparison, job = shown.comparison, shown.job
    spec = comparison.spec
    first = [state_content(shown.state)]
    if shown.live and shown.asked:
        first.append(progress_bar(comparison.answers / shown.asked, 8))
    first.append(Content(f"{comparison.answers:,}/{shown.asked:,} answers"))
    if job is not None:
        status = job.status
        if status.state == "running" and status.progress.seconds_left is not None:
            first.append(Content(f"{duration(status.progress.seconds_left)} left"))
        elif status.started_at and status.finished_at:
            first.append(muted(f"took {duration(status.finished_at - status.started_at)}"))
    if job is not None and job.status.error and shown.state == "failed":
        second = Content.from_markup("[$text-error]$error[/]", error=line(job.status.error))
    elif job is not None and shown.live and shown.state == "queued":
        second = muted(line(job.status.progress.message) or "waits for its turn")
    else:
        facts = [
            f"run {spec['run']}" if spec.get("run") else "no tuning",
            f"index {spec['index']}" if spec.get("index") else "no retrieval",
            f"{comparison.questions:,} questions of {spec.get('question_set') or 'the eval split'}",
        ]
        second = muted(line(" · ".join(facts)))
    return Content("\n").join([Content("  ").join(first), second])


def live_lines(shown: ComparisonLine, means: Means | None, room: int) -> list[Content]:
    """The means per arm so far: first of the comparison's metric as bars, then of what is watched beside it."""
    values = means.values if means is not None and means.comparison == shown.comparison.id else {}
    arms, metric = shown.comparison.arms, shown.metric
    main = values.get(metric, {})
    title = title_of(metric)
    title = title[:1].upper() + title[1:]
    lines = [
        Content.from_markup(
            "[b $text-accent]$title so far[/]  [$foreground-muted]means, without a conclusion yet[/]", title=title
        )
    ]
    most = 1.0 if unit_of(metric) == "share" else max((mean or 0.0 for mean, _ in main.values()), default=0.0) or 1.0
    label = max((len(arm) for arm in arms), default=0)
    bar = max(6, min(_BAR * 2, room - label - 22))
    for arm in arms:
        mean, count = main.get(arm, (None, 0))
        full = round(bar * min(1.0, (mean or 0.0) / most))
        lines.append(
            Content.from_markup(
                "$arm  [$primary]$full[/][$surface-lighten-2]$rest[/]  [b]$mean[/]  [$foreground-muted]n $n[/]",
                arm=line(arm).ljust(label),
                full="━" * full,
                rest="━" * (bar - full),
                mean=f"{said(mean, unit_of(metric)):>7}",
                n=f"{count:,}",
            )
        )
    others = [name for name in values if name != metric]
    if others:
        heads = [Column("so far"), *(Column(line(arm), ">") for arm in arms)]
        rows = [
            [title_of(name), *(said(values[name].get(arm, (None, 0))[0], unit_of(name)) for arm in arms)]
            for name in others
        ]
        lines += [Content(""), *columns(heads, rows, room)]
    return lines


def describe_absence(shown: ComparisonLine) -> list[Content]:
    """What is told where a verdict would be."""
    if shown.state == "done":
        words, key, does = "Its job is done, but there is no verdict.", "u", "makes it from the answers"
    elif shown.comparison.answers:
        words, key, does = "It did not come to its end.", "r", "goes on; u makes a verdict of what is answered"
    else:
        words, key, does = "Nothing was answered yet.", "r", "starts it again"
    return [
        Content.from_markup("[$foreground-muted]$words[/]", words=words),
        Content.from_markup("[b $text-accent]$key[/] [$foreground-muted]$does[/]", key=key, does=does),
    ]
