"""The Pairs screen's view of a pair as the model sees it. A process of its own renders; nothing is asked in vain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Container

from screens import last_place
from screens.modals.choose import Choice, Choose
from screens.pair_browser import PairBrowser
from screens.widgets.pair_seen import PairSeen
from screens.widgets.pair_table import PairTable
from workbench.errors import UserError, in_words

if TYPE_CHECKING:
    from workbench.training.render_client import RenderClient

_SLOW = 0.3  # seconds after which the pane says what is waited for
_RENDERS = "pair-seen"


class SeenPairs(PairBrowser):
    """While the view is open, the pair under the cursor is asked for; of what the cursor passed, only the last is."""

    DEFAULT_CSS = """
    SeenPairs PairSeen { width: 100%; height: 7fr; display: none; }
    SeenPairs.-seen #list { height: 5fr; }
    SeenPairs.-seen.-wide #list { height: 100%; }
    SeenPairs.-wide PairSeen { width: 2fr; height: 100%; }
    SeenPairs.-seen PairSeen { display: block; }
    SeenPairs.-seen PairReading, SeenPairs.-bare PairSeen { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._client: RenderClient | None = None
        self._default = ""
        """The recipe where none was chosen: of the newest run there was when the view was opened."""
        self._wanted: tuple[int, str] | None = None

    def on_mount(self) -> None:
        self.query_one("#panels", Container).mount(PairSeen())

    def on_unmount(self) -> None:
        if self._client is not None:
            self._client.close()

    def action_seen(self) -> None:
        """The pair as the model sees it, and back to its plain text."""
        seen = not self.has_class("-seen")
        self.set_class(seen, "-seen")
        if seen:
            self._default = ""
            self._ask()
        elif self.query_one(PairSeen).has_focus:
            self.table.focus()

    def action_recipe(self) -> None:
        """Choose the recipe, and remember it."""
        from workbench.training.render_client import default_recipe
        from workbench.training.runs import runs

        default = default_recipe(self.workspace)
        choices = [Choice("", "the newest run's", f"now {default}")]
        choices += [Choice(path.stem, path.stem, str(path.parent.name)) for path in self.workspace.recipes()]
        choices += [
            Choice(f"runs/{run.run}/recipe.yaml", run.run, f"the run's own, dataset {run.dataset}")
            for run in runs(self.workspace)
        ]
        self.app.push_screen(Choose("By which recipe?", choices, current=self.app.place.recipe), self._recipe_chosen)

    def _recipe_chosen(self, recipe: str | None) -> None:
        if recipe is not None:
            self.app.place.recipe = recipe
            last_place.save(self.workspace, self.app.place)
            self.set_class(True, "-seen")
            self._ask()

    def action_overview(self) -> None:
        """What the dataset is made of."""
        from screens.modals.pair_overview import PairOverview

        names = [dataset.name for dataset in self.listing.datasets]
        name = self.listing.filter.dataset or (names[0] if len(names) == 1 else None)
        if name is None:
            raise UserError(
                "which dataset is to be looked over?" if names else "there are no pairs to look over",
                do="Press d to choose one." if names else "Press i to import some.",
            )
        self.app.push_screen(PairOverview(self.workspace, name, self.app.place.recipe))

    @on(PairTable.Highlighted)
    def _seen_highlighted(self) -> None:
        if self.has_class("-seen"):
            self._ask()

    def _ask(self) -> None:
        """Have the pair under the cursor rendered; one is asked for at a time, and then the latest."""
        table = self.table
        if table.current is None:
            self._wanted = None
            self.query_one(PairSeen).say("No pair is listed.")
            return
        self._wanted = table.current, self.app.place.recipe
        if not any(worker.group == _RENDERS and not worker.is_finished for worker in self.workers):
            self.run_worker(self._render_wanted, group=_RENDERS, exit_on_error=False)

    async def _render_wanted(self) -> None:
        from workbench.training.render_client import RenderClient, default_recipe

        pane = self.query_one(PairSeen)
        if self._client is None:
            self._client = RenderClient(self.workspace)
        while self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            pair, recipe = wanted
            timer = self.set_timer(_SLOW, lambda pair=pair: pane.say(self._waiting, title=f"Pair {pair}"))
            try:
                if not recipe:
                    self._default = self._default or await asyncio.to_thread(default_recipe, self.workspace)
                rendering = await asyncio.to_thread(self._client.ask, pair, recipe or self._default)
            except (UserError, OSError) as error:
                if self._wanted is None and self.is_attached:
                    pane.say(f"{in_words(error)}\n\nT chooses another recipe.", title=f"Pair {pair}", failed=True)
            else:
                if self._wanted is None:
                    pane.show(rendering)
                if self._client.ended:
                    self.app.tell(
                        f"The process that renders pairs {self._client.ended}; it was started again.",
                        severity="warning",
                    )
            finally:
                timer.stop()
                self._client.ended = ""

    @property
    def _waiting(self) -> str:
        return "Reading the tokenizer; with context:, also the embedding model of the index …"

    # The keys of the reading pane are this pane's while it stands there

    def action_read(self) -> None:
        if self.has_class("-seen"):
            self.query_one(PairSeen).focus()
        else:
            super().action_read()

    def action_scroll_reading(self, lines: int) -> None:
        if self.has_class("-seen"):
            self.query_one(PairSeen).scroll_relative(y=lines, animate=False)
        else:
            super().action_scroll_reading(lines)
