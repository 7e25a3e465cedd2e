"""The hybrid in force: base, adapter, index, and which of the four arms that makes."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from screens.hybrid_choices import HybridChoices
from workbench.hybrid import Hybrid
from workbench.text import for_terminal

ARMS = {
    "base": ("foreground-muted", "the base model alone"),
    "tuned": ("text-accent", "the base model with the adapter"),
    "rag": ("text-primary", "the base model with the library"),
    "hybrid": ("text-success", "the base model with the adapter and the library"),
}


class _Part(Static):
    """One part; a click does what its key does."""

    def __init__(self, id: str, action: str = "") -> None:
        super().__init__(id=id, markup=False)
        self._action = action

    async def on_click(self) -> None:
        if self._action:
            await self.screen.run_action(self._action)


class HybridBar(Horizontal):
    """One line at the top of the chat."""

    DEFAULT_CSS = """
    HybridBar {
        height: 1;
        padding: 0 2;
        & > _Part { width: auto; margin-right: 2; text-wrap: nowrap; text-overflow: ellipsis; }
        & > #adapter, & > #index-name { max-width: 32%; }
        & > #arm { width: 1fr; min-width: 6; margin: 0; text-align: right; }
    }
    """

    def compose(self) -> ComposeResult:
        yield _Part("base")
        yield _Part("adapter", "adapter")
        yield _Part("index-name", "index")
        yield _Part("arm")

    def show(self, hybrid: Hybrid, choices: HybridChoices | None, pane: str = "") -> None:
        """Show a hybrid; what of it is gone is marked, once it is known what there is.

        Args:
            hybrid: of the current pane.
            choices: what there is.
            pane: which of several panes it is, e.g. "2/4".
        """
        no_adapter = choices is not None and choices.lacks_adapter(hybrid)
        no_index = choices is not None and choices.lacks_index(hybrid)
        self._update("base", "base", hybrid.base.rstrip("/").rsplit("/", 1)[-1])
        self._update("adapter", "+ adapter", hybrid.lora, gone=no_adapter)
        self._update("index-name", "+ index", hybrid.rag, gone=no_index)
        color, meaning = ARMS[hybrid.arm]
        arm = self.query_one("#arm", _Part)
        of = f"pane {pane}  " if pane else ""
        arm.update(Content.from_markup(f"[$foreground-muted]$of[/][b ${color}]$arm[/]", of=of, arm=hybrid.arm))
        arm.tooltip = meaning

    def _update(self, id: str, label: str, value: str | None, *, gone: bool = False) -> None:
        style = "$text-error" if gone else "b" if value else "$foreground-muted"
        self.query_one(f"#{id}", _Part).update(
            Content.from_markup(
                f"[$foreground-muted]$label[/] [{style}]$value[/]",
                label=label,
                value=for_terminal(value or "none", one_line=True) + (" (gone)" if gone else ""),
            )
        )
