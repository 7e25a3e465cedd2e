"""The theme's colours for what Textual's stylesheets do not reach: cells of tables and curves."""

from __future__ import annotations

from collections.abc import Mapping

from textual.color import Color, ColorParseError


def theme_color(theme: Mapping[str, str], name: str) -> str:
    """A colour of the theme as Rich names it.

    Args:
        theme: `app.theme_variables`.
        name: e.g. `primary`.
    """
    try:
        return Color.parse(theme[name]).rich_color.name
    except (KeyError, ColorParseError):
        return "default"


def faded_color(theme: Mapping[str, str], name: str, share: float = 0.35) -> str:
    """A colour of the theme, with so much of it left over the background; themes of the terminal's colours have grey.

    Args:
        theme: `app.theme_variables`.
        name: e.g. `primary`.
        share: 0 to 1.
    """
    try:
        color, background = Color.parse(theme[name]), Color.parse(theme["background"])
    except (KeyError, ColorParseError):
        return "bright_black"
    if color.ansi is not None or background.ansi is not None:
        return "bright_black"
    return background.blend(color, share).rich_color.name
