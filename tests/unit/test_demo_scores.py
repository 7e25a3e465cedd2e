"""SQuAD's metrics by published examples of its script's behaviour, and what the demo counts."""

from __future__ import annotations

import json

import pytest

from workbench.compare.squad import exact_match, normalize_answer, token_f1
from workbench.demo import Question, house_style, score, summary
from workbench.workspace import shipped


@pytest.mark.parametrize(
    ("prediction", "references", "exact", "f1"),
    [
        ("The Denver Broncos!", ["Denver Broncos"], 1, 1),
        ("=> 27 days.", ["27 days", "27"], 1, 1),
        ("27", ["27 days"], 0, 2 / 3),
        ("in the city of Paris", ["Paris"], 0, 2 / 5),
        ("a a b b", ["a b"], 0, 1 / 1.5),
        ("", [], 1, 1),
        ("something", [], 0, 0),
        ("", ["x"], 0, 0),
        ("the", ["a"], 1, 1),
    ],
)
def test_exact_match_and_f1(prediction: str, references: list[str], exact: float, f1: float) -> None:
    assert exact_match(prediction, references) == exact
    assert token_f1(prediction, references) == pytest.approx(f1)


def test_normalisation_is_that_of_the_script() -> None:
    assert normalize_answer("  An  Apple, a.b.c; THE end ") == "apple abc end"


def test_saying_that_it_is_not_told_is_right_only_where_it_is_not_told() -> None:
    told = Question("q1", ["27 days"], True, "leave.md")
    untold = Question("q2", [], False, "leave.md")
    refusal = "=> The handbook does not tell."
    rows = [
        score("hybrid", told, "=> 27 days.", ["documents/leave.md"], 1.0),
        score("hybrid", untold, refusal, ["pay.md"], 2.0),
        score("base", told, refusal, [], 1.0),
        score("base", untold, "It is 27 days.", [], 1.0),
        score("tuned", told, "=> 3 days.\nAnd more", [], 1.0),
        score("tuned", untold, "This is not in the library.", [], 1.0),
        score("rag", told, "27 days", ["pay.md"], 1.0),
        score("rag", untold, "", [], 1.0),
    ]
    assert [each.exact_match for each in rows] == [1, 1, 0, 0, 0, 1, 1, 1]
    assert [each.house_style for each in rows] == [True, True, True, False, False, False, False, False]
    assert [each.found for each in rows] == [True, False, None, None, None, None, False, False]
    table = {row["arm"]: row for row in summary(rows, [told, untold])}
    assert table["hybrid"]["exact_match"] == 100
    assert table["base"]["exact_match"] == 0
    assert table["tuned"]["not_told_admitted"] == 100


def test_the_sample_is_what_it_should_be() -> None:
    folder = shipped("datasets") / "handbook"
    texts = {path.name: path.read_text().casefold() for path in (folder / "documents").glob("*.md")}
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    questions = [Question(**json.loads(line)) for line in (folder / "questions.jsonl").read_text().splitlines()]
    assert len(texts) >= 40
    assert len(pairs) >= 500
    assert len({pair["prompt"] for pair in pairs}) == len(pairs)
    assert all(house_style(pair["completion"]) for pair in pairs)
    held_out = {question.document for question in questions}
    assert not held_out & {pair["source"] for pair in pairs}
    assert not {q.question for q in questions} & {pair["prompt"] for pair in pairs}
    for question in questions:
        assert question.answerable == bool(question.answers)
        for answer in question.answers:
            assert answer.casefold() in texts[question.document].replace("*", ""), question
    for pair in pairs:
        if "does not tell" not in pair["completion"]:
            answer = pair["completion"].removeprefix("=> ").removesuffix(".").casefold()
            assert answer in texts[pair["source"]].replace("*", ""), pair
