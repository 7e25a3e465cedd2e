"""What an import brought, and every row that it skipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Log, Static

from screens.modals.hints import hints
from workbench.text import for_terminal


class _Faults(Log):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
        Binding("ctrl+d", "page_down", show=False),
        Binding("ctrl+u", "page_up", show=False),
    ]


class ImportReport(ModalScreen[None]):
    """The figures of an import job's result, and its faults in a list that scrolls."""

    CSS_PATH = "import_report.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "leave", "Close")]

    def __init__(self, file: str, result: dict[str, Any], faults: Sequence[tuple[int, str]]) -> None:
        """`result`: as the job `import` returns it; `faults`: all of them, line and reason."""
        super().__init__()
        self._file, self._result, self._faults = for_terminal(file, one_line=True), result, faults

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static(
                Content.from_markup(
                    "Imported from [$text-accent]$file[/] [$foreground-muted not bold]as $form[/]",
                    file=self._file,
                    form=for_terminal(str(self._result.get("form", "?")), one_line=True),
                ),
                classes="dialog-title",
            )
            yield Static(
                Content.from_markup(
                    "[$text-success]✓[/] [b]$imported[/] new   [$text-muted]=[/] [b]$duplicates[/] were there already"
                    "   [$text-error]✗[/] [b]$skipped[/] skipped",
                    imported=f"{self._result.get('imported', 0):,}",
                    duplicates=f"{self._result.get('duplicates', 0):,}",
                    skipped=f"{self._result.get('skipped', 0):,}",
                )
            )
            yield _Faults()
            yield Static(hints(("escape", "leave", "close")), classes="dialog-keys")

    def on_mount(self) -> None:
        log = self.query_one(_Faults)
        log.display = bool(self._faults)
        log.write_lines(
            [f"line {line:<7,} {for_terminal(reason, one_line=True)}" for line, reason in self._faults],
            scroll_end=False,
        )
        log.focus()

    def action_leave(self) -> None:
        self.dismiss(None)
