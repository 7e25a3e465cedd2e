"""The chats of the past: open one, rename it, delete it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from screens.conversation import with_store
from screens.modals.confirm import Confirm
from screens.modals.dialog import Dialog
from screens.modals.prompt import Prompt
from screens.times import ago
from screens.widgets.lists import Options
from workbench.hybrid import Hybrid
from workbench.text import for_terminal
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.chat.history import Chat

_MOST = 300  # listed; the search finds the others
_ARM = 26  # cells of the arm, its adapter and its index


class Chats(Dialog[int | None]):
    """The id of the chosen chat; None when the user left. What was renamed and deleted is so at once."""

    CSS_PATH = "chats.tcss"
    AUTO_FOCUS = "Options"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close"),
        Binding("slash", "search", "Search"),
        Binding("r", "rename", "Rename"),
        Binding("d,x,delete", "delete", "Delete"),
    ]

    def __init__(self, workspace: Workspace, chats: Sequence[Chat], *, current: int | None) -> None:
        """`chats`: all of them, the one changed last first; `current`: the one that is open."""
        super().__init__()
        self._workspace, self._chats, self._current = workspace, list(chats), current
        self._listed: list[Chat] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static("Chats", classes="dialog-title")
            yield Input(placeholder="search the titles and hybrids", compact=True)
            yield Options(markup=False)
            yield Static(classes="dialog-detail", markup=False)
            yield Static(
                Content.from_markup(
                    "[b]enter[/] open  [b]r[/] rename  [b]d[/] delete  [b]/[/] search  [b]escape[/] close"
                ),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        self.call_after_refresh(self._fill)  # the width is known by then

    def _fill(self, at: int = 0) -> None:
        words = self.query_one(Input).value.lower().split()
        found = [chat for chat in self._chats if all(word in f"{chat.title} {chat.hybrid}".lower() for word in words)]
        self._listed = found[:_MOST]
        options = self.query_one(Options)
        options.clear_options()
        width = max(40, options.content_size.width - 3)
        options.add_options(
            Option(_describe(chat, width=width, current=chat.id == self._current)) for chat in self._listed
        )
        options.highlighted = min(at, len(self._listed) - 1) if self._listed else None
        hidden = len(found) - len(self._listed)
        word = f"and {hidden:,} older ones" if hidden else "" if found else "No chat is called so."
        self.query_one(".dialog-detail", Static).update(Content(word))

    @property
    def _chat(self) -> Chat | None:
        at = self.query_one(Options).highlighted
        return self._listed[at] if at is not None and at < len(self._listed) else None

    @on(Input.Changed)
    def _searched(self) -> None:
        self._fill()

    @on(Input.Submitted)
    def _found(self) -> None:
        self.query_one(Options).focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._listed[event.option_index].id)

    def action_search(self) -> None:
        self.query_one(Input).focus()

    def action_rename(self) -> None:
        if (chat := self._chat) is None:
            return

        def named(title: str | None) -> None:
            if title is not None and title.strip():
                self.run_worker(self._rename(chat, title.strip()), exit_on_error=False)

        self.app.push_screen(Prompt("Rename the chat", chat.title), named)

    async def _rename(self, chat: Chat, title: str) -> None:
        await with_store(self._workspace, lambda store: store.rename(chat.id, title))
        await self._reload()

    def action_delete(self) -> None:
        if (chat := self._chat) is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._delete(chat), exit_on_error=False)

        turns = f"{chat.messages} message{'' if chat.messages == 1 else 's'}, for good."
        self.app.push_screen(Confirm(f"Delete “{_title(chat)}”?", turns, yes="Delete", danger=True), answered)

    async def _delete(self, chat: Chat) -> None:
        await with_store(self._workspace, lambda store: store.delete(chat.id))
        await self._reload()

    async def _reload(self) -> None:
        at = self.query_one(Options).highlighted or 0
        self._chats = await with_store(self._workspace, lambda store: store.chats())
        self._fill(at)

    def action_leave(self) -> None:
        if self.query_one(Input).has_focus:
            self.query_one(Input).value = ""
            self.query_one(Options).focus()
        else:
            self.dismiss(None)


def _title(chat: Chat) -> str:
    return for_terminal(chat.title, one_line=True) or "untitled"


def _arm(name: str) -> str:
    """The arm of a hybrid, its adapter and its index: what tells apart the hybrids of one base."""
    hybrid = Hybrid.parse(name)
    return " ".join(filter(None, (hybrid.arm, hybrid.lora, hybrid.rag)))


def _describe(chat: Chat, *, width: int, current: bool) -> Content:
    """One row: title, when, arm."""
    room = width - _ARM - 17
    return Content.from_markup(
        "$mark $title  [$foreground-muted]$when  $arm[/]",
        mark="●" if current else " ",
        title=_cut(("↳ " if chat.branched_from else "") + _title(chat), room),
        when=ago(chat.changed_at).ljust(11),
        arm=_cut(_arm(chat.hybrid), _ARM),
    )


def _cut(text: str, cells: int) -> str:
    """A text in exactly so many cells."""
    content = Content(text).truncate(cells, ellipsis=True)
    return content.pad_right(cells - content.cell_length).plain
