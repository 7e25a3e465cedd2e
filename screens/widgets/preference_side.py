"""One of two answers: its text with the words marked that the other has not; it can be edited in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static, TextArea

from screens.preference_words import shown, words
from screens.query_words import differing_spans
from screens.stand_ins import StandIns
from workbench.pairs.preferences import Side, Sides

if TYPE_CHECKING:
    from screens.app import WorkbenchApp

_MARKED = 6_000
"""Characters of an answer at most, so that comparing the words takes no longer than a blink (0.1 s)."""
_KEYS: dict[Side, str] = {"left": "h", "right": "l"}
"""Those that are shown where the keymap gives no others: the arrow keys have them, too."""


class PreferenceSide(VerticalScroll):
    """Give it sides with `show`."""

    DEFAULT_CSS = """
    PreferenceSide {
        width: 1fr; height: 100%; scrollbar-size-vertical: 1;
        & > TextArea { display: none; height: 1fr; background: $boost; }
        &.-editing > Static { display: none; }
        &.-editing > TextArea { display: block; }
    }
    """

    def __init__(self, side: Side) -> None:
        super().__init__(id=side, classes="panel", can_focus=False)
        self._side: Side = side
        self._text = ""
        self._stand_ins = StandIns("")

    def compose(self) -> ComposeResult:
        yield Static(markup=False)
        yield TextArea(compact=True, highlight_cursor_line=False)

    def show(self, sides: Sides | None) -> None:
        """Show the answer of this side; None: nothing."""
        better = sides is not None and sides.chosen == self._side
        self.set_class(better, "-better")
        app, id = cast("WorkbenchApp", self.app), f"prefer.{self._side}"
        key = app.key_of(id) if id in app.keymap else _KEYS[self._side]
        self.border_title = Content.from_markup(
            "[$text-success]✓ better[/]  $key" if better else "$key",
            key=f"◂ {key}  left" if self._side == "left" else f"right  {key} ▸",
        )
        self._text = sides.text(self._side) if sides else ""
        count = words(self._text)
        self.border_subtitle = f"{count:,} word{'' if count == 1 else 's'}" if sides else None
        self.query_one(Static).update(_content(self._text, sides.text(sides.other(self._side))) if sides else "")

    def begin_edit(self) -> None:
        """Put the cursor into the text."""
        self._stand_ins = StandIns(self._text)
        area = self.query_one(TextArea)
        area.text = self._stand_ins.shown
        area.move_cursor(area.document.end)
        self.add_class("-editing")
        area.focus()

    def end_edit(self) -> None:
        """Show the answer again as it is kept."""
        self.remove_class("-editing")
        self.screen.set_focus(None)

    @property
    def edited(self) -> str | None:
        """The text as it is edited now; None where nothing was changed."""
        text = self.query_one(TextArea).text
        return None if text == self._stand_ins.shown else self._stand_ins.restored(text)


def _content(text: str, other: str) -> Content:
    """What is painted: the words underlined that the other answer has not."""
    painted = shown(text)
    content = Content(painted)
    if max(len(painted), len(other)) <= _MARKED:
        for span in differing_spans(painted, shown(other)):
            content = content.stylize("$text-warning underline", *span)
    return content
