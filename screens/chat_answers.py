"""Having a question answered in every pane, one after the other, and showing the answers as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from textual.worker import Worker

from screens.conversation import Conversation, Round, Turn
from screens.server_client import ServerClient
from screens.widgets.panes import Panes
from screens.widgets.transcript import Transcript
from workbench.errors import UserError

if TYPE_CHECKING:
    from screens.base import WorkbenchScreen
    from workbench.chat.answer import Delta


class ChatAnswers:
    """Asks one question at a time."""

    def __init__(
        self, screen: WorkbenchScreen, panes: Panes, *, changed: Callable[[], None], heard: Callable[[Turn], None]
    ) -> None:
        """
        Args:
            screen: whose worker asks.
            panes: where the answers are shown.
            changed: called when asking has begun and ended.
            heard: called when there is more of an answer.
        """
        self._screen, self._panes, self._changed, self._heard = screen, panes, changed, heard
        self.at_once = False
        """Whether all panes are asked at the same time: for a server that answers several. The workspace's own takes
        one after the other, and reads what their prompts have in common once."""
        self._worker: Worker[None] | None = None
        self._now: Turn | None = None

    @cached_property
    def server(self) -> ServerClient:
        """The connection to the workspace's server."""
        return ServerClient(self._screen.workspace)

    @property
    def going(self) -> bool:
        """Whether an answer is coming or waited for."""
        return self._worker is not None

    def ask(self, conversation: Conversation, question: str, *, refused: Callable[[], None]) -> None:
        """Put a question to every pane.

        Args:
            conversation: it is added to.
            question: the text.
            refused: called when nothing of an answer came.
        """
        self._start(partial(self._ask, conversation, question, refused))

    def ask_again(self, conversation: Conversation, asked: Round, turn: Turn, hybrid: str) -> None:
        """Another answer in the pane that shows `turn`."""
        self._start(partial(self._ask_again, conversation, asked, turn, hybrid))

    def stop(self) -> None:
        """Stop; what came is kept."""
        if self._worker is not None:
            self._worker.cancel()

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        self._worker = self._screen.run_worker(work(), group="chat-answer", exit_on_error=False)
        self._changed()

    async def _ask(self, conversation: Conversation, question: str, refused: Callable[[], None]) -> None:
        asked: Round | None = None
        turns: list[Turn] = []
        try:
            asked = await conversation.begin(question)
            for id, hybrid in zip(conversation.ids, conversation.panes, strict=True):
                turns.append(turn := Turn(question, str(hybrid), pane=id))
                asked.add(turn)
            self._changed()
            for turn in turns:
                if (transcript := self._transcript(conversation, turn)) is not None:
                    await transcript.add(turn)
                    if (view := transcript.view_of(turn)) and turn is not turns[0]:
                        view.wait_for("Waiting" if self.at_once else "Waiting for the panes before")
            await self._answer_all(conversation, asked, turns)
        finally:
            self._worker = None
            if asked is not None:
                for turn in turns:
                    if turn.state == "waiting" and turn in asked.answers.get(turn.pane, []):
                        asked.drop(turn)  # it was stopped before its turn came
                for turn in turns:
                    if turn not in asked.answers.get(turn.pane, []):
                        await self._take_away(conversation, asked, turn)
                if not asked.answers:
                    await conversation.withdraw(asked)
            if asked is None or not any(turn.answer and turn.state != "failed" for turn in asked.all):
                refused()
            self._changed()

    async def _answer_all(self, conversation: Conversation, asked: Round, turns: Sequence[Turn]) -> None:
        """Several panes: what one fails with is told, and the others go on."""
        failures: list[UserError] = []

        async def one(turn: Turn) -> None:
            try:
                await self._answer(conversation, asked, turn)
            except UserError as error:
                failures.append(error)

        if self.at_once:
            await asyncio.gather(*map(one, turns))
        else:
            for turn in turns:
                await one(turn)
        if failures:
            for other in {str(error): error for error in failures[1:]}.values():
                if str(other) != str(failures[0]):
                    self._screen.app.report(other)
            raise failures[0]  # the screen tells it

    def _transcript(self, conversation: Conversation, turn: Turn) -> Transcript | None:
        """Where an answer is shown."""
        return self._panes.transcript_of(conversation.place_of(turn))

    async def _take_away(self, conversation: Conversation, asked: Round, turn: Turn) -> None:
        if (transcript := self._transcript(conversation, turn)) is not None:
            if asked.answers:
                await transcript.replace(turn, asked.in_pane(turn.pane))
            else:
                await transcript.remove_turn(turn)

    async def _ask_again(self, conversation: Conversation, asked: Round, before: Turn, hybrid: str) -> None:
        pane = conversation.ids[self._panes.current]
        turn = Turn(asked.question, hybrid, pane=pane)
        first = pane not in asked.answers
        asked.add(turn)
        transcript = self._transcript(conversation, turn)
        try:
            if transcript is not None:
                await transcript.replace(before, turn)
            await self._answer(conversation, asked, turn, again=not first)
        finally:
            self._worker = None
            if transcript is not None and turn not in asked.answers.get(pane, []):
                await transcript.replace(turn, asked.in_pane(pane))
            self._changed()

    async def _answer(self, conversation: Conversation, asked: Round, turn: Turn, *, again: bool = False) -> None:
        waiting = self._screen.set_interval(1.0, partial(self._say_what_is_waited_for, conversation, turn))

        async def hear(_: Delta) -> None:
            waiting.stop()
            transcript = self._transcript(conversation, turn)
            if transcript is not None and (view := transcript.view_of(turn)) is not None and view.is_mounted:
                if not turn.answer:
                    view.wait_for("Reading the passages" if turn.citations else "Reading the question")
                await view.hear()
            self._heard(turn)

        try:
            await self._say_what_is_waited_for(conversation, turn)
            await conversation.answer(self.server.client, asked, turn, hear, again=again)
        finally:
            waiting.stop()
            transcript = self._transcript(conversation, turn)
            if transcript is not None and (view := transcript.view_of(turn)) is not None and view.is_mounted:
                await view.finish()
            self._heard(turn)

    async def _say_what_is_waited_for(self, conversation: Conversation, turn: Turn) -> None:
        app = self._screen.app
        if not await asyncio.to_thread(self.server.runs):
            words = "Starting the server"
        elif app.server is None or app.server.model is None:
            words = "Loading the model"
        else:
            words = "Waiting for the answer"
        transcript = self._transcript(conversation, turn)
        if turn.state == "waiting" and transcript is not None and (view := transcript.view_of(turn)):
            view.wait_for(words)
