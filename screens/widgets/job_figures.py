"""A job's state and figures in words and marks, for lists and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text
from textual.content import Content

from screens.watcher import Job
from screens.widgets.colors import theme_color
from screens.widgets.status_line import progress_bar
from workbench.jobs.folder import Status
from workbench.output import duration
from workbench.text import for_terminal

_MARKS = {
    "queued": ("◌", "warning"),
    "running": ("●", "primary"),
    "stopping": ("●", "warning"),
    "done": ("✓", "success"),
    "stopped": ("■", "warning"),
    "failed": ("✗", "error"),
    "lost": ("✗", "error"),
}

_UNITS = ("tokens/s", "GB")


def state_mark(state: str, theme: Mapping[str, str]) -> Text:
    """The mark of a state for a table's cell, in the theme's colour for it (`app.theme_variables`)."""
    mark, color = _MARKS.get(state, ("?", "error"))
    return Text(mark, style=theme_color(theme, color))


def state_content(state: str) -> Content:
    """Mark and word, in the theme's colour for it."""
    mark, color = _MARKS.get(state, ("?", "error"))
    return Content.from_markup(f"[$text-{color}]$mark $state[/]", mark=mark, state=for_terminal(state, one_line=True))


def figure(status: Status, name: str) -> str:
    """One of the latest figures, or nothing; the result of a job that is done knows best."""
    value = (status.result or {}).get(name, status.figures.get(name))
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def describe_run(run: Job, figures: Mapping[str, Any]) -> Content:
    """Two lines: how far the run is, and its figures; or how it ended."""
    status = run.status
    progress = status.progress
    first = [state_content(status.state)]
    if progress.fraction is not None:
        first.append(progress_bar(progress.fraction, 8))
        first.append(Content(f"{progress.done:g}/{progress.total:g} {progress.unit}".rstrip()))
    if status.state == "running" and progress.seconds_left is not None:
        first.append(Content(f"{duration(progress.seconds_left)} left"))
    elif status.started_at and status.finished_at:
        first.append(Content(f"took {duration(status.finished_at - status.started_at)}"))
    lines = [Content("  ").join(first)]
    if status.error:
        lines.append(Content.from_markup("[$text-error]$error[/]", error=for_terminal(status.error, one_line=True)))
    elif status.state == "queued" and progress.message:
        lines.append(
            Content.from_markup("[$foreground-muted]$text[/]", text=for_terminal(progress.message, one_line=True))
        )
    else:
        lines.append(_figures({**status.figures, **figures}))
    return Content("\n").join(lines)


def _figures(figures: Mapping[str, Any]) -> Content:
    parts = []
    for name, label, form in (
        ("loss", "loss", ".3f"),
        ("eval_loss", "eval", ".3f"),
        ("learning_rate", "lr", ".1e"),
        ("tokens_per_second", "tokens/s", ",.0f"),
        ("memory_bytes", "GB", "bytes"),
    ):
        value = figures.get(name)
        if isinstance(value, int | float):
            text = f"{value / 1e9:.1f}" if form == "bytes" else f"{value:{form}}"
            form = "$text [$foreground-muted]$label[/]" if label in _UNITS else "[$foreground-muted]$label[/] $text"
            parts.append(Content.from_markup(form, label=label, text=text))
    return Content("  ").join(parts)
