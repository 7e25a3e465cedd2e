"""What a model proposed: how many pairs came of how many passages or prompts, and why the others did not."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from screens.modals.hints import hints
from workbench.drafting.outcomes import DRAFTS, SAMPLES
from workbench.text import for_terminal


class Proposed(ModalScreen[None]):
    """The result of a job `draft` or `sample`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "leave", "Close")]

    def __init__(self, title: str, kind: str, result: dict[str, Any]) -> None:
        """`result`: as the job returns it; `kind`: of the job."""
        super().__init__()
        self._title, self._kind, self._result = for_terminal(title, one_line=True), kind, result

    def compose(self) -> ComposeResult:
        drafted = self._kind == "draft"
        words = DRAFTS if drafted else SAMPLES
        outcomes = self._result.get("outcomes", {})
        total = self._result.get("passages" if drafted else "prompts", 0)
        with Vertical(classes="dialog dialog-wide"):
            yield Static(Content(self._title), classes="dialog-title")
            yield Static(
                Content.from_markup(
                    "[$text-success]✓[/] [b]$kept[/] of $total $noun gave a pair, pending: nothing is learned from it"
                    " before you accept it.",
                    kept=f"{self._result.get('kept', 0):,}",
                    total=f"{total:,}",
                    noun="passages" if drafted else "prompts",
                )
            )
            if not total:
                yield Static("None is left that was not taken before.", markup=False)
            if flagged := self._result.get("flagged"):
                yield Static(
                    Content.from_markup(
                        "[$text-warning]![/] [b]$flagged[/] flagged: the passage carries only part of the answer",
                        flagged=f"{flagged:,}",
                    )
                )
            for name, count in outcomes.items():
                why = str(words.get(name, name))
                if name == "refused" and self._result.get("refused"):
                    why += f": {self._result['refused']}"
                if name != "kept":
                    yield Static(
                        Content.from_markup(
                            "[$text-error]✗[/] [b]$count[/] [$foreground-muted]$why[/]",
                            count=f"{count:,}",
                            why=for_terminal(why, one_line=True),
                        )
                    )
            yield Static(hints(("escape", "leave", "close")), classes="dialog-keys")

    def action_leave(self) -> None:
        self.dismiss(None)
