"""Lists that answer to j k g G ctrl+d ctrl+u as well as to the arrows."""

from __future__ import annotations

from textual.widgets import DataTable, OptionList

from screens.commands import bindings


class Table(DataTable):
    """A small table of rows (hundreds). Give it `rich.text.Text` or `cell(...)`, never a `str` that a user brought."""

    BINDINGS = bindings("lists")

    def action_first_row(self) -> None:
        self.move_cursor(row=0)

    def action_last_row(self) -> None:
        self.move_cursor(row=self.row_count - 1)


class Options(OptionList):
    """A list of choices (hundreds)."""

    BINDINGS = bindings("lists")

    def action_first_row(self) -> None:
        self.action_first()

    def action_last_row(self) -> None:
        self.action_last()
