"""The chats of the past: choosing one, finding words in them, writing one to a file."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from screens.conversation import Conversation, with_store
from screens.modals.prompt import Prompt
from workbench.errors import UserError

if TYPE_CHECKING:
    from screens.chat import ChatScreen

_NAME = 40  # characters of a file's name made from a title


class ChatPast:
    """Opens chats on the Chat screen."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen

    async def choose(self) -> None:
        """List the chats.

        Raises:
            UserError: there are none.
        """
        from screens.modals.chats import Chats

        screen = self._screen
        chats = await with_store(screen.workspace, lambda store: store.chats())
        if not chats or screen.conversation is None:
            raise UserError("there are no chats yet", do="Ask something.")
        current = screen.conversation.chat.id if screen.conversation.chat else None
        screen.app.push_screen(Chats(screen.workspace, chats, current=current), self._chosen)

    def search(self) -> None:
        """Find words in all chats, and go to a place where they were said."""
        from screens.modals.find_in_chats import FindInChats

        self._screen.app.push_screen(FindInChats(self._screen.workspace), self._found)

    def _chosen(self, chat: int | None) -> None:
        self._screen.run_worker(self._go_to(chat), group="chat-open", exclusive=True, exit_on_error=False)

    def _found(self, place: tuple[int, int] | None) -> None:
        if place is not None:
            opening = self._screen.open_chat(*place)
            self._screen.run_worker(opening, group="chat-open", exclusive=True, exit_on_error=False)

    async def _go_to(self, chat: int | None) -> None:
        """Open a chat; without one stay, unless the open one was deleted."""
        screen = self._screen
        conversation = screen.conversation
        if chat is not None:
            await screen.open_chat(chat)
        elif conversation is not None and (open_now := conversation.chat) is not None:
            left = {chat.id: chat for chat in await with_store(screen.workspace, lambda store: store.chats())}
            if open_now.id in left:
                conversation.chat = left[open_now.id]  # its title may be another
                screen.show_state()
            else:
                await screen.begin_chat(*conversation.panes)

    # To a file

    def export(self, conversation: Conversation) -> None:
        """Ask for a file, and write the chat to it as Markdown.

        Raises:
            UserError: the chat was not begun.
        """
        if (chat := conversation.chat) is None:
            raise UserError("nothing was asked yet", do="Write a question.")
        name = re.sub(r"[^\w-]+", "-", chat.title).strip("-")[:_NAME].rstrip("-") or f"chat-{chat.id}"
        dialog = Prompt("Write the chat to which file?", f"{name}.md", detail="Beside the workspace's other files.")

        def named(path: str | None) -> None:
            if path and path.strip():
                self._screen.run_worker(
                    self._write(chat.id, path.strip()), group="chat-export", exclusive=True, exit_on_error=False
                )

        self._screen.app.push_screen(dialog, named)

    async def _write(self, chat: int, name: str) -> None:
        from workbench import files
        from workbench.chat.export import to_markdown

        try:
            path = self._screen.workspace.root / Path(name).expanduser()
        except RuntimeError:  # ~name of nobody
            raise UserError("there is no home folder of that name", where=name, do="Write the whole path.") from None
        if path.exists():
            raise UserError("there is a file of that name", where=str(path), do="Choose another name.")
        text = to_markdown(
            *await with_store(self._screen.workspace, lambda store: (store.get(chat), store.messages(chat)))
        )
        await asyncio.to_thread(files.write_text, path, text)
        self._screen.app.tell(f"Written: {path}")
