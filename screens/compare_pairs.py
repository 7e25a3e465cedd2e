"""Pairs from the answers of a comparison, so that the next run learns from them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from screens.compare_state import AnswersOf
from screens.modals.make_pair import MakePair
from screens.store_thread import StoreThread
from screens.widgets.answers_view import AnswersView
from workbench.errors import UserError
from workbench.pairs.pair import NewPair, NotAPair
from workbench.pairs.store import AddResult, PairStore

if TYPE_CHECKING:
    from screens.base import WorkbenchScreen

TAG = "from-comparison"
_FIRST_DATASET = "corrections"


class ComparePairs:
    """Makes one pair after the other; remembers which answers are marked, and the dataset that was chosen last."""

    def __init__(self, screen: WorkbenchScreen) -> None:
        self._screen = screen
        self.marked: dict[str, str] = {}
        """`better` or `worse`, by arm, of the question shown."""
        self._dataset = ""
        self._store: StoreThread[PairStore] | None = None

    def close(self) -> None:
        """Let go of the database when all is written."""
        if self._store is not None:
            self._store.close()

    def forget(self) -> None:
        """Take the marks away: another question is shown."""
        self.marked = {}

    # An answer to learn

    def make_pair(self, view: AnswersView) -> None:
        """Ask for the right answer, beginning with the current one, or the reference where that is wrong."""
        answers, arm = view.answers, view.arm
        if answers is None or arm is None or arm not in answers.answers:
            raise UserError("this arm has not answered yet", do="Choose another one with h and l.")
        answer, references = answers.answers[arm], answers.line.question.answers
        wrong = answer.scores.get("right") == 0 and bool(references)
        self._ask(answers, {"completion": references[0] if wrong else answer.text})

    # A preference

    async def mark(self, view: AnswersView, word: str) -> None:
        """Mark the current answer; with a better and a worse one a pair is asked for. A second time takes it back."""
        answers, arm = view.answers, view.arm
        if answers is None or arm is None or arm not in answers.answers:
            raise UserError("this arm has not answered yet", do="Choose another one with h and l.")
        before = self.marked.pop(arm, None)
        if before != word:
            self.marked = {other: mark for other, mark in self.marked.items() if mark != word} | {arm: word}
        await view.show(answers, self.marked)
        chosen = {mark: answers.answers[other].text for other, mark in self.marked.items()}
        if len(chosen) == 2:
            self._ask(answers, {"chosen": chosen["better"], "rejected": chosen["worse"]}, marked=view)
        elif chosen:
            missing, key = ("worse", "w") if word == "better" else ("better", "b")
            self._screen.app.tell(f"Go to the {missing} answer and press {key}.")

    # What is asked, and the writing

    def _ask(self, answers: AnswersOf, texts: dict[str, str], *, marked: AnswersView | None = None) -> None:
        work = partial(self._open_dialog, answers, texts, marked)
        self._screen.run_worker(work, group="compare-pair", exclusive=True, exit_on_error=False)

    async def _open_dialog(self, answers: AnswersOf, texts: dict[str, str], marked: AnswersView | None) -> None:
        datasets = [dataset.name for dataset in await self._pair_store.do(lambda store: store.datasets())]
        dialog = MakePair(
            answers.line.question,
            texts,
            dataset=self._dataset or self._dataset_of(answers, datasets),
            datasets=datasets,
            save=partial(self._save, answers),
        )

        async def closed(_: bool | None) -> None:
            if marked is not None:
                self.forget()
                await marked.show(marked.answers, self.marked)

        self._screen.app.push_screen(dialog, closed)

    @property
    def _pair_store(self) -> StoreThread[PairStore]:
        if self._store is None:
            self._store = StoreThread(PairStore, self._screen.workspace.database, "compare-pairs")
        return self._store

    def _dataset_of(self, answers: AnswersOf, datasets: list[str]) -> str:
        """That which the run learned from, else one that there is."""
        run = self._screen.app.board.find(answers.comparison.spec.get("run") or "")
        recipe = run.arguments.get("recipe") if run is not None else None
        learned = recipe.get("dataset") if isinstance(recipe, dict) else None
        return learned if learned in datasets else datasets[0] if len(datasets) == 1 else _FIRST_DATASET

    async def _save(self, answers: AnswersOf, dataset: str, texts: dict[str, str]) -> None:
        question, number, name = answers.line.question, answers.line.shown, answers.comparison.name
        try:
            source = f"comparison {name} question {number}"
            pair = NewPair(messages=question.messages, tags=(TAG,), source=source, **texts)
        except NotAPair as error:
            raise UserError(f"the pair {error}") from None
        result: AddResult = await self._pair_store.do(
            lambda store: store.add(dataset, [pair], status="accepted", label="made from a comparison")
        )
        if not result.added:
            raise UserError(f"{dataset} has this very pair already", do="Change the answer, or leave with escape.")
        self._dataset = dataset
        shown = " P on the Pairs screen shows its answers side by side." if pair.completion is None else ""
        self._screen.app.tell(
            f"A pair is in {dataset}, accepted.{shown} A run on {dataset} learns question {number}, so a comparison of"
            " that run must leave it out."
        )
