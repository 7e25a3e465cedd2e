"""Chat: talk to a hybrid, see what its answers are drawn from, and come back to the chats of the past."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Markdown, Static, TextArea
from textual.worker import Worker

from screens.citations import CitationScreen
from screens.commands import bindings
from screens.conversation import Conversation, Turn, with_store
from screens.hybrid_choices import HybridChoices, read_choices
from screens.modals.choose_hybrid import choose_adapter, choose_index
from screens.server_client import ServerClient
from screens.widgets.chat_input import ChatInput
from screens.widgets.hybrid_bar import HybridBar
from screens.widgets.sources import Sources
from screens.widgets.transcript import Transcript
from screens.widgets.turn_view import TurnView
from workbench.errors import UserError
from workbench.hybrid import Hybrid

if TYPE_CHECKING:
    from workbench.chat.answer import Delta

_WELCOME = (
    "[b $foreground]Ask the hybrid named above.[/]\n\n"
    "[b $text-accent]ctrl+t[/] chooses its adapter, [b $text-accent]ctrl+l[/] its index: both make the hybrid, one the"
    " tuned or the rag arm, none the base model.\n\n"
    "[b $text-accent]ctrl+o[/] lists the chats of the past.\n\n"
    "[b $text-accent]escape[/] stops an answer, and leaves the input, so that digits change the screen."
)


class ChatScreen(CitationScreen):
    """The transcript over the input, and beside them the sources of the current answer."""

    SCOPE = "chat"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "chat.tcss"
    AUTO_FOCUS = "ChatInput"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._choices: HybridChoices | None = None
        self._conversation: Conversation | None = None
        self._answering: Worker[None] | None = None
        self._asked: TurnView | None = None
        self._ready: str | None = None  # the hybrid that the server was asked to have ready

    def body(self) -> ComposeResult:
        yield HybridBar()
        with Horizontal(id="panels"):
            with Vertical(id="talk"):
                yield Static(Content.from_markup(_WELCOME), id="welcome")
                yield Transcript()
                with Vertical(id="input", classes="panel"):
                    yield ChatInput()
            yield Sources()

    def on_mount(self) -> None:
        self._server = ServerClient(self.workspace)
        self._show_state()

    async def on_unmount(self) -> None:
        await self._server.close()

    # What there is

    def refresh_data(self) -> None:
        self.run_worker(self._load, group="chat-load", exclusive=True, exit_on_error=False)

    async def _load(self) -> None:
        self._choices = choices = await asyncio.to_thread(read_choices, self.workspace)
        if self._conversation is None:
            chats = []
            if self.workspace.database.exists():
                chats = await with_store(self.workspace, lambda store: store.chats())
            if chats:
                await self._open(chats[0].id)
            else:
                await self._begin(choices.first())
        self._show_state()

    async def _open(self, chat: int) -> None:
        await self._show_conversation(await Conversation.opened(self.workspace, chat))

    async def _begin(self, hybrid: Hybrid) -> None:
        await self._show_conversation(Conversation(self.workspace, hybrid))

    async def _show_conversation(self, conversation: Conversation) -> None:
        self._conversation = conversation
        await self.query_one(Transcript).show(conversation.turns)
        self.query_one(ChatInput).earlier = [turn.question for turn in conversation.turns]
        self._show_state()

    def _show_state(self) -> None:
        """The hybrid, and what the input says."""
        conversation, writing = self._conversation, self._answering is not None
        if conversation is not None:
            self.query_one(HybridBar).show(conversation.hybrid, self._choices)
            self.query_one("#welcome").display = not conversation.turns
            self.query_one(Transcript).display = bool(conversation.turns)
        panel = self.query_one("#input")
        panel.border_subtitle = "escape stops" if writing else "enter sends · ctrl+j new line · ctrl+s sources"
        self.query_one(ChatInput).escape_leaves = not writing
        self.refresh_bindings()

    # Asking

    @on(ChatInput.Submitted)
    def _submitted(self, event: ChatInput.Submitted) -> None:
        if self._conversation is None or self._answering is not None:
            return
        self.query_one(ChatInput).set_text("")
        turn = Turn(event.text, str(self._conversation.hybrid))
        work = partial(self._answer, self._conversation, turn)
        self._answering = self.run_worker(work, group="chat-answer", exit_on_error=False)
        self._show_state()

    async def _answer(self, conversation: Conversation, turn: Turn) -> None:
        transcript = self.query_one(Transcript)
        view = self._asked = TurnView(turn)
        waiting = self.set_interval(1.0, self._say_what_is_waited_for)

        async def hear(_: Delta) -> None:
            waiting.stop()
            if not turn.answer:
                view.wait_for("Reading the passages" if turn.citations else "Reading the question")
            await view.hear()
            if transcript.current is turn:
                self.query_one(Sources).show(turn)

        try:
            self.query_one("#welcome").display = False
            transcript.display = True
            await transcript.add(view)
            await self._say_what_is_waited_for()
            await conversation.ask(self._server.client, turn, hear)
        except BaseException as error:
            if not (isinstance(error, asyncio.CancelledError) and turn.answer):
                self._keep_in_input(turn.question)
            raise  # the base screen tells it
        finally:
            waiting.stop()
            self._answering = self._asked = None
            if turn in conversation.turns:
                await view.finish()
            else:
                await transcript.remove_turn(view)
            self.query_one(ChatInput).earlier = [turn.question for turn in conversation.turns]
            self.query_one(Sources).show(transcript.current)
            self._show_state()

    async def _say_what_is_waited_for(self) -> None:
        if (view := self._asked) is None or view.turn.state != "waiting":
            return
        if not await asyncio.to_thread(self._server.runs):
            words = "Starting the server"
        elif self.app.server is None or self.app.server.model is None:
            words = "Loading the model"
        else:
            words = "Waiting for the answer"
        if view.turn.state == "waiting":
            view.wait_for(words)

    def _keep_in_input(self, question: str) -> None:
        """Give the user a question back that was not answered, unless something else is written by now."""
        field = self.query_one(ChatInput)
        if not field.text.strip():
            field.set_text(question)

    @on(TextArea.Changed)
    def _writing(self) -> None:
        """Have the hybrid loaded while the first question is being written."""
        hybrid = str(self._conversation.hybrid) if self._conversation else None
        if hybrid is None or hybrid == self._ready or not self.query_one(ChatInput).text.strip():
            return
        self._ready = hybrid
        self.run_worker(partial(self._make_ready, hybrid), group="chat-ready", exclusive=True, exit_on_error=False)

    async def _make_ready(self, hybrid: str) -> None:
        try:
            await self._server.client.load(hybrid)
        except UserError:
            self._ready = None  # asking tells it

    # The sources

    @on(Transcript.TurnChosen)
    def _turn_chosen(self, event: Transcript.TurnChosen) -> None:
        self.query_one(Sources).show(event.turn)

    @on(Markdown.LinkClicked)
    def _link_clicked(self, event: Markdown.LinkClicked) -> None:
        """An answer may say anything: its links are shown, not followed."""
        self.app.tell(event.href, title="Where the link leads")

    # What the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        match action:
            case "stop":
                leaves = self.query_one("Sources Options").has_focus or self.has_class("-evidence")
                return self._answering is not None or leaves
            case "new" | "chats":
                return None if self._answering is not None else True
        return True

    def action_stop(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
        elif not self.leave_sentence():
            self.action_sources()

    async def action_new(self) -> None:
        if self._conversation is not None:
            await self._begin(self._conversation.hybrid)
            self.query_one(ChatInput).focus()

    async def action_adapter(self) -> None:
        if (hybrid := self._hybrid) is not None:
            choices = await self._read_choices()

            def chosen(run: str | None) -> None:
                if run is not None:
                    self._choose(choices.with_adapter(self._hybrid or hybrid, run or None))

            self.app.push_screen(choose_adapter(choices, hybrid), chosen)

    async def action_index(self) -> None:
        if (hybrid := self._hybrid) is not None:

            def chosen(index: str | None) -> None:
                if index is not None:
                    self._choose(replace(self._hybrid or hybrid, rag=index or None))

            self.app.push_screen(choose_index(await self._read_choices(), hybrid), chosen)

    @property
    def _hybrid(self) -> Hybrid | None:
        return self._conversation.hybrid if self._conversation else None

    async def _read_choices(self) -> HybridChoices:
        self._choices = await asyncio.to_thread(read_choices, self.workspace)
        return self._choices

    def _choose(self, hybrid: Hybrid) -> None:
        if (conversation := self._conversation) is not None and hybrid != conversation.hybrid:
            conversation.hybrid = hybrid
            self._show_state()
            self.run_worker(partial(conversation.choose, hybrid), group="chat-choose", exit_on_error=False)

    async def action_chats(self) -> None:
        from screens.modals.chats import Chats

        conversation = self._conversation
        chats = await with_store(self.workspace, lambda store: store.chats())
        if not chats or conversation is None:
            raise UserError("there are no chats yet", do="Ask something.")
        current = conversation.chat.id if conversation.chat else None
        self.app.push_screen(Chats(self.workspace, chats, current=current), self._chat_chosen)

    def _chat_chosen(self, chat: int | None) -> None:
        self.run_worker(partial(self._go_to, chat), group="chat-open", exclusive=True, exit_on_error=False)

    async def _go_to(self, chat: int | None) -> None:
        """Open a chat; without one stay, unless the open one was deleted."""
        conversation = self._conversation
        if chat is not None:
            await self._open(chat)
        elif conversation is not None and (open_now := conversation.chat) is not None:
            left = {chat.id: chat for chat in await with_store(self.workspace, lambda store: store.chats())}
            if open_now.id in left:
                conversation.chat = left[open_now.id]  # its title may be another
                self._show_state()
            else:
                await self._begin(conversation.hybrid)

    def action_sources(self) -> None:
        """Go to the sources and back; where there is no room beside the answer they are shown and hidden."""
        sources, options = self.query_one(Sources), self.query_one("Sources Options")
        if options.has_focus:
            self.remove_class("-sources")
            self.query_one(ChatInput).focus()
        elif not sources.query_one("Options").display:
            self.toggle_class("-sources")
        else:
            self.add_class("-sources")
            self.call_after_refresh(options.focus)

    def action_copy(self) -> None:
        turn = self.query_one(Transcript).current
        if turn is not None and turn.answer:
            self.app.copy_to_clipboard(turn.answer)
            self.app.tell("The answer is in the clipboard")

    def action_write(self) -> None:
        self.query_one(ChatInput).focus()

    def action_scroll_transcript(self, pages: int) -> None:
        transcript = self.query_one(Transcript)
        if pages < 0:
            transcript.release_anchor()
        transcript.scroll_relative(y=pages * max(1, transcript.size.height - 2), animate=False)

    @on(ChatInput.Left)
    def _left_input(self) -> None:
        transcript = self.query_one(Transcript)
        self.set_focus(transcript if transcript.display else None)
