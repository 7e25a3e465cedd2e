"""The Pairs screen in the light of a recipe: a pair as the model sees it, and the overview of its dataset."""

from __future__ import annotations

from textual import on
from textual.containers import Container

from screens import last_place
from screens.modals.choose import Choice, Choose
from screens.pair_browser import PairBrowser
from screens.widgets.pair_seen import PairSeen
from screens.widgets.pair_table import PairTable
from workbench.errors import UserError


class SeenPairs(PairBrowser):
    """While the view is open, it stands in the place of the reading pane and follows the cursor."""

    DEFAULT_CSS = """
    SeenPairs PairSeen { width: 100%; height: 7fr; display: none; }
    SeenPairs.-wide PairSeen { width: 2fr; height: 100%; }
    SeenPairs.-seen #list { height: 5fr; }
    SeenPairs.-seen.-wide #list { height: 100%; }
    SeenPairs.-seen PairSeen { display: block; }
    SeenPairs.-seen PairReading, SeenPairs.-bare PairSeen { display: none; }
    """

    def on_mount(self) -> None:
        self.query_one("#panels", Container).mount(PairSeen(self.workspace))

    def action_seen(self) -> None:
        """The pair as the model sees it, and back to its plain text."""
        self._see(not self.has_class("-seen"))

    def _see(self, seen: bool) -> None:
        had_focus = self.query_one(PairSeen).has_focus
        self.set_class(seen, "-seen")
        if seen:
            self._follow_cursor()
        elif had_focus:
            self.table.focus()

    @on(PairTable.Highlighted)
    def _follow_cursor(self) -> None:
        if not self.has_class("-seen"):
            return
        if self.table.current is None:
            self.query_one(PairSeen).say("No pair is listed.")
        else:
            self.query_one(PairSeen).ask(self.table.current, self.app.place.recipe)

    def action_recipe(self) -> None:
        """Choose the recipe, and remember it."""
        from workbench.training.runs import runs

        choices = [Choice("", "the newest run's", "whichever that is; without runs, the one that ships")]
        choices += [
            Choice(path.stem, path.stem, "of this workspace" if path.parent == self.workspace.configs else "ships")
            for path in self.workspace.recipes()
        ]
        choices += [
            Choice(f"runs/{run.run}/recipe.yaml", run.run, f"as this run was trained, on {run.dataset}")
            for run in runs(self.workspace)
        ]
        self.app.push_screen(Choose("By which recipe?", choices, current=self.app.place.recipe), self._recipe_chosen)

    def _recipe_chosen(self, recipe: str | None) -> None:
        if recipe is not None:
            self.app.place.recipe = recipe
            last_place.save(self.workspace, self.app.place)
            self._see(True)

    def action_overview(self) -> None:
        """What the dataset is made of."""
        from screens.modals.pair_overview import PairOverview

        names = [dataset.name for dataset in self.listing.datasets]
        name = self.listing.filter.dataset or (names[0] if len(names) == 1 else None)
        if name is None:
            raise UserError(
                "which dataset is to be looked over?" if names else "there are no pairs to look over",
                do=f"Press {self.key('dataset')} to choose one."
                if names
                else f"Press {self.key('import')} to import some.",
            )
        self.app.push_screen(PairOverview(self.workspace, name, self.app.place.recipe))

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

    def action_changes(self) -> None:
        self._see(False)
        super().action_changes()

    def action_history(self) -> None:
        self._see(False)
        super().action_history()

    def action_leave(self) -> None:
        if self.has_class("-seen") and self.table.has_focus and not self.table.extending:
            self._see(False)
        else:
            super().action_leave()
