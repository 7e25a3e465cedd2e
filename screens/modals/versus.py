"""Two comparisons against each other on the questions that both asked: each arm before and after, and what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from screens.modals.hints import hints
from screens.widgets.columns import Column, columns
from screens.widgets.forest import Bar, forest
from screens.widgets.lists import Options
from screens.widgets.reading import Page
from screens.widgets.scores import direction, indented, line, muted, right_mark, said, title_of, unit_of
from workbench.compare import figures

_MOST = 1000  # changed questions that are listed
_UNCERTAIN = ("no measurable difference", "foreground-muted")
_ROOMY = 28  # rows of a screen on which the differences are drawn


class Versus(ModalScreen[int | None]):
    """The number, in the later comparison, of a question that changed; None when the user left with escape."""

    CSS_PATH = "versus.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Close")]

    def __init__(self, result: Mapping[str, Any]) -> None:
        """`result`: as `workbench.compare.versus.compare` makes it."""
        super().__init__()
        self._result = result
        self._changed: Sequence[Mapping[str, Any]] = result["changed"][:_MOST]

    def compose(self) -> ComposeResult:
        title = Content.from_markup(
            "[b]$first[/] [$foreground-muted]and then[/] [b]$second[/]",
            first=line(self._result["first"]),
            second=line(self._result["second"]),
        )
        with Vertical(classes="dialog dialog-wide"):
            yield Static(title, classes="dialog-title")
            yield Page(id="arms")
            yield Static(id="changed", markup=False)
            yield Options(markup=False)
            keys = [("enter", "open", "the answers")] if self._changed else []
            yield Static(hints(*keys, ("escape", "leave", "close")), classes="dialog-keys")

    def on_mount(self) -> None:
        drawn = self.app.size.height >= _ROOMY
        self.query_one("#arms", Page).show(partial(versus_lines, self._result, drawn=drawn))
        count = len(self._result["changed"])
        hidden = f", the first {_MOST:,}" if count > _MOST else ""
        words = f"Questions whose answer changed: {count:,}{hidden}" if count else "No question changed."
        self.query_one("#changed", Static).update(Content(words).stylize("bold $text-accent"))
        options = self.query_one(Options)
        options.display = bool(self._changed)
        arms = max((len(each["arm"]) for each in self._changed), default=0)
        options.add_options(Option(_changed(each, arms, self._result["metric"])) for each in self._changed)
        if self._changed:
            options.highlighted = 0
            options.focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._changed[event.option_index]["second_number"])

    def action_open(self) -> None:
        self.query_one(Options).action_select()

    def action_leave(self) -> None:
        self.dismiss(None)


def versus_lines(result: Mapping[str, Any], room: int, *, drawn: bool = True) -> list[Content]:
    """Each arm before and after; the differences with their intervals; what cannot be concluded.

    Args:
        result: as `workbench.compare.versus.compare` makes it.
        room: cells of a line.
        drawn: whether the intervals are drawn too.
    """
    unit = unit_of(result["metric"])
    lines: list[Content] = []
    for caution in result.get("cautions", ()):
        lines += indented(muted(line(caution)), room, Content.from_markup("[$text-warning]! [/]"))
    if not result["arms"]:
        return lines
    heads = (
        Column(title_of(result["metric"])),
        Column(line(result["first"])[:16], ">", "before"),
        Column(line(result["second"])[:16], ">", "after"),
        Column(""),
    )
    rows, bars = [], []
    for arm in result["arms"]:
        difference = arm["difference"]
        certain = bool(difference["measurable"])
        word, color = direction(result["metric"], difference["mean"]) if certain else _UNCERTAIN
        name = line(arm["arm"])
        told = Content.from_markup(
            f"[${color}]$word[/]  [$foreground-muted]$interval[/]",
            word=word,
            interval="" if drawn else figures.interval(difference, unit, signed=True),
        )
        rows.append((name, said(arm["first"], unit), said(arm["second"], unit), told))
        if difference["low"] is not None and difference["mean"] is not None:
            ends = (difference["mean"], difference["low"], difference["high"])
            bars.append(Bar(Content(name), *ends, color=color, certain=certain))
    lines += columns(heads, rows, room)
    if bars and drawn:
        about = f"differences, 95 % intervals, n = {result['n']:,}"
        lines += [Content(""), muted(about), *forest(bars, room, partial(said, unit=unit, sign=True), zero=True)]
    return lines


def _changed(each: Mapping[str, Any], arms: int, metric: str) -> Content:
    """Two rows: whether it was right and is; what it was and is."""
    first, second = each["first_score"], each["second_score"]
    rightness = {first, second} == {0.0, 1.0}  # told instead of the metric, wherever it is known
    _, color = direction("right" if rightness else metric, second - first)
    head = Content.from_markup(
        f"$arm  $first → [${color}]$second[/]  [b]$question[/]",
        arm=line(each["arm"]).ljust(arms),
        first=_value(first, metric),
        second=_value(second, metric),
        question=line(each["question"]),
    )
    return head + "\n" + muted(f"{'':{arms}}  {line(each['first'])} → {line(each['second'])}")


def _value(value: float, metric: str) -> str:
    """Right and wrong have their marks, other scores their figure."""
    return right_mark(value)[0] if value in (0.0, 1.0) else said(value, unit_of(metric), short=True)
