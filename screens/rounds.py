"""The rounds of a chat as plain objects: a question, and what each pane answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.hybrid import Hybrid

if TYPE_CHECKING:
    from workbench.chat.answer import Citation
    from workbench.chat.history import ChatMessage


@dataclass(eq=False)
class Turn:
    """A question and one answer to it."""

    question: str
    hybrid: str
    answer: str = ""
    citations: tuple[Citation, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    """The fields of `workbench.chat.answer.Figures`; not_in_library; cut, with the fields of `Cut`; asked, see
    `workbench.chat.history.ChatMessage`."""
    state: str = "waiting"
    """waiting (nothing has come yet), answering, answered, stopped, failed, or unanswered (of a former sitting)."""
    reason: str = ""
    """Why it failed."""
    pane: int = 0
    """The id of the pane in which it was asked; see `Conversation.ids`."""
    id: int | None = None
    """Of the answer in the database; None before anything came."""
    better: bool = False
    """It was chosen over the other answers to its question."""
    place: tuple[int, int] = (1, 1)
    """Which of the pane's answers to the question it is, and how many there are."""

    @property
    def index(self) -> str | None:
        """The index that its passages are from."""
        return Hybrid.parse(self.hybrid).rag

    @property
    def going(self) -> bool:
        """Whether more may come."""
        return self.state in ("waiting", "answering")


@dataclass(eq=False)
class Round:
    """A question, and what each pane answered: once, or several times."""

    question: str
    id: int | None = None
    """Of the question in the database."""
    answers: dict[int, list[Turn]] = field(default_factory=dict)
    """By pane, oldest first."""
    hybrid: str = ""
    """What was asked first."""
    _shown: dict[int, Turn] = field(default_factory=dict)
    _nothing: Turn | None = None

    def add(self, turn: Turn) -> None:
        """Add an answer, and show it."""
        self.answers.setdefault(turn.pane, []).append(turn)
        self.show(turn)

    def show(self, turn: Turn) -> None:
        """Show an answer in its pane."""
        self._shown[turn.pane] = turn
        of = self.answers[turn.pane]
        for at, each in enumerate(of, 1):
            each.place = (at, len(of))

    def drop(self, turn: Turn) -> None:
        """Take away an answer that came to nothing."""
        of = self.answers[turn.pane]
        of.remove(turn)
        if of:
            self.show(of[-1])
        else:
            del self.answers[turn.pane], self._shown[turn.pane]

    @property
    def all(self) -> list[Turn]:
        """Every answer, by pane."""
        return [turn for pane in sorted(self.answers) for turn in self.answers[pane]]

    def goes_on(self, panes: Sequence[int]) -> Turn | None:
        """The answer that later questions follow: the better one, else the first that came to its end, else the first
        of which something came.

        All panes go on from one and the same chat, so that their answers answer the same prompt: only then is one
        the better of a preference pair.

        Args:
            panes: the ids of the panes that there are, in their order; those that were taken away come after them.
        """
        if (better := next((turn for turn in self.all if turn.better), None)) is not None:
            return better
        order = [*panes, *(pane for pane in sorted(self._shown) if pane not in panes)]
        shown = [self._shown[pane] for pane in order if pane in self._shown]
        return min(shown, key=lambda turn: 0 if turn.state == "answered" else 1 if turn.answer else 2, default=None)

    def in_pane(self, pane: int, panes: Sequence[int]) -> Turn:
        """What a pane shows: its answer, else the one that the chat went on with; `panes`: see `goes_on`."""
        if (turn := self._shown.get(pane) or self.goes_on(panes)) is not None:
            return turn
        if self._nothing is None:
            self._nothing = Turn(self.question, self.hybrid, state="unanswered")
        return self._nothing


def rounds_of(messages: Sequence[ChatMessage]) -> list[Round]:
    """The rounds of the messages of a chat."""
    rounds: dict[int | None, Round] = {}
    for message in messages:
        if message.role == "user":
            rounds[message.id] = Round(message.content, message.id, hybrid=message.hybrid)
        elif (asked := rounds.get(message.question)) is not None:
            figures, reason = message.figures, str(message.figures.get("failed") or "")
            state = "failed" if reason else "stopped" if figures.get("stopped") else "answered"
            turn = Turn(
                asked.question,
                message.hybrid,
                message.content,
                message.citations,
                figures,
                state,
                reason,
                message.pane,
                message.id,
                message.better,
            )
            asked.answers.setdefault(turn.pane, []).append(turn)
    highest = {message.id: (message.shown, message.id) for message in messages}
    for asked in rounds.values():
        for of in asked.answers.values():
            asked.show(max(of, key=lambda turn: highest[turn.id or 0]))
    return list(rounds.values())
