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
