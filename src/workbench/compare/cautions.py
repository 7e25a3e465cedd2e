"""What cannot be concluded from a comparison, and why: whole sentences for the person who has to decide."""

from __future__ import annotations

from workbench.compare.evidence import WITH_REFERENCE, Evidence
from workbench.compare.figures import share
from workbench.compare.spec import AGAIN, FEWEST, ORACLE

_FEW_DOCUMENTS = 20
_LONGEST = 240  # characters of a reason
_OF_ONE = 2  # questions about one document, on average, from which on they are many


def cautions(evidence: Evidence, metric: str, title: str, n: int, means: dict[str, float]) -> list[str]:
    """Those known at the start, then those that came of the answers.

    Args:
        evidence: of a comparison.
        metric: what the verdict is about.
        title: what it is called.
        n: questions that it says something of for every arm.
        means: the metric by arm.
    """
    found = [
        *evidence.spec.cautions,
        *_number(evidence, title, n),
        *_missing_arms(evidence, title, means),
        *_references(evidence, metric, title),
        *_unanswerable(evidence, metric, title, means),
        *_places(evidence),
        *_documents(evidence),
        *_noise(evidence),
    ]
    return list(dict.fromkeys(found))


def _number(evidence: Evidence, title: str, n: int) -> list[str]:
    asked, paired = len(evidence.questions), len(evidence.paired)
    errors = {(number, arm): answer.figures.get("error") for (number, arm), answer in evidence.answers.items()}
    failed = {number: str(error) for (number, _), error in sorted(errors.items(), reverse=True) if error}
    found = []
    if paired < asked:
        found.append(
            f"The comparison is not finished: {paired} of {asked} questions were answered by every arm, and the "
            "figures are of those."
        )
    if failed:
        found.append(
            f"{_questions(len(failed))} could not be answered by some arm; where a main arm has no answer, the "
            f"question is left out for all of them. {'The reason' if len(failed) == 1 else 'The first reason'}: "
            f"{_cut(failed[min(failed)])}"
        )
    if 0 < n < FEWEST:
        found.append(
            f"The intervals rest on {_questions(n)}: of fewer than {FEWEST} they are narrower than they should be."
        )
    elif 0 < n < paired:
        found.append(
            f"The differences in {title} rest on {n} of {_questions(paired)}: of the others it says nothing for some "
            "arm."
        )
    return found


def _missing_arms(evidence: Evidence, title: str, means: dict[str, float]) -> list[str]:
    found = []
    if len(evidence.main) > 1 or not evidence.main:
        unsaid = [arm for arm in evidence.main if arm not in means]
        if unsaid and means:
            found.append(
                f"{title[:1].upper()}{title[1:]} says nothing of {' and '.join(unsaid)}, so "
                f"{'it is' if len(unsaid) == 1 else 'they are'} not compared."
            )
    if not evidence.has_run and evidence.main:
        found.append("No run was measured, so nothing is known of what tuning would bring, alone or with retrieval.")
    if not evidence.has_index and evidence.main:
        found.append("No index was measured, so nothing is known of what retrieval would bring, alone or with tuning.")
    return found


def _references(evidence: Evidence, metric: str, title: str) -> list[str]:
    asked = [evidence.questions[number] for number in evidence.paired]
    without = sum(not question.answers and question.answerable is not False for question in asked)
    if not without or metric not in WITH_REFERENCE:
        return []
    if without == len(asked):
        return [f"No question has a reference answer: {title} cannot be measured, and no outcome is explained."]
    return [
        f"{without} of {_questions(len(asked))} have no reference answer: {title} and the attribution leave them out."
    ]


def _unanswerable(evidence: Evidence, metric: str, title: str, means: dict[str, float]) -> list[str]:
    numbers = evidence.scored("right", evidence.main) if evidence.main else []
    if not numbers:
        return []
    unanswerable = [number for number in numbers if evidence.questions[number].answerable is False]
    if not unanswerable:
        return ["No question is unanswerable, so whether the arms abstain where they should was not measured."]
    part, found = evidence.silence(metric), []
    if part is None:
        return []
    best = max(means.values(), default=0.0)
    if best <= part:
        found.append(
            f"{share(part)} of the questions are unanswerable, so a model that never answers would have {title} "
            f"{share(part)}; no arm is above that."
        )
    elif part >= 0.25:
        found.append(
            f"{share(part)} of the questions are unanswerable, and a model that never answers would have {title} "
            f"{share(part)}: look at the answerable ones by themselves too."
        )
    answerable = [number for number in numbers if number not in set(unanswerable)]
    if answerable:
        most = max(sum(evidence.is_right(number, arm) for number in answerable) for arm in evidence.main)
        if most < len(answerable) / 2:
            found.append(
                f"Even the best arm is right on only {most} of the {_questions(len(answerable))} that can be answered."
            )
    return found


def _places(evidence: Evidence) -> list[str]:
    if not evidence.has_index:
        return []
    answerable = [number for number in evidence.paired if evidence.questions[number].answerable is not False]
    unknown = sum(evidence.was_shown(number) is None for number in answerable)
    found = []
    if unknown:
        which = "No question's place is" if unknown == len(answerable) else f"The place of {_questions(unknown)} is not"
        found.append(f"{which} known: there a miss of retrieval cannot be told from a passage that was not used.")
    if ORACLE not in evidence.comparison.arms:
        if unknown < len(answerable):
            found.append("No oracle arm was asked, so how much better retrieval could bring at most is not known.")
    else:
        given = sum((number, ORACLE) in evidence.answers for number in evidence.paired)
        if given < len(evidence.paired):
            found.append(
                f"The oracle arm answered {given} of {_questions(len(evidence.paired))}, those whose place is known: "
                "its means are of other questions than those of the main arms."
            )
    return found


def _documents(evidence: Evidence) -> list[str]:
    known = [evidence.questions[number].document for number in evidence.paired]
    known = [document for document in known if document]
    documents = len(set(known))
    if not documents or documents >= _FEW_DOCUMENTS or len(known) <= _OF_ONE * documents:
        return []
    many = "one document" if documents == 1 else f"{documents} documents"
    return [
        f"The questions are about {many}. Those about one document are not independent: for other documents the "
        "figures are less certain than the intervals say."
    ]


def _noise(evidence: Evidence) -> list[str]:
    if evidence.spec.temperature <= 0 or AGAIN in evidence.comparison.arms:
        return []
    return ["The answers are sampled and no arm was asked again, so the noise floor is not known."]


def _cut(text: str) -> str:
    """A server may give any text as its reason."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _questions(n: int) -> str:
    return f"{n} {'question' if n == 1 else 'questions'}"
