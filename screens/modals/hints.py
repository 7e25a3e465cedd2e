"""The line of keys at the foot of a dialog; a click on one does what the key does."""

from __future__ import annotations

from textual.content import Content


def hints(*keys: tuple[str, str, str]) -> Content:
    """`(key, action, what it does)` each; an action without a namespace is the dialog's."""
    parts = []
    for key, action, title in keys:
        action = action if "." in action else f"screen.{action}"
        parts.append(Content.from_markup(f"[@click={action}][b]$key[/b] $title[/]", key=key, title=title))
    return Content("   ").join(parts)
