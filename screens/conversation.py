"""A chat as a plain object: its rounds, asking the next question of one to four hybrids, and keeping it all.

It knows nothing of widgets. What was asked is in the workspace's database before it is sent, and what came of an
answer a second later at most, whatever ends it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar, cast

from screens.rounds import Round, Turn, rounds_of
from workbench import database
from workbench.errors import UserError
from workbench.hybrid import Hybrid
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.chat.answer import Delta
    from workbench.chat.client import AsyncClient
    from workbench.chat.history import Chat, ChatStore

__all__ = ["MOST_PANES", "Conversation", "Round", "Turn", "with_store"]

MOST_PANES = 4
_KEEP_EVERY = 1.0  # seconds between two writes of an answer that is still coming
_VARIED = 0.7  # the temperature of another answer where greedy decoding would only repeat the first

Result = TypeVar("Result")


async def with_store(workspace: Workspace, work: Callable[[ChatStore], Result]) -> Result:
    """The result of some work on the store of chats, done in a thread: another process may be writing.

    Raises:
        UserError: the database cannot be read or written, or what `work` raises.
    """

    def run() -> Result:
        from workbench.chat.history import ChatStore

        try:
            with ChatStore(workspace.database) as store:
                return work(store)
        except sqlite3.Error as error:
            raise database.fault(error, workspace.database) from error

    return await asyncio.to_thread(run)


class Conversation:
    """One chat, begun or not: it is written down with its first question."""

    def __init__(self, workspace: Workspace, *panes: Hybrid) -> None:
        self.workspace = workspace
        self.panes = list(panes)
        """The hybrids that the next question is put to, one a pane; at least one."""
        self.ids = list(range(len(panes)))
        """Of the panes: those of one keep theirs when others come and go."""
        self.chat: Chat | None = None
        """As it is kept; None before the first question."""
        self.rounds: list[Round] = []
        self.sampling: dict[str, Any] = {}
        """The fields of `ChatSettings` that are set."""
        self.dataset = ""
        """Where pairs made from it go; empty: not chosen yet."""

    @classmethod
    async def opened(cls, workspace: Workspace, chat: int) -> Conversation:
        """A chat of the past.

        Raises:
            UserError: it is gone.
        """
        kept, messages = await with_store(workspace, lambda store: (store.get(chat), store.messages(chat)))
        conversation = cls(workspace, Hybrid.parse(kept.hybrid))
        if kept.panes:
            conversation.ids = [id for id, _ in kept.panes]
            conversation.panes = [Hybrid.parse(name) for _, name in kept.panes]
        conversation.chat, conversation.dataset = kept, kept.dataset
        conversation.sampling = dict(kept.sampling)
        conversation.rounds = rounds_of(messages)
        return conversation

    @property
    def title(self) -> str:
        """What the list of chats calls it."""
        return self.chat.title if self.chat else ""

    def turns(self) -> list[list[Turn]]:
        """What each pane shows, oldest first."""
        return [[self.in_pane(each, id) for each in self.rounds] for id in self.ids]

    def in_pane(self, asked: Round, pane: int) -> Turn:
        """What a pane shows of a round."""
        return asked.in_pane(pane, self.ids)

    def place_of(self, turn: Turn) -> int:
        """The place of the pane that an answer was asked in, from 0; -1 if it was taken away."""
        return self.ids.index(turn.pane) if turn.pane in self.ids else -1

    def _ids_for(self, panes: Sequence[Hybrid]) -> list[int]:
        """Ids of other panes: one that stays keeps its own, one that was there before takes that again."""
        if len(panes) == len(self.panes):
            return self.ids
        names = [str(pane) for pane in panes]
        known = dict(zip(self.ids, map(str, self.panes), strict=True))
        for each in reversed(self.rounds):
            for turn in each.all:
                known.setdefault(turn.pane, turn.hybrid)
        ids: list[int] = []
        for name in names:
            before = [id for id, hybrid in known.items() if hybrid == name and id not in ids]
            ids.append(before[0] if before else max([-1, *known, *ids]) + 1)
        return ids

    def _asked_with(self, until: Round) -> dict[str, Any]:
        """What a question is told after, as it is kept with each answer: the system prompt, if the chat has one of its
        own, and the ids of the answers that the chat went on with, the same ones for every pane."""
        before = (each.goes_on(self.ids) for each in self.rounds[: self.rounds.index(until)])
        return {
            "system": str(self.sampling.get("system") or ""),
            "answers": [turn.id for turn in before if turn is not None and turn.answer and turn.id is not None],
        }

    def prompt_of(self, asked: Round, turn: Turn) -> list[dict[str, str]]:
        """The messages that an answer was given to, whatever the chat would go on with now.

        Raises:
            UserError: one of them is gone.
        """
        # An answer from before this was kept: as the chat would go on now.
        told = turn.figures.get("asked") or self._asked_with(asked)
        messages = [{"role": "system", "content": str(told["system"])}] if told["system"] else []
        said = {each.id: each for of in self.rounds for each in of.all}
        for id in told["answers"]:
            if (before := said.get(id)) is None:
                raise UserError("an answer that this one followed is gone", do="Ask again.")
            messages.append({"role": "user", "content": before.question})
            messages.append({"role": "assistant", "content": before.answer})
        return [*messages, {"role": "user", "content": asked.question}]

    # Asking

    async def begin(self, asked: Round) -> None:
        """Write a question down; its answers come with `answer`."""
        asked.hybrid = str(self.panes[0])

        def keep(store: ChatStore) -> tuple[Chat, int]:
            chat = self.chat
            if chat is None:
                chat = store.create(asked.hybrid)
                store.configure(chat.id, panes=self._kept_panes, sampling=self.sampling, dataset=self.dataset)
            message = store.append(chat.id, "user", asked.question, hybrid=asked.hybrid)
            return store.get(chat.id), message.id

        def kept(result: tuple[Chat, int]) -> None:
            self.chat, asked.id = result
            self.rounds.append(asked)

        await self._write(keep, kept)

    async def answer(
        self,
        client: AsyncClient,
        asked: Round,
        turn: Turn,
        hear: Callable[[Delta], Awaitable[None]],
        *,
        again: bool = False,
    ) -> None:
        """Have a question answered by the hybrid of `turn`, which is filled as the answer comes. Cancelling stops it.

        An answer of which nothing came is taken out of the round again.

        Args:
            client: of the server.
            asked: what `begin` returned, or a round of the past.
            turn: one of its answers.
            hear: told every piece after `turn` holds it.
            again: it is another answer: with a temperature of its own where the chat's is not set, and without a seed.

        Raises:
            UserError: the answer cannot be had, or broke off.
        """
        options = {name: value for name, value in self.sampling.items() if name != "system"}
        if again:
            options.pop("seed", None)
            options["temperature"] = options.get("temperature") or _VARIED
        kept_at = 0.0
        turn.figures["asked"] = self._asked_with(asked)
        stream = cast("AsyncGenerator[Delta]", client.chat(self.prompt_of(asked, turn), turn.hybrid, **options))
        try:
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    if turn.state == "waiting":
                        turn.state = "answering"
                        turn.citations = delta.citations
                        turn.figures |= {
                            "not_in_library": delta.not_in_library,
                            "cut": asdict(delta.cut) if delta.cut else None,
                        }
                    turn.answer += delta.text
                    if delta.figures is not None:
                        turn.figures |= asdict(delta.figures)
                    something = turn.answer or turn.citations  # of nothing it cannot be said that it was stopped
                    if something and time.monotonic() - kept_at >= _KEEP_EVERY:
                        await self._keep(asked, turn)
                        kept_at = time.monotonic()
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
            if turn.answer or turn.citations:
                await self._keep(asked, turn)
            else:
                await self._drop(asked, turn)

    async def withdraw(self, asked: Round) -> None:
        """Take a question back that nothing was answered to; a chat that it began goes with it."""
        self.rounds.remove(asked)
        if (id := asked.id) is not None:
            await with_store(self.workspace, lambda store: store.remove(id))
        if not self.rounds and self.chat is not None and self.chat.branched_from is None:
            self.chat = None

    async def _keep(self, asked: Round, turn: Turn) -> None:
        chat = self.chat
        if chat is None:
            return
        # What is written before the end says that it was stopped: so it is, if nothing more is written.
        figures = {**turn.figures, "stopped": turn.state in ("answering", "stopped"), "failed": turn.reason}
        answer, citations, id = turn.answer, turn.citations, turn.id

        def keep(store: ChatStore) -> int:
            if id is not None:
                store.update(id, answer, citations=citations, figures=figures)
                return id
            return store.append(
                chat.id,
                "assistant",
                answer,
                hybrid=turn.hybrid,
                citations=citations,
                figures=figures,
                question=asked.id,
                pane=turn.pane,
            ).id

        def kept(id: int) -> None:
            turn.id = id

        await self._write(keep, kept)

    async def _write(self, write: Callable[[ChatStore], Result], kept: Callable[[Result], None]) -> None:
        """Write, and tell `kept` what came of it, also when cancelled meanwhile: the thread writes on, and the id of
        what it writes must be known."""
        writing = asyncio.ensure_future(with_store(self.workspace, write))
        try:
            await asyncio.wait([writing])
        finally:
            kept(await writing)

    async def _drop(self, asked: Round, turn: Turn) -> None:
        asked.drop(turn)
        if (id := turn.id) is not None:
            await with_store(self.workspace, lambda store: store.remove(id))

    @property
    def _kept_panes(self) -> list[tuple[int, str]]:
        return [(id, str(hybrid)) for id, hybrid in zip(self.ids, self.panes, strict=True)]

    # What a person decides

    async def configure(
        self,
        *,
        panes: Sequence[Hybrid] | None = None,
        ids: Sequence[int] | None = None,
        sampling: Mapping[str, Any] | None = None,
        dataset: str | None = None,
    ) -> None:
        """Go on with other hybrids, settings, or another dataset; None leaves a part as it is.

        Args:
            panes: the hybrids.
            ids: of the panes; None: those that stay keep theirs, as far as their hybrids tell them apart.
            sampling: the fields of `ChatSettings` that are set.
            dataset: where pairs go.
        """
        if panes is not None:
            self.ids, self.panes = self._ids_for(panes) if ids is None else list(ids), list(panes)
        if sampling is not None:
            self.sampling = dict(sampling)
        self.dataset = self.dataset if dataset is None else dataset
        if (chat := self.chat) is None:
            return
        kept = None if panes is None else self._kept_panes

        def keep(store: ChatStore) -> None:
            store.configure(chat.id, panes=kept, sampling=sampling, dataset=dataset)
            if kept:
                store.choose(chat.id, kept[0][1])

        await with_store(self.workspace, keep)

    async def show(self, asked: Round, turn: Turn) -> None:
        """Show an answer in its pane."""
        asked.show(turn)
        if (id := turn.id) is not None:
            await with_store(self.workspace, lambda store: store.show(id))

    async def prefer(self, asked: Round, better: Turn | None) -> None:
        """Go on with an answer as the better one; None takes that back."""
        for turn in asked.all:
            turn.better = turn is better
        if (question := asked.id) is not None:
            await with_store(self.workspace, lambda store: store.prefer(question, better.id if better else None))

    async def branch(self, at: Round, *, before: bool = False) -> int:
        """A copy of the chat up to a round, or to the one before it, that goes its own way; its id.

        Raises:
            UserError: the chat is gone.
        """
        chat = self.chat
        if chat is None:
            raise UserError("there is nothing to branch from yet", do="Ask something.")
        until = (at.id or 0) - (1 if before else 0)
        return (await with_store(self.workspace, lambda store: store.branch(chat.id, until))).id
