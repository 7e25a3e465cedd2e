"""What a chat is put to: the hybrid of each pane, and which panes there are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from screens.conversation import MOST_PANES, Conversation
from screens.hybrid_choices import HybridChoices, read_choices
from screens.modals.choose_hybrid import choose_adapter, choose_index
from screens.widgets.panes import Panes
from workbench.errors import UserError
from workbench.hybrid import Hybrid

if TYPE_CHECKING:
    from screens.chat import ChatScreen


class ChatHybrids:
    """Puts the hybrids of a chat together, and has panes come and go."""

    def __init__(self, screen: ChatScreen, panes: Panes, *, changed: Callable[[], None]) -> None:
        """`changed`: called when the chat goes on with other hybrids."""
        self._screen, self._panes, self._changed = screen, panes, changed
        self.choices: HybridChoices | None = None
        """What there was at the last look; None before the first."""

    async def read_choices(self) -> HybridChoices:
        """What there is now.

        Raises:
            UserError: the settings have faults.
        """
        self.choices = await asyncio.to_thread(read_choices, self._screen.workspace)
        return self.choices

    @property
    def place(self) -> int:
        """That of the current pane among those that the chat goes on with; one that is just taken away has none."""
        conversation = self._screen.conversation
        return min(self._panes.current, len(conversation.panes) - 1) if conversation else 0

    @property
    def current(self) -> Hybrid | None:
        """That of the current pane; None before a chat is read."""
        conversation = self._screen.conversation
        return conversation.panes[self.place] if conversation else None

    # One hybrid

    async def choose_adapter(self) -> None:
        """Ask for the adapter of the current pane's hybrid.

        Raises:
            UserError: there is nothing to choose.
        """
        if (hybrid := self.current) is not None:
            choices = await self.read_choices()

            def chosen(run: str | None) -> None:
                if run is not None:
                    self._choose(choices.with_adapter(self.current or hybrid, run or None))

            self._screen.app.push_screen(choose_adapter(choices, hybrid), chosen)

    async def choose_index(self) -> None:
        """Ask for the index of the current pane's hybrid.

        Raises:
            UserError: there is nothing to choose.
        """
        if (hybrid := self.current) is not None:

            def chosen(index: str | None) -> None:
                if index is not None:
                    self._choose(replace(self.current or hybrid, rag=index or None))

            self._screen.app.push_screen(choose_index(await self.read_choices(), hybrid), chosen)

    def _choose(self, hybrid: Hybrid) -> None:
        async def choose() -> None:
            if (conversation := self._screen.conversation) is not None and hybrid != self.current:
                panes = list(conversation.panes)
                panes[self.place] = hybrid
                await self._go_on_with(conversation, panes)

        self._change(choose)

    # Panes

    def ask_arms(self) -> None:
        """Have a pane for each of the four arms of the current hybrid; what it lacks is taken from what there is."""

        async def ask_arms() -> None:
            conversation, hybrid = self._screen.conversation, self.current
            if conversation is None or hybrid is None:
                return
            full, choices = hybrid, await self.read_choices()
            first = choices.first()
            if not full.lora and first.lora and full.base not in choices.remotes:
                full = choices.with_adapter(full, first.lora)
            if not full.rag:
                full = replace(full, rag=first.rag)
            arms = list(dict.fromkeys(full.arms().values()))
            if conversation.panes == arms:
                arms = [hybrid]
            elif len(arms) == 1:
                raise UserError(
                    "there is neither an adapter nor an index", do="Train a run (3) or index documents (4)."
                )
            await self._go_on_with(conversation, arms)

        self._change(ask_arms)

    def add_pane(self) -> None:
        """Ask one hybrid more, an arm that is not there yet where there is one."""

        async def add_pane() -> None:
            if (conversation := self._screen.conversation) is None or (hybrid := self.current) is None:
                return
            if len(conversation.panes) == MOST_PANES:
                raise UserError(f"there are {MOST_PANES} panes at most")
            others = [arm for arm in hybrid.arms().values() if arm not in conversation.panes]
            await self._go_on_with(conversation, [*conversation.panes, (others or [hybrid])[0]])

        self._change(add_pane)

    def remove_pane(self) -> None:
        """Take the current pane away."""

        async def remove_pane() -> None:
            if (conversation := self._screen.conversation) is None or len(conversation.panes) == 1:
                raise UserError("there is one pane at least")
            panes, ids = list(conversation.panes), list(conversation.ids)
            del panes[self.place], ids[self.place]
            await self._go_on_with(conversation, panes, ids)

        self._change(remove_pane)

    async def _go_on_with(
        self, conversation: Conversation, panes: Sequence[Hybrid], ids: Sequence[int] | None = None
    ) -> None:
        count = len(conversation.panes)
        await conversation.configure(panes=panes, ids=ids)
        if len(panes) != count:
            had_focus = self._panes.transcript.has_focus
            await self._panes.show(panes, conversation.turns())
            if had_focus:
                self._panes.transcript.focus()

    def _change(self, change: Callable[[], Awaitable[None]]) -> None:
        """One change after the other, and none while a question is added to the panes."""

        async def one() -> None:
            async with self._panes.changing:
                await change()
            self._changed()

        self._screen.run_worker(one(), group="chat-choose", exit_on_error=False)
