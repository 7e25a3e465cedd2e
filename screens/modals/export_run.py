"""Before an export: in which forms, and to which folder; and the start."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from screens.modals.dialog import Dialog
from screens.widgets.form import Option, Pick, Row
from workbench.errors import UserError, in_words
from workbench.text import for_terminal
from workbench.training.export.control import default_folder, forms_of, start_export
from workbench.training.export.forms import FORMS
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from textual.widget import Widget

_FIRST = "merged"  # what is picked at first
_TO = "to"


class ExportRun(Dialog[str | None]):
    """The id of the job that was started; None when the user left with escape."""

    CSS_PATH = "export_run.tcss"
    AUTO_FOCUS = "Pick"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,ctrl+s", "start", "Start", priority=True),
        Binding("down", "app.focus_next", "Next field", show=False, priority=True),
        Binding("up", "app.focus_previous", "Field before", show=False, priority=True),
        Binding("escape", "leave", "Cancel"),
    ]

    def __init__(self, workspace: Workspace, run: str) -> None:
        """Raises:
        UserError: the run has no adapter.
        """
        super().__init__()
        self._workspace, self._run = workspace, run
        self._forms = forms_of(workspace, run)

    def compose(self) -> ComposeResult:
        name = for_terminal(self._run, one_line=True)
        with Vertical(classes="dialog dialog-wide"):
            yield Static(
                Content.from_markup("Export the run [$text-accent]$name[/]", name=name), classes="dialog-title"
            )
            for form in self._forms:
                pick = Pick([Option("no", "no"), Option("yes", "yes")], "yes" if form == _FIRST else "no")
                yield Row(form, FORMS[form].title, pick, f"{FORMS[form].about[0].upper()}{FORMS[form].about[1:]}.")
            default = default_folder(self._workspace, self._run).relative_to(self._workspace.root)
            yield Row(
                _TO, "folder", Input(placeholder=f"{default}/", compact=True),
                "Each form gets a folder in it; an earlier export there is replaced.",
            )  # fmt: skip
            yield Static(classes="form-hint", markup=False)
            yield Static(classes="dialog-fault", markup=False)
            yield Static(
                Content.from_markup("[b]enter[/] start   [b]↑ ↓[/] fields   [b]← →[/] choose   [b]escape[/] cancel"),
                classes="form-keys",
            )

    def on_descendant_focus(self) -> None:
        row = self._row_of(self.focused)
        self.query_one(".form-hint", Static).update(Content(row.hint) if row else "")

    def _row_of(self, widget: Widget | None) -> Row | None:
        return widget.parent if widget is not None and isinstance(widget.parent, Row) else None

    def action_start(self) -> None:
        values = {row.key: row.text for row in self.query(Row)}
        forms = [form for form in self._forms if values[form] == "yes"]
        self.start(partial(self._start, forms, values[_TO]))

    async def _start(self, forms: list[str], to: str) -> None:
        self.query_one(".form-hint", Static).update("Starting ...")
        try:
            targets = {form: self._folder(to) / form for form in forms}
            # In a thread: it checks the base model's weights.
            job = await asyncio.to_thread(start_export, self._workspace, self._run, targets)
        except (UserError, OSError) as error:
            fault = self.query_one(".dialog-fault", Static)
            fault.update(Content(for_terminal(in_words(error))))
            fault.display = True
            return
        finally:
            self.on_descendant_focus()
        self.dismiss(job.id)

    def _folder(self, typed: str) -> Path:
        if not typed:
            return default_folder(self._workspace, self._run)
        try:
            return self._workspace.root / Path(typed).expanduser()
        except RuntimeError:  # how pathlib says that ~NAME is nobody
            raise UserError("there is no such home folder", where=typed) from None

    def action_leave(self) -> None:
        if not self.starting:
            self.dismiss(None)
