"""Where near-duplicates of a dataset begin: the threshold, and pairs that are only just on either side of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from screens.modals.dialog import Dialog
from screens.query_words import differing_spans
from screens.widgets.reading import Reading
from workbench.checks.cache import Cache
from workbench.checks.clusters import Example, examples
from workbench.checks.likeness import FLOOR
from workbench.checks.settings import CheckStore
from workbench.text import for_terminal
from workbench.workspace import Workspace

_LOOK = 600  # characters of a prompt that are shown


class NearDuplicates(Dialog[float | None]):
    """The threshold to apply; None when the user left with escape."""

    CSS_PATH = "near_duplicates.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close"),
        Binding("up", "step(0.01)", "Higher"),
        Binding("down", "step(-0.01)", "Lower"),
        Binding("ctrl+d,pagedown", "scroll(8)", "Scroll down", priority=True),
        Binding("ctrl+u,pageup", "scroll(-8)", "Scroll up", priority=True),  # else it empties the field
    ]

    def __init__(self, workspace: Workspace, dataset: str) -> None:
        super().__init__()
        self._workspace, self._dataset = workspace, dataset

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static(f"Near-duplicates of {self._dataset}", classes="dialog-title", markup=False)
            yield Static(
                f"Likeness from which on two prompts are the same, {FLOOR:g} to 1. It is of their meaning and their"
                " words; prompts with different numbers are never the same.",
                classes="dialog-detail",
                markup=False,
            )
            yield Input(id="threshold", compact=True)
            yield Static("", classes="dialog-fault", markup=False)
            yield Reading(Static(id="examples", markup=False))
            told = "[$foreground-muted]up and down change it · ctrl+d scrolls · enter applies · escape cancels[/]"
            yield Static(Content.from_markup(told), classes="dialog-keys")

    def on_mount(self) -> None:
        self.run_worker(self._begin, group="examples", exclusive=True, exit_on_error=False)

    async def _begin(self) -> None:
        threshold = await asyncio.to_thread(_threshold, self._workspace, self._dataset)
        field = self.query_one(Input)
        field.value = f"{threshold:g}"
        field.focus()

    @on(Input.Changed)
    def _changed(self) -> None:
        threshold = self._given
        fault = self.query_one(".dialog-fault", Static)
        fault.display = threshold is None
        fault.update(f"Give a number from {FLOOR:g} to 1.")
        if threshold is not None:
            self.run_worker(partial(self._look, threshold), group="examples", exclusive=True, exit_on_error=False)

    async def _look(self, threshold: float) -> None:
        found = await asyncio.to_thread(_examples, self._workspace, self._dataset, threshold)
        self.query_one("#examples", Static).update(_lines(found, self.app.key_of("pairs.check")))

    @on(Input.Submitted)
    def _submitted(self) -> None:
        if self._given is not None:
            self.dismiss(self._given)

    def action_step(self, by: float) -> None:
        if (threshold := self._given) is not None:
            self.query_one(Input).value = f"{min(1.0, max(FLOOR, threshold + by)):.3g}"

    def action_scroll(self, lines: int) -> None:
        self.query_one(Reading).scroll_relative(y=lines, animate=False)

    def action_leave(self) -> None:
        self.dismiss(None)

    @property
    def _given(self) -> float | None:
        try:
            threshold = float(self.query_one(Input).value)
        except ValueError:
            return None
        return threshold if FLOOR <= threshold <= 1 else None


def _threshold(workspace: Workspace, dataset: str) -> float:
    with CheckStore(workspace.database) as store:
        return store.check_settings(dataset).threshold


def _examples(workspace: Workspace, dataset: str, threshold: float) -> list[Example]:
    with CheckStore(workspace.database) as store, Cache(workspace) as cache:
        return examples(store, cache, dataset, threshold)


def _lines(found: list[Example], check: str) -> Content:
    if not found:
        words = "[$foreground-muted]Nothing is alike, or it was never checked: $check checks it.[/]"
        return Content.from_markup(words, check=check)
    parts: list[Content] = []
    for same, title, color in ((True, "the same", "text-success"), (False, "not the same", "text-error")):
        some = [example for example in found if example.same == same]
        if some:
            parts.append(Content.from_markup(f"[b ${color}]$title[/]", title=title))
        for example in some:
            first, second = (for_terminal(pair.prompt[:_LOOK]) for pair in (example.first, example.second))
            parts += [
                _prompt(f"{example.likeness:.3f}  {example.first.id:>6}  ", first, second),
                _prompt(f"       {example.second.id:>6}  ", second, first),
            ]
    return Content("\n").join(parts)


def _prompt(head: str, text: str, other: str) -> Content:
    content = Content(text)
    for start, end in differing_spans(text, other):
        content = content.stylize("$text-warning", start, end)
    return Content.from_markup("[$foreground-muted]$head[/]", head=head) + content
