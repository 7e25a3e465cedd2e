"""The pane that shows a pair as the model sees it. A process of its own renders, and nothing is asked of it in vain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from screens.widgets.reading import Reading
from screens.widgets.seen_text import line, seen_parts
from workbench.errors import UserError, in_words
from workbench.text import for_terminal
from workbench.training.rendered import Rendering
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from screens.app import WorkbenchApp
    from workbench.training.render_client import RenderClient

_SLOW = 0.3  # seconds after which the pane says what is waited for
_WAITING = "Loading the tokenizer; with context:, the embedding model of the index, too …"
_FATES = {
    "learned": ("✓ learned", "text-success"),
    "evaluated": ("◌ evaluated", "text-warning"),
    "too long": ("✗ too long", "text-error"),
    "not used": ("✗ not used", "text-error"),
}


class PairSeen(Reading, can_focus=True):
    """Stands in the place of the reading pane; `ask` has it show a pair. Its process ends with it."""

    DEFAULT_CSS = """
    PairSeen { scrollbar-background: $background; }
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(classes="panel")
        self._workspace = workspace
        self._client: RenderClient | None = None
        self._asked: tuple[int, str] | None = None
        """The pair and the recipe that are to be rendered next."""
        self._shown: Rendering | None = None

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def on_unmount(self) -> None:
        if self._client is not None:
            self._client.close()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        cast("WorkbenchApp", self.app).report_failed(event)

    def ask(self, pair: int, recipe: str) -> None:
        """Have a pair rendered, and shown when that is done. One is rendered at a time, and after it the latest.

        Args:
            pair: its id.
            recipe: as `Workspace.recipe` takes it; empty: the newest run's.
        """
        self._asked = pair, recipe
        if not any(worker.node is self and not worker.is_finished for worker in self.workers):
            self.run_worker(self._render_asked, exit_on_error=False)

    def say(self, words: str, *, title: str = "As the model sees it", failed: bool = False) -> None:
        """Show words in the place of a pair."""
        self._asked = self._shown = None
        self._say(words, title, "text-error" if failed else "foreground-muted")

    async def _render_asked(self) -> None:
        from workbench.training.render_client import RenderClient, default_recipe

        if self._client is None:
            self._client = RenderClient(self._workspace)
        default = ""
        while self._asked is not None:
            (pair, recipe), self._asked = self._asked, None
            title = f"Pair {pair}"
            timer = self.set_timer(_SLOW, lambda title=title: self._say(_WAITING, title, "foreground-muted"))
            try:
                if not recipe:
                    default = default or await asyncio.to_thread(default_recipe, self._workspace)
                rendering = await asyncio.to_thread(self._client.ask, pair, recipe or default)
            except (UserError, OSError) as error:
                if self._asked is None and self.is_attached:
                    key = cast("WorkbenchApp", self.app).key_of("pairs.recipe")
                    self._say(f"{in_words(error)}\n\n{key} chooses another recipe.", title, "text-error")
            else:
                if self._asked is None:
                    self._show(rendering)
                if self._client.ended:
                    words = f"The process that renders pairs {self._client.ended}; it was started again."
                    cast("WorkbenchApp", self.app).tell(words, severity="warning")
            finally:
                timer.stop()
                self._client.ended = ""

    def _show(self, rendering: Rendering) -> None:
        """A pair from its beginning, or the same one where the reader was."""
        other = self._shown is None or (self._shown.pair, self._shown.recipe) != (rendering.pair, rendering.recipe)
        self._shown = rendering
        self.query_one(Static).update(Content("\n\n").join(seen_parts(rendering)))
        fate, color = _FATES[rendering.fate]
        self.border_title = Content.from_markup(
            f"Pair $id[$text-muted] · [/][${color}]$fate[/]", id=rendering.pair, fate=fate
        )
        self.border_subtitle = Content(f"{line(rendering.recipe)} · {line(rendering.base)}")
        if other:
            self.scroll_home(animate=False, immediate=True)

    def _say(self, words: str, title: str, color: str) -> None:
        self._shown = None
        self.query_one(Static).update(Content.from_markup(f"[${color}]$words[/]", words=for_terminal(words)))
        self.border_title, self.border_subtitle = title, None
