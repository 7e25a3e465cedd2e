"""The last guard before the terminal: no widget, a third party's neither, can send it a control character."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from workbench.text import for_terminal


class Harmless(LineFilter):
    """Text is made safe where it enters a widget. This catches what was forgotten, and what libraries show by
    themselves: the names of files in a picker, what is pasted into an input. Textual 8.2.8 sends ESC to the terminal.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(control or for_terminal(text) == text for text, _, control in segments):
            return segments
        return [
            segment if segment.control else Segment("".join(map(_safe, segment.text)), segment.style)
            for segment in segments
        ]


def _safe(character: str) -> str:
    """As wide as it was taken for: what has no width is left out."""
    safe = for_terminal(character)
    return safe if safe == character or cell_len(character) else ""
