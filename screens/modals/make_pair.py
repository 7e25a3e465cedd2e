"""A pair from a question of a comparison: its answer, or the better and the worse one, edited; and its dataset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static, TextArea

from screens.modals.confirm import leave_edited
from screens.modals.dialog import Dialog
from screens.modals.hints import hints
from screens.stand_ins import StandIns
from screens.widgets.form import Row
from workbench.compare.question import Question
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.text import for_terminal

_LABELS = {
    "completion": "the answer that is learned",
    "chosen": "the better answer",
    "rejected": "the worse answer",
}


class MakePair(Dialog[bool]):
    """True when the pair was made."""

    CSS_PATH = ["edit_texts.tcss", "make_pair.tcss"]  # noqa: RUF012
    AUTO_FOCUS = "TextArea"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", priority=True),
        Binding("ctrl+r", "reference", "Reference", priority=True),
        Binding("escape", "leave", "Cancel", priority=True),
    ]

    def __init__(
        self,
        question: Question,
        texts: Mapping[str, str],
        *,
        dataset: str,
        datasets: Sequence[str],
        save: Callable[[str, dict[str, str]], Awaitable[object]],
    ) -> None:
        """
        Args:
            question: what the pair's prompt will be.
            texts: completion, or chosen and rejected, to begin with.
            dataset: what is offered.
            datasets: those that there are.
            save: gets the dataset and the texts; its UserError is shown, and nothing is lost.
        """
        super().__init__()
        self._question, self._dataset, self._datasets, self._save = question, dataset, datasets, save
        self._stand_ins = {name: StandIns(text) for name, text in texts.items()}

    def compose(self) -> ComposeResult:
        question = self._question
        kind = "pair" if "completion" in self._stand_ins else "preference pair"
        with Vertical(classes="dialog dialog-wide"):
            yield Static(Content(f"Make a {kind}"), classes="dialog-title")
            with VerticalScroll(id="asked", can_focus=False):
                yield Static(Content(for_terminal(question.text)))
            if right := self._reference:
                yield Static(
                    Content.from_markup(
                        "[$text-success]right:[/] $right", right=for_terminal(" · ".join(question.answers) or right)
                    ),
                    id="right",
                )
            yield Row(
                "dataset",
                "into the dataset",
                Input(self._dataset, suggester=SuggestFromList(self._datasets), compact=True),
                "",
            )
            for name, stand_ins in self._stand_ins.items():
                yield Static(Content(_LABELS[name]), classes="text-label")
                yield TextArea(stand_ins.shown, compact=True, highlight_cursor_line=False)
            yield Static(classes="dialog-fault", markup=False)
            keys = [("ctrl+s", "save", "save"), ("tab", "app.focus_next", "next")]
            keys += [("ctrl+r", "reference", "take the reference")] if self._reference else []
            yield Static(hints(*keys, ("escape", "leave", "cancel")), classes="dialog-keys")

    @property
    def _reference(self) -> str:
        return self._question.answers[0] if self._question.answers else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self._reference) if action == "reference" else True

    @property
    def texts(self) -> dict[str, str]:
        """As they are edited, by name."""
        areas = self.query(TextArea)
        return {
            name: stand_ins.restored(area.text)
            for (name, stand_ins), area in zip(self._stand_ins.items(), areas, strict=True)
        }

    # What the keys do

    def action_reference(self) -> None:
        """Write the reference answer over the text in focus, or the first one."""
        focused = self.focused
        area = focused if isinstance(focused, TextArea) else self.query(TextArea).first()
        area.load_text(for_terminal(self._reference))
        area.focus()

    def action_save(self) -> None:
        self.run_worker(self._saved, group="save", exclusive=True, exit_on_error=False)

    async def _saved(self) -> None:
        dataset = self.query_one(Row).text
        try:
            check_name(dataset, "dataset")
            await self._save(dataset, self.texts)
        except UserError as error:
            fault = self.query_one(".dialog-fault", Static)
            fault.update(Content(for_terminal(str(error))))
            fault.display = True
            return
        self.dismiss(True)

    def action_leave(self) -> None:
        areas = zip(self.query(TextArea), self._stand_ins.values(), strict=True)
        leave_edited(self, any(area.text != stand_ins.shown for area, stand_ins in areas))
