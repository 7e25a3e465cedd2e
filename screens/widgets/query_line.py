"""One line that says which pairs are listed: completed while it is typed, and what is wrong in it is said below it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from workbench.errors import UserError
from workbench.pairs.query import Query, complete, term_at
from workbench.pairs.reading import Facets
from workbench.text import for_terminal

_QUIET = 0.1  # seconds without a key until what is typed is looked up
_RECENT = 20  # lines kept
_COUNTED = {"status": "statuses", "tag": "tags", "flag": "flags", "source": "sources"}


class _Ghost(Suggester):
    """What the line becomes when its last term is completed, in pale letters behind the cursor."""

    def __init__(self, line: QueryLine) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._line = line

    async def get_suggestion(self, value: str) -> str | None:
        start, _ = term_at(value, len(value))
        typed = value[start:]
        found = self._line.completions_of(value, len(value)) if typed else []
        return value + found[0][len(typed) :] if found and found[0].startswith(typed) else None


class _Line(Input):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "take", show=False),
        Binding("up", "recent(1)", show=False),
        Binding("down", "recent(-1)", show=False),
    ]

    @property
    def line(self) -> QueryLine:
        assert isinstance(self.parent, QueryLine)
        return self.parent

    def action_take(self) -> None:
        if not self.line.take():
            self.app.action_focus_next()

    def action_cursor_right(self, select: bool = False) -> None:
        if select or self.cursor_position < len(self.value) or not self.line.take():
            super().action_cursor_right(select)

    def action_recent(self, steps: int) -> None:
        self.line.go_back(steps)


class QueryLine(Vertical):
    """Tab or the right arrow takes the completion, up and down bring back what was asked before."""

    DEFAULT_CSS = """
    QueryLine {
        height: auto;
        & > Input { background: $boost; }
        & > .completions { display: none; height: 1; color: $foreground-muted; }
        & > .fault { display: none; color: $text-error; }
        &:focus-within > .completions { display: block; }
        &.-faulty > .fault { display: block; }
    }
    """

    @dataclass
    class Asked(Message):
        """The line has been understood as another query."""

        query: Query

    class Left(Message):
        """Enter was pressed: the line stays, the focus goes."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.facets = Facets({}, {}, {}, {})
        """What the dataset has, for completions."""
        self.recent: list[str] = []
        """What was asked before, the latest first."""
        self._back = 0
        self._draft = ""

    def compose(self) -> ComposeResult:
        yield _Line(
            placeholder='words, "a phrase", status:pending, tokens>512 …',
            suggester=_Ghost(self),
            compact=True,
            select_on_focus=False,
        )
        yield Static(classes="completions", markup=False)
        yield Static(classes="fault", markup=False)

    @property
    def line(self) -> Input:
        """What is typed into."""
        return self.query_one(_Line)

    @property
    def text(self) -> str:
        """What stands in the line."""
        return self.line.value

    def open(self) -> None:
        """Be shown, and typed into; what is typed begins another term."""
        self.display = True
        with self.prevent(Input.Changed):
            self.line.value = f"{self.text.strip()} ".lstrip()
        self.line.focus()
        self.line.cursor_position = len(self.text)
        self.call_after_refresh(self._show_below)

    def set_facets(self, facets: Facets) -> None:
        """Complete with what there is in another dataset, or now."""
        self.facets = facets
        self._show_below()

    def show(self, query: Query) -> None:
        """Put a query that is asked already into the line."""
        self.workers.cancel_node(self)  # what was typed last
        with self.prevent(Input.Changed):
            self.line.value = str(query)
        self._show_below()

    def remember(self) -> None:
        """Keep what stands in the line among the recent ones."""
        if text := self.text.strip():
            self.recent = [text, *(other for other in self.recent if other != text)][:_RECENT]
        self._back = 0

    # Typing

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_below()
        self.run_worker(partial(self._ask, event.value), group="query", exclusive=True, exit_on_error=False)

    async def _ask(self, text: str) -> None:
        await asyncio.sleep(_QUIET)
        self._ask_now(text)

    def _ask_now(self, text: str) -> None:
        with contextlib.suppress(UserError):  # it is said below the line already
            self.post_message(self.Asked(Query.parse(text)))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.workers.cancel_node(self)
        self._ask_now(event.value)
        if not _fault(event.value):
            self.remember()
            self.post_message(self.Left())

    # Completing

    def completions_of(self, text: str, cursor: int) -> Sequence[str]:
        """What the term under the cursor may become, best first."""
        return complete(text, cursor, self.facets)

    def take(self) -> bool:
        """Complete the term under the cursor; False where nothing of it is typed yet, or nothing fits."""
        line = self.line
        start, end = term_at(line.value, line.cursor_position)
        found = self.completions_of(line.value, line.cursor_position)
        if start == line.cursor_position or not found or found[0] == line.value[start:end]:
            return False
        rest = line.value[end:].lstrip()
        done = found[0] + ("" if found[0][-1] in ":<>=" else " ")
        line.value = line.value[:start] + done + rest
        line.cursor_position = start + len(done)
        return True

    def go_back(self, steps: int) -> None:
        """Put a query that was asked before into the line."""
        if self._back == 0:
            self._draft = self.text
        self._back = max(0, min(self._back + steps, len(self.recent)))
        self.line.value = self.recent[self._back - 1] if self._back else self._draft
        self.line.cursor_position = len(self.line.value)

    # What stands below

    def _show_below(self) -> None:
        line = self.line
        start, end = term_at(line.value, line.cursor_position)
        found = self.completions_of(line.value, line.cursor_position)
        width = max(20, self.size.width - 2)
        self.query_one(".completions", Static).update(self._row(found, begun=start < line.cursor_position, width=width))
        fault = _fault(line.value)
        if fault and found and start < line.cursor_position and not _fault(line.value[:start] + line.value[end:]):
            fault = ""  # of the term that is being typed, and can still become right
        self.set_class(bool(fault), "-faulty")
        self.query_one(".fault", Static).update(Content(for_terminal(fault, one_line=True)))

    def _row(self, found: Sequence[str], *, begun: bool, width: int) -> Content:
        """As many of the completions as fit; the first is what tab takes, where a term is begun."""
        parts: list[Content] = []
        for number, text in enumerate(found):
            text = for_terminal(text, one_line=True)
            part = Content.from_markup("[b $text-accent]$text[/]" if begun and not number else "$text", text=text)
            if count := self._count(text):
                part += Content(f" {count:,}")
            width -= part.cell_length + 2
            if width < 0:
                break
            parts.append(part)
        return Content("  ").join(parts)

    def _count(self, completion: str) -> int:
        name, _, values = completion.lstrip("-").partition(":")
        counts = getattr(self.facets, _COUNTED[name]) if name in _COUNTED else {}
        return counts.get(values.rpartition(",")[2].strip('"'), 0)


def _fault(text: str) -> str:
    try:
        Query.parse(text)
    except UserError as error:
        return str(error)
    return ""
