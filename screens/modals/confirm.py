"""Ask yes or no."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from workbench.text import for_terminal


class Confirm(ModalScreen[bool]):
    """A question; the result is True for yes. Escape and `n` say no, `y` says yes; in danger, enter says no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left,right,h,l", "app.focus_next", "Other button", show=False),
    ]

    def __init__(
        self, question: str, detail: str = "", *, yes: str = "Yes", no: str = "No", danger: bool = False
    ) -> None:
        super().__init__()
        self._question, self._detail = for_terminal(question), for_terminal(detail)
        self._yes, self._no, self._danger = yes, no, danger

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="dialog-title")
            if self._detail:
                yield Static(Content(self._detail), classes="dialog-detail")
            with Horizontal(classes="dialog-buttons"):
                yield Button(Content(self._yes), id="yes", variant="error" if self._danger else "primary")
                yield Button(Content(self._no), id="no")

    def on_mount(self) -> None:
        if self._danger:  # enter alone loses nothing
            self.query_one("#no").focus()

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


def leave_edited(dialog: ModalScreen[bool], changed: bool) -> None:
    """Dismiss a dialog with False; what was changed in it is thrown away only if the user says so."""
    if not changed:
        dialog.dismiss(False)
        return

    def answered(yes: bool | None) -> None:
        if yes:
            dialog.dismiss(False)

    dialog.app.push_screen(
        Confirm("Throw away what you changed?", yes="Throw away", no="Go on editing", danger=True), answered
    )
