"""Add documents to the library: a folder or a file, typed or walked to, and the index it goes into."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from screens.modals.dialog import Dialog
from screens.widgets.lists import Options
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.library.documents import KINDS
from workbench.text import for_terminal

_MOST = 200  # entries listed
_USUAL = ("documents", "document", "docs", "doc", "files", "text", "texts", "content")


class ToIndex(NamedTuple):
    """What the user asked for."""

    name: str
    """Of the index."""
    path: Path
    """Absolute; it exists."""


class AddDocuments(Dialog[ToIndex | None]):
    """A path, with the folders and documents that it may go on with, and a name; None when the user left."""

    CSS_PATH = "add_documents.tcss"
    AUTO_FOCUS = "#path"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("ctrl+s", "start", "Start", priority=True),
    ]

    def __init__(self, start: Path, indexes: Sequence[str]) -> None:
        """`start`: the folder shown first; `indexes`: the names that are taken."""
        super().__init__()
        self._start, self._indexes = start, list(indexes)
        self._entries: list[Path] = []
        self._named_by_user = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Add documents", classes="dialog-title")
            yield Static("folder or file", classes="field-name")
            yield Input(_typed(self._start), id="path", compact=True, select_on_focus=False)
            yield Options(id="entries", markup=False)
            yield Static("index", classes="field-name")
            yield Input(id="name", compact=True, placeholder="its name")
            yield Static(id="hint", markup=False)
            yield Static(classes="dialog-fault", markup=False)
            yield Static(
                Content.from_markup(
                    "[b]tab[/] complete  [b]↓[/] list  [b]enter[/] next  [b]ctrl+s[/] start  [b]esc[/] cancel"
                ),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        self.query_one("#path", Input).cursor_position = len(_typed(self._start))

    @property
    def _path(self) -> Path:
        return Path(_meant(self.query_one("#path", Input).value) or ".").expanduser().absolute()

    # The path

    @on(Input.Changed, "#path")
    def _path_changed(self, event: Input.Changed) -> None:
        self._show_fault("")
        if (meant := _meant(event.value)) != event.value.strip():
            self._set_path(meant)
            return
        self.run_worker(partial(self._list, meant), group="entries", exclusive=True, exit_on_error=False)
        if not self._named_by_user:
            with self.prevent(Input.Changed):
                self.query_one("#name", Input).value = _name_for(self._path)
            self._show_hint()

    async def _list(self, typed: str) -> None:
        self._list_entries(await asyncio.to_thread(_entries, typed))

    def _list_entries(self, entries: list[Path]) -> None:
        self._entries = entries
        options = self.query_one("#entries", Options)
        options.clear_options()
        options.add_options(Option(_entry(path)) for path in entries)

    def on_key(self, event: Key) -> None:
        """Tab completes what is typed; down goes into the list and up comes out of it."""
        path, options = self.query_one("#path", Input), self.query_one("#entries", Options)
        if self.focused is path and event.key == "down" and options.option_count:
            self._into_list()
        elif self.focused is path and event.key == "tab":
            self.run_worker(
                partial(self._complete, _meant(path.value)), group="complete", exclusive=True, exit_on_error=False
            )
        elif self.focused is options and event.key == "up" and options.highlighted == 0:
            path.focus()
        else:
            return
        event.stop()
        event.prevent_default()

    async def _complete(self, typed: str) -> None:
        """Go on as far as all that begins so agrees; where they part, into the list; with nothing left, to the name."""
        entries = await asyncio.to_thread(_entries, typed)
        common = _common(entries) if entries else None
        if common is None or self._path.is_file():
            self.query_one("#name").focus()
        elif len(entries) > 1 and common == self._path:
            self._list_entries(entries)
            self._into_list()
        else:
            self._fill(common)

    def _into_list(self) -> None:
        options = self.query_one("#entries", Options)
        options.highlighted = 0
        options.focus()

    @on(OptionList.OptionSelected, "#entries")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self._fill(self._entries[event.option_index])

    def _fill(self, path: Path) -> None:
        self._set_path(_typed(path))
        self.query_one("#path").focus()

    def _set_path(self, text: str) -> None:
        field = self.query_one("#path", Input)
        field.value = text
        field.cursor_position = len(text)

    @on(Input.Submitted, "#path")
    def _path_given(self) -> None:
        if self._path.exists():
            self.query_one("#name").focus()
        else:
            self._show_fault(f"{self._path}: no such file or folder")

    # The name

    @on(Input.Changed, "#name")
    def _name_changed(self) -> None:
        self._named_by_user = True
        self._show_fault("")
        self._show_hint()

    def _show_hint(self) -> None:
        exists = self.query_one("#name", Input).value.strip() in self._indexes
        hint = (
            "It exists: this is added to what it holds."
            if exists
            else "A new index of Markdown, text, HTML, PDF, Word."
        )
        self.query_one("#hint", Static).update(Content.from_markup("[$foreground-muted]$hint[/]", hint=hint))

    @on(Input.Submitted, "#name")
    def action_start(self) -> None:
        try:
            path, name = self._path, check_name(self.query_one("#name", Input).value.strip(), "index")
            if not path.exists():
                raise UserError("no such file or folder", where=str(path))
        except UserError as error:
            self._show_fault(str(error))
            return
        self.dismiss(ToIndex(name, path))

    def _show_fault(self, text: str) -> None:
        fault = self.query_one(".dialog-fault", Static)
        fault.display = bool(text)
        fault.update(Content(for_terminal(text, one_line=True)))

    def action_leave(self) -> None:
        self.dismiss(None)


def _meant(text: str) -> str:
    """What is typed behind a path that stood there begins anew: `/home/me//srv` means /srv, `/srv/~/x` means ~/x."""
    again = re.fullmatch(r".*/(?=[/~])(.+)", text.strip())
    return again[1] if again else text.strip()


def _typed(path: Path) -> str:
    """A path as a user types it; a folder ends in a slash."""
    text = str(path)
    return for_terminal(text if text.endswith("/") or not path.is_dir() else f"{text}/", one_line=True)


def _entries(typed: str) -> list[Path]:
    """The folders, then the documents, whose paths begin with what is typed; hidden ones only when asked for."""
    path = Path(typed or ".").expanduser().absolute()
    folder, prefix = (path, "") if typed.endswith("/") or not typed else (path.parent, path.name)
    try:
        found = [
            entry
            for entry in folder.iterdir()
            if entry.name.lower().startswith(prefix.lower())
            and (not entry.name.startswith(".") or prefix.startswith("."))
            and _typed(entry).rstrip("/") == str(entry)  # a name that cannot be typed is added with its folder
            and (entry.is_dir() or entry.suffix.lower() in KINDS)
        ]
    except (OSError, ValueError):
        return []
    return sorted(found, key=lambda entry: (not entry.is_dir(), entry.name.lower()))[:_MOST]


def _entry(path: Path) -> Content:
    name = for_terminal(path.name, one_line=True)
    return Content.from_markup("[$text-primary]$name/[/]" if path.is_dir() else "$name", name=name)


def _common(paths: Sequence[Path]) -> Path:
    """The longest path with which all of them begin."""
    names = [path.name for path in paths]
    length = next(
        (at for at, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), min(map(len, names))
    )
    return paths[0].parent / names[0][:length]


def _name_for(path: Path) -> str:
    """A name made from a path's last part that says something."""
    parts = [part for part in path.parts if part.lower() not in _USUAL]
    stem = parts[-1] if parts else path.name
    if path.is_file():
        stem = Path(stem).stem
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:64]
