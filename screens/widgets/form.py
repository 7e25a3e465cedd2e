"""The rows of a form: a name and its value, which is typed, or picked with the left and right arrows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from workbench.text import for_terminal


class Option(NamedTuple):
    """What can be picked: its value, what is shown, and a few words about it."""

    value: str
    label: str
    detail: str = ""


class Pick(Static, can_focus=True):
    """One of a few options; the arrows, h, l, the space bar and a click go to the next."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l,space", "step(1)", "Next", show=False),
        Binding("left,h", "step(-1)", "Before", show=False),
    ]
    DEFAULT_CSS = """
    Pick { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; &:focus { background: $boost; } }
    """

    class Changed(Message):
        """Another option was picked."""

    def __init__(self, options: Sequence[Option], value: str | None = None) -> None:
        """`value`: what is picked at first; default: the first."""
        super().__init__(markup=False)
        self._options = list(options)
        values = [option.value for option in self._options]
        self._at = values.index(value) if value is not None and value in values else 0

    @property
    def value(self) -> str:
        """Of the option that is picked."""
        return self._options[self._at].value

    def on_mount(self) -> None:
        self._show()

    def on_focus(self) -> None:
        self._show()

    def on_blur(self) -> None:
        self._show()

    def on_click(self) -> None:
        self.action_step(1)

    def action_step(self, by: int) -> None:
        self._at = (self._at + by) % len(self._options)
        self._show()
        self.post_message(self.Changed())

    def _show(self) -> None:
        option = self._options[self._at]
        left, right = ("◂ ", " ▸") if len(self._options) > 1 and self.has_focus else ("", "")
        self.update(
            Content.from_markup(
                "[$text-accent]$left[/]$label[$text-accent]$right[/]  [$foreground-muted]$detail[/]",
                left=left,
                label=for_terminal(option.label, one_line=True),
                right=right,
                detail=for_terminal(option.detail, one_line=True),
            )
        )


class Row(Horizontal):
    """One field of a form."""

    DEFAULT_CSS = """
    Row { height: 1; }
    Row > .field-name { width: 20; color: $text-muted; }
    Row > Input { width: 1fr; background: $surface; &:focus { background: $boost; } }
    Row.-wrong > .field-name { color: $text-error; text-style: bold; }
    """

    def __init__(self, key: str, name: str, field: Pick | Input, hint: str) -> None:
        """`key`: under which its value is read; `hint`: one sentence, shown while it has the focus."""
        super().__init__(id=f"row-{key}")
        self.key, self.hint = key, hint
        self._name, self._field = name, field

    def compose(self) -> ComposeResult:
        yield Static(Content(self._name), classes="field-name")
        yield self._field

    @property
    def text(self) -> str:
        """What is typed or picked."""
        return self._field.value.strip()

    @property
    def number(self) -> int | None:
        """What is typed, as a whole number from 0; None where nothing is.

        Raises:
            ValueError: it is none.
        """
        if not self.text:
            return None
        value = int(self.text)
        if value < 0:
            raise ValueError
        return value
