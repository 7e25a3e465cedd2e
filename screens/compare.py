"""Compare: ask the arms of a hybrid the same questions. How the answers are looked through is in `compare_browser`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from screens.commands import bindings
from screens.compare_browser import VIEWS, CompareBrowser
from screens.compare_files import CompareFiles
from screens.compare_pairs import ComparePairs
from screens.compare_state import ComparisonLine
from screens.watcher import JobBoard
from screens.widgets.answers_view import AnswersView
from screens.widgets.questions_view import QuestionsView
from screens.widgets.scores import line as one_line
from workbench.errors import UserError
from workbench.jobs import control

_ANSWERS = ("pair", "better", "worse", "arm", "marking")


class CompareScreen(CompareBrowser):
    """The comparisons, and what can be done to them."""

    BINDINGS = bindings("compare")
    CSS_PATH = "compare.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._files = CompareFiles(self)
        self._pairs = ComparePairs(self)
        self._versus: set[str] = set()  # jobs whose result is shown when they end
        self._results: list[dict[str, Any]] = []  # theirs, to be shown when nothing else is in front

    def on_unmount(self) -> None:
        self._pairs.close()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        line = self.line
        if action in _ANSWERS:
            return self.shown_answers is not None
        match action:
            case "filter":
                return line is not None and self.view == "questions"
            case "search":
                return line is not None
            case "view":
                return True if line is not None else None
            case "stop":
                return True if line is not None and line.live and line.state != "stopping" else None
            case "resume":
                return True if line is not None and line.job is not None and _resumable(line) else None
            case "conclude":
                return True if line is not None and not line.live and line.comparison.answers else None
            case "export":
                return True if line is not None and line.comparison.verdict else None
            case "versus":
                return True if line is not None and line.comparison.answers and len(self.lines) > 1 else None
            case "delete":
                return True if line is not None and not line.live else None
        return True

    @property
    def _line(self) -> ComparisonLine:
        if self.line is None:
            raise UserError("there is no comparison here", do="Press n to start one.")
        return self.line

    # Starting and ending

    async def action_new(self) -> None:
        from screens.modals.new_comparison import NewComparison, read_choices

        names = [line.name for line in self.lines]
        choices = await asyncio.to_thread(read_choices, self.workspace, names)
        self.app.push_screen(NewComparison(self.workspace, choices), self._started)

    def _started(self, id: int | None) -> None:
        if id is not None:
            self.go_to_comparison(id)

    def action_stop(self) -> None:
        job = self._line.job
        if job is not None and job.live:
            control.stop(job.folder)
            self.app.look_at_jobs()

    def action_resume(self) -> None:
        job = self._line.job
        if job is not None:
            control.resume(job.folder)
            self.app.look_at_jobs()

    async def action_conclude(self) -> None:
        from workbench.compare.control import start_verdict

        # In a thread, as it reads the database, which a job may be writing to.
        await asyncio.to_thread(start_verdict, self.workspace, self._line.name)
        self.app.look_at_jobs()

    def action_delete(self) -> None:
        from screens.modals.confirm import Confirm

        line = self._line
        detail = f"{line.comparison.answers:,} answers and the verdict, for good. Pairs made from it stay."

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._delete(line), group="compare-delete", exit_on_error=False)

        question = Confirm(f"Delete the comparison {one_line(line.name)}?", detail, yes="Delete", danger=True)
        self.app.push_screen(question, answered)

    async def _delete(self, line: ComparisonLine) -> None:
        ids = [each.comparison.id for each in self.lines]
        at = ids.index(line.comparison.id)
        await self.store.do(lambda store: store.delete(line.comparison.id))
        if below_or_above := [*ids[at + 1 :], *reversed(ids[:at])]:
            self.select_comparison(below_or_above[0])
        self.show_view("verdict")
        self.refresh_data()

    # Two of them

    async def action_versus(self) -> None:
        from screens.modals.choose import Choice, Choose
        from screens.times import ago

        line = self._line
        shared = await self.store.do(lambda store: store.shared(line.comparison.id))
        others = [other for other in self.lines if other.comparison.id in shared]
        if not others:
            raise UserError(
                "no other comparison asks any of its questions",
                where=line.name,
                do="Press n: take the same set and seed.",
            )
        asked = line.comparison.questions
        # The newest of the earlier ones is the likeliest: before the latest run.
        others.sort(key=lambda other: other.comparison.created_at > line.comparison.created_at)
        choices = [
            Choice(
                other.name,
                other.name,
                f"{ago(other.comparison.created_at)}, shares {shared[other.comparison.id]:,} of {asked:,} questions"
                + (f", run {other.comparison.spec['run']}" if other.comparison.spec.get("run") else ""),
            )
            for other in others
        ]
        question = f"Set {line.name} against which earlier comparison?"

        def chosen(other: str | None) -> None:
            if other is not None:
                work = partial(self._start_versus, line.name, other)
                self.run_worker(work, group="compare-versus", exit_on_error=False)

        self.app.push_screen(Choose(question, choices), chosen)

    async def _start_versus(self, name: str, other: str) -> None:
        from workbench.compare.control import start_verdict

        job = await asyncio.to_thread(start_verdict, self.workspace, name, versus=other)
        self._versus.add(job.id)
        self.app.look_at_jobs()

    def jobs_changed(self, board: JobBoard) -> None:
        super().jobs_changed(board)
        for job in board.ended:
            if job.id in self._versus:
                self._versus.discard(job.id)
                if result := (job.status.result or {}).get("versus"):
                    self._results.append(result)
                    if self.app.screen is not self:
                        names = f"{result['first']} versus {result['second']}"
                        self.app.tell(f"{names} is ready: it opens as soon as you are back on Compare (6).")
        self._show_results()

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self._show_results)  # a dialog that closes may open another one

    def _show_results(self) -> None:
        """Show the next result of a versus, unless something else is in front of this screen."""
        if not self._results or self.app.screen is not self:  # `is_current` holds behind a dialog, too
            return
        from screens.modals.versus import Versus

        result = self._results.pop(0)
        self.app.push_screen(Versus(result), partial(self._changed_chosen, result["second"]))

    def _changed_chosen(self, name: str, number: int | None) -> None:
        """Open a question that changed."""
        id = next((line.comparison.id for line in self.lines if line.name == name), None)
        if number is not None and id is not None:
            self.run_worker(self._open_question(id, number), group="compare-open", exit_on_error=False)

    async def _open_question(self, id: int, number: int) -> None:
        self.select_comparison(id)
        await self.read_questions()
        self.show_question(number)

    # Files

    def action_import_questions(self) -> None:
        self._files.ask_file()

    def action_export(self) -> None:
        self._files.ask_export(self._line.comparison)

    async def action_delete_set(self) -> None:
        await self._files.ask_delete(self.store)

    # Going about

    def action_view(self) -> None:
        self.show_view(VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)])

    def action_filter(self, by: int) -> None:
        self.query_one(QuestionsView).step_category(by)

    async def action_search(self) -> None:
        if self.view != "questions":
            await self.read_questions()  # before the field is gone to: questions that come later would close it
            self.show_view("questions")
        self.query_one(QuestionsView).search()

    def action_leave(self) -> None:
        """One step back."""
        questions = self.query_one(QuestionsView)
        if self.view == "answers":
            self.show_view("questions")
        elif self.view == "questions" and questions.searching:
            questions.leave_search()
            self.query_one("#question-table").focus()
        elif self.view == "questions":
            self.show_view("verdict")
        else:
            self.query_one("#comparison-table").focus()

    def action_arm(self, by: int) -> None:
        self.query_one(AnswersView).step_arm(by)

    def action_marking(self) -> None:
        self.query_one(AnswersView).turn_marking()

    # Pairs

    @property
    def marked(self) -> Mapping[str, str]:
        return self._pairs.marked

    def question_changed(self) -> None:
        self._pairs.forget()

    def action_pair(self) -> None:
        self._pairs.make_pair(self.query_one(AnswersView))

    async def action_better(self) -> None:
        await self._pairs.mark(self.query_one(AnswersView), "better")

    async def action_worse(self) -> None:
        await self._pairs.mark(self.query_one(AnswersView), "worse")


def _resumable(line: ComparisonLine) -> bool:
    return line.state in ("stopped", "failed", "lost")
