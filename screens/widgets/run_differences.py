"""What runs differ in, in words: their figures and recipes as cells of tables, their pairs and samples as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.content import Content

from screens.recipe_fields import as_text
from screens.widgets.scores import indented, line, muted
from workbench.output import duration
from workbench.text import for_terminal
from workbench.training.run_comparison import RunComparison, RunFigures
from workbench.training.run_data import DataDifference, PairText

_LONGEST = 40  # cells of a value
_SIGNS = (("changed", "~", "$text-warning"), ("only_first", "−", "$text-error"), ("only_second", "+", "$text-success"))  # noqa: RUF001


def figure_heads(result: RunComparison) -> list[str]:
    """The headings of the figures, after the run's name; of the metrics, those that any run has."""
    metrics = dict.fromkeys(name for run in result.runs for name in run.metrics)
    return ["step", "eval loss", "best", "at", *map(line, metrics), "loss", "tokens/s", "took", "GB", "tags"]


def figure_cells(run: RunFigures, result: RunComparison) -> list[Text]:
    """A run's cells under `figure_heads`; the best of the losses is bold, and that of the rewards."""
    metrics = dict.fromkeys(name for each in result.runs for name in each.metrics)
    lowest = min((each.best_eval_loss for each in result.runs if each.best_eval_loss is not None), default=None)
    highest = max((each.best_eval_reward for each in result.runs if each.best_eval_reward is not None), default=None)
    judged = run.best_eval_loss if run.best_eval_reward is None else run.best_eval_reward
    best = _number(judged)
    if judged is not None and judged == (lowest if run.best_eval_reward is None else highest):
        best.stylize("bold")
    return [
        _right(f"{run.step}/{run.steps}" if run.steps else "-"),
        _number(run.eval_loss),
        best,
        _right("-" if run.best_step is None else str(run.best_step)),
        *(_number(run.metrics.get(name)) for name in metrics),
        _number(run.loss),
        _right("-" if run.tokens_per_second is None else f"{run.tokens_per_second:,.0f}"),
        _right("-" if run.seconds is None else duration(run.seconds)),
        _right("-" if run.peak_memory_bytes is None else f"{run.peak_memory_bytes / 1e9:.1f}"),
        Text(line(" ".join(run.tags)), no_wrap=True),
    ]


def recipe_cell(value: Any) -> Text:
    """A value of a recipe."""
    return Text("-" if value is None else line(_cut(as_text(value))), no_wrap=True)


def data_lines(result: RunComparison, room: int) -> list[Content]:
    """Each run's pairs against those of the first: how many differ, and the first few that do."""
    first = result.runs[0]
    lines: list[Content] = []
    for number, (run, data) in enumerate(zip(result.runs, result.data, strict=True)):
        begun = run.train_pairs is not None
        counts = f"{run.train_pairs:,} trained on, {run.eval_pairs:,} kept for evaluation" if begun else "no pairs yet"
        lines.append(Content.from_markup("[b]$run[/]  [$foreground-muted]$counts[/]", run=line(run.run), counts=counts))
        if data is not None:
            lines += _difference_lines(line(first.run), line(run.run), data, room)
        elif number and begun and first.train_pairs is not None:
            lines.append(muted(f"  the very same pairs as {line(first.run)}"))
        lines.append(Content(""))
    return lines


def sample_lines(result: RunComparison, room: int) -> list[Content]:
    """Each prompt with the answers of all runs below each other."""
    if not result.samples:
        return [muted("No samples yet: runs answer their fixed prompts at each evaluation.")]
    names = [line(run.run) for run in result.runs]
    width = min(16, max(map(len, [*names, "pair"])))
    lines: list[Content] = []
    for sample in result.samples:
        lines += indented(Content(for_terminal(sample.prompt)).stylize("bold"), room)
        if sample.reference:
            told = Content.from_markup("[$text-success]$text[/]", text=for_terminal(sample.reference))
            lines += indented(told, room, muted(f"  {'pair':{width}}  "))
        for name, answer in zip(names, sample.answers, strict=True):
            told = muted("was not asked") if answer is None else Content(for_terminal(answer))
            lines += indented(told, room, muted(f"  {name[:width]:{width}}  "))
        lines.append(Content(""))
    return lines


def _difference_lines(first: str, second: str, data: DataDifference, room: int) -> list[Content]:
    parts = [f"{data.same:,} the same", f"{data.changed:,} with another answer"]
    parts += [f"{data.only_first:,} only in {first}", f"{data.only_second:,} only in {second}"]
    if data.moved:
        parts.append(f"{data.moved:,} moved between training and evaluation")
    lines = indented(Content(f"against {first}: {', '.join(parts)}"), room, "  ")
    counts = {"changed": data.changed, "only_first": data.only_first, "only_second": data.only_second}
    for kind, sign, color in _SIGNS:
        shown: Sequence[PairText] = data.examples.get(kind, ())
        for pair in shown:
            head = Content.from_markup(f"  [{color}]$sign[/] ", sign=sign)
            lines += indented(Content(_cut(line(pair.prompt), 200)).stylize("bold"), room, head)
            lines += indented(muted(_cut(line(pair.answer), 200)), room, "    ")
            if pair.other is not None:
                lines += indented(Content(_cut(line(pair.other), 200)), room, muted("    → "))
        if counts[kind] > len(shown):
            lines.append(muted(f"  {sign} and {counts[kind] - len(shown):,} more"))
    return lines


def _cut(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _number(value: float | None) -> Text:
    return _right("-" if value is None else f"{value:.3f}")


def _right(text: str) -> Text:
    return Text(text, justify="right", no_wrap=True)
