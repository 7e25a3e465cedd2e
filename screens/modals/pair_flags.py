"""What the checks found of a pair; where another pair is concerned, both side by side with what differs marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from screens.modals.hints import hints
from screens.query_words import differing_spans
from screens.widgets.lists import Options
from screens.widgets.reading import Reading
from workbench.checks.findings import WORDS, Detail
from workbench.pairs.pair import Pair
from workbench.pairs.reading import Flag
from workbench.text import for_terminal

THRESHOLD = "threshold"
"""The result where the user wants to see where near-duplicates begin."""
_LOOK = 4000  # characters of a text that are shown and compared


class PairFlags(ModalScreen[Pair | str | None]):
    """The other pair to go to, `THRESHOLD`, or None when the user left with escape."""

    CSS_PATH = "pair_flags.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close"),
        Binding("t", "threshold", "Threshold"),
        Binding("tab", "app.focus_next", show=False),
    ]

    def __init__(self, pair: Pair, flags: Sequence[Flag], partners: Mapping[int, Pair]) -> None:
        """`partners`: the pairs that the flags are about, by their ids."""
        super().__init__()
        self._pair, self._flags, self._partners = pair, flags, partners

    def compose(self) -> ComposeResult:
        count = len(self._flags)
        words = f"{count} flag{'s' if count != 1 else ''}" if count else "no flags"
        with Vertical(classes="dialog"):
            yield Static(f"Pair {self._pair.id}: {words}", classes="dialog-title", markup=False)
            yield Options(*(Option(_told(flag)) for flag in self._flags), markup=False)
            with Horizontal():
                yield Reading(Static(id="own", markup=False))
                yield Reading(Static(id="other", markup=False), id="beside")
            keys = [("enter", "open", "the other pair")] if self._partners else []
            leave = ("escape", "leave", "close")
            yield Static(hints(*keys, ("t", "threshold", "threshold, examples"), leave), classes="dialog-keys")

    def on_mount(self) -> None:
        options = self.query_one(Options)
        options.display = bool(self._flags)
        if self._flags:
            options.highlighted = 0
            options.focus()
        else:
            self.query_one(Reading).focus()
        self._show(None)
        self._highlighted()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self) -> None:
        self._show(self._partner)

    @property
    def _partner(self) -> Pair | None:
        at = self.query_one(Options).highlighted
        return None if at is None else self._partners.get(Detail.read(self._flags[at].detail).pair or 0)

    def _show(self, partner: Pair | None) -> None:
        self.query_one("#own", Static).update(side_by_side(self._pair, partner))
        beside = self.query_one("#beside")
        beside.display = partner is not None
        if partner is not None:
            self.query_one("#other", Static).update(side_by_side(partner, self._pair))

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        if self._partner is not None:
            self.dismiss(self._partner)

    def action_open(self) -> None:
        self._selected()

    def action_threshold(self) -> None:
        self.dismiss(THRESHOLD)

    def action_leave(self) -> None:
        self.dismiss(None)


def side_by_side(pair: Pair, other: Pair | None) -> Content:
    """A pair, with the words marked that the other one has not."""
    head = f"Pair {pair.id} · {pair.status}"
    if other is not None and other.dataset != pair.dataset:
        head += f" · {pair.dataset}"
    parts = [Content(for_terminal(head, one_line=True)).stylize("$text-muted")]
    for label, text, others in _texts(pair, other):
        shown = for_terminal(text[:_LOOK])
        content = Content(shown)
        if others is not None:
            for start, end in differing_spans(shown, for_terminal(others[:_LOOK])):
                content = content.stylize("$text-warning reverse", start, end)
        parts.append(Content.from_markup("[$text-accent b]$label[/]\n", label=label) + content)
    return Content("\n\n").join(parts)


def _texts(pair: Pair, other: Pair | None) -> list[tuple[str, str, str | None]]:
    answers = {"completion": pair.completion, "chosen": pair.chosen, "rejected": pair.rejected}
    found = [("prompt", pair.prompt, other.prompt if other else None)]
    for label, text in answers.items():
        if text is not None:
            same = getattr(other, label) if other else None
            found.append((label, text, (same if same is not None else other.answer) if other else None))
    return found


def _told(flag: Flag) -> Content:
    detail = Detail.read(flag.detail)
    alike = f" (alike {detail.likeness:.2f})" if detail.likeness is not None else ""
    more = f", one of {detail.size}" if detail.size else ""
    return Content.from_markup(
        "[b $text-warning]$name[/]  $says[$foreground-muted]$more[/]\n[$foreground-muted]this pair $words[/]",
        name=for_terminal(flag.name, one_line=True),
        says=for_terminal(detail.says, one_line=True),
        more=alike + more,
        words=WORDS.get(flag.name, ""),
    )
