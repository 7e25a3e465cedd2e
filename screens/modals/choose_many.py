"""Choose some of a list, or none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from screens.modals.choose import Choice
from screens.widgets.lists import Options
from workbench.text import for_terminal


class ChooseMany(ModalScreen[list[str] | None]):
    """The values of the marked entries, in their order; None when the user left with escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Cancel"),
        Binding("space", "mark", "Mark"),
    ]

    def __init__(self, question: str, choices: Sequence[Choice], marked: Collection[str] = ()) -> None:
        super().__init__()
        self._question, self._choices, self._marked = for_terminal(question), list(choices), set(marked)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="dialog-title")
            yield Options(*(Option(self._line(choice)) for choice in self._choices), markup=False)
            yield Static(
                Content.from_markup("[$foreground-muted]space marks · enter accepts · escape cancels[/]"),
                classes="dialog-keys",
            )

    def action_mark(self) -> None:
        """Mark the entry under the cursor, or take its mark away."""
        options = self.query_one(Options)
        if (at := options.highlighted) is not None:
            self._marked ^= {self._choices[at].value}
            options.replace_option_prompt_at_index(at, self._line(self._choices[at]))

    @on(OptionList.OptionSelected)
    def selected(self) -> None:
        self.dismiss([choice.value for choice in self._choices if choice.value in self._marked])

    def action_leave(self) -> None:
        self.dismiss(None)

    def _line(self, choice: Choice) -> Content:
        width = max(len(choice.label) for choice in self._choices)
        return Content.from_markup(
            "$mark $label  [$foreground-muted]$detail[/]",
            mark="●" if choice.value in self._marked else "○",
            label=for_terminal(choice.label, one_line=True).ljust(width),
            detail=for_terminal(choice.detail, one_line=True),
        )
