"""Chat: talk to one to four hybrids, see what their answers are drawn from, choose the better one, come back to it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from functools import partial
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Markdown, Static, TextArea

from screens.chat_answers import ChatAnswers
from screens.chat_hybrids import ChatHybrids
from screens.chat_pairs import ChatPairs
from screens.chat_past import ChatPast
from screens.citations import CitationScreen
from screens.commands import bindings
from screens.conversation import Conversation, Round, Turn, with_store
from screens.modals.choose import Choice, Choose
from screens.widgets.chat_input import ChatInput
from screens.widgets.hybrid_bar import HybridBar
from screens.widgets.panes import Panes
from screens.widgets.sources import Sources
from screens.widgets.transcript import Transcript
from screens.widgets.turn_view import TurnView
from workbench.errors import UserError
from workbench.hybrid import Hybrid

_WELCOME = (
    "[b $foreground]Ask the hybrid named above.[/]\n\n"
    "[b $text-accent]ctrl+t[/] chooses its adapter, [b $text-accent]ctrl+l[/] its index: both make the hybrid, one the"
    " tuned or the rag arm, none the base model.\n\n"
    "[b $text-accent]f4[/] asks all four arms side by side, [b $text-accent]f7[/] takes the better answer as a pair"
    " to learn from.\n\n"
    "[b $text-accent]ctrl+o[/] lists the chats of the past, [b $text-accent]f8[/] searches them.\n\n"
    "[b $text-accent]escape[/] stops an answer, and leaves the input, so that digits change the screen."
)
_CODE = re.compile(r"^(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<code>.*?)^(?P=fence)[`~]*[ \t]*$", re.DOTALL | re.MULTILINE)
_ANSWERS_KEYS = "f6 next pane · f7 better · f2 f3 panes"


class ChatScreen(CitationScreen):
    """The transcripts over the input, and beside them the sources of the current answer."""

    SCOPE = "chat"
    BINDINGS = bindings(SCOPE)
    CSS_PATH = "chat.tcss"
    AUTO_FOCUS = "ChatInput"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.conversation: Conversation | None = None
        """The chat that is open; None before it is read."""
        self._panes = Panes()
        self._answers = ChatAnswers(self, self._panes, changed=self.show_state, heard=self._heard)
        self.hybrids = ChatHybrids(self, self._panes, changed=self.show_state)
        """What the chat is put to."""
        self._pairs = ChatPairs(self, changed=self.show_state)
        self._past = ChatPast(self)
        self._ready: str | None = None  # the hybrid that the server was asked to have ready
        self._editing: Round | None = None  # the question that is asked in other words

    def body(self) -> ComposeResult:
        yield HybridBar()
        with Horizontal(id="panels"):
            with Vertical(id="talk"):
                yield Static(Content.from_markup(_WELCOME), id="welcome")
                yield self._panes
                with Vertical(id="input", classes="panel"):
                    yield ChatInput()
            yield Sources()

    def on_mount(self) -> None:
        self.show_state()

    async def on_unmount(self) -> None:
        self._pairs.close()
        await self._answers.close()

    # What there is

    def refresh_data(self) -> None:
        self.run_worker(self._load, group="chat-load", exclusive=True, exit_on_error=False)

    async def _load(self) -> None:
        choices = await self.hybrids.read_choices()
        if self.conversation is None:
            chats = []
            if self.workspace.database.exists():
                chats = await with_store(self.workspace, lambda store: store.chats())
            if chats:
                await self.open_chat(chats[0].id)
            else:
                await self.begin_chat(choices.first())
        self.show_state()

    async def open_chat(self, chat: int, question: int | None = None) -> None:
        """Show a chat of the past, from its end or from a question on."""
        conversation = await Conversation.opened(self.workspace, chat)
        at = next((at for at, each in enumerate(conversation.rounds) if each.id == question), None)
        await self._show_conversation(conversation, at)

    async def begin_chat(self, *panes: Hybrid) -> None:
        """Show a new chat."""
        await self._show_conversation(Conversation(self.workspace, *panes))

    async def _show_conversation(self, conversation: Conversation, at: int | None = None) -> None:
        async with self._panes.changing:
            self.conversation, self._editing = conversation, None
            await self._panes.show(conversation.panes, conversation.turns(), at)
        self._earlier()
        self.show_state()

    def _earlier(self) -> None:
        if self.conversation is not None:
            self.query_one(ChatInput).earlier = [each.question for each in self.conversation.rounds]

    def show_state(self) -> None:
        """The hybrids, and what the input says."""
        conversation, writing = self.conversation, self._answers.going
        several = conversation is not None and len(conversation.panes) > 1
        if conversation is not None:
            pane = self.hybrids.place
            number = f"{pane + 1}/{len(conversation.panes)}" if several else ""
            self.query_one(HybridBar).show(conversation.panes[pane], self.hybrids.choices, number)
            self._panes.show_hybrids(conversation.panes)
            begun = bool(conversation.rounds) or several
            self.query_one("#welcome").display = not begun
            self._panes.display = begun
            self._earlier()
        self.set_class(several, "-several")
        panel = self.query_one("#input")
        keys = "enter sends · ctrl+j new line · " + (_ANSWERS_KEYS if several else "ctrl+s sources")
        panel.border_subtitle = "escape stops" if writing else keys
        panel.border_title = Content(self._about_chat())
        self.query_one(ChatInput).escape_leaves = not writing
        self.refresh_bindings()

    def _about_chat(self) -> str:
        """What the chat has of its own: a question being edited, settings, the dataset of its pairs."""
        conversation = self.conversation
        if conversation is None:
            return ""
        given = conversation.sampling
        parts = ["the question in other words, in a branch"] if self._editing else []
        parts += [f"{name} {value:g}" for name, value in given.items() if isinstance(value, int | float)]
        parts += ["own system prompt"] if given.get("system") else []
        parts += [f"pairs to {dataset}"] if (dataset := self._pairs.dataset_of(conversation)) else []
        return " · ".join(parts)

    # Asking

    @on(ChatInput.Submitted)
    def _submitted(self, event: ChatInput.Submitted) -> None:
        if self.conversation is None or self._answers.going:
            return
        self.query_one(ChatInput).set_text("")
        if (edited := self._editing) is not None:
            self._work(self._ask_in_branch(self.conversation, edited, event.text), "chat-open")
        else:
            self._ask(event.text)

    def _ask(self, question: str) -> None:
        if self.conversation is not None:
            self._panes.display = True
            self.query_one("#welcome").display = False
            self._answers.ask(self.conversation, question, refused=partial(self._keep_in_input, question))

    async def _ask_in_branch(self, conversation: Conversation, edited: Round, question: str) -> None:
        try:
            await self.open_chat(await conversation.branch(edited, before=True))
        except BaseException:
            if self.is_attached:
                self._keep_in_input(question)
            raise
        self._ask(question)

    def _heard(self, turn: Turn) -> None:
        if self._panes.transcript.current is turn:
            self.query_one(Sources).show(turn)

    def _keep_in_input(self, question: str) -> None:
        """Give the user a question back that was not answered, unless something else is written by now."""
        field = self.query_one(ChatInput)
        if not field.text.strip():
            field.set_text(question)

    @on(TextArea.Changed)
    def _writing(self) -> None:
        """Have the hybrid loaded while the first question is being written."""
        hybrid = str(self.conversation.panes[0]) if self.conversation else None
        if hybrid is None or hybrid == self._ready or not self.query_one(ChatInput).text.strip():
            return
        self._ready = hybrid
        self.run_worker(partial(self._make_ready, hybrid), group="chat-ready", exclusive=True, exit_on_error=False)

    async def _make_ready(self, hybrid: str) -> None:
        try:
            await self._answers.server.client.load(hybrid)
        except UserError:
            self._ready = None  # asking tells it

    # The sources

    @property
    def turn_view(self) -> TurnView | None:
        """The answer that the keys are about: the current one of the current pane."""
        return self._panes.transcript.current_view

    async def show_turn(self) -> None:
        """Bring that answer into sight."""
        await self._panes.transcript.show_current()

    @on(Transcript.TurnChosen)
    def _turn_chosen(self, event: Transcript.TurnChosen) -> None:
        if event.transcript is self._panes.transcript:
            self.query_one(Sources).show(event.turn)

    @on(Panes.Changed)
    def _pane_changed(self) -> None:
        self.query_one(Sources).show(self._panes.transcript.current)
        self.show_state()

    @on(Markdown.LinkClicked)
    def _link_clicked(self, event: Markdown.LinkClicked) -> None:
        """An answer may say anything: its links are shown, not followed."""
        self.app.tell(event.href, title="Where the link leads")

    # What the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        going, conversation = self._answers.going, self.conversation
        match action:
            case "stop":
                leaves = self.query_one("Sources Options").has_focus or self.has_class("-evidence")
                return going or leaves or self._editing is not None
            case "new" | "chats" | "search" | "regenerate" | "edit" | "branch" | "arms" | "add_pane" | "remove_pane":
                return None if going else True
            case "pane":
                return conversation is not None and len(conversation.panes) > 1
        return True

    def _work(self, work: Coroutine[Any, Any, object], group: str) -> None:
        self.run_worker(work, group=group, exclusive=True, exit_on_error=False)

    def _current(self) -> tuple[Conversation, Round, Turn]:
        """The chat, the current turn, and the round that it is an answer of.

        Raises:
            UserError: nothing was asked yet.
        """
        conversation, turn = self.conversation, self._panes.transcript.current
        if conversation is not None and turn is not None:
            for each in conversation.rounds:
                if conversation.in_pane(each, conversation.ids[self.hybrids.place]) is turn:
                    return conversation, each, turn
        raise UserError("nothing was asked yet", do="Write a question.")

    def action_stop(self) -> None:
        if self._answers.going:
            self._answers.stop()
        elif self._editing is not None:
            self._editing = None
            self.query_one(ChatInput).set_text("")
            self.show_state()
        elif not self.leave_sentence():
            self.action_sources()

    async def action_new(self) -> None:
        if (before := self.conversation) is not None:
            await self.begin_chat(*before.panes)
            if self.conversation is not None:
                await self.conversation.configure(sampling=before.sampling, dataset=before.dataset)
            self.show_state()
            self.query_one(ChatInput).focus()

    async def action_adapter(self) -> None:
        await self.hybrids.choose_adapter()

    async def action_index(self) -> None:
        await self.hybrids.choose_index()

    # Panes

    def action_arms(self) -> None:
        self.hybrids.ask_arms()

    def action_add_pane(self) -> None:
        self.hybrids.add_pane()

    def action_remove_pane(self) -> None:
        self.hybrids.remove_pane()

    def action_pane(self, step: int) -> None:
        focused = isinstance(self.focused, Transcript)
        self._panes.go_to(self._panes.current + step)
        if focused:
            self._panes.transcript.focus()

    # The current answer

    def action_regenerate(self) -> None:
        conversation, asked, _ = self._current()
        self._answers.ask_again(conversation, asked, self.hybrids.place)

    async def action_other(self, step: int) -> None:
        conversation, asked, turn = self._current()
        answers = asked.answers.get(turn.pane, [turn])
        at = answers.index(turn) + step
        if 0 <= at < len(answers):
            await conversation.show(asked, answers[at])
            await self._panes.update(conversation.turns())

    def action_edit(self) -> None:
        _, self._editing, turn = self._current()
        field = self.query_one(ChatInput)
        field.set_text(turn.question)
        field.focus()
        self.show_state()

    async def action_branch(self) -> None:
        conversation, asked, _ = self._current()
        await self.open_chat(await conversation.branch(asked))
        self.app.tell("This is the branch; the chat that it came from is in the list (ctrl+o).")

    def action_copy(self) -> None:
        _, _, turn = self._current()
        if turn.answer:
            self.app.copy_to_clipboard(turn.answer)
            self.app.tell("The answer is in the clipboard")

    def action_copy_question(self) -> None:
        _, _, turn = self._current()
        self.app.copy_to_clipboard(turn.question)
        self.app.tell("The question is in the clipboard")

    def action_copy_code(self) -> None:
        _, _, turn = self._current()
        blocks = [match["code"].rstrip("\n") for match in _CODE.finditer(turn.answer)]
        if not blocks:
            raise UserError("the answer has no block of code")

        def chosen(block: str | None) -> None:
            if block is not None:
                self.app.copy_to_clipboard(block)
                self.app.tell("The code is in the clipboard")

        if len(blocks) == 1:
            chosen(blocks[0])
        else:
            choices = [Choice(block, block.split("\n")[0][:40], f"{len(block.splitlines())} lines") for block in blocks]
            self.app.push_screen(Choose("Which block of code?", choices), chosen)

    # Pairs

    def action_better(self) -> None:
        conversation, asked, turn = self._current()

        async def show() -> None:  # what the chat goes on with may be another answer
            await self._panes.update(conversation.turns())

        self._work(self._pairs.prefer(conversation, asked, turn, show), "chat-pairs")

    def action_correct(self) -> None:
        self._work(self._pairs.correct(*self._current()), "chat-pairs")

    def action_undo(self) -> None:
        conversation, asked, _ = self._current()
        self._work(self._undo(conversation, asked), "chat-pairs")

    async def _undo(self, conversation: Conversation, asked: Round) -> None:
        await self._pairs.undo(conversation, asked)
        await self._panes.update(conversation.turns())

    def action_dataset(self) -> None:
        if self.conversation is not None:
            self._work(self._pairs.choose_dataset(self.conversation), "chat-pairs")

    # Past chats, settings, export

    async def action_chats(self) -> None:
        await self._past.choose()

    def action_search(self) -> None:
        self._past.search()

    def action_export(self) -> None:
        conversation, _, _ = self._current()
        self._past.export(conversation)

    async def action_settings(self) -> None:
        from screens.modals.chat_settings import ChatSettingsDialog

        conversation = self.conversation
        settings = await asyncio.to_thread(self.workspace.settings)
        if conversation is None:
            return

        def chosen(given: dict[str, Any] | None) -> None:
            if given is not None:
                self._work(self._set_up(conversation, given), "chat-settings")

        self.app.push_screen(ChatSettingsDialog(self.workspace, conversation.sampling, settings), chosen)

    async def _set_up(self, conversation: Conversation, given: dict[str, Any]) -> None:
        await conversation.configure(sampling=given)
        self.show_state()

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

    def action_write(self) -> None:
        self.query_one(ChatInput).focus()

    def action_scroll_transcript(self, pages: int) -> None:
        transcript = self._panes.transcript
        if pages < 0:
            transcript.release_anchor()
        transcript.scroll_relative(y=pages * max(1, transcript.size.height - 2), animate=False)

    @on(ChatInput.Left)
    def _left_input(self) -> None:
        if self._editing is not None:
            self.action_stop()
        self.set_focus(self._panes.transcript if self._panes.display else None)
