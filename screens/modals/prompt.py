"""Ask for one line of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from workbench.errors import UserError
from workbench.text import for_terminal


class Prompt(ModalScreen[str | None]):
    """One line of text; the result is None when the user left with escape.

    Args:
        question: what is asked.
        value: what stands there at first.
        detail: a line of explanation.
        placeholder: an example of an answer.
        suggestions: completions, taken with the right arrow.
        check: called with the answer; raises `UserError` to refuse it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    def __init__(
        self,
        question: str,
        value: str = "",
        *,
        detail: str = "",
        placeholder: str = "",
        suggestions: Sequence[str] = (),
        check: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__()
        self._question, self._detail = for_terminal(question), for_terminal(detail)
        self._value, self._placeholder = for_terminal(value, one_line=True), placeholder
        self._suggestions, self._check = suggestions, check

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="dialog-title")
            if self._detail:
                yield Static(Content(self._detail), classes="dialog-detail")
            yield Input(
                self._value,
                placeholder=self._placeholder,
                suggester=SuggestFromList([for_terminal(s, one_line=True) for s in self._suggestions])
                if self._suggestions
                else None,
            )
            yield Static("", classes="dialog-fault")
            yield Static(
                Content.from_markup("[$foreground-muted]enter accepts · escape cancels[/]"), classes="dialog-keys"
            )

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        if self._check is not None:
            try:
                self._check(event.value)
            except UserError as error:
                fault = self.query_one(".dialog-fault", Static)
                fault.update(Content(for_terminal(str(error))))
                fault.display = True
                return
        self.dismiss(event.value)

    def action_leave(self) -> None:
        self.dismiss(None)
