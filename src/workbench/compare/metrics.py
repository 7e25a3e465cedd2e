"""What an answer is worth, by measures that need no judge model.

Nothing heavy is imported at module level: the app reads `METRICS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from workbench import formats
from workbench.compare import squad
from workbench.compare.question import Question
from workbench.compare.store import Answered
from workbench.errors import UserError
from workbench.library import support
from workbench.library.refusals import REFUSALS, abstains
from workbench.library.words import ENGLISH

__all__ = ["METRICS", "REFUSALS", "RIGHT_F1", "Metric", "abstains", "abstention", "score"]

RIGHT_F1 = 0.5
"""The token F1 from which on an answer counts as right."""


@dataclass(frozen=True)
class Metric:
    """A measure of one answer."""

    name: str
    title: str
    unit: Literal["share", "words", "seconds", "tokens", "joules"]
    """share: 0 to 1, shown as percent."""
    higher_is_better: bool | None
    """None where more is neither."""
    about: str
    """What it measures, one sentence."""


_UNTOLD = "where the library does not tell"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "exact_match", "exact match", "share", True,
            f"The answer is a reference, but for case, punctuation and articles (SQuAD); {_UNTOLD}, it abstains.",
        ),
        Metric(
            "f1", "token F1", "share", True,
            f"The words that the answer shares with the nearest reference (SQuAD); {_UNTOLD}, 1 if it abstains.",
        ),
        Metric(
            "contains", "contains a reference", "share", True,
            f"A reference stands in the answer, whatever else it says; {_UNTOLD}, it abstains.",
        ),
        Metric(
            "rouge_l", "ROUGE-L", "share", True,
            f"The longest row of words, gaps allowed, shared with the nearest reference; {_UNTOLD}, 1 if it abstains.",
        ),
        Metric(
            "right", "right", "share", True,
            f"The answer is or contains a reference, or has a token F1 of 50 % or more; {_UNTOLD}, it abstains.",
        ),
        Metric(
            "format_held", "format held", "share", True,
            "The whole answer holds the regular expression or JSON schema that the question asks for.",
        ),
        Metric("abstained", "abstained", "share", None, "The answer says that it cannot tell, or is empty."),
        Metric(
            "support", "support", "share", True,
            "How much of the answer's words, names and numbers stands together in a passage, rightly used or not.",
        ),
        Metric("words", "length", "words", None, "Words in the answer."),
        Metric("seconds", "seconds", "seconds", False, "From the question to the end of the answer."),
        Metric(
            "seconds_to_first_token", "seconds to first token", "seconds", False, "Retrieval and reading the prompt."
        ),
        Metric("prompt_tokens", "prompt tokens", "tokens", False, "What the model read, passages included."),
        Metric("completion_tokens", "completion tokens", "tokens", None, "What the model wrote."),
        Metric("joules", "energy", "joules", False, "What the machine used while it answered, where it tells."),
    )
}  # fmt: skip
"""By name, in the order in which they are shown. The first nine are made by `score`, the others when it is asked."""

_COMMON = ENGLISH.stop_words | {"true", "false", "two", "first", "new", "1", "2", "0"}
"""Words that any longer text may hold by chance."""


def score(
    question: Question,
    text: str,
    passages: Sequence[str] | None,
    *,
    refusals: Sequence[str] = (),
    not_in_library: bool = False,
) -> dict[str, float | None]:
    """What one answer is worth; a metric that says nothing of it is None.

    As SQuAD has it, an answer that abstains counts as an empty one, and where the library does not tell the right
    answer is the empty one. An answer that is a reference word for word does not abstain, whatever it says.

    exact_match, f1, contains, rouge_l and right are None where there is nothing to compare with: no reference, and not
    a question that the library does not tell.

    right (0 or 1) is what attribution goes by: exact_match, contains or f1 of at least `RIGHT_F1`. A reference of none
    but very common words ("no", "one") makes right only an answer that begins with it. It cannot see that a long answer
    holds the reference by chance, or denies it.

    rouge_l is rouge-score's rougeL F-measure with stemming, the best over the references. It knows the letters a to z
    only: it is 0 in other scripts.

    Args:
        question: what was asked; its references, and whether the library tells.
        text: the answer.
        passages: the texts that the model was given; None for an arm without retrieval.
        refusals: what the model was taught to say, besides `REFUSALS`.
        not_in_library: retrieval found nothing good enough, and the model was not asked.
    """
    is_reference = question.answerable is not False and bool(question.answers) and _exact(text, question)
    abstained = not_in_library or (abstains(text, refusals) and not is_reference)
    scores: dict[str, float | None] = dict.fromkeys(("exact_match", "f1", "contains", "rouge_l", "right"))
    references = () if question.answerable is False else question.answers
    if references or question.answerable is False:
        prediction = "" if abstained else text
        scores["exact_match"] = squad.exact_match(prediction, references)
        scores["f1"] = squad.token_f1(prediction, references)
        scores["contains"] = squad.contains(prediction, references)
        scores["rouge_l"] = _rouge_l(prediction, references)
        scores["right"] = float(
            scores["exact_match"] == 1 or scores["f1"] >= RIGHT_F1 or _tells_one(prediction, references)
        )
    return {
        **scores,
        "format_held": _format_held(question, text),
        "abstained": float(abstained),
        "support": support.overall(support.sentences(text, passages, question.text))
        if passages and not abstained
        else None,
        "words": float(len(text.split())),
    }


def abstention(answers: Sequence[tuple[Question, Answered]]) -> dict[str, Any]:
    """How well one arm knows when the library does not tell, over the questions of which that is known.

    Args:
        answers: each question with the arm's answer, its scores included.

    Returns:
        precision: of the answers that abstain, the share whose question the library does not tell; None if none does.
        recall: of those questions, the share on which it abstains; None if there are none.
        n_unanswerable: how many the library does not tell. n_abstained: how many answers abstain.
    """
    known = [
        (question.answerable is False, answer.scores["abstained"] == 1)
        for question, answer in answers
        if question.answerable is not None and answer.scores.get("abstained") is not None
    ]
    unanswerable = sum(untold for untold, _ in known)
    abstained = sum(abstains for _, abstains in known)
    rightly = sum(untold and abstains for untold, abstains in known)
    return {
        "precision": rightly / abstained if abstained else None,
        "recall": rightly / unanswerable if unanswerable else None,
        "n_unanswerable": unanswerable,
        "n_abstained": abstained,
    }


def _exact(text: str, question: Question) -> bool:
    return bool(squad.normalize_answer(text)) and squad.exact_match(text, question.answers) == 1


def _tells_one(prediction: str, references: Sequence[str]) -> bool:
    normalised = squad.normalize_answer(prediction)
    for reference in filter(None, map(squad.normalize_answer, references)):
        if set(reference.split()) <= _COMMON:
            if f"{normalised} ".startswith(f"{reference} "):
                return True
        elif squad.holds_words(normalised, reference):
            return True
    return False


def _format_held(question: Question, text: str) -> float | None:
    if not question.pattern and question.schema is None:
        return None
    try:
        return float(formats.holds(text, question.pattern, question.schema))
    except UserError:  # a format that cannot be held says nothing of the answer; the import refuses it
        return None


def _rouge_l(prediction: str, references: Sequence[str]) -> float:
    if not prediction or not references:
        return float(not prediction and not references)
    return max(_scorer().score(reference, prediction)["rougeL"].fmeasure for reference in references)


@lru_cache(maxsize=1)
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)
