"""Having a question answered in every pane, one after the other, and showing the answers as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING

from textual.css.query import NoMatches
from textual.worker import Worker

from screens.conversation import Conversation, Round, Turn
from screens.server_client import ServerClient
from screens.widgets.panes import Panes
from screens.widgets.transcript import Transcript
from screens.widgets.turn_view import TurnView
from workbench.errors import UserError
from workbench.hybrid import Hybrid
from workbench.text import for_terminal

if TYPE_CHECKING:
    from screens.chat import ChatScreen
    from workbench.chat.answer import Delta


class ChatAnswers:
    """Asks one question at a time."""

    def __init__(
        self, screen: ChatScreen, panes: Panes, *, changed: Callable[[], None], heard: Callable[[Turn], None]
    ) -> None:
        """
        Args:
            screen: whose worker asks.
            panes: where the answers are shown.
            changed: called when asking has begun and ended.
            heard: called when there is more of an answer.
        """
        self._screen, self._panes, self._changed, self._heard = screen, panes, changed, heard
        self._worker: Worker[None] | None = None
        self._stopping = self._leaving = False

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

    def ask_again(self, conversation: Conversation, asked: Round, place: int) -> None:
        """Another answer in the pane at a place."""
        turn = Turn(asked.question, str(conversation.panes[place]), pane=conversation.ids[place])
        self._start(partial(self._ask_again, conversation, asked, turn))

    def stop(self) -> None:
        """Stop; what came is kept."""
        if self._worker is not None and not self._stopping:
            self._stopping = True
            self._worker.cancel()

    async def close(self) -> None:
        """End with the app: what came is kept, and what was asked."""
        self._leaving = True
        if self._worker is not None:
            self._worker.cancel()
        await self.server.close()

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        self._stopping = False
        self._worker = self._screen.run_worker(work(), group="chat-answer", exit_on_error=False)
        self._changed()

    async def _ask(self, conversation: Conversation, question: str, refused: Callable[[], None]) -> None:
        asked, turns = Round(question), list[Turn]()
        try:
            async with self._panes.changing:
                if self._screen.conversation is not conversation:
                    return  # another chat was opened meanwhile: the question is given back
                await self._begin(conversation, asked, turns)
            await self._answer_all(conversation, asked, turns)
        except asyncio.CancelledError:
            self._leaving |= not self._stopping
            raise
        finally:
            self._worker = None
            if not self._leaving:  # the app ends: what was asked stays in the chat, as not answered
                await self._tidy(conversation, asked, turns)
                if not any(turn.answer and turn.state != "failed" for turn in asked.all):
                    refused()
                self._changed()

    async def _begin(self, conversation: Conversation, asked: Round, turns: list[Turn]) -> None:
        """Write the question down, and add an answer to `turns` and to the end of each pane."""
        await conversation.begin(asked)
        for id, hybrid in zip(conversation.ids, conversation.panes, strict=True):
            turns.append(turn := Turn(asked.question, str(hybrid), pane=id))
            asked.add(turn)
        self._changed()

        async def wait(view: TurnView) -> None:
            view.wait_for("Waiting" if self._at_once(turns) else "Waiting for the panes before")

        for turn in turns:
            if (transcript := self._transcript(conversation, turn)) is not None:
                await transcript.add(turn)
                if turn is not turns[0]:
                    await self._paint(conversation, turn, wait)

    async def _tidy(self, conversation: Conversation, asked: Round, turns: Sequence[Turn]) -> None:
        """Take away the answers of which nothing came, and with the last of them the question."""
        for turn in turns:
            if turn.state == "waiting" and turn in asked.answers.get(turn.pane, []):
                asked.drop(turn)  # it was stopped before its turn came
        for turn in turns:
            if turn not in asked.answers.get(turn.pane, []):
                await self._take_away(conversation, asked, turn)
        if not asked.answers and asked in conversation.rounds:
            await conversation.withdraw(asked)

    def _at_once(self, turns: Sequence[Turn]) -> bool:
        """Whether all are asked at the same time: models on other servers. The workspace's own server takes one after
        the other, and reads what their prompts have in common once."""
        choices = self._screen.hybrids.choices
        return choices is not None and all(Hybrid.parse(turn.hybrid).base in choices.remotes for turn in turns)

    async def _answer_all(self, conversation: Conversation, asked: Round, turns: Sequence[Turn]) -> None:
        """Several panes: what one fails with is told, and the others go on."""
        failures: list[UserError] = []

        async def one(turn: Turn) -> None:
            try:
                await self._answer(conversation, asked, turn)
            except UserError as error:
                failures.append(error)

        if self._at_once(turns):
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

    async def _paint(
        self, conversation: Conversation, turn: Turn, paint: Callable[[TurnView], Awaitable[None]]
    ) -> None:
        """Do something with the widget of an answer. It may come and go at any moment: the answer goes on without."""
        transcript = self._transcript(conversation, turn)
        if (
            transcript is not None
            and (view := transcript.view_of(turn)) is not None
            and view.is_mounted
            and view.is_attached
        ):
            with suppress(NoMatches):
                await paint(view)

    async def _take_away(self, conversation: Conversation, asked: Round, turn: Turn) -> None:
        if (transcript := self._transcript(conversation, turn)) is not None:
            if asked.answers:
                await transcript.replace(turn, conversation.in_pane(asked, turn.pane))
            else:
                await transcript.remove_turn(turn)

    async def _ask_again(self, conversation: Conversation, asked: Round, turn: Turn) -> None:
        first = turn.pane not in asked.answers
        try:
            async with self._panes.changing:
                asked.add(turn)
                await self._panes.update(conversation.turns())
            await self._answer(conversation, asked, turn, again=not first)
        except asyncio.CancelledError:
            self._leaving |= not self._stopping
            raise
        finally:
            self._worker = None
            if not self._leaving:
                if turn.state == "waiting" and turn in asked.answers.get(turn.pane, []):
                    asked.drop(turn)  # it was stopped before it was asked for
                await self._panes.update(conversation.turns())
                self._changed()

    async def _answer(self, conversation: Conversation, asked: Round, turn: Turn, *, again: bool = False) -> None:
        waiting = self._screen.set_interval(1.0, partial(self._say_what_is_waited_for, conversation, turn))

        async def more(view: TurnView) -> None:
            if not turn.answer:
                view.wait_for("Reading the passages" if turn.citations else "Reading the question")
            await view.hear()

        async def hear(_: Delta) -> None:
            waiting.stop()
            await self._paint(conversation, turn, more)
            self._heard(turn)

        try:
            await self._say_what_is_waited_for(conversation, turn)
            await conversation.answer(self.server.client, asked, turn, hear, again=again)
        finally:
            waiting.stop()
            await self._paint(conversation, turn, TurnView.finish)
            self._heard(turn)

    async def _say_what_is_waited_for(self, conversation: Conversation, turn: Turn) -> None:
        app = self._screen.app
        if not await asyncio.to_thread(self.server.runs):
            words = "Starting the server"
        elif app.server is not None and app.server.loading:
            words = f"Loading {for_terminal(app.server.loading, one_line=True)}"
        elif app.server is None or app.server.model is None:
            words = "Loading the model"
        else:
            words = "Waiting for the answer"

        async def say(view: TurnView) -> None:
            view.wait_for(words)

        if turn.state == "waiting":
            await self._paint(conversation, turn, say)
