"""The answers of a comparison lined up by question: what attribution, verdict and decision table are read from.

It knows nothing of statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.compare.question import Question
from workbench.compare.spec import MAIN, Spec
from workbench.compare.store import Answered, Comparison, Ranking

WITH_REFERENCE = ("exact_match", "f1", "contains", "rouge_l", "right")
"""Metrics that need a reference answer, and that count abstaining as right where nothing answers the question."""


@dataclass(frozen=True)
class Evidence:
    """A comparison's questions with what every arm answered."""

    comparison: Comparison
    spec: Spec
    questions: Sequence[Question]
    rankings: Mapping[int, Ranking]
    answers: Mapping[tuple[int, str], Answered]
    """By question number and arm."""
    main: tuple[str, ...]
    """Those of base, tuned, rag and hybrid that were asked, in this order."""
    paired: tuple[int, ...]
    """The numbers of the questions that all of `main` answered; every difference is over these."""

    @classmethod
    def of(
        cls,
        comparison: Comparison,
        questions: Sequence[Question],
        answers: Sequence[Answered],
        rankings: Mapping[int, Ranking],
    ) -> Evidence:
        """Line the answers up; what is not paired stays out of everything that is concluded."""
        by_place = {(answer.number, answer.arm): answer for answer in answers}
        main = tuple(arm for arm in MAIN if arm in comparison.arms)
        everyone = (number for number in range(len(questions)) if all((number, arm) in by_place for arm in main))
        paired = tuple(everyone) if main else ()
        return cls(comparison, Spec.from_dict(comparison.spec), questions, rankings, by_place, main, paired)

    @property
    def fullest(self) -> str:
        """The arm with the most in it: hybrid, else rag, else tuned, else base.

        Raises:
            IndexError: there is none of them.
        """
        return [arm for arm in ("base", "tuned", "rag", "hybrid") if arm in self.main][-1]

    @property
    def has_index(self) -> bool:
        """Whether an arm with retrieval was asked."""
        return "rag" in self.main or "hybrid" in self.main

    @property
    def has_run(self) -> bool:
        """Whether a tuned arm was asked."""
        return "tuned" in self.main or "hybrid" in self.main

    def score(self, number: int, arm: str, metric: str) -> float | None:
        """What a metric says of an answer; None where it says nothing or there is no answer."""
        answer = self.answers.get((number, arm))
        return None if answer is None else answer.scores.get(metric)

    def scored(self, metric: str, arms: Sequence[str]) -> list[int]:
        """The paired questions on which the metric says something of each of these arms."""
        return [number for number in self.paired if all(self.score(number, arm, metric) is not None for arm in arms)]

    def scores(self, metric: str, arms: Sequence[str] = ()) -> dict[str, list[float]]:
        """By arm (default: the main ones) the scores of the questions of `scored`, in the same order for every arm."""
        arms = arms or self.main
        numbers = self.scored(metric, arms)
        return {arm: [float(self.score(number, arm, metric) or 0.0) for number in numbers] for arm in arms}

    def silence(self, metric: str) -> float | None:
        """What a model that never answers would have: the share of the questions that nothing answers, over those that
        can be right or wrong. None of a metric that abstaining is not right for, or without such questions."""
        numbers = self.scored("right", self.main) if self.main and metric in WITH_REFERENCE else []
        unanswerable = sum(self.questions[number].answerable is False for number in numbers)
        return unanswerable / len(numbers) if unanswerable else None

    def is_right(self, number: int, arm: str) -> bool:
        """Whether an answer is right; an arm that was not asked is not."""
        return bool(self.score(number, arm, "right"))

    def was_shown(self, number: int) -> bool | None:
        """Whether the right passage was among those that the model was given; None where its place is not known.

        It goes by the passages themselves and not by the ranking: what was searched for and found may be cut, withheld,
        or found with other words, as for a follow-up.
        """
        from workbench.compare.ranking import holds

        question = self.questions[number]
        if self._retrieved(number) is None or question.answerable is False:
            return None
        if not question.document and not question.context:
            return None
        return any(holds(each["document"], each["text"], question) for each in self.citations(number))

    def citations(self, number: int) -> tuple[dict[str, Any], ...]:
        """The passages that the fullest arm with retrieval was given: fewer than asked for where its context has no
        room for more, none where nothing was similar enough."""
        answer = self._retrieved(number)
        return answer.citations if answer else ()

    def was_withheld(self, number: int) -> bool:
        """Whether retrieval gave the model nothing, because nothing was similar enough."""
        answer = self._retrieved(number)
        return answer is not None and bool(answer.figures.get("not_in_library"))

    def _retrieved(self, number: int) -> Answered | None:
        return self.answers.get((number, "hybrid")) or self.answers.get((number, "rag"))
