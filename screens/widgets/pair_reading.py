"""The whole of one pair, to be read: every turn, the answers, note, tags, source, and what the checks found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.commands import bindings
from screens.widgets.pair_table import MARKS
from workbench.pairs.pair import Pair
from workbench.pairs.reading import Flag
from workbench.text import for_terminal

COLORS = {"pending": "warning", "accepted": "success", "rejected": "error"}
"""The theme's colour of each status."""

_LOOK = 20_000  # characters of a text that are shown: wrapping a million would take seconds
_DETAIL = 300  # characters of what a check says


class PairReading(VerticalScroll, can_focus=True):
    """Wraps and scrolls; `show` gives it another pair."""

    BINDINGS = [  # noqa: RUF012
        *(binding for binding in bindings("lists")),
    ]

    def __init__(self) -> None:
        super().__init__(classes="panel")
        self._shown: tuple[Pair | None, Sequence[Flag]] = (None, ())
        self.view: Literal["pair", "changes", "history"] = "pair"
        """What is shown of a pair: the pair, what was changed since it was imported, or each change."""

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def on_mount(self) -> None:
        self.border_title = "Pair"

    def show(self, pair: Pair | None, flags: Sequence[Flag] = ()) -> None:
        """Show a pair from its beginning, or the same one where the reader was; None: nothing."""
        if self.view == "pair" and (pair, flags) == self._shown:
            return
        self.view = "pair"
        self._update(pair, flags, Content("\n\n").join(_parts(pair, flags)) if pair else Content(""))

    def show_view(self, view: Literal["changes", "history"], pair: Pair, text: Content) -> None:
        """Show something else of a pair, which somebody has looked up."""
        self.view = view
        self._update(pair, (), text)

    def _update(self, pair: Pair | None, flags: Sequence[Flag], text: Content) -> None:
        before, self._shown = self._shown[0], (pair, flags)
        self.query_one(Static).update(text)
        self.border_title = _title(pair, self.view) if pair else "Pair"
        self.border_subtitle = Content(for_terminal(pair.source, one_line=True)) if pair else None
        if pair is None or before is None or pair.id != before.id:
            self.scroll_home(animate=False, immediate=True)

    def action_cursor_down(self) -> None:
        self.scroll_down(animate=False)

    def action_cursor_up(self) -> None:
        self.scroll_up(animate=False)

    def action_first_row(self) -> None:
        self.scroll_home(animate=False)

    def action_last_row(self) -> None:
        self.scroll_end(animate=False)


def status_content(status: str) -> Content:
    """Mark and name of a status in the theme's colour for it."""
    return Content.from_markup(f"[$text-{COLORS[status]}]$mark $status[/]", mark=MARKS[status], status=status)


def _title(pair: Pair, view: str) -> Content:
    what = f"Pair {pair.id}" if view == "pair" else f"{view.capitalize()} of pair {pair.id}"
    parts = [Content(what), status_content(pair.status)]
    if pair.tags:
        parts.append(Content.from_markup("[$text-muted]$tags[/]", tags=for_terminal(", ".join(pair.tags))))
    return Content.from_markup("[$text-muted] · [/]").join(parts)


def _parts(pair: Pair, flags: Sequence[Flag]) -> list[Content]:
    *before, last = pair.messages
    parts = [Content("\n").join(_flag(flag) for flag in flags)] if flags else []
    parts += [Content("\n").join(_turn(message["role"], message["content"]) for message in before)] if before else []
    parts.append(_part("prompt", last["content"], "text-accent"))
    for label, text, color in (
        ("completion", pair.completion, "text-primary"),
        *(
            [("one answer", pair.chosen, "text-primary"), ("another answer", pair.rejected, "text-primary")]
            if pair.is_undecided
            else [("chosen", pair.chosen, "text-success"), ("rejected", pair.rejected, "text-error")]
        ),
    ):
        if text is not None:
            parts.append(_part(label, text, color))
    if pair.note:
        parts.append(_part("note", pair.note, "text-warning"))
    return parts


def _flag(flag: Flag) -> Content:
    return Content.from_markup(
        "[$text-warning b]! $name[/]  [$foreground-muted]$detail[/]",
        name=for_terminal(flag.name, one_line=True),
        detail=for_terminal(flag.detail[:_DETAIL], one_line=True),
    )


def _part(label: str, text: str, color: str) -> Content:
    return Content.from_markup(f"[${color} b]$label[/]\n$text", label=label, text=_shown(text))


def _turn(role: str, text: str) -> Content:
    """A turn before the prompt: what is decided about stands below, so this is brief and pale."""
    return Content.from_markup("[$foreground-muted][b]$role[/b]  $text[/]", role=role, text=_shown(text))


def _shown(text: str) -> str:
    more = len(text) - _LOOK
    return for_terminal(text[:_LOOK]) + (f"\n… {more:,} more characters" if more > 0 else "")
