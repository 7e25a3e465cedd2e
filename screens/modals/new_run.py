"""A new run: the recipe's fields in a form, checked while they are typed, and the start."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from screens.recipe_fields import RecipeField, changes_of, fields_of, key_of_fault
from workbench import yaml_file
from workbench.errors import Faults, UserError
from workbench.hybrid import check_name
from workbench.text import for_terminal
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from screens.app import WorkbenchApp


class _Row(Horizontal):
    """One field: its name and its value, and whether the user changed it."""

    def __init__(self, field: RecipeField, suggestions: list[str]) -> None:
        super().__init__(classes="field")
        self.field = field
        self._suggestions = suggestions or list(field.choices)

    def compose(self) -> ComposeResult:
        yield Static(Content(("  " if self.field.section else "") + self.field.name), classes="field-name")
        yield Input(
            for_terminal(self.field.value, one_line=True),
            placeholder=self.field.default or ("required" if self.field.required and not self.field.section else ""),
            suggester=SuggestFromList(self._suggestions) if self._suggestions else None,
            compact=True,
            select_on_focus=False,
        )

    @property
    def text(self) -> str:
        return self.query_one(Input).value

    @property
    def hint(self) -> Content:
        hint = self.field.help
        if self.field.choices:
            hint += f" One of: {', '.join(self.field.choices)}."
        elif self._suggestions:
            hint += f" For example {', '.join(self._suggestions[:4])}."
        return Content(for_terminal(hint, one_line=True))


class _Fields(VerticalScroll, inherit_bindings=False):
    """All fields; the arrows are the form's: they go from field to field."""


class NewRun(ModalScreen[str | None]):
    """The name of the run that was started; None when the user left with escape."""

    CSS_PATH = "new_run.tcss"
    AUTO_FOCUS = "#run-name"
    # With priority: what is typed ahead goes to the field that the arrows have reached.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", priority=True),
        Binding("ctrl+w", "save", "Save recipe", priority=True),
        Binding("ctrl+f", "preflight", "Pre-flight", priority=True),
        Binding("down,enter", "app.focus_next", "Next field", show=False, priority=True),
        Binding("up", "app.focus_previous", "Field before", show=False, priority=True),
        Binding("escape", "leave", "Cancel"),
    ]

    def __init__(self, workspace: Workspace, recipe: Path, suggestions: dict[str, list[str]]) -> None:
        """`suggestions`: values that exist in the workspace, by key, e.g. the datasets.

        Raises:
            UserError: the recipe cannot be read.
        """
        super().__init__()
        from workbench.training.recipe import Recipe

        self._workspace, self._recipe, self._suggestions = workspace, recipe, suggestions
        self._fields = fields_of(Recipe, yaml_file.read(recipe))

    def compose(self) -> ComposeResult:
        recipe = for_terminal(self._recipe.stem, one_line=True)
        with Vertical(classes="dialog dialog-wide"):
            title = Content.from_markup("New run [$foreground-muted]from the recipe $name[/]", name=recipe)
            yield Static(title, classes="dialog-title")
            with Horizontal(classes="field"):
                yield Static("name of the run", classes="field-name")
                yield Input(free_name(self._workspace, self._recipe.stem), id="run-name", compact=True)
            with _Fields(can_focus=False):
                section = ""
                for field in self._fields:
                    if field.section != section:
                        section = field.section
                        yield Static(Content(section), classes="field-section")
                    yield _Row(field, self._suggestions.get(field.key, []))
            yield Static(classes="form-hint")
            yield Static(classes="dialog-fault")
            yield Static(
                Content.from_markup(
                    "[b]ctrl+s[/] start   [b]ctrl+f[/] pre-flight   [b]ctrl+w[/] save as a recipe   [b]↑ ↓[/] fields"
                    "   [b]escape[/] cancel"
                ),
                classes="form-keys",
            )

    # While it is filled in

    @on(Input.Changed)
    def changed(self, event: Input.Changed) -> None:
        row = event.input.parent
        if isinstance(row, _Row):
            row.set_class(row.text.strip() != row.field.value, "-changed")
            self._check()

    def on_descendant_focus(self) -> None:
        row = self.focused.parent if self.focused else None
        hint = row.hint if isinstance(row, _Row) else Content("The run's folder under runs/, and its name in hybrids.")
        self.query_one(".form-hint", Static).update(hint)

    def _check(self) -> bool:
        """Mark the fields with faults, show the first; True when there is none."""
        from workbench.training.recipe import load

        rows = list(self.query(_Row))
        faults: list[tuple[RecipeField | None, str]] = []
        try:
            load(self._recipe, self._changes())
        except Faults as error:
            faults = [key_of_fault(fault, self._fields) for fault in error.faults]
        except UserError as error:
            field = next((field for field in self._fields if field.key == error.where), None)
            faults = [(field, error.what)]
        wrong = {field.key for field, _ in faults if field}
        for row in rows:
            row.set_class(row.field.key in wrong, "-wrong")
        self._show_fault(" · ".join(f"{field.key}: {reason}" if field else reason for field, reason in faults[:2]))
        return not faults

    def _changes(self) -> dict[str, object]:
        return changes_of(self._fields, {row.field.key: row.text for row in self.query(_Row)})

    def _show_fault(self, text: str) -> None:
        fault = self.query_one(".dialog-fault", Static)
        fault.update(Content(for_terminal(text, one_line=True)))
        fault.display = bool(text)

    # What the keys do

    def action_start(self) -> None:
        if self._check():
            name = self.query_one("#run-name", Input).value.strip()
            self.run_worker(partial(self._start, name), group="start", exclusive=True, exit_on_error=False)

    async def _start(self, name: str) -> None:
        from workbench.training.control import start_run

        try:
            check_name(name, "run")
            # In a thread: it checks the base model's weights.
            job = await asyncio.to_thread(start_run, self._workspace, self._recipe, name, self._changes())
        except UserError as error:
            self._show_fault(str(error))
            return
        self.dismiss(job.id)

    def action_preflight(self) -> None:
        """What the run would take; it is not started."""
        if self._check():
            from screens.modals.preflight import PreFlight

            self.app.push_screen(PreFlight(self._workspace, self._recipe, self._changes()))

    def action_save(self) -> None:
        """Write the fields as a recipe of the workspace; the comments of the one it came from stay."""
        if not self._check():
            return
        from screens.modals.prompt import Prompt

        self.app.push_screen(
            Prompt("Save as a recipe", self._recipe.stem, detail="A file in configs/ of this workspace."), self._save_as
        )

    def _save_as(self, name: str | None) -> None:
        if name is None:
            return
        try:
            path = self._workspace.configs / f"{check_name(name.strip(), 'recipe')}.yaml"
            data = yaml_file.read(self._recipe)
            for key, value in self._changes().items():
                yaml_file.set_key(data, key, value)
            yaml_file.write(path, data)
        except (UserError, OSError) as error:
            self._show_fault(str(error))
            return
        cast("WorkbenchApp", self.app).tell(f"Saved configs/{path.name}")

    def action_leave(self) -> None:
        self.dismiss(None)


def free_name(workspace: Workspace, stem: str) -> str:
    """`stem`, or `stem-2`, `stem-3`, ... : the first name that no run has."""
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    return next((name for name in names if not (workspace.runs / name).exists()), stem)
