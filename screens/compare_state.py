"""Comparisons as the Compare screen shows them: what the store holds, and what jobs are doing. Plain objects.

What is read here reads the database: call it in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from screens.watcher import Job
from workbench.compare.question import Question
from workbench.compare.spec import MAIN
from workbench.compare.store import Answered, CompareStore, Comparison, Ranking

LIVE_METRICS = ("right", "abstained", "seconds")
"""Watched while a comparison runs, beside the one that its verdict is about."""
NOT_SCORED = "not_scored"
"""The category of questions that attribution says nothing of: not answered yet, or without a reference."""


@dataclass(frozen=True)
class ComparisonLine:
    """One comparison."""

    comparison: Comparison
    job: Job | None
    """The latest that asks its questions."""

    @property
    def name(self) -> str:
        return self.comparison.name

    @property
    def live(self) -> bool:
        """Whether its questions are being asked, or wait for their turn."""
        return self.job is not None and self.job.live

    @property
    def state(self) -> str:
        """Its job's; where the job's folder is gone, what the answers tell."""
        if self.job is not None:
            return self.job.status.state
        return "done" if self.comparison.verdict else "stopped"

    @property
    def asked(self) -> int:
        """Answers that it has when it is done."""
        return self.comparison.expected

    @property
    def recommended(self) -> str:
        """The arm that its verdict recommends, or nothing."""
        return (self.comparison.verdict or {}).get("recommended") or ""

    @property
    def metric(self) -> str:
        """What its verdict is about; a key of `metrics.METRICS`."""
        return self.comparison.spec.get("metric", "f1")


def comparison_lines(comparisons: Sequence[Comparison], jobs: Sequence[Job]) -> list[ComparisonLine]:
    """All comparisons in the order given.

    Args:
        comparisons: of the store.
        jobs: of the workspace, newest first.
    """
    latest: dict[int, Job] = {}
    for job in jobs:
        if job.kind == "compare" and isinstance(id := job.arguments.get("comparison"), int):
            latest.setdefault(id, job)
    return [ComparisonLine(comparison, latest.get(comparison.id)) for comparison in comparisons]


@dataclass(frozen=True)
class Means:
    """The figures of the answers so far: metric -> arm -> (mean, over how many answers)."""

    comparison: int
    values: Mapping[str, Mapping[str, tuple[float | None, int]]]


def read_means(store: CompareStore, line: ComparisonLine) -> Means:
    """The means so far of the comparison's metric, and of what is always watched."""
    metrics = dict.fromkeys((line.metric, *LIVE_METRICS))
    return Means(line.comparison.id, {metric: store.means(line.comparison.id, metric) for metric in metrics})


@dataclass(frozen=True)
class QuestionLine:
    """A question in the list."""

    number: int
    """From 0, as in the store."""
    question: Question
    category: str
    """A key of `attribution.CATEGORIES`, or `NOT_SCORED`."""
    right: Mapping[str, float | None]
    """By arm, of those that have answered: 1 right, 0 wrong, None not known."""

    @property
    def shown(self) -> int:
        """The number that a person sees: from 1."""
        return self.number + 1

    def holds(self, words: Sequence[str]) -> bool:
        """Whether all of the words (in lower case) stand in the question, its references or its document."""
        text = " ".join((self.question.text, *self.question.answers, self.question.document)).lower()
        return all(word in text for word in words)


@dataclass(frozen=True)
class Category:
    """Questions of which the same is to be said."""

    name: str
    title: str
    about: str
    count: int


@dataclass
class Questions:
    """The questions of a comparison."""

    comparison: Comparison | None = None
    lines: list[QuestionLine] = field(default_factory=list)
    rankings: Mapping[int, Ranking] = field(default_factory=dict)
    categories: list[Category] = field(default_factory=list)
    """Those that occur."""

    @property
    def arms(self) -> list[str]:
        return self.comparison.arms if self.comparison else []

    def listed(self, category: str | None, search: str) -> list[QuestionLine]:
        """Those of a category (None: of all) that have all these words."""
        words = search.lower().split()
        return [line for line in self.lines if category in (None, line.category) and line.holds(words)]

    def category(self, name: str) -> Category | None:
        return next((category for category in self.categories if category.name == name), None)


def read_questions(store: CompareStore, comparison: Comparison) -> Questions:
    """All of them. About 50 ms for 1,000 questions."""
    of: dict[int, str] = {}
    kinds: dict[str, dict[str, Any]] = {}
    for kind in (comparison.verdict or {}).get("attribution", ()):
        kinds[kind["category"]] = kind
        of.update(dict.fromkeys(kind["numbers"], kind["category"]))
    right = store.scores(comparison.id, "right")
    lines = [
        QuestionLine(number, question, of.get(number, NOT_SCORED), right.get(number, {}))
        for number, question in enumerate(store.asked(comparison.id))
    ]
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.category] = counts.get(line.category, 0) + 1
    categories = [
        Category(name, kind["title"], kind.get("about", ""), counts[name])
        for name, kind in kinds.items()
        if name in counts
    ]
    if categories and NOT_SCORED in counts:
        about = "Not answered by every arm, or without a reference to measure against."
        categories.append(Category(NOT_SCORED, "not scored", about, counts[NOT_SCORED]))
    return Questions(comparison, lines, store.rankings(comparison.id), categories)


@dataclass(frozen=True)
class AnswersOf:
    """All there is about one question."""

    comparison: Comparison
    line: QuestionLine
    category: Category | None
    ranking: Ranking | None
    answers: Mapping[str, Answered]
    """By arm, in the order of the arms; those that have not answered are missing."""

    @property
    def sources(self) -> Sequence[Mapping[str, Any]]:
        """The passages that retrieval brought to the model: those of the fullest arm that was given any."""
        given = [self.answers[arm].citations for arm in reversed(MAIN) if arm in self.answers]
        return next((citations for citations in given if citations), ())


def read_answers(store: CompareStore, questions: Questions, line: QuestionLine) -> AnswersOf | None:
    """The answers of one question."""
    comparison = questions.comparison
    if comparison is None:
        return None
    answers = {answer.arm: answer for answer in store.answers_to(comparison.id, line.number)}
    return AnswersOf(
        comparison,
        line,
        questions.category(line.category),
        questions.rankings.get(line.number),
        {arm: answers[arm] for arm in comparison.arms if arm in answers},
    )
