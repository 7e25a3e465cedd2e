"""Choose a file. textual-fspicker's dialog, made fit for names of any kind and for one press of enter."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual_fspicker import FileOpen, Filters
from textual_fspicker.parts import CurrentDirectory, DirectoryNavigation


class OpenFile(FileOpen):
    """The path of the file; None when the user left with escape."""

    CSS_PATH = "open_file.tcss"

    def __init__(self, location: Path, title: str, kind: str, endings: Collection[str]) -> None:
        """`kind`: what the files with these `endings` (`.jsonl`) are called."""
        filters = Filters((kind, lambda path: path.suffix.lower() in endings), ("All files", lambda _: True))
        super().__init__(location, title, filters=filters)

    def _header_area(self) -> ComposeResult:
        yield CurrentDirectory(markup=False)  # textual-fspicker 1.0.1 crashes in a folder called `[/red]`

    @on(DirectoryNavigation.Selected)
    def _take(self, event: DirectoryNavigation.Selected) -> None:
        event.prevent_default()  # which would only write the name into the input
        event.stop()
        self.dismiss(event.path)
