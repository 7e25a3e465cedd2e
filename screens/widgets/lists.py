"""Lists that answer to j k g G ctrl+d ctrl+u as well as to the arrows."""

from __future__ import annotations

from typing import Any, Self

from textual.geometry import Region
from textual.widgets import DataTable, OptionList
from textual.widgets.data_table import ColumnKey, RowKey

from screens.commands import bindings


class Table(DataTable):
    """A small table of rows (hundreds). Give it `rich.text.Text` or `cell(...)`, never a `str` that a user brought."""

    BINDINGS = bindings("lists")
    _updated_row: int | None = None
    """The row of which a cell is being replaced."""

    def update_cell(self, row_key: RowKey | str, column_key: ColumnKey | str, value: Any, **options: Any) -> None:
        """As Textual's, which paints the whole table anew; here only the row, or all when a column's width changes."""
        self._updated_row = self.get_row_index(row_key)
        try:
            super().update_cell(row_key, column_key, value, **options)
        finally:
            self._updated_row = None

    def refresh(self, *regions: Region, **what: Any) -> Self:
        if self._updated_row is None or regions or what:
            return super().refresh(*regions, **what)
        return self.refresh_row(self._updated_row)

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
