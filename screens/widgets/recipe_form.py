"""The fields of a recipe to fill in: those of the chosen method, the common ones at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from screens.recipe_fields import RecipeField, changes_of, methods_first, shown_keys
from workbench.text import for_terminal


class RecipeRow(Horizontal):
    """One field: its name and its value, and whether the user changed it."""

    def __init__(self, field: RecipeField, suggestions: Sequence[str], text: str) -> None:
        """`text`: what stands there at first."""
        super().__init__(classes="field")
        self.field = field
        self._suggestions = list(suggestions or field.choices)
        self._at_first, self._shown = text, for_terminal(text, one_line=True)

    def compose(self) -> ComposeResult:
        yield Static(Content(("  " if self.field.section else "") + self.field.name), classes="field-name")
        yield Input(
            self._shown,
            placeholder=self.field.default or ("required" if self.field.required and not self.field.section else ""),
            suggester=SuggestFromList(self._suggestions) if self._suggestions else None,
            compact=True,
            select_on_focus=False,
        )

    @property
    def text(self) -> str:
        """What is typed; what was never touched is what it was, also where a line cannot show it."""
        value = self.query_one(Input).value
        return self._at_first if value == self._shown else value

    @property
    def changed(self) -> bool:
        """Whether it is something else than the file says."""
        return self.text.strip() != self.field.value.strip()

    @property
    def hint(self) -> Content:
        """What the field means, and what may be typed."""
        hint = self.field.help
        if self.field.choices:
            hint += f" One of: {', '.join(self.field.choices)}."
        elif self._suggestions:
            hint += f" For example {', '.join(self._suggestions[:4])}."
        return Content(for_terminal(hint, one_line=True))


class RecipeForm(VerticalScroll, inherit_bindings=False):
    """All fields of a recipe, of which some are shown; the arrows are the dialog's: they go from field to field."""

    can_focus = False

    class Changed(Message):
        """A text was changed."""

    def __init__(
        self, fields: Sequence[RecipeField], suggestions: Mapping[str, Sequence[str]], texts: Mapping[str, str]
    ) -> None:
        """`texts`: what stands in some fields at first instead of what the file says, by key."""
        super().__init__()
        self.fields = methods_first(fields)
        self.every = False
        self._suggestions, self._texts = suggestions, texts
        self._wrong: set[str] = set()

    def compose(self) -> ComposeResult:
        section = ""
        for field in self.fields:
            if field.section != section:
                section = field.section
                yield Static(Content(section), classes="field-section", name=section)
            suggestions = self._suggestions.get(field.key, [])
            yield RecipeRow(field, suggestions, self._texts.get(field.key, field.value))

    def on_mount(self) -> None:
        for row in self.query(RecipeRow):
            row.set_class(row.changed, "-changed")
        self._show()

    @property
    def texts(self) -> dict[str, str]:
        """What is typed, by key."""
        return {row.field.key: row.text for row in self.query(RecipeRow)}

    @property
    def changes(self) -> dict[str, Any]:
        """What the user changed, by dotted key."""
        return changes_of(self.fields, self.texts)

    def toggle_every(self) -> None:
        """Show all fields, or the common ones again."""
        self.every = not self.every
        self._show()

    def mark(self, wrong: set[str]) -> None:
        """Mark the fields with faults, by key; they are shown in any case."""
        self._wrong = wrong
        self._show()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        row = event.input.parent
        if isinstance(row, RecipeRow):
            row.set_class(row.changed, "-changed")
            self._show()
            self.post_message(self.Changed())

    def _show(self) -> None:
        shown = shown_keys(self.fields, self.texts, every=self.every) | self._wrong
        focused = self.screen.focused.parent if self.screen.focused else None
        sections = set()
        for row in self.query(RecipeRow):
            row.set_class(row.field.key in self._wrong, "-wrong")
            row.display = row.field.key in shown or row is focused  # a field that is typed in never goes
            if row.display:
                sections.add(row.field.section)
        for heading in self.query(".field-section"):
            heading.display = heading.name in sections
