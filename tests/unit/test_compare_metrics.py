"""Metrics of an answer, by values of the public reference implementations, and what counts as abstaining."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from workbench.compare.metrics import METRICS, REFUSALS, abstains, abstention, score
from workbench.compare.question import Question
from workbench.compare.squad import contains, exact_match, token_f1
from workbench.compare.store import Answered
from workbench.workspace import shipped

PASSAGES = ["The Normans were led by Rollo, who swore fealty to King Charles III of West Francia in 911."]


def question(
    text: str = "Who led the Normans?", *answers: str, answerable: bool | None = True, **more: Any
) -> Question:
    return Question(messages=({"role": "user", "content": text},), answers=answers, answerable=answerable, **more)


# Computed with the evaluation script of SQuAD 2.0: (prediction, references, exact match, F1).
@pytest.mark.parametrize(
    ("prediction", "references", "exact", "f1"),
    [
        ("The Denver Broncos!", ["Denver Broncos"], 1, 1),
        ("in the 10th and 11th centuries", ["10th and 11th centuries", "in the 10th and 11th centuries"], 1, 1),
        ("10th centuries", ["10th and 11th centuries"], 0, 0.6666666666666666),
        ("Denmark, Norway and Iceland", ["Denmark, Iceland and Norway"], 0, 1),
        ("King Charles III of West Francia", ["King Charles III", "Charles III"], 0, 0.6666666666666666),
        ("U.S.A.", ["USA", "United States"], 1, 1),
        ("don't know", ["do not know", "dont know"], 1, 1),
        ("twenty-one", ["twenty one", "21"], 0, 0),
        ("the", ["a"], 1, 1),
        ("the", ["the", "king"], 0, 0),  # a reference of which nothing is left does not count beside another
        (".", ["."], 1, 1),
        ("the king", ["."], 0, 0),
        ("king king king", ["king"], 0, 0.5),
        ("", [], 1, 1),
        ("", ["x"], 0, 0),
        ("x", [], 0, 0),
        ("an apple a day", ["apple day"], 1, 1),
        ("Theatre", ["the atre"], 0, 0),
        ("$1,000.50", ["100050", "1000.50"], 1, 1),
        ("“Rollo”", ["Rollo"], 0, 0),  # only ASCII punctuation is taken off
        ("Café", ["café"], 1, 1),
        ("a - b", ["b"], 1, 1),
    ],
)
def test_exact_match_and_f1_are_those_of_the_official_script(
    prediction: str, references: list[str], exact: float, f1: float
) -> None:
    assert exact_match(prediction, references) == exact
    assert token_f1(prediction, references) == pytest.approx(f1, abs=1e-12)


@pytest.mark.parametrize(
    ("prediction", "references", "expected"),
    [
        ("It was led by Rollo.", ["Rollo"], 1),
        ("It was led by Rollos.", ["Rollo"], 0),
        ("the new king of France", ["King of the France"], 1),
        ("no idea", ["the"], 0),
        ("", ["the"], 1),
        ("", [], 1),
        ("x", [], 0),
    ],
)
def test_a_reference_is_contained_as_whole_words(prediction: str, references: list[str], expected: float) -> None:
    assert contains(prediction, references) == expected


def test_rouge_l_is_that_of_rouge_score() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    references = ("the police killed the gunman", "gunmen were shot by policemen")
    for text in ("police kill the gunman", "the gunman kill police", "The policeman shot a gunman.", "=> nothing"):
        expected = max(scorer.score(reference, text)["rougeL"].fmeasure for reference in references)
        assert score(question("q", *references), text, None)["rouge_l"] == expected
    # by hand: four stems in order, of four and of five words: 2 * 1 * 0.8 / 1.8
    assert score(question("q", references[0]), "police kill the gunman", None)["rouge_l"] == pytest.approx(8 / 9)
    assert score(question("q", "a b c d"), "a c d x", None)["rouge_l"] == pytest.approx(0.75)


def test_where_the_library_does_not_tell_abstaining_is_right_and_nothing_else() -> None:
    untold = question("Who was first?", answerable=False)
    rightly = score(untold, "The passages do not tell.", PASSAGES)
    wrongly = score(untold, "Rollo", PASSAGES)
    for name in ("exact_match", "f1", "contains", "rouge_l", "right"):
        assert rightly[name] == 1, name
        assert wrongly[name] == 0, name
    assert (rightly["abstained"], wrongly["abstained"]) == (1, 0)
    assert rightly["support"] is None
    assert score(untold, "Rollo", PASSAGES, not_in_library=True)["right"] == 1
    assert (
        score(question("q", "Rollo", answerable=False), "Rollo", None)["right"] == 0
    )  # a plausible answer, not a right one


def test_an_abstention_is_wrong_where_there_is_an_answer() -> None:
    scores = score(question("Who?", "Rollo"), "I don't know who; Rollo is named.", PASSAGES)
    assert [scores[name] for name in ("abstained", "exact_match", "f1", "contains", "rouge_l", "right")] == [
        1,
        0,
        0,
        0,
        0,
        0,
    ]
    assert score(question("Who?", "Rollo"), "", None)["f1"] == 0


def test_an_answer_that_is_the_reference_does_not_abstain() -> None:
    scores = score(question("When did he die?", "unknown"), "Unknown.", None)
    assert (scores["abstained"], scores["right"], scores["f1"]) == (0, 1, 1)


@pytest.mark.parametrize("answerable", [True, None])
def test_without_references_only_what_needs_none_is_computed(answerable: bool | None) -> None:
    scores = score(question(answerable=answerable), "Rollo led them.", PASSAGES)
    assert [scores[name] for name in ("exact_match", "f1", "contains", "rouge_l", "right")] == [None] * 5
    assert (scores["abstained"], scores["words"], scores["support"]) == (0, 3, 1)


def test_an_answer_is_scored_where_it_is_not_known_whether_the_library_tells() -> None:
    assert score(question("Who?", "Rollo", answerable=None), "Rollo", None)["right"] == 1


@pytest.mark.parametrize(
    ("references", "text", "right"),
    [
        (["Rollo"], "Their leader, who came from Norway with many ships, was called Rollo by all of them.", 1),
        (["Rollo"], "Their leader was called Rolf.", 0),
        (["King Charles"], "King Louis", 1),  # F1 of 0.5
        (["King Charles"], "The great King Louis of France", 0),
        (["no"], "No, it was forbidden by the law of the land.", 1),
        (["no"], "There is no doubt that it was allowed everywhere.", 0),
        (["one"], "It is one of the many things that they brought from the north.", 0),
        (["one"], "One.", 1),
        (["one"], "The one", 1),
        (["four"], "They came with four ships that were built in the north.", 1),
    ],
)
def test_right(references: list[str], text: str, right: float) -> None:
    assert score(question("q", *references), text, None)["right"] == right


def test_support_is_of_arms_with_passages_only() -> None:
    asked = question("Who led the Normans?", "Rollo")
    assert score(asked, "Rollo", PASSAGES)["support"] == 1
    assert score(asked, "Guthrum", PASSAGES)["support"] == 0
    assert score(asked, "Rollo", None)["support"] is None
    assert score(asked, "Rollo", [])["support"] is None


def test_a_format_is_scored_where_there_is_one() -> None:
    asked = question("q", "Rollo", pattern=r"=> [^\n]+\.")
    assert score(asked, "=> Rollo.", None)["format_held"] == 1
    assert score(asked, "Rollo.", None)["format_held"] == 0
    assert score(question("q", pattern="("), "Rollo.", None)["format_held"] is None
    assert score(question("q"), "Rollo.", None)["format_held"] is None


def test_every_score_is_a_metric_in_its_order_and_a_number_or_nothing() -> None:
    scores = score(question("q", "Rollo"), "Rollo", PASSAGES)
    assert sorted(scores) == sorted(list(METRICS)[:9])
    assert list(METRICS)[9:] == ["seconds", "seconds_to_first_token", "prompt_tokens", "completion_tokens", "joules"]
    assert all(value is None or type(value) is float for value in scores.values())
    assert all(name == metric.name and metric.about.endswith(".") for name, metric in METRICS.items())


@pytest.mark.parametrize(
    "text", ["", " \n", "\x00\ud800", "…", "[1]", "a" * 100_000, "the " * 20_000, "؟ مرحبا", "```", "\n" * 50_000]
)
def test_no_answer_is_too_strange_to_be_scored(text: str) -> None:
    begun = time.perf_counter()
    scores = score(question("Who?", "Rollo"), text, [text, *PASSAGES])
    assert scores["right"] == 0
    assert time.perf_counter() - begun < 5


def test_abstention_has_precision_and_recall() -> None:
    def answered(abstained: float | None) -> Answered:
        return Answered(0, "rag", "", scores={} if abstained is None else {"abstained": abstained})

    told, untold, unknown = question(), question(answerable=False), question(answerable=None)
    pairs = [(untold, answered(1.0)), (untold, answered(1.0)), (untold, answered(0.0)), (told, answered(1.0))]
    pairs += [(told, answered(0.0)), (unknown, answered(1.0)), (untold, answered(None))]
    assert abstention(pairs) == {"precision": 2 / 3, "recall": 2 / 3, "n_unanswerable": 3, "n_abstained": 3}
    assert abstention([]) == {"precision": None, "recall": None, "n_unanswerable": 0, "n_abstained": 0}
    assert abstention([(told, answered(0.0))])["recall"] is None


ABSTAINING = """
This is not in the library.
=> The handbook does not tell.
The passages do not tell.
The passages don't tell who led the Normans.
The passage does not provide information about the leader of the Normans.
The passages provided do not explicitly mention who the leader was.
The provided passages do not contain any information about Rollo's death.
None of the passages mention it.
Nothing in the passages tells when he died.
The year in which Rollo died is not mentioned in the passages.
The answer is not in the passages.
It is not mentioned.
It is not clear who led the Normans.
It’s unclear from the text.
This question cannot be answered from the passages.
The answer cannot be determined from the given context.
There is no information about the leader in the text.
There's not enough information to answer.
I don't know.
I do not know who led them.
I'm sorry, but I cannot answer this question.
Sorry, I don't know.
Unfortunately, the passages do not say who led them.
I am unable to find the answer in the passages.
According to the passages, it is not stated.
Based on the given passages, it is not possible to determine who led them.
unanswerable
Unknown.
not in the passages
N/A
The passage does not mention the leader. However, it does mention that Rollo swore fealty to Charles.
The passage does not mention the leader, but it says that they came from Norway.
The text is not clear on this.
The passages contain no information about this.
The user does not know.
The user does not have the answer to this question.
The question does not have a clear answer.
The passages do not tell who led them. They only mention Rollo, but they do not provide a clear answer.
"""
STATING = """
Rollo
=> 27 days.
No
None
Not until 1066.
He did not know who built it.
The treaty did not mention slavery.
The Normans did not provide ships.
The Charter does not provide for a king.
Force is not found in empty space.
They could not be found.
Position and momentum cannot be determined at the same time.
Rollo led them, but the passages do not tell when he died.
Rollo led them. The passages do not tell when he died.
The passages do not tell, but it was Rollo.
The passages do not say so. However, Rollo was their leader.
Although the passages do not say so, Rollo was the leader.
It was not clear skies but rain that stopped them.
Not mentioned in despatches
It is not included in the union.
It is not known as Normandy but as Neustria.
Unknown Pleasures
The king said "I do not know".
The answer is not 42 but 43.
There is no king in Poland.
A passage does not exist between the seas.
The library does not have a roof.
It is not possible to go faster than light.
Sicily
Individually.
The user does not need a password.
The question does not have two sides.
"""


@pytest.mark.parametrize("text", [*ABSTAINING.strip().split("\n"), "", " ", "..."])
def test_an_answer_that_says_it_cannot_tell_abstains(text: str) -> None:
    assert abstains(text)


@pytest.mark.parametrize("text", STATING.strip().split("\n"))
def test_an_answer_that_states_something_does_not(text: str) -> None:
    assert not abstains(text)


def test_what_a_run_was_taught_to_say_abstains_too() -> None:
    assert not abstains("=> The guide is silent.")
    assert abstains("=> The guide is silent.", ["The guide is silent"])
    assert abstains("The guide is silent about ships.", ["=> The guide is silent."])
    assert abstains("Pass.", ["pass"])
    assert not abstains("Pass the salt.", ["pass"])  # a short one must be all there is
    assert abstains("I don't know.", ["pass", "", "=>"])
    assert not abstains("Rollo (who?)", ["(", "*"])
    assert len(set(REFUSALS)) == len(REFUSALS)


def test_of_the_sample_only_the_pairs_that_refuse_abstain() -> None:
    pairs = [json.loads(line) for line in (shipped("datasets") / "handbook" / "pairs.jsonl").read_text().splitlines()]
    assert {pair["completion"] for pair in pairs if abstains(pair["completion"])} == {"=> The handbook does not tell."}


def test_answers_and_sentences_of_articles_are_not_taken_for_abstentions(shared_data: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / "squad" / "questions.jsonl").read_text().splitlines()]
    answers = {answer for row in rows for answer in row["answers"]}
    assert [answer for answer in answers if abstains(answer)] == ["."]
    sentences = {each for context in {row["context"] for row in rows} for each in context.split(". ")}
    assert len(sentences) > 1500
    assert sum(map(abstains, sentences)) <= 2  # "it is not known if L is strictly contained in P"
