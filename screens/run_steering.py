"""What the keys of the Training screen do to the run that is watched, and to how its curves are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from screens.base import WorkbenchScreen
from screens.watcher import Job
from screens.widgets.curves import Curves
from screens.widgets.run_view import RunView
from workbench.errors import UserError

_STEERED = {
    "pause": ("running", "paused"),
    "save_now": ("running", "paused"),
    "learning_rate": ("running", "paused"),
}
"""In which states of the run a key does something."""
_ON_CURVES = ("next_chart", "turn_log", "turn_time", "smooth", "zoom", "pan")


class RunSteering(WorkbenchScreen):
    """The part of the Training screen that steers a run; it expects a `RunView` and `_run`, the run that is shown."""

    if TYPE_CHECKING:

        @property
        def _run(self) -> Job | None: ...

    def check_steering(self, action: str) -> bool | None:
        """What `check_action` says of these keys; dimmed where they do nothing. True for any other."""
        action = action.partition("(")[0]
        if action in _STEERED:
            return True if self._run is not None and self._run.status.state in _STEERED[action] else None
        if action in _ON_CURVES:
            return True if self.query_one(RunView).view == "curves" else None
        if action == "overlay":
            return True if len(self._all_runs()) > 1 else None
        return True

    def on_run_view_viewed(self) -> None:
        self.refresh_bindings()

    # The run

    def action_pause(self) -> None:
        """Pause the run, or let it go on."""
        from workbench.training import control

        if run := self._run:
            (control.go_on if run.status.state == "paused" else control.pause)(run.folder)
            self.app.look_at_jobs()

    def action_save_now(self) -> None:
        from workbench.training import control

        if run := self._run:
            control.save_now(run.folder)
            self.app.tell(f"{run.id} saves a checkpoint after this step")

    def action_learning_rate(self) -> None:
        from screens.modals.learning_rate import LearningRate
        from workbench.training import control

        run = self._run
        if run is None:
            return

        def answered(rate: float | None) -> None:
            if rate is not None:
                with self.reporting():
                    control.change_learning_rate(run.folder, rate)
                    self.app.tell(f"{run.id} goes on with a peak learning rate of {rate:g} from its next step on")

        history = self.query_one(RunView).history
        peak = history.rate_changes[-1].after if history.rate_changes else _peak(run)
        self.app.push_screen(LearningRate(run.id, peak, history.figures.get("learning_rate")), answered)

    # Its curves

    def action_next_chart(self) -> None:
        self.query_one(Curves).next_kind()

    def action_turn_log(self) -> None:
        self.query_one(Curves).turn_log()

    def action_turn_time(self) -> None:
        self.query_one(Curves).turn_time()

    def action_smooth(self) -> None:
        self.query_one(Curves).smooth()

    def action_zoom(self, by: int) -> None:
        self.query_one(Curves).zoom(by)

    def action_pan(self, by: float) -> None:
        self.query_one(Curves).pan(by)

    def action_overlay(self) -> None:
        from screens.modals.choose import Choice
        from screens.modals.choose_many import ChooseMany

        view, shown = self.query_one(RunView), self._run
        runs = [run for run in self._all_runs() if shown is None or run.id != shown.id]
        if not runs:
            raise UserError("there is no other run", do="Start one, or wait for it.")

        def answered(ids: list[str] | None) -> None:
            if ids is not None:
                view.overlay([run for run in runs if run.id in ids])

        choices = [Choice(run.id, run.id, run.status.state) for run in runs]
        self.app.push_screen(ChooseMany("Lay which runs over this one?", choices, view.overlaid), answered)

    def _all_runs(self) -> list[Job]:
        return [job for job in self.app.board.jobs if job.folder.is_run]


def _peak(run: Job) -> float | None:
    """The learning rate of the recipe."""
    recipe = run.arguments.get("recipe")
    rate = recipe.get("learning_rate") if isinstance(recipe, dict) else None
    return rate if isinstance(rate, int | float) else None
