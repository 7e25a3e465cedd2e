"""One to four transcripts side by side: one, two in a row, four in two rows; where there is no room for two rows, the
two of the row that is current."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.message import Message

from screens.conversation import MOST_PANES, Turn
from screens.widgets.hybrid_bar import ARMS
from screens.widgets.transcript import Transcript
from workbench.hybrid import Hybrid
from workbench.text import for_terminal

_ROOMY = 18  # rows in which two rows of panes are readable


class Pane(Vertical):
    """A transcript, and in its frame which hybrid answers."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        """From 0."""
        self.transcript = Transcript(pane=number)

    def compose(self) -> ComposeResult:
        yield self.transcript

    def show_hybrid(self, hybrid: Hybrid) -> None:
        """Name the hybrid in the frame."""
        self.transcript.hybrid = str(hybrid)
        color, _ = ARMS[hybrid.arm]
        parts = " ".join(filter(None, (hybrid.lora and f"+{hybrid.lora}", hybrid.rag and f"+{hybrid.rag}")))
        title = Content.from_markup(
            f"$number [b ${color}]$arm[/] [$foreground-muted]$parts[/]",
            number=str(self.number + 1),
            arm=hybrid.arm,
            parts=for_terminal(parts or hybrid.base.rsplit("/", 1)[-1], one_line=True),
        )
        self.border_title = title  # pyright: ignore[reportAttributeAccessIssue] - it takes Content, and says str


class Panes(Container):
    """The panes of a chat; one of them is the current one, to which keys go."""

    DEFAULT_CSS = """
    Panes {
        layout: grid;
        grid-size: 1 1;
        height: 1fr;
        &.-two { grid-size: 2 1; }
        &.-four { grid-size: 2 2; }
        & > Pane { height: 100%; }
        &.-several > Pane {
            border: round $surface-lighten-2;
            border-title-color: $foreground;
            &.-current { border: round $primary; }
            & TurnView { padding: 0; }
            & TurnView > .question { max-height: 2; }
            & TurnView > .asked { display: none; }
            & TurnView.-another > .asked { display: block; }
            & TurnView > Markdown, & TurnView > .figures, & TurnView > .asked { padding: 0 1; }
        }
        &.-three > Pane.-last { column-span: 2; }
    }
    """

    @dataclass
    class Changed(Message):
        """Another pane is the current one."""

        pane: int

    def __init__(self) -> None:
        super().__init__()
        self._panes = [Pane(0)]
        self.current = 0
        """The number of the current pane, from 0."""
        self.changing = asyncio.Lock()
        """Held while panes or chats come and go, and while a question is added to them."""

    def compose(self) -> ComposeResult:
        yield from self._panes

    @property
    def transcript(self) -> Transcript:
        """Of the current pane."""
        return self._panes[self.current].transcript

    def transcript_of(self, pane: int) -> Transcript | None:
        """Of the pane at a place; None if there is none."""
        return self._panes[pane].transcript if 0 <= pane < len(self._panes) else None

    async def show(self, hybrids: Sequence[Hybrid], turns: Sequence[Sequence[Turn]], at: int | None = None) -> None:
        """Have a pane for each of these hybrids and chats; `at`: see `Transcript.show`."""
        gone = self._panes[len(turns) :]
        del self._panes[len(turns) :]
        await self.remove_children(gone)
        for number in range(len(self._panes), min(len(turns), MOST_PANES)):
            self._panes.append(pane := Pane(number))
            await self.mount(pane)
        self.current = min(self.current, len(self._panes) - 1)
        self.show_hybrids(hybrids)
        self._lay_out()
        for pane, each in zip(self._panes, turns, strict=True):
            await pane.transcript.show(each, at)

    async def update(self, turns: Sequence[Sequence[Turn]]) -> None:
        """Show the same chats again, in which some turns are others now, or have changed."""
        for pane, each in zip(self._panes, turns, strict=False):
            await pane.transcript.update(each)

    def show_hybrids(self, hybrids: Sequence[Hybrid]) -> None:
        """Name the hybrids in the frames."""
        for pane, hybrid in zip(self._panes, hybrids, strict=False):
            pane.show_hybrid(hybrid)

    def go_to(self, pane: int) -> None:
        """Make a pane the current one."""
        before, self.current = self.current, pane % len(self._panes)
        if self.current != before:
            self._lay_out()
            self.post_message(self.Changed(self.current))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if isinstance(event.widget, Transcript):
            self.go_to(event.widget.pane)

    def on_click(self, event: events.Click) -> None:
        for pane in self._panes:
            if event.widget is not None and pane in event.widget.ancestors_with_self:
                self.go_to(pane.number)

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        count = len(self._panes)
        both_rows = count <= 2 or self.size.height >= _ROOMY
        row = self.current // 2
        shown = [pane for pane in self._panes if both_rows or pane.number // 2 == row]
        for pane in self._panes:
            pane.display = pane in shown
            pane.set_class(pane.number == self.current, "-current")
            pane.set_class(pane is shown[-1], "-last")
        self.set_class(count > 1, "-several")
        self.set_class(len(shown) == 2, "-two")
        self.set_class(len(shown) > 2, "-four")
        self.set_class(len(shown) == 3, "-three")
