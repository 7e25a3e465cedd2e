"""Choose one of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from screens.widgets.lists import Options
from workbench.text import for_terminal


class Choice(NamedTuple):
    """One entry: the value that is returned, what is shown, and a few words about it."""

    value: str
    label: str
    detail: str = ""


class Choose(ModalScreen[str | None]):
    """The value of the chosen entry; None when the user left with escape."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Cancel")]

    def __init__(self, question: str, choices: Sequence[Choice], *, current: str | None = None) -> None:
        super().__init__()
        self._question, self._choices, self._current = for_terminal(question), list(choices), current

    def compose(self) -> ComposeResult:
        width = max((len(choice.label) for choice in self._choices), default=0)
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="dialog-title")
            yield Options(
                *(
                    Option(
                        Content.from_markup(
                            "$mark $label  [$foreground-muted]$detail[/]",
                            mark="●" if choice.value == self._current else " ",
                            label=for_terminal(choice.label, one_line=True).ljust(width),
                            detail=for_terminal(choice.detail, one_line=True),
                        )
                    )
                    for choice in self._choices
                ),
                markup=False,
            )
            yield Static(
                Content.from_markup("[$foreground-muted]enter chooses · escape cancels[/]"), classes="dialog-keys"
            )

    def on_mount(self) -> None:
        values = [choice.value for choice in self._choices]
        if self._current in values:
            self.query_one(Options).highlighted = values.index(self._current)

    @on(OptionList.OptionSelected)
    def selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index].value)

    def action_leave(self) -> None:
        self.dismiss(None)
