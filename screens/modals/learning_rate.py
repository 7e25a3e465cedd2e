"""Ask for a run's new learning rate; what is typed is checked as it is typed."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from workbench.errors import UserError
from workbench.text import for_terminal
from workbench.training.control import check_learning_rate


class LearningRate(ModalScreen[float | None]):
    """The new peak of the schedule; None when the user left with escape.

    Args:
        run: its name.
        peak: the peak as it is; what stands there at first.
        now: the rate of the latest step.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    def __init__(self, run: str, peak: float | None, now: Any) -> None:
        super().__init__()
        self._run, self._peak, self._now = for_terminal(run, one_line=True), peak, now

    def compose(self) -> ComposeResult:
        now = f"The latest step took {self._now:.2e}. " if isinstance(self._now, int | float) else ""
        with Vertical(classes="dialog"):
            yield Static(Content(f"Peak learning rate of {self._run}"), classes="dialog-title")
            yield Static(
                Content(f"{now}What is left of the schedule is scaled to the new peak, from the next step on."),
                classes="dialog-detail",
            )
            yield Input("" if self._peak is None else f"{self._peak:g}", placeholder="1e-4")
            yield Static(classes="dialog-fault", markup=False)
            yield Static(classes="dialog-keys", id="change", markup=False)

    def on_mount(self) -> None:
        self._say(self.query_one(Input).value)

    @on(Input.Changed)
    def changed(self, event: Input.Changed) -> None:
        self._say(event.value)

    def _say(self, text: str) -> None:
        """What is wrong with it, or what it would change."""
        fault = self.query_one(".dialog-fault", Static)
        says = ""
        try:
            rate = _rate(text)
            fault.display = False
            if self._peak and rate != self._peak:
                says = f" · {rate / self._peak:.3g} times the present one"
        except UserError as error:
            fault.update(Content(for_terminal(str(error))))
            fault.display = True
        self.query_one("#change", Static).update(
            Content.from_markup("[$foreground-muted]enter accepts · escape cancels$says[/]", says=says)
        )

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        try:
            self.dismiss(_rate(event.value))
        except UserError:
            return  # it is said below the input

    def action_leave(self) -> None:
        self.dismiss(None)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise UserError(f"{text!r} is no number" if text else "give a number", do="E.g. 1e-4.") from None
    check_learning_rate(rate)
    return rate
