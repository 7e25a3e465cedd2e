"""Pairs from the answers of a chat, into a dataset that is chosen once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from screens import last_place
from screens.conversation import Conversation, Round, Turn
from screens.modals.edit_texts import EditTexts, TextField
from screens.modals.prompt import Prompt
from screens.store_thread import StoreThread
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.pairs.pair import NewPair, NotAPair, normalised
from workbench.pairs.store import PairStore

if TYPE_CHECKING:
    from screens.base import WorkbenchScreen

TAG = "from-chat"
_FIRST_DATASET = "from-chat"


class ChatPairs:
    """Makes pairs of a round, and takes them back.

    A pair's prompt is what its answers were told: the chat up to the question as it was then, with the system prompt if
    the chat had one of its own. Where it had none the run that learns from it puts its own before it, as for every
    pair; and the passages, too, are found anew by a run that learns with the library.
    """

    def __init__(self, screen: WorkbenchScreen, *, changed: Callable[[], None]) -> None:
        """`changed`: called when a dataset was chosen."""
        self._screen, self._changed = screen, changed
        self._store: StoreThread[PairStore] | None = None

    def close(self) -> None:
        """Let go of the database when all is written."""
        if self._store is not None:
            self._store.close()

    @property
    def _pair_store(self) -> StoreThread[PairStore]:
        if self._store is None:
            self._store = StoreThread(PairStore, self._screen.workspace.database, "chat-pairs")
        return self._store

    # Where they go

    def dataset_of(self, conversation: Conversation) -> str:
        """The dataset chosen in the chat, else in the workspace; empty where none was."""
        return conversation.dataset or self._screen.app.place.chat_dataset

    async def choose_dataset(
        self, conversation: Conversation, then: Callable[[], Coroutine[Any, Any, object]] | None = None
    ) -> None:
        """Ask for the dataset, and remember it; `then` is done in a worker once one was given."""
        names = [dataset.name for dataset in await self._pair_store.do(lambda store: store.datasets())]
        dialog = Prompt(
            "Into which dataset do pairs of the chat go?",
            self.dataset_of(conversation) or (names[0] if len(names) == 1 else _FIRST_DATASET),
            detail="It is asked once; d changes it." + (f" There are: {', '.join(names[:8])}." if names else ""),
            suggestions=names,
            check=partial(check_name, noun="dataset"),
        )

        async def go_on(name: str) -> None:
            await conversation.configure(dataset=name)
            app = self._screen.app
            app.place.chat_dataset = name
            last_place.save(app.workspace, app.place)
            self._changed()
            if then is not None:
                await then()

        def given(name: str | None) -> None:
            if name:
                self._screen.run_worker(go_on(name), group="chat-pairs", exit_on_error=False)

        self._screen.app.push_screen(dialog, given)

    # A preference

    async def prefer(
        self, conversation: Conversation, asked: Round, better: Turn, done: Callable[[], Awaitable[None]]
    ) -> None:
        """The better answer, over every other one to the question; `done` is called after it.

        Raises:
            UserError: the answer is not whole, or there is no other one.
        """
        _check_whole(better)
        others = {
            normalised(turn.answer): turn.answer
            for turn in asked.all
            if turn.state == "answered"
            and normalised(turn.answer) != normalised(better.answer)
            and turn.figures.get("asked") == better.figures.get("asked")
        }
        if not others:
            raise UserError(
                "there is no other answer to the same prompt", do="f4 asks the four arms, f5 answers again."
            )
        if not self.dataset_of(conversation):
            await self.choose_dataset(conversation, partial(self.prefer, conversation, asked, better, done))
            return
        pairs = [
            self._pair(conversation, asked, better, chosen=better.answer, rejected=other) for other in others.values()
        ]
        await self._take_out(conversation, asked, tag="preference")
        added = await self._add(conversation, pairs, "chosen in a chat")
        await conversation.prefer(asked, better)
        count = "A preference pair" if added == 1 else f"{added} preference pairs"
        await done()
        self._tell(
            f"{count} in {self.dataset_of(conversation)}" if added else "They are in the dataset already",
            "P on the Pairs screen shows them side by side.",
        )

    # A correction

    async def correct(self, conversation: Conversation, asked: Round, turn: Turn) -> None:
        """Ask for the right answer, beginning with this one.

        Raises:
            UserError: there is none yet.
        """
        if turn.going or not turn.answer:
            raise UserError("there is no answer to correct yet")
        if not self.dataset_of(conversation):
            await self.choose_dataset(conversation, partial(self.correct, conversation, asked, turn))
            return

        async def save(texts: dict[str, str]) -> None:
            pair = self._pair(conversation, asked, turn, completion=texts["completion"])
            if not await self._add(conversation, [pair], "corrected in a chat"):
                raise UserError("the dataset has this very pair already", do="Change the answer, or leave.")
            self._tell(f"A pair in {self.dataset_of(conversation)}")

        title = f"The right answer, for {self.dataset_of(conversation)}"
        self._screen.app.push_screen(EditTexts(title, [TextField("completion", "answer", turn.answer)], save))

    async def undo(self, conversation: Conversation, asked: Round) -> None:
        """Take back what was made from a question.

        Raises:
            UserError: nothing was.
        """
        count = await self._take_out(conversation, asked)
        was_better = any(turn.better for turn in asked.all)
        await conversation.prefer(asked, None)
        if not count and not was_better:
            raise UserError("no pair was made from this question")
        self._screen.app.tell(f"{count} pair{'' if count == 1 else 's'} taken out again" if count else "Unmarked")

    # Inside

    def _pair(self, conversation: Conversation, asked: Round, turn: Turn, **texts: str) -> NewPair:
        kind = "correction" if "completion" in texts else "preference"
        try:
            return NewPair(
                messages=conversation.prompt_of(asked, turn),
                tags=(TAG,),
                source=_source(conversation, asked, kind),
                **texts,
            )
        except NotAPair as error:
            raise UserError(f"the pair {error}") from None

    async def _add(self, conversation: Conversation, pairs: list[NewPair], label: str) -> int:
        dataset = self.dataset_of(conversation)
        result = await self._pair_store.do(lambda store: store.add(dataset, pairs, status="accepted", label=label))
        return result.added

    async def _take_out(self, conversation: Conversation, asked: Round, tag: str | None = None) -> int:
        sources = [_source(conversation, asked, kind) for kind in ("preference", "correction") if tag in (None, kind)]

        def take_out(store: PairStore) -> int:
            ids = [id for source in sources for id in store.ids_from(source)]
            return store.delete(ids) if ids else 0

        return await self._pair_store.do(take_out)

    def _tell(self, text: str, more: str = "") -> None:
        self._screen.app.tell(f"{text}, accepted. u takes it back. {more}".rstrip())


def _source(conversation: Conversation, asked: Round, kind: str) -> str:
    chat = conversation.chat.id if conversation.chat else 0
    return f"chat {chat} question {asked.id} {kind}"


def _check_whole(turn: Turn) -> None:
    if turn.state != "answered" or not turn.answer.strip():
        raise UserError("the answer is not whole", do="Choose one that came to its end.")
