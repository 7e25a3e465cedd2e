"""The questions behind the counts of a report, with what every arm answered, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.compare import figures
from workbench.compare.question import Question
from workbench.compare.report.svg import escape
from workbench.compare.report.tables import title, unit
from workbench.compare.store import Answered, Ranking


def behind_the_counts(
    verdict: Mapping[str, Any],
    questions: Sequence[Question],
    answers: Iterable[Answered],
    rankings: Mapping[int, Ranking],
) -> list[str]:
    """A `<details>` a category with its questions, then one of those that have no category. See `report_html.html`."""
    by_place = {(answer.number, answer.arm): answer for answer in answers}
    arms = [str(each["arm"]) for each in verdict.get("arms") or ()]
    metric = verdict["metric"]
    parts, seen = [], set()

    def details(name: str, about: str, numbers: Sequence[int]) -> str:
        asked = "".join(
            _question(number, questions[number], arms, by_place, rankings.get(number), metric)
            for number in numbers
            if number < len(questions)
        )
        count = figures.count(len(numbers))
        summary = f'<summary>{escape(name)} <span class="quiet">({count})</span></summary>'
        return f'<details>{summary}<p class="quiet">{escape(about)}</p>{asked}</details>'

    for each in verdict.get("attribution") or ():
        seen.update(each["numbers"])
        if each["numbers"]:
            parts.append(details(each["title"], each["about"], each["numbers"]))
    left = sorted({number for number, _ in by_place} - seen)
    if left:
        about = "There is no reference answer, or not every main arm has answered."
        parts.append(details("not attributed", about, left))
    return ["<h3>The questions behind the counts</h3>", *parts] if parts else []


def _question(
    number: int,
    question: Question,
    arms: Sequence[str],
    by_place: Mapping[tuple[int, str], Answered],
    ranking: Ranking | None,
    metric: str,
) -> str:
    given = [by_place.get((number, arm)) for arm in arms]
    head = "".join(f'<th scope="col">{escape(arm)}</th>' for arm in arms)
    said = "".join(f'<td class="said" dir="auto">{_said(answer)}</td>' for answer in given)
    scored = "".join(f"<td>{_scored(answer, metric)}</td>" for answer in given)
    sources = "".join(f"<td>{_sources(answer)}</td>" for answer in given)
    shown = (
        f'<tr><th scope="row">passages</th>{sources}</tr>'
        if any(answer and answer.citations for answer in given)
        else ""
    )
    earlier = "".join(
        f'<p class="quiet" dir="auto">{escape(each["role"])}: {escape(each["content"], lines=True)}</p>'
        for each in question.messages[:-1]
    )
    return (
        f'<section class="question"><h4 class="quiet">Question {number + 1}</h4>{earlier}'
        f'<p class="asked" dir="auto">{escape(question.text, lines=True)}</p>'
        f'<p class="quiet" dir="auto">{escape(_right(question))} {escape(_place(question, ranking))}</p>'
        f'<div class="wide"><table class="answers"><thead><tr><td></td>{head}</tr></thead>'
        f'<tbody><tr><th scope="row">answer</th>{said}</tr>'
        f'<tr><th scope="row">score</th>{scored}</tr>{shown}</tbody></table></div></section>'
    )


def _said(answer: Answered | None) -> str:
    if answer is None:
        return f'<span class="quiet">{figures.MISSING} (not answered)</span>'
    if answer.figures.get("error"):
        return f'<span class="quiet">{figures.MISSING} ({escape(answer.figures["error"])})</span>'
    return escape(answer.text, lines=True) or '<span class="quiet">(an empty answer)</span>'


def _scored(answer: Answered | None, metric: str) -> str:
    if answer is None:
        return figures.MISSING
    right = {1.0: "right", 0.0: "wrong"}.get(answer.scores.get("right"), "not scored")  # type: ignore[arg-type]
    abstained = ", abstained" if answer.scores.get("abstained") else ""
    if metric == "right" or not figures.known(answer.scores.get(metric)):
        return escape(right + abstained)
    told = f"{figures.number(answer.scores[metric], unit(metric))} {figures.unit_name(unit(metric))}"
    return escape(f"{right}{abstained}; {title(metric)} {told}")


def _sources(answer: Answered | None) -> str:
    """The passages that the model was given, by their places."""
    told = [
        f"[{each.get('number', '')}] {each.get('document', '')}" + (f", {each['place']}" if each.get("place") else "")
        for each in (answer.citations if answer else ())
    ]
    return "<br>".join(f'<span class="quiet">{escape(each)}</span>' for each in told)


def _right(question: Question) -> str:
    if question.answerable is False:
        return "The library does not tell the answer."
    return f"Right: {' / '.join(question.answers)}." if question.answers else "No reference answer."


def _place(question: Question, ranking: Ranking | None) -> str:
    where = f" ({question.document})" if question.document else ""
    if ranking is None:
        return ""
    if ranking.right is None:
        return "Where the answer stands is not known."
    if ranking.rank is None:
        return f"The right passage{where} was not among those found."
    return f"The right passage{where} was found at rank {ranking.rank}."
