"""The footer: the commands of the screen, then those of the app, from the registry and nowhere else."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey  # the class that Footer itself composes; it has no public name

from screens.commands import BY_ID, FOOTER_AT_MOST


class KeyBar(Footer):
    """At most seven keys; a click on one does what the key does."""

    def compose(self) -> ComposeResult:
        if not self._bindings_ready:
            return
        shown: dict[str, FooterKey] = {}
        for active in self.screen.active_bindings.values():
            command = BY_ID.get(active.binding.id or "")
            if command is None or not command.footer or command.id in shown:
                continue
            shown[command.id] = FooterKey(
                active.binding.key,
                self.app.get_key_display(active.binding),
                command.title,
                active.binding.action,
                disabled=not active.enabled,
                tooltip=command.help,
            )
        order = list(BY_ID)
        keys = sorted(shown, key=lambda id: (id.startswith("app."), order.index(id)))
        yield from (shown[id] for id in keys[:FOOTER_AT_MOST])
