"""`workbench compare answers`: every question with what each arm said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from workbench import output
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.workspace import find

if TYPE_CHECKING:
    from workbench.compare.question import Question
    from workbench.compare.store import Answered


def answers(
    comparison: Annotated[str, typer.Argument(help="The comparison's name.")],
    category: Annotated[
        str | None, typer.Option(help="Only questions of this attribution, e.g. retrieval_missed.")
    ] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Every question with its answers, scores and attribution."""
    from workbench.compare.attribution import CATEGORIES, attribute
    from workbench.compare.store import CompareStore

    known = list(CATEGORIES)
    if category is not None and category not in known:
        raise UserError(f"{category!r} is no attribution", do=f"Use one of: {', '.join(known)}.")
    with CompareStore(find(workspace).database) as store:
        found = store.comparison(comparison)
        asked, given, rankings = store.asked(found.id), store.answers(found.id), store.rankings(found.id)
    categories = attribute(found, asked, given, rankings)
    for number, question in enumerate(asked):
        if category is not None and categories.get(number) != category:
            continue
        mine = [answer for answer in given if answer.number == number]
        if json:
            output.print_json(
                {
                    "number": number,
                    "category": categories.get(number),
                    "rank": rankings[number].rank if number in rankings else None,
                    **question.as_dict(),
                    "arms": {each.arm: {"text": each.text, "scores": each.scores, **each.figures} for each in mine},
                }
            )
        else:
            _say_answers(number, question, categories.get(number), mine)


def _say_answers(number: int, question: Question, category: str | None, answers: Sequence[Answered]) -> None:
    right = " / ".join(question.answers) or ("not told" if question.answerable is False else "no reference answer")
    output.say(f"\n{number + 1}  {question.text}  [{right}]  {category or ''}")
    for answer in answers:
        right = {1.0: "right", 0.0: "wrong", None: ""}[answer.scores.get("right")]
        output.say(f"  {answer.arm:<8} {right:<6} {' '.join(answer.text.split()) or answer.figures.get('error', '')}")
