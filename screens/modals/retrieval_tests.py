"""The retrieval tests of an index: questions with their right passages; delete one, or evaluate the search."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static
from textual.widgets.option_list import Option

from screens.modals.dialog import Dialog
from screens.server_client import ServerClient
from screens.widgets.lists import Options
from screens.widgets.waiting import Waiting
from workbench.errors import UserError
from workbench.library.evaluate import LOOKED, MEASURES, evaluate
from workbench.library.retrieval_tests import RetrievalTest, delete_test, document_texts, list_tests
from workbench.text import for_terminal
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.library.evaluate import Evaluation

_KINDS = ("dense", "lexical", "fused")
_NAMES = {"dense": "dense", "lexical": "BM25", "fused": "fused"}


class RetrievalTests(Dialog[None]):
    """What is deleted is so at once. Evaluating asks the server; closing the dialog ends it."""

    CSS_PATH = "retrieval_tests.tcss"
    AUTO_FOCUS = "Options"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close"),
        Binding("e", "evaluate", "Evaluate"),
        Binding("d,x,delete", "delete", "Delete"),
    ]

    def __init__(self, workspace: Workspace, index: str, server: ServerClient) -> None:
        super().__init__()
        self._workspace, self._index, self._server = workspace, index, server
        self._tests: list[RetrievalTest] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog dialog-wide"):
            yield Static(
                Content(f"Retrieval tests of {for_terminal(self._index, one_line=True)}"), classes="dialog-title"
            )
            yield Options(markup=False)
            yield Waiting(id="evaluation")
            yield Static(
                Content.from_markup("[b]e[/] evaluate  [b]d[/] delete  [b]escape[/] close"), classes="dialog-keys"
            )

    def on_mount(self) -> None:
        self.run_worker(self._load, group="tests", exclusive=True, exit_on_error=False)

    async def _load(self, at: int = 0) -> None:
        self._tests = await asyncio.to_thread(list_tests, self._workspace, self._index)
        options = self.query_one(Options)
        options.clear_options()
        options.add_options(Option(_describe(test)) for test in self._tests)
        options.highlighted = min(at, len(self._tests) - 1) if self._tests else None
        if not self._tests:
            self._say("No tests yet. Search, go to the hit that is right, and press t.")

    def action_delete(self) -> None:
        at = self.query_one(Options).highlighted
        if at is not None:
            self.run_worker(partial(self._delete, at), group="tests", exclusive=True, exit_on_error=False)

    async def _delete(self, at: int) -> None:
        number = self._tests[at].id
        assert number is not None
        await asyncio.to_thread(delete_test, self._workspace, self._index, number)
        await self._load(at)

    def action_evaluate(self) -> None:
        if self._tests:
            self.start(self._evaluate)

    async def _evaluate(self) -> None:
        waiting, tests = self.query_one("#evaluation", Waiting), list(self._tests)
        waiting.wait_for(f"Asking {len(tests)} questions")
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        try:
            for number, test in enumerate(tests):
                for kind in _KINDS:
                    hits = await self._server.client.search(self._index, test.question, LOOKED, kind)
                    found[test.question, kind] = hits
                waiting.wait_for(f"Asking {len(tests)} questions: {number + 1} done")
            text_of = await asyncio.to_thread(document_texts, self._workspace, self._index)
            measured = await asyncio.to_thread(
                evaluate, tests, text_of, lambda question, kind: found[question, kind], _KINDS
            )
        except UserError as error:
            self._say(str(error), error=True)
            return
        waiting.say(_table(measured))

    def _say(self, words: str, *, error: bool = False) -> None:
        color = "$text-error" if error else "$foreground-muted"
        content = Content.from_markup(f"[{color}]$words[/]", words=for_terminal(words, one_line=True))
        self.query_one("#evaluation", Waiting).say(content)


def _describe(test: RetrievalTest) -> Content:
    return Content.from_markup(
        "$question\n[$foreground-muted]  $document · $quote[/]",
        question=for_terminal(test.question, one_line=True),
        document=for_terminal(test.document, one_line=True),
        quote=for_terminal(test.quote[:300], one_line=True),
    )


def _table(measured: Evaluation) -> Content:
    """Percent, with 95% intervals."""
    rows = [Content.from_markup("[b]$head[/]", head=" " * 6 + "".join(f"{name:>12}" for name in MEASURES))]
    for kind, figures in measured.figures.items():
        cells = "".join(f"{100 * f.mean:.0f} {100 * f.low:.0f}-{100 * f.high:.0f}".rjust(12) for f in figures.values())
        rows.append(Content(f"{_NAMES[kind]:6}{cells}"))
    left = f"; {len(measured.stale)} left out, their passages are gone" if measured.stale else ""
    rows.append(
        Content.from_markup(
            "[$foreground-muted]$count questions, percent, 95% intervals$left[/]",
            count=str(measured.questions),
            left=left,
        )
    )
    for test in measured.missed[:3]:
        words = for_terminal(test.question, one_line=True)
        rows.append(Content.from_markup("[$text-warning]not found[/] $words", words=words))
    return Content("\n").join(rows)
