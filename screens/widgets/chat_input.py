"""Where a question is written: enter sends it, ctrl+j and shift+enter begin a new line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea

_NEW_LINE = ("ctrl+j", "shift+enter", "alt+enter")


class ChatInput(TextArea):
    """It grows with its text; the up arrow in an empty one brings back earlier questions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "screen.scroll_transcript(-1)", "Scroll up", show=False),
        Binding("pagedown", "screen.scroll_transcript(1)", "Scroll down", show=False),
        # TextArea selects the line and all with them.
        Binding("f6", "screen.pane(1)", "Next pane", show=False),
        Binding("f7", "screen.better", "Better", show=False),
    ]

    @dataclass
    class Submitted(Message):
        """Enter was pressed on a text."""

        text: str

    class Left(Message):
        """Escape was pressed."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, highlight_cursor_line=False, placeholder="Ask a question")
        self.earlier: Sequence[str] = ()
        """Questions that the up arrow brings back, oldest first."""
        self.escape_leaves = True
        """Whether escape leaves the input; otherwise it is for the screen."""
        self._recalled: int | None = None

    def set_text(self, text: str) -> None:
        """Replace what stands there; the cursor is behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    async def _on_key(self, event: Key) -> None:
        if event.key == "enter":
            if self.text.strip():
                self.post_message(self.Submitted(self.text.strip()))
        elif event.key in _NEW_LINE:
            self.insert("\n")
        elif event.key == "escape" and self.escape_leaves:
            self.post_message(self.Left())
        elif not (event.key in ("up", "down") and self._recall(-1 if event.key == "up" else 1)):
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()

    def _recall(self, step: int) -> bool:
        """Show the question before or after the one recalled; False where the arrow has its usual meaning."""
        at = self._recalled
        if at is None or at >= len(self.earlier) or self.text != self.earlier[at]:
            if self.text or step > 0:
                return False
            at = len(self.earlier)
        at += step
        if at < 0:
            return bool(self.earlier)
        self._recalled = at if at < len(self.earlier) else None
        self.set_text(self.earlier[at] if at < len(self.earlier) else "")
        return True
