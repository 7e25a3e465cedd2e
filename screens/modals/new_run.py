"""A new run: the recipe's fields in a form, checked while they are typed, the command that does the same, the start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from screens.modals.dialog import Dialog
from screens.modals.hints import hints
from screens.recipe_fields import RecipeField, as_text, fields_of, key_of_fault
from screens.widgets.recipe_form import RecipeForm, RecipeRow
from workbench import yaml_file
from workbench.errors import Faults, UserError, in_words
from workbench.hybrid import check_name
from workbench.text import for_terminal
from workbench.workspace import Workspace

_TOLD = 2  # faults at once


class NewRun(Dialog[str | None]):
    """The name of the run that was started; None when the user left with escape."""

    CSS_PATH = "new_run.tcss"
    AUTO_FOCUS = "#run-name"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012
    # With priority: what is typed ahead goes to the field that the arrows have reached.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", priority=True),
        Binding("ctrl+a", "every", "All fields", priority=True),
        Binding("ctrl+y", "copy", "Copy the command", priority=True),
        Binding("ctrl+w", "save", "Save recipe", priority=True),
        Binding("ctrl+f", "preflight", "Pre-flight", priority=True),
        Binding("down,enter", "app.focus_next", "Next field", show=False, priority=True),
        Binding("up", "app.focus_previous", "Field before", show=False, priority=True),
        Binding("escape", "leave", "Cancel"),
    ]

    def __init__(
        self,
        workspace: Workspace,
        recipe: Path,
        suggestions: Mapping[str, list[str]],
        *,
        cloned: str | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """What the form begins with.

        Args:
            workspace: where the run will be.
            recipe: the YAML file.
            suggestions: values that exist in the workspace, by key, e.g. the datasets.
            cloned: the run that the recipe is of.
            changes: values that the form begins with instead of the recipe's, by dotted key.

        Raises:
            UserError: the recipe cannot be read.
        """
        super().__init__()
        from workbench.training.recipe import Recipe

        self._workspace, self._recipe, self._cloned = workspace, recipe, cloned
        fields = fields_of(Recipe, yaml_file.read(recipe))
        self._form = RecipeForm(fields, suggestions, {key: as_text(value) for key, value in (changes or {}).items()})

    def compose(self) -> ComposeResult:
        of = f"like the run {self._cloned}" if self._cloned else f"from the recipe {self._recipe.stem}"
        title = Content.from_markup("New run [$foreground-muted]$of[/]", of=for_terminal(of, one_line=True))
        with Vertical(classes="dialog dialog-wide"):
            yield Static(title, classes="dialog-title")
            with Horizontal(classes="field"):
                yield Static("name of the run", classes="field-name")
                yield Input(free_name(self._workspace, self._cloned or self._recipe.stem), id="run-name", compact=True)
            yield self._form
            yield Static(classes="form-hint")
            yield Static(classes="dialog-fault")
            yield Static(classes="form-command", markup=False)
            yield Static(classes="form-keys")

    def on_mount(self) -> None:
        self._check()

    # While it is filled in

    @on(RecipeForm.Changed)
    @on(Input.Changed, "#run-name")
    def _typed(self) -> None:
        self._check()

    def on_descendant_focus(self) -> None:
        row = self.focused.parent if self.focused else None
        hint = row.hint if isinstance(row, RecipeRow) else Content("The run's folder under runs/, its name in hybrids.")
        self.query_one(".form-hint", Static).update(hint)

    @property
    def command(self) -> str:
        """What ctrl+s does, as a line for a shell."""
        from workbench.training.command_line import train_command

        return train_command(self._workspace, self._recipe, self.run_name, self._form.changes)

    @property
    def run_name(self) -> str:
        """What the run will be called."""
        return self.query_one("#run-name", Input).value.strip()

    def _check(self) -> bool:
        """Mark the fields with faults, tell the first; True when there is none."""
        from workbench.training.recipe import load

        self.query_one(".form-command", Static).update(Content(for_terminal(self.command, one_line=True)))
        self._show_keys()
        changes, faults = self._form.changes, []
        try:
            load(self._recipe, changes)
        except Faults as error:
            faults = error.faults
        except UserError as error:
            faults = [str(error)]
        told = [self._told(fault, changes) for fault in faults]
        self._form.mark({field.key for field, _ in told if field})
        more = f" · and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        self._show_fault(" · ".join(text for _, text in told[:_TOLD]) + more)
        return not faults

    def _told(self, fault: str, changes: Mapping[str, Any]) -> tuple[RecipeField | None, str]:
        """The field of a fault, and the fault; with its line, unless what is wrong was typed here."""
        field, reason = key_of_fault(fault, self._form.fields)
        if field and field.key in changes:
            return field, f"{field.key}: {reason}"
        return field, f"{self._recipe.name} {fault}" if fault.startswith("line ") else fault

    def _show_fault(self, text: str) -> None:
        fault = self.query_one(".dialog-fault", Static)
        fault.update(Content(for_terminal(text, one_line=True)))
        fault.display = bool(text)

    def _show_keys(self) -> None:
        self.query_one(".form-keys", Static).update(
            hints(
                ("ctrl+s", "start", "start"), ("ctrl+a", "every", "fewer" if self._form.every else "more"),
                ("ctrl+f", "preflight", "what it takes"), ("ctrl+y", "copy", "copy"), ("ctrl+w", "save", "save"),
                ("escape", "leave", "cancel"),
            )
        )  # fmt: skip

    # What the keys do

    def action_every(self) -> None:
        self._form.toggle_every()
        self._show_keys()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.command)
        self.app.tell("The command is copied.")

    def action_start(self) -> None:
        if not self.starting and self._check():
            self.start(partial(self._start, self.run_name))

    async def _start(self, name: str) -> None:
        from workbench.training.control import start_run

        self.query_one(".form-hint", Static).update("Starting ...")
        try:
            check_name(name, "run")
            # In a thread: it checks the base model's weights.
            job = await asyncio.to_thread(start_run, self._workspace, self._recipe, name, self._form.changes)
        except (UserError, OSError) as error:
            self._show_fault(in_words(error))
            return
        finally:
            self.on_descendant_focus()
        self.dismiss(job.id)

    def action_preflight(self) -> None:
        """What the run would take; it is not started."""
        if not self.starting and self._check():
            from screens.modals.preflight import PreFlight

            self.app.push_screen(PreFlight(self._workspace, self._recipe, self._form.changes))

    def action_save(self) -> None:
        """Write the fields as a recipe of the workspace; the comments of the one it came from stay."""
        if self.starting or not self._check():
            return
        from screens.modals.prompt import Prompt

        name = self._cloned or self._recipe.stem
        self.app.push_screen(
            Prompt(
                "Save as a recipe",
                name,
                detail="A file in configs/ of this workspace.",
                check=lambda name: self._workspace.own_recipe(name.strip()),
            ),
            self._save_as,
        )

    def _save_as(self, name: str | None) -> None:
        if name is None:
            return
        path = self._workspace.own_recipe(name.strip())
        if not path.exists() or path == self._recipe:
            self._save(path)
            return
        from screens.modals.confirm import Confirm

        def answered(yes: bool | None) -> None:
            if yes:
                self._save(path)

        detail = "What it says is lost, and so are its comments."
        self.app.push_screen(Confirm(f"Replace the recipe {path.stem}?", detail, yes="Replace", danger=True), answered)

    def _save(self, path: Path) -> None:
        try:
            data = yaml_file.read(self._recipe)
            for key, value in self._form.changes.items():
                yaml_file.set_key(data, key, value)
            yaml_file.write(path, data)
        except (UserError, OSError) as error:
            self._show_fault(in_words(error))
            return
        self.app.tell(f"Saved configs/{path.name}")

    def action_leave(self) -> None:
        if not self.starting:
            self.dismiss(None)


def free_name(workspace: Workspace, stem: str) -> str:
    """`stem`, or `stem-2`, `stem-3`, ... : the first name that no run has."""
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    return next((name for name in names if not (workspace.runs / name).exists()), stem)
