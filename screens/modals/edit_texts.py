"""Edit one or more texts of any length."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static, TextArea

from screens.modals.confirm import leave_edited
from screens.modals.dialog import Dialog, show_fault
from screens.modals.hints import hints
from screens.stand_ins import StandIns
from workbench.errors import UserError
from workbench.text import for_terminal


@dataclass(frozen=True)
class TextField:
    """One text and what it is called."""

    name: str
    label: str
    text: str


class EditTexts(Dialog[bool]):
    """True when something was saved. What the user does not touch stays exactly as it was."""

    CSS_PATH = "edit_texts.tcss"
    AUTO_FOCUS = "TextArea"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", priority=True),
        Binding("escape", "leave", "Cancel", priority=True),
    ]

    def __init__(
        self, title: str, fields: Sequence[TextField], save: Callable[[dict[str, str]], Awaitable[object]]
    ) -> None:
        """`save` gets the texts that were changed, by name; its UserError is shown, and nothing is lost."""
        super().__init__()
        self._title, self._fields, self._save = for_terminal(title, one_line=True), list(fields), save
        self._stand_ins = [StandIns(field.text) for field in fields]
        self._saved_all = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static(Content(self._title), classes="dialog-title")
            with VerticalScroll(can_focus=False):
                for field, stand_ins in zip(self._fields, self._stand_ins, strict=True):
                    yield Static(Content(field.label), classes="text-label")
                    yield TextArea(stand_ins.shown, compact=True, highlight_cursor_line=False)
            yield Static(classes="dialog-fault")
            yield Static(
                hints(
                    ("ctrl+s", "save", "save"), ("tab", "app.focus_next", "next text"), ("escape", "leave", "cancel")
                ),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        self.set_class(len(self._fields) == 1, "-single")

    @property
    def changes(self) -> dict[str, str]:
        """The texts that differ from what they were, by name."""
        return {
            field.name: stand_ins.restored(area.text)
            for field, stand_ins, area in zip(self._fields, self._stand_ins, self.query(TextArea), strict=True)
            if area.text != stand_ins.shown
        }

    def action_save(self) -> None:
        if not self.changes:
            self.dismiss(False)
            return
        self.run_worker(self._saved, group="save", exclusive=True, exit_on_error=False)

    async def _saved(self) -> None:
        try:
            await self._save(self.changes)
        except UserError as error:
            show_fault(self, str(error))
            return
        self._saved_all = True
        if self.app.screen is self:
            self.dismiss(True)

    def on_screen_resume(self) -> None:
        if self._saved_all:  # while something lay over it: a dismissal takes what is on top
            self.dismiss(True)

    def action_leave(self) -> None:
        leave_edited(self, bool(self.changes))
