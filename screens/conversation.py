"""A chat as a plain object: its turns, asking the next question, and keeping both in the workspace's database.

It knows nothing of widgets; what came of an answer is kept whatever ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from workbench.errors import UserError
from workbench.hybrid import Hybrid
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.chat.answer import Citation, Delta
    from workbench.chat.client import AsyncClient
    from workbench.chat.history import Chat, ChatMessage, ChatStore

Result = TypeVar("Result")


async def with_store(workspace: Workspace, work: Callable[[ChatStore], Result]) -> Result:
    """The result of some work on the store of chats, done in a thread: another process may be writing."""

    def run() -> Result:
        from workbench.chat.history import ChatStore

        with ChatStore(workspace.database) as store:
            return work(store)

    return await asyncio.to_thread(run)


@dataclass(eq=False)
class Turn:
    """A question and its answer."""

    question: str
    hybrid: str
    answer: str = ""
    citations: tuple[Citation, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    """The fields of `workbench.chat.answer.Figures`; not_in_library; cut, with the fields of `Cut`."""
    state: str = "waiting"
    """waiting (nothing has come yet), answering, answered, stopped, failed, or unanswered (of a former sitting)."""
    reason: str = ""
    """Why it failed."""

    @property
    def index(self) -> str | None:
        """The index that its passages are from."""
        return Hybrid.parse(self.hybrid).rag

    @property
    def going(self) -> bool:
        """Whether more may come."""
        return self.state in ("waiting", "answering")


class Conversation:
    """One chat, begun or not: it is written down with its first question."""

    def __init__(self, workspace: Workspace, hybrid: Hybrid) -> None:
        self.workspace = workspace
        self.hybrid = hybrid
        """What the next question is put to."""
        self.chat: Chat | None = None
        """As it is kept; None before the first question."""
        self.turns: list[Turn] = []

    @classmethod
    async def opened(cls, workspace: Workspace, chat: int) -> Conversation:
        """A chat of the past.

        Raises:
            UserError: it is gone.
        """
        kept, messages = await with_store(workspace, lambda store: (store.get(chat), store.messages(chat)))
        conversation = cls(workspace, Hybrid.parse(kept.hybrid))
        conversation.chat = kept
        conversation.turns = _turns(messages)
        return conversation

    @property
    def title(self) -> str:
        """What the list of chats calls it."""
        return self.chat.title if self.chat else ""

    async def choose(self, hybrid: Hybrid) -> None:
        """Go on with another hybrid."""
        self.hybrid = hybrid
        if (chat := self.chat) is not None:
            await with_store(self.workspace, lambda store: store.choose(chat.id, str(hybrid)))

    async def ask(self, client: AsyncClient, turn: Turn, hear: Callable[[Delta], Awaitable[None]]) -> None:
        """Put a question; `turn` is filled as the answer comes. Cancelling the task stops the answer.

        A question that nothing came for leaves no trace; one that is being answered is kept with what came.

        Args:
            client: of the server.
            turn: the new question, not among `turns`; it is added.
            hear: told every piece after `turn` holds it.

        Raises:
            UserError: the answer cannot be had, or broke off.
        """
        messages = [*self._messages(), {"role": "user", "content": turn.question}]
        self.turns.append(turn)
        try:
            async with aclosing(cast("AsyncGenerator[Delta]", client.chat(messages, turn.hybrid))) as deltas:
                async for delta in deltas:
                    if turn.state == "waiting":
                        await self._keep_question(turn)
                        turn.state = "answering"
                        turn.citations = delta.citations
                        turn.figures = {
                            "not_in_library": delta.not_in_library,
                            "cut": asdict(delta.cut) if delta.cut else None,
                        }
                    turn.answer += delta.text
                    if delta.figures is not None:
                        turn.figures |= asdict(delta.figures)
                    await hear(delta)
            if "finish_reason" not in turn.figures:
                raise UserError("the answer broke off", do="Ask again.")
            turn.state = "answered"
        except asyncio.CancelledError:
            turn.state = "stopped"
            raise
        except BaseException as error:
            turn.state, turn.reason = "failed", str(error)
            raise
        finally:
            await self._keep_answer(turn)

    def _messages(self) -> list[dict[str, str]]:
        """The turns that the model is told: those with an answer."""
        return [
            message
            for turn in self.turns
            if turn.answer
            for message in (
                {"role": "user", "content": turn.question},
                {"role": "assistant", "content": turn.answer},
            )
        ]

    async def _keep_question(self, turn: Turn) -> None:
        def keep(store: ChatStore) -> Chat:
            chat = self.chat or store.create(turn.hybrid)
            store.append(chat.id, "user", turn.question, hybrid=turn.hybrid)
            return store.get(chat.id)

        self.chat = await with_store(self.workspace, keep)

    async def _keep_answer(self, turn: Turn) -> None:
        if not turn.figures:  # nothing came at all
            self.turns.remove(turn)
            return
        chat = self.chat
        if chat is None or not (turn.answer or turn.citations):
            return
        figures = {**turn.figures, "stopped": turn.state == "stopped", "failed": turn.reason}
        await with_store(
            self.workspace,
            lambda store: store.append(
                chat.id, "assistant", turn.answer, hybrid=turn.hybrid, citations=turn.citations, figures=figures
            ),
        )


def _turns(messages: list[ChatMessage]) -> list[Turn]:
    turns: list[Turn] = []
    for message in messages:
        if message.role == "user":
            turns.append(Turn(message.content, message.hybrid, state="unanswered"))
        elif turns:
            turn, figures = turns[-1], message.figures
            turn.answer, turn.citations, turn.figures = message.content, message.citations, figures
            turn.reason = str(figures.get("failed") or "")
            turn.state = "failed" if turn.reason else "stopped" if figures.get("stopped") else "answered"
    return turns
