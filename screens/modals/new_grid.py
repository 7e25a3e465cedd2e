"""A small grid: which fields of a recipe take which values; what it costs; the start."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from screens.modals.dialog import Dialog
from screens.modals.hints import hints
from screens.recipe_fields import RecipeField, fields_of
from workbench import yaml_file
from workbench.errors import Faults, UserError, in_words
from workbench.text import for_terminal
from workbench.training import grid as grids
from workbench.training.command_line import train_command
from workbench.training.recipe import Recipe
from workbench.workspace import Workspace

_AXES = 4
_Result = TypeVar("_Result")
_EXAMPLES = (("lora.r", "8, 16"), ("learning_rate", "1e-4, 2e-4"))


class _Axis(Horizontal):
    """A field and its values."""

    def __init__(self, number: int, keys: list[str]) -> None:
        super().__init__(classes="axis")
        self._number, self._keys = number, keys

    def compose(self) -> ComposeResult:
        key, values = _EXAMPLES[self._number] if self._number < len(_EXAMPLES) else ("", "")
        suggester = SuggestFromList(self._keys)
        yield Input(placeholder=key, suggester=suggester, compact=True, select_on_focus=False, classes="axis-key")
        yield Input(placeholder=values, compact=True, select_on_focus=False, classes="axis-values")

    @property
    def key(self) -> str:
        return self.query_one(".axis-key", Input).value.strip()

    @property
    def entry(self) -> str | None:
        """KEY=VALUE,VALUE; None where nothing is typed."""
        values = self.query_one(".axis-values", Input).value.strip()
        return f"{self.key}={values}" if self.key or values else None


class NewGrid(Dialog[str | None]):
    """The name of the grid's first run, once all were started; None when the user left with escape."""

    CSS_PATH = "new_grid.tcss"
    AUTO_FOCUS = ".axis-key"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", priority=True),
        Binding("ctrl+y", "copy", "Copy the command", priority=True),
        Binding("down,enter", "app.focus_next", "Next field", show=False, priority=True),
        Binding("up", "app.focus_previous", "Field before", show=False, priority=True),
        Binding("escape", "leave", "Cancel"),
    ]

    def __init__(self, workspace: Workspace, recipe: Path) -> None:
        """
        Raises:
            UserError: the recipe cannot be read.
        """
        super().__init__()
        self._workspace, self._recipe = workspace, recipe
        self._fields: dict[str, RecipeField] = {field.key: field for field in fields_of(Recipe, yaml_file.read(recipe))}

    def compose(self) -> ComposeResult:
        title = Content.from_markup(
            "Grid [$foreground-muted]over the recipe $name[/]", name=for_terminal(self._recipe.stem, one_line=True)
        )
        # The common fields are suggested first.
        keys = sorted(self._fields, key=lambda key: not self._fields[key].common)
        with Vertical(classes="dialog dialog-wide"):
            yield Static(title, classes="dialog-title")
            with Horizontal(classes="axis"):
                yield Static("name", classes="axis-name")
                yield Input(_free(self._workspace, self._recipe.stem), id="grid-name", compact=True)
            with Horizontal(classes="axis axis-heads"):
                yield Static("field", classes="axis-name")
                yield Static("values, with commas between them")
            for number in range(_AXES):
                yield _Axis(number, keys)
            yield Static(classes="form-hint")
            yield Static(classes="grid-cost")
            yield Static(classes="dialog-fault")
            yield Static(classes="form-command", markup=False)
            yield Static(
                hints(("ctrl+s", "start", "start all"), ("ctrl+y", "copy", "copy"), ("escape", "leave", "cancel")),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        self._check()

    # While it is filled in

    @on(Input.Changed)
    def _typed(self) -> None:
        self._hint()
        self._check()

    def on_descendant_focus(self) -> None:
        self._hint()

    def _hint(self) -> None:
        axis = self.focused.parent if self.focused else None
        field = self._fields.get(axis.key) if isinstance(axis, _Axis) else None
        hint = "One run for each combination; they are called NAME-1, NAME-2, ... and tagged grid:NAME."
        if field:
            hint = f"{field.help} Default: {field.default or 'none'}."
            if field.choices:
                hint += f" One of: {', '.join(field.choices)}."
        self.query_one(".form-hint", Static).update(Content(for_terminal(hint, one_line=True)))

    @property
    def _grid_name(self) -> str:
        return self.query_one("#grid-name", Input).value.strip()

    @property
    def _entries(self) -> list[str]:
        return [entry for axis in self.query(_Axis) if (entry := axis.entry)]

    @property
    def command(self) -> str:
        """What ctrl+s does, as a line for a shell."""
        words = [word for entry in self._entries for word in ("--grid", entry)]
        return f"{train_command(self._workspace, self._recipe, self._grid_name, {})} {shlex.join(words)}".rstrip()

    def _check(self) -> None:
        self.query_one(".form-command", Static).update(Content(for_terminal(self.command, one_line=True)))
        self.run_worker(
            partial(self._plan, self._grid_name, self._entries), group="plan", exclusive=True, exit_on_error=False
        )

    async def _plan(self, name: str, entries: list[str]) -> None:
        # In a thread: it counts the pairs and checks each combination.
        grid = await self._done(lambda: grids.plan(self._workspace, self._recipe, name, grids.parse(entries)))
        if not entries:  # nothing is wrong yet
            self._tell("")
        self.query_one(".grid-cost", Static).update(Content(grids.cost(grid) if grid else ""))

    async def _done(self, work: Callable[[], _Result]) -> _Result | None:
        try:
            result = await asyncio.to_thread(work)
        except Faults as error:
            self._tell(" · ".join(error.faults[:2]))
        except (UserError, OSError) as error:
            self._tell(in_words(error))
        else:
            self._tell("")
            return result
        return None

    def _tell(self, text: str) -> None:
        fault = self.query_one(".dialog-fault", Static)
        fault.update(Content(for_terminal(text, one_line=True)))
        fault.display = bool(text)

    # What the keys do

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.command)
        self.app.tell("The command is copied.")

    def action_start(self) -> None:
        self.start(partial(self._start, self._grid_name, self._entries))

    async def _start(self, name: str, entries: list[str]) -> None:
        def start() -> str:
            grid = grids.plan(self._workspace, self._recipe, name, grids.parse(entries))
            return grids.start(self._workspace, self._recipe, grid)[0].id

        self.query_one(".form-hint", Static).update("Starting ...")
        try:
            first = await self._done(start)
        finally:
            self._hint()
        if first:
            self.dismiss(first)

    def action_leave(self) -> None:
        if not self.starting:
            self.dismiss(None)


def _free(workspace: Workspace, stem: str) -> str:
    names = [f"{stem}-grid", *(f"{stem}-grid{number}" for number in range(2, 1000))]
    return next((name for name in names if not (workspace.runs / f"{name}-1").exists()), stem)
