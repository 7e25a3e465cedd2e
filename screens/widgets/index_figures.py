"""An index and the job that builds it, in words and marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text
from textual.content import Content

from screens.library_state import IndexLine
from screens.times import ago
from screens.watcher import Job
from screens.widgets.colors import theme_color
from screens.widgets.status_line import progress_bar
from workbench.output import duration
from workbench.text import for_terminal

if TYPE_CHECKING:
    from workbench.library.in_step import InStep

_MARKS = {
    "ready": ("✓", "success"),
    "queued": ("◌", "warning"),
    "running": ("●", "primary"),
    "building": ("●", "primary"),
    "stopping": ("●", "warning"),
    "incomplete": ("■", "warning"),
    "stopped": ("■", "warning"),
}
_WRONG = ("✗", "error")


def index_mark(line: IndexLine, theme: Mapping[str, str]) -> Text:
    """The mark of an index's state for a table's cell (`app.theme_variables`)."""
    mark, color = _MARKS.get(line.state, _WRONG)
    return Text(mark, style=theme_color(theme, color))


def describe_index(line: IndexLine, not_indexed: int = 0) -> Content:
    """Two lines: what the index holds; or, while a job is at it, how far it is; or why it is not complete.

    Args:
        line: the index.
        not_indexed: files that the job going on has passed over.
    """
    if line.job is not None and line.job.live:
        return _describe_job(line.job, not_indexed)
    mark, color = _MARKS.get(line.state, _WRONG)
    parts = [Content.from_markup(f"[$text-{color}]$mark $state[/]", mark=mark, state=line.state)]
    summary = line.summary
    if summary is not None:
        parts.append(Content(_count(summary.documents, "document")))
        parts.append(Content(_count(summary.chunks, "chunk")))
        if summary.faults:
            parts.append(_not_indexed(summary.faults))
    if line.in_step is not None and line.state == "ready":
        parts.append(_in_step(line.in_step))
    return Content("\n").join([Content("  ").join(parts), _second_line(line)])


def _second_line(line: IndexLine) -> Content:
    if line.summary is None or (not line.summary.documents and line.state != "damaged"):
        return Content("")  # why is told where the documents would be
    if bad := line.ended_badly:
        reason = bad.status.error or ("its process is gone" if bad.status.state == "lost" else "asked to stop")
        return Content.from_markup(
            "[$text-error]$state: $reason[/]  [$foreground-muted]$go[/]",
            state=bad.status.state,
            reason=for_terminal(reason, one_line=True),
            go="u goes on where it was",
        )
    summary = line.summary
    if line.state == "damaged":
        text = "its database cannot be opened: move it away and build it again"
        return Content.from_markup("[$text-error]$text[/]", text=text)
    if line.in_step is not None and line.in_step.state == "behind":
        return Content.from_markup(
            "[$text-warning]$why[/]", why=for_terminal(f"not in step: {line.in_step.why}", one_line=True)
        )
    facts = [
        summary.embedding_model or "",
        f"updated {ago(summary.updated_at)}" if summary.updated_at else "",
        ", ".join(summary.sources),
    ]
    return Content.from_markup(
        "[$foreground-muted]$text[/]", text=for_terminal(" · ".join(filter(None, facts)), one_line=True)
    )


def _in_step(stands: InStep) -> Content:
    """How the index stands to its folders, in a few words; why it is behind has the second line to itself."""
    color = {"in step": "success", "behind": "warning"}.get(stands.state, "primary")
    words = "not in step" if stands.state == "behind" else stands.in_words
    looked = f"looked through every few seconds: {stands.looked}" if stands.looked else ""
    return Content.from_markup(
        f"[$text-{color}]$words[/]  [$foreground-muted]$looked[/]",
        words=for_terminal(words, one_line=True),
        looked=for_terminal(looked, one_line=True),
    )


def describe_absence(line: IndexLine | None) -> Content:
    """What is told in place of documents while there are none."""
    if line is None or line.state == "damaged":
        return Content("")
    if line.live:
        return Content.from_markup("[$foreground-muted]Its documents are listed when it is built.[/]")
    error = line.ended_badly.status.error if line.ended_badly else None
    return Content.from_markup(
        "[$text-error]$error[/]\n\n[$foreground-muted]Press[/] [b $text-accent]u[/] [$foreground-muted]to try again[/]",
        error=for_terminal(error or "The build did not come to its end."),
    )


def _describe_job(job: Job, not_indexed: int) -> Content:
    status, progress = job.status, job.status.progress
    mark, color = _MARKS.get(status.state, _WRONG)
    word = progress.message if status.state == "running" and progress.message else status.state
    first = [Content.from_markup(f"[$text-{color}]$mark $word[/]", mark=mark, word=for_terminal(word, one_line=True))]
    second = []
    if status.state == "queued":
        second.append(for_terminal(progress.message, one_line=True) or "waits for its turn")
    elif not progress.message and status.state == "running":
        second.append("the embedding model is loaded first")
    elif progress.fraction is not None:
        first.append(progress_bar(progress.fraction, 12))
        first.append(Content(f"{progress.done:,.0f}/{progress.total:,.0f} {progress.unit}"))
        rate = status.figures.get("chunks_per_second")
        if progress.unit == "chunks" and isinstance(rate, int | float):
            second.append(f"{rate:,.0f} chunks/s")
        if progress.seconds_left is not None:
            second.append(f"{duration(progress.seconds_left)} left")
    parts = [Content.from_markup("[$foreground-muted]$text[/]", text=text) for text in second]
    if not_indexed:
        parts.append(_not_indexed(not_indexed))
    return Content("\n").join([Content("  ").join(first), Content("  ").join(parts)])


def _not_indexed(count: int) -> Content:
    return Content.from_markup("[$text-warning]$text not indexed[/]", text=_count(count, "file"))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
