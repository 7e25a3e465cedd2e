"""A chart that repaints only the lines that changed: most new points of a long run change none."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from screens.widgets.colors import faded_color, theme_color
from screens.widgets.plotting import FADED, Plot, Run, paint


class Chart(Widget):
    """Give it a plot with `show`. It takes no keys."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"chart--axis", "chart--tick"}
    DEFAULT_CSS = """
    Chart {
        height: 1fr;
        & > .chart--axis { color: $surface-lighten-2; }
        & > .chart--tick { color: $text-muted; }
    }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._plot: Callable[[int, int], Plot | None] = lambda width, height: None
        self._lines: list[list[Run]] = []
        self._styles: dict[str, Style] = {}

    def show(self, plot: Callable[[int, int], Plot | None]) -> None:
        """Draw this from now on, or nothing. `plot` is given the width and the height in cells."""
        self._plot = plot
        before = self._lines
        width, height = self.size
        drawn = plot(width, height) if width and height else None
        self._lines = paint(drawn, width, height) if drawn else []
        if len(before) != len(self._lines):
            self.refresh()
        elif changed := [y for y, line in enumerate(self._lines) if line != before[y]]:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def on_resize(self) -> None:
        self.show(self._plot)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        if y >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        return Strip([Segment(text, self._style(color)) for text, color in self._lines[y]], self.size.width)

    def _style(self, color: str) -> Style:
        if color not in self._styles:
            theme = self.app.theme_variables
            if color in ("axis", "tick"):
                style = self.get_component_rich_style(f"chart--{color}")
            elif color.startswith(FADED):
                style = self.rich_style + Style(color=faded_color(theme, color.removeprefix(FADED)))
            else:
                style = self.rich_style + (Style(color=theme_color(theme, color)) if color else Style.null())
            self._styles[color] = style
        return self._styles[color]
