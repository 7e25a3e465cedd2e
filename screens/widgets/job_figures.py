"""A job's state and figures in words and marks, for lists and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text
from textual.content import Content

from screens.event_lines import expectations, is_number
from screens.run_history import RunHistory
from screens.watcher import Job
from screens.widgets.colors import theme_color
from screens.widgets.status_line import progress_bar
from workbench.jobs.folder import Status
from workbench.output import duration
from workbench.text import for_terminal

_MARKS = {
    "queued": ("◌", "warning"),
    "running": ("●", "primary"),
    "paused": ("‖", "warning"),
    "stopping": ("●", "warning"),
    "done": ("✓", "success"),
    "stopped": ("■", "warning"),
    "failed": ("✗", "error"),
    "lost": ("✗", "error"),
}

_UNITS = ("tokens/s", "GB", "cores", "GPU")
_FIGURES = (
    ("loss", "loss", ".3f"),
    ("eval_loss", "eval", ".3f"),
    ("best", "", ".3f"),
    ("tokens_per_second", "tokens/s", ",.0f"),
    ("memory_bytes", "GB", "bytes"),
    ("cpu", "cores", ".1f"),
    ("gpu", "GPU", ".0%"),
)
_OF_NOW = ("cpu", "gpu")


def state_mark(state: str, theme: Mapping[str, str]) -> Text:
    """The mark of a state for a table's cell, in the theme's colour for it (`app.theme_variables`)."""
    mark, color = _MARKS.get(state, ("?", "error"))
    # In a span: Text takes two to be equal that differ in their own style alone.
    return Text.assemble((mark, theme_color(theme, color)))


def state_content(state: str) -> Content:
    """Mark and word, in the theme's colour for it."""
    mark, color = _MARKS.get(state, ("?", "error"))
    return Content.from_markup(f"[$text-{color}]$mark $state[/]", mark=mark, state=for_terminal(state, one_line=True))


def figure(status: Status, name: str) -> str:
    """One of the latest figures, or nothing; the result of a job that is done knows best."""
    value = (status.result or {}).get(name, status.figures.get(name))
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def describe_run(run: Job, history: RunHistory, width: int) -> Content:
    """How far the run is or how it ended, what there is to know of it, its figures.

    Args:
        run: as it is now.
        history: what it told.
        width: cells of a line; figures that do not fit go to the next one.
    """
    lines = [_how_far(run)]
    if run.status.error:
        text = for_terminal(run.status.error, one_line=True)
        lines.append(Content.from_markup("[$text-error]$text[/]", text=text))
    elif run.status.state == "queued" and run.status.progress.message:
        text = for_terminal(run.status.progress.message, one_line=True)
        lines.append(Content.from_markup("[$foreground-muted]$text[/]", text=text))
    if line := run_news(run, history):
        lines.append(line)
    figures = _figures({**run.status.figures, **history.figures}, history, live=run.live)
    return Content("\n").join([*lines, *_lines(figures, width)])


def _how_far(run: Job) -> Content:
    status = run.status
    progress = status.progress
    parts = [state_content(status.state)]
    if progress.fraction is not None:
        parts.append(progress_bar(progress.fraction, 8))
        parts.append(Content(f"{progress.done:,g}/{progress.total:,g} {progress.unit}".rstrip()))
    if status.state == "running" and progress.seconds_left is not None:
        parts.append(Content(f"{duration(progress.seconds_left)} left"))
    elif status.started_at and status.finished_at:
        # Of all attempts; a job of an older version tells only of its last.
        seconds = status.figures.get("seconds")
        took = seconds if is_number(seconds) else status.finished_at - status.started_at
        parts.append(Content(f"took {duration(took)}"))
    return Content("  ").join(parts)


def run_news(run: Job, history: RunHistory) -> Content | None:
    """A line where there is one: that it stopped early, that it overfits, what of the pre-flight came true."""
    if stop := history.stopped_early:
        recipe = run.arguments.get("recipe")
        kept = not isinstance(recipe, dict) or recipe.get("load_best_model_at_end", True)
        text = f"■ stopped early at {stop.step:,g}: no better than at {stop.best_step:,g}"
        text += ", which is kept" if kept else ""
        return Content.from_markup("[$text-warning]$text[/]", text=text)
    if flag := history.overfitting:
        text = f"▲ overfitting since step {flag.step:,g}, the best is {flag.best_step:,g}"
        return Content.from_markup("[$text-warning]$text[/]", text=text)
    checked = expectations(history.preflight_check)
    if checked and not run.live:
        text = ", ".join(f"{actual} (expected {expected})" for _, expected, actual in checked)
        return Content.from_markup("[$foreground-muted]took[/] $text", text=text)
    return None


def _figures(figures: Mapping[str, Any], history: RunHistory, *, live: bool) -> list[Content]:
    """Losses first; speed, memory and load while they say something about now."""
    parts = []
    for name, label, form in _FIGURES:
        value = figures.get(name)
        if name == "best" and history.best is not None and len(history.series.get(history.best_of, ())) > 1:
            form = "[$foreground-muted]$best[/] $text [$foreground-muted]at[/] $step"
            label = "best" if history.best_of == "eval_loss" else "best reward"
            step, best = history.best
            parts.append(Content.from_markup(form, best=label, text=f"{best:.3f}", step=f"{step:,g}"))
        if not is_number(value) or (name in _OF_NOW and not live):
            continue
        text = f"{value / 1e9:.1f}" if form == "bytes" else f"{value:{form}}"
        form = "$text [$foreground-muted]$label[/]" if label in _UNITS else "[$foreground-muted]$label[/] $text"
        parts.append(Content.from_markup(form, label=label, text=text))
    return parts


def _lines(parts: list[Content], width: int) -> list[Content]:
    lines: list[Content] = []
    for part in parts:
        if lines and lines[-1].cell_length + 2 + part.cell_length <= width:
            lines[-1] = lines[-1] + Content("  ") + part
        else:
            lines.append(part)
    return lines
