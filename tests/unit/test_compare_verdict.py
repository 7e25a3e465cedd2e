"""Attribution, the recommendation, what would help next, cautions, the decision table, and two comparisons."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sample_comparison import CATEGORIES, write_comparison

from workbench.compare import attribution, decision, verdict, versus
from workbench.compare.advice import advise
from workbench.compare.evidence import Evidence
from workbench.compare.question import Question
from workbench.compare.recommend import Outcome, recommend
from workbench.compare.settling import questions_needed, settle
from workbench.compare.spec import MAIN, Arm, Spec
from workbench.compare.statistics import Effect, Estimate
from workbench.compare.store import Answered, CompareStore, Comparison, Ranking
from workbench.errors import UserError
from workbench.workspace import Workspace

BASE = "smollm2-135m-instruct"
HYBRIDS = {
    "base": BASE,
    "tuned": f"{BASE}+lora:tone",
    "rag": f"{BASE}+rag:handbook",
    "hybrid": f"{BASE}+lora:tone+rag:handbook",
}
Given = tuple[Comparison, list[Question], list[Answered], dict[int, Ranking]]


def question(number: int, **values: Any) -> Question:
    given = {"answers": ("42",), "answerable": True, "document": f"{number}.md"} | values
    return Question(messages=({"role": "user", "content": f"Question {number}?"},), **given)


def compared(
    f1: Mapping[str, Sequence[float | None]],
    *,
    questions: Sequence[Question] | None = None,
    rankings: Sequence[Ranking] | None = None,
    repeats: str = "",
    extra: Mapping[tuple[int, str], Mapping[str, Any]] | None = None,
    costs: dict[str, Any] | None = None,
    **spec: Any,
) -> Given:
    """A comparison whose arms have these token F1s; right from a half on. None: not answered. Arms with retrieval were
    given the first passages of the rankings, the right ones being of the question's document."""
    count = max(map(len, f1.values()))
    given = rankings or [Ranking((1,), ({"document": "x.md", "place": "", "similarity": 0.5},) * 20)] * count
    unknown = [{"document": ""} if ranking.right is None else {} for ranking in given]
    asked = list(questions or (question(number, **unknown[number]) for number in range(count)))
    arms = tuple(
        Arm(name=arm, hybrid=HYBRIDS.get(arm, HYBRIDS["hybrid"]), oracle=arm == "oracle", repeats=repeats)
        if arm == "again"
        else Arm(name=arm, hybrid=HYBRIDS.get(arm, HYBRIDS["hybrid"]), oracle=arm == "oracle")
        for arm in f1
    )
    answers = []
    for arm, values in f1.items():
        for number, value in enumerate(values):
            if value is None:
                continue
            scores: dict[str, Any] = {"f1": value, "exact_match": float(value == 1), "right": float(value >= 0.5)}
            scores |= {"abstained": 0.0, "seconds": 1.0, "prompt_tokens": 400.0 if arm in ("rag", "hybrid") else 40.0}
            more = dict((extra or {}).get((number, arm), {}))
            figures = {"not_in_library": more.pop("not_in_library", False)}
            shown = cited(asked[number], given[number], spec.get("top_k", 4)) if arm in ("rag", "hybrid") else ()
            shown = () if figures["not_in_library"] else shown
            answers.append(Answered(number, arm, f"{arm} {value}", shown, figures, scores | more))
    made = Spec(arms=arms, run="tone", index="handbook", **spec)
    stored = json.loads(json.dumps(made.as_dict()))
    comparison = Comparison(1, "made", 0.0, stored, len(asked), len(answers), costs or {}, None)
    indexed = "rag" in f1 or "hybrid" in f1
    return comparison, asked, answers, dict(enumerate(given)) if indexed else {}


def cited(question: Question, ranking: Ranking, k: int) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"number": rank, "document": question.document if rank in (ranking.right or ()) else "x.md", "text": "Told."}
        for rank in range(1, k + 1)
    )


def concluded(f1: Mapping[str, Sequence[float | None]], **values: Any) -> dict[str, Any]:
    made = verdict.build(*compared(f1, **values))
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    return made


def about(mean: float, n: int, seed: int, spread: float = 0.3) -> list[float]:
    """n values around a mean, within 0 and 1."""
    dice = random.Random(seed)
    return [min(1.0, max(0.0, dice.gauss(mean, spread))) for _ in range(n)]


# Attribution

OTHERS = Ranking((6,), ({"document": "x.md", "place": "", "similarity": 0.5},) * 20)


@pytest.mark.parametrize(
    ("arms", "right", "ranking", "expected"),
    [
        (MAIN, "base tuned rag hybrid", Ranking((1,)), "weights_knew"),
        (MAIN, "base hybrid", Ranking((1,)), "weights_knew"),
        (MAIN, "rag hybrid", Ranking((1,)), "retrieval_brought"),
        (MAIN, "tuned rag hybrid", Ranking((1,)), "retrieval_brought"),
        (MAIN, "tuned hybrid", Ranking((1,)), "tuning_taught"),
        (MAIN, "hybrid", Ranking((1,)), "took_both"),
        (MAIN, "base rag", Ranking((1,)), "tuning_broke"),
        (MAIN, "rag", Ranking(None), "tuning_broke"),
        (MAIN, "base", Ranking((1,)), "passages_misled"),
        (MAIN, "tuned", Ranking((1,)), "passages_misled"),
        (MAIN, "", Ranking((5,)), "retrieval_missed"),
        (MAIN, "", Ranking(()), "retrieval_missed"),
        (MAIN, "", Ranking((4, 9)), "not_used"),
        (MAIN, "", Ranking(None), "unexplained"),
        (("base", "rag"), "rag", Ranking((1,)), "retrieval_brought"),
        (("base", "rag"), "base", Ranking((1,)), "passages_misled"),
        (("base", "rag"), "", Ranking((7,)), "retrieval_missed"),
        (("base", "tuned"), "tuned", Ranking((1,)), "tuning_taught"),
        (("base", "tuned"), "base", Ranking((1,)), "tuning_broke"),
        (("base", "tuned"), "", Ranking((1,)), "unexplained"),
        (("base",), "base", Ranking((1,)), "weights_knew"),
        (("base",), "", Ranking((1,)), "unexplained"),
    ],
)
def test_an_answerable_question_is_put_down_to_one_thing(
    arms: tuple[str, ...], right: str, ranking: Ranking, expected: str
) -> None:
    given = compared({arm: [float(arm in right.split())] for arm in arms}, rankings=[ranking])
    assert attribution.attribute(*given) == {0: expected}


@pytest.mark.parametrize(("abstained", "expected"), [(1.0, "abstained_rightly"), (0.0, "should_have_abstained")])
def test_an_unanswerable_question_goes_by_the_fullest_arm(abstained: float, expected: str) -> None:
    scores = {(0, arm): {"abstained": 1.0 - abstained} for arm in MAIN} | {(0, "hybrid"): {"abstained": abstained}}
    unanswerable = [question(0, answers=(), answerable=False)]
    given = compared({arm: [0.0] for arm in MAIN}, questions=unanswerable, extra=scores)
    assert attribution.attribute(*given) == {0: expected}


def test_a_passage_that_was_withheld_or_cut_was_not_there() -> None:
    withheld = {(0, arm): {"not_in_library": True} for arm in ("rag", "hybrid")}
    third = [Ranking((1,)), Ranking((3,))]
    comparison, asked, answers, rankings = compared({arm: [0.0, 0.0] for arm in MAIN}, rankings=third, extra=withheld)
    cut = [replace(each, citations=each.citations[:2]) if each.number == 1 else each for each in answers]
    assert attribution.attribute(comparison, asked, answers, rankings) == {0: "retrieval_missed", 1: "not_used"}
    assert attribution.attribute(comparison, asked, cut, rankings) == {0: "retrieval_missed", 1: "retrieval_missed"}


def test_what_the_model_was_given_decides_and_not_the_ranking() -> None:
    """Of another ranking than the one that the passages come from, as where other words were searched for."""
    comparison, asked, answers, _ = compared({arm: [0.0, 0.0] for arm in MAIN}, rankings=[Ranking((2,)), Ranking(())])
    other = {0: Ranking(()), 1: Ranking((1,))}
    found = attribution.attribute(comparison, asked, answers, other)
    assert found == {0: "not_used", 1: "retrieval_missed"}
    assert attribution.attribute(comparison, asked, answers, {}) == found
    evidence = Evidence.of(comparison, asked, answers, other)
    assert [evidence.was_shown(number) for number in range(2)] == [True, False]
    assert not any("retriev" in row["advice"] or "k =" in row["advice"] for row in advise(evidence, {1: found[1]}))


def test_a_question_without_a_reference_or_not_answered_by_all_has_no_category() -> None:
    none = {(0, arm): {"right": None} for arm in MAIN}
    given = compared({**{arm: [0.0, 1.0, 1.0] for arm in MAIN}, "hybrid": [0.0, 1.0, None]}, extra=none)
    assert attribution.attribute(*given) == {1: "weights_knew"}


def test_the_sample_has_every_category_where_it_says(workspace: Workspace) -> None:
    number = write_comparison(workspace, questions=45, verdict=False)
    with CompareStore(workspace.database) as store:
        found = attribution.attribute(
            store.comparison(number), store.asked(number), store.answers(number), store.rankings(number)
        )
    assert [found[each] for each in range(45)] == [CATEGORIES[each % 40] for each in range(45)]
    rows = attribution.counted(found)
    assert [row["category"] for row in rows] == list(attribution.CATEGORIES)
    assert all(row["count"] == len(row["numbers"]) > 0 for row in rows)


# The recommendation


def test_both_win() -> None:
    n = 60
    made = concluded(
        {"base": about(0.1, n, 1), "tuned": about(0.2, n, 2), "rag": about(0.35, n, 3), "hybrid": about(0.8, n, 4)}
    )
    assert (made["recommended"], made["winner"], made["n"]) == ("hybrid", "hybrid", n)
    gap = next(row for row in made["differences"]["f1"] if {row["first"], row["second"]} == {"rag", "hybrid"})
    points = round(100 * abs(gap["mean"]))
    low, high = sorted(round(100 * abs(gap[end])) for end in ("low", "high"))
    sentence = made["recommendation"]
    assert sentence.startswith("Use both: token F1 is ")
    assert f"with the hybrid, {points} points above retrieval alone (95 % interval {low} to {high})" in sentence
    assert "above tuning alone" in sentence
    assert "and " in sentence
    assert "above the base" in sentence
    assert len(made["differences"]["f1"]) == 6
    assert [effect["name"] for effect in made["effects"]["f1"]] == ["tuning", "retrieval", "interaction"]
    assert all(effect["low"] > 0 for effect in made["effects"]["f1"][:2])


def test_retrieval_is_enough() -> None:
    n, rag = 200, about(0.7, 200, 3)
    barely = [min(1.0, max(0.0, value + random.Random(at).gauss(0, 0.05))) for at, value in enumerate(rag)]
    made = concluded({"base": about(0.1, n, 1), "tuned": about(0.12, n, 2), "rag": rag, "hybrid": barely})
    assert (made["recommended"], made["winner"]) == ("rag", None)
    assert made["recommendation"].startswith("Retrieval is enough: ")
    assert "no measurable difference at n = 200" in made["recommendation"]


def test_retrieval_is_enough_so_far_while_the_hybrid_may_be_much_better() -> None:
    n, rag = 60, about(0.6, 60, 3)
    hybrid = [min(1.0, value + 0.05) for value in rag[7:] + rag[:7]]  # as many good answers, to other questions
    made = concluded({"base": about(0.1, n, 1), "tuned": about(0.1, n, 2), "rag": rag, "hybrid": hybrid})
    assert (made["recommended"], made["winner"]) == ("rag", None)
    assert made["recommendation"].startswith("Retrieval is enough so far: ")
    pairs = {(row["first"], row["second"]): row["needed"] for row in made["differences"]["f1"]}
    assert f"about {pairs['rag', 'hybrid']:,} questions would settle it" in made["recommendation"]


def test_tuning_is_enough() -> None:
    n, tuned = 120, about(0.7, 120, 2)
    made = concluded({"base": about(0.1, n, 1), "tuned": tuned, "rag": about(0.15, n, 3), "hybrid": tuned})
    assert (made["recommended"], made["winner"]) == ("tuned", None)
    assert made["recommendation"].startswith("Tuning is enough: ")
    assert made["recommendation"].endswith("; the hybrid does as well on each of the 120 questions.")


def test_neither_helped_and_how_many_questions_would_settle_it() -> None:
    n = 60
    made = concluded({arm: about(0.4 + 0.04 * (arm == "hybrid"), n, at) for at, arm in enumerate(MAIN)})
    assert (made["recommended"], made["winner"]) == ("base", None)
    assert made["recommendation"].startswith("Neither helped measurably: ")
    assert "no measurable difference at n = 60" in made["recommendation"]
    assert re.search(r"about [\d,]+ questions would settle it\.$", made["recommendation"])


def test_tuning_hurts() -> None:
    n = 100
    made = concluded(
        {"base": about(0.4, n, 1), "tuned": about(0.1, n, 2), "rag": about(0.8, n, 3), "hybrid": about(0.4, n, 4)}
    )
    assert (made["recommended"], made["winner"]) == ("rag", "rag")
    assert made["recommendation"].startswith("Use retrieval alone: ")
    assert "; tuning hurts: the hybrid is " in made["recommendation"]
    assert "points below it" in made["recommendation"]


def test_both_hurt() -> None:
    n = 100
    made = concluded(
        {"base": about(0.8, n, 1), "tuned": about(0.4, n, 2), "rag": about(0.4, n, 3), "hybrid": about(0.1, n, 4)}
    )
    assert (made["recommended"], made["winner"]) == ("base", "base")
    assert made["recommendation"].startswith("Stay with the base: ")
    for words in ("tuning hurts", "retrieval hurts"):
        assert words in made["recommendation"]


def test_retrieval_hurts_and_tuning_makes_no_difference() -> None:
    n, base, rag = 100, about(0.6, 100, 1), about(0.2, 100, 3)
    made = concluded({"base": base, "rag": rag, "tuned": about(0.6, n, 7), "hybrid": about(0.2, n, 8)})
    assert (made["recommended"], made["winner"]) == ("base", None)
    assert "retrieval hurts: retrieval alone is " in made["recommendation"]
    assert "tuning alone is " in made["recommendation"]
    assert "no measurable difference" in made["recommendation"]


def test_an_arm_that_says_nothing_better_than_silence_is_not_enough() -> None:
    """A model tuned to refuse is right where nothing answers; it is not recommended for that alone."""
    values = {"base": [0.0] * 40, "tuned": [0.0] * 27 + [1.0] * 13, "rag": [0.0] * 40}
    hybrid = [1.0] * 18 + [0.0] * 9 + [1.0] * 1 + [0.0] * 12
    asked = [question(number, **({} if number < 27 else {"answers": (), "answerable": False})) for number in range(40)]
    made = concluded({**values, "hybrid": hybrid}, questions=asked)
    assert (made["recommended"], made["winner"]) == ("hybrid", None)
    assert made["recommendation"].startswith("Use both so far: token F1 is 48 % with the hybrid")
    assert made["recommendation"].endswith("tuning alone has no more than a model that never answers (32 %).")
    nobody = concluded({**values, "hybrid": values["tuned"]}, questions=asked)
    assert nobody["recommended"] == "tuned", "where no arm is above it, the caution says so"
    assert any(
        "a model that never answers would have token F1 32.5 %; no arm is" in each for each in nobody["cautions"]
    )


def test_too_few_questions_recommend_nobody() -> None:
    made = concluded({arm: [value] * 29 for arm, value in zip(MAIN, (0.0, 0.1, 0.2, 1.0), strict=True)})
    assert (made["recommended"], made["winner"]) == (None, None)
    assert made["recommendation"].startswith("Too few questions to recommend an arm: 29 could be scored for all arms")
    assert "100 % with the hybrid" in made["recommendation"]
    assert any("29 questions" in caution for caution in made["cautions"])
    enough = concluded({arm: [value] * 30 for arm, value in zip(MAIN, (0.0, 0.1, 0.2, 1.0), strict=True)})
    assert enough["recommended"] == "hybrid"


@pytest.mark.parametrize(
    ("other", "name", "head"), [("rag", "retrieval", "Use retrieval: "), ("tuned", "tuning", "Use tuning: ")]
)
def test_with_one_of_the_two_there_is_one_effect(other: str, name: str, head: str) -> None:
    made = concluded({"base": about(0.1, 60, 1), other: about(0.7, 60, 2)})
    assert (made["recommended"], made["winner"]) == (other, other)
    assert made["recommendation"].startswith(head)
    (effect,) = made["effects"]["f1"]
    assert effect["name"] == name
    rows = {row["arm"]: row["metrics"]["f1"]["mean"] for row in made["arms"]}
    assert effect["mean"] == pytest.approx(rows[other] - rows["base"])
    assert 0 < effect["low"] < effect["mean"] < effect["high"]
    missing = "No run was measured" if other == "rag" else "No index was measured"
    assert any(caution.startswith(missing) for caution in made["cautions"])
    base = about(0.4, 60, 1)
    same = concluded({"base": base, other: [*base[7:], *base[:7]]})
    assert same["recommended"] == "base"
    assert same["recommendation"].startswith(f"{name.capitalize()} did not help measurably: ")
    worse = concluded({"base": about(0.7, 60, 1), other: about(0.1, 60, 2)})
    assert f"{name} hurts: {name} alone is " in worse["recommendation"]


def test_one_arm_has_nothing_to_be_compared_with() -> None:
    made = concluded({"base": about(0.4, 60, 1)})
    assert (made["recommended"], made["differences"], made["effects"]) == (None, {}, {})
    assert made["recommendation"].startswith("There is nothing to compare: only the base was asked")


def test_equal_answers_and_equal_means() -> None:
    same = about(0.4, 60, 1)
    made = concluded(dict.fromkeys(MAIN, same))
    assert (made["recommended"], made["winner"]) == ("base", None)
    assert made["recommendation"].startswith("Neither helped: token F1 is ")
    assert made["recommendation"].endswith(" % with every arm, the same on each of the 60 questions.")
    swapped = concluded({arm: same if arm in ("base", "rag") else same[::-1] for arm in MAIN})
    assert swapped["recommended"] == "base"
    assert "level with it" in swapped["recommendation"]
    assert "more questions would not settle it" in swapped["recommendation"]


def test_a_difference_below_the_noise_floor_is_none() -> None:
    n = 60
    base = [0.5] * n
    slightly = [0.5 + 0.08 * (number % 2) for number in range(n)]
    noisy = [value + 0.3 * (-1) ** number * (number % 3 > 0) for number, value in enumerate(slightly)]
    quiet = concluded({"base": base, "tuned": slightly, "again": slightly}, repeats="tuned")
    assert (quiet["recommended"], quiet["noise"]["mean"]) == ("tuned", 0)
    loud = concluded({"base": base, "tuned": slightly, "again": noisy}, repeats="tuned")
    assert loud["noise"]["arm"] == "tuned"
    assert (loud["recommended"], loud["winner"]) == ("base", None)
    assert not loud["differences"]["f1"][0]["measurable"]
    assert "as the same arm asked twice may differ by " in loud["recommendation"]


def test_an_effect_is_measurable_as_a_difference_is() -> None:
    n = 60
    f1 = {"base": about(0.1, n, 1), "tuned": about(0.2, n, 2), "rag": about(0.35, n, 3), "hybrid": about(0.8, n, 4)}
    rows = {row["name"]: row for row in concluded(f1)["effects"]["f1"]}
    assert {name: (row["measurable"], row["floor"]) for name, row in rows.items()} == dict.fromkeys(rows, (True, 0))
    same = {arm: f1["rag"][7 * at :] + f1["rag"][: 7 * at] for at, arm in enumerate(MAIN)}
    assert [row["measurable"] for row in concluded(same)["effects"]["f1"]] == [False] * 3
    noisy = {**f1, "again": [1 - value for value in f1["hybrid"]]}  # asked again, the hybrid says the contrary
    made = concluded(noisy, repeats="hybrid")
    floor = max(abs(made["noise"]["low"]), abs(made["noise"]["high"]))
    assert floor > max(abs(row["mean"]) for row in rows.values())
    assert [(row["measurable"], row["floor"]) for row in made["effects"]["f1"]] == [
        (False, floor), (False, floor), (False, 2 * floor),
    ]  # fmt: skip
    one = concluded({arm: f1[arm] for arm in ("base", "rag")})["effects"]["f1"][0]
    assert (one["name"], one["measurable"], one["floor"]) == ("retrieval", True, 0)


@pytest.mark.parametrize(
    ("name", "values", "floor", "expected"),
    [
        ("tuning", {}, 0.0, True),
        ("tuning", {"p": 0.05}, 0.0, False),
        ("tuning", {"low": -0.01}, 0.0, False),
        ("tuning", {"low": 0.0}, 0.0, False),
        ("tuning", {"mean": -0.1, "low": -0.2, "high": -0.05}, 0.09, True),
        ("tuning", {}, 0.1, False),
        ("tuning", {}, 0.06, True),
        ("interaction", {}, 0.06, False),  # twice the floor of one difference
        ("interaction", {}, 0.04, True),
    ],
)
def test_what_makes_an_effect_measurable(name: str, values: dict[str, float], floor: float, expected: bool) -> None:
    given = {"mean": 0.1, "low": 0.05, "high": 0.2, "p": 0.01} | values
    p = given.pop("p")
    effect = Effect(name, Estimate(**given, n=60), p, 240)
    assert verdict.effect_row(effect, floor)["measurable"] is expected


def test_what_lies_between_is_not_taken_for_what_was_shown_to_help() -> None:
    """The hybrid is measurably above the base, retrieval alone can be told from neither."""
    rows = [
        pair("hybrid", "base", 0.12, True), pair("rag", "base", 0.06, False), pair("hybrid", "rag", 0.06, False),
    ]  # fmt: skip
    made = recommend(outcome({"base": 0.3, "rag": 0.36, "hybrid": 0.42}, rows))
    assert (made.recommended, made.winner) == ("hybrid", None)
    assert made.sentence.startswith("Use both so far: token F1 is 42 % with the hybrid, 12 points above the base")
    assert "retrieval alone is 6 points below it" in made.sentence


def test_less_is_better_of_seconds_and_nothing_of_words() -> None:
    seconds = [pair("base", "rag", -0.5, True, unit=1)]
    made = recommend(
        replace(outcome({"base": 0.4, "rag": 0.9}, seconds), title="seconds", unit="seconds", higher_is_better=False)
    )
    assert (made.recommended, made.winner) == ("base", "base")
    assert "retrieval hurts: retrieval alone is 0.50 s above it" in made.sentence
    words = replace(outcome({"base": 4, "rag": 9}, seconds), title="length", unit="words", higher_is_better=None)
    assert recommend(words).recommended is None
    assert "neither more nor less is better" in recommend(words).sentence


@pytest.mark.parametrize(
    ("values", "floor", "sentence", "cell"),
    [
        ({}, 0.0, "; about 240 questions would settle it", "240"),
        ({"needed": 61}, 0.0, "; about 61 questions would settle it", "61"),
        ({"needed": 60}, 0.0, "; a few more questions may settle it", "a few more"),
        ({"needed": 9}, 0.0, "; a few more questions may settle it", "a few more"),
        ({"needed": 9}, 0.08, ", as the same arm asked twice may differ by 8 points", "-"),
        ({}, 0.08, "; about 240 questions would settle it", "240"),  # more of them would lower the floor, too
        ({"p_holm": 0.01, "low": 0.02}, 0.08, ", as the same arm asked twice may differ by 8 points", "-"),
        ({"low": 0.02}, 0.0, " (adjusted p 0.400); about 240 questions would settle it", "240"),
        ({"needed": None}, 0.0, ", and more questions would not settle it", "-"),
        ({"needed": 12_000}, 0.0, "; more than 10,000 questions would be needed to settle it", "> 10,000"),
    ],
)
def test_what_would_settle_it(values: dict[str, Any], floor: float, sentence: str, cell: str) -> None:
    row = pair("tuned", "base", 0.06, False) | values
    assert settle(row, 60, floor) == f"no measurable difference at n = 60{sentence}"
    assert questions_needed(row, 60, floor) == cell
    assert settle({**row, "mean": -row["mean"], "low": -row["high"], "high": -row["low"]}, 60, floor).endswith(sentence)


def test_what_would_settle_an_effect_and_what_differs_nowhere() -> None:
    effect = {"name": "tuning", "mean": 0.06, "low": 0.01, "high": 0.1, "n": 60, "p": 0.06, "needed": 55}
    told = "no measurable difference at n = 60 (p 0.060); a few more questions may settle it"
    assert settle(effect, 60) == told
    assert questions_needed({**effect, "measurable": True}, 60) == "55"
    same = {**pair("tuned", "base", 0.0, False), "wins": 0, "losses": 0, "needed": None}
    assert settle(same, 60) == "no difference on any of the 60 questions"


def test_no_sentence_names_questions_that_were_asked_already() -> None:
    rows = [{**pair("hybrid", "base", 0.06, False), "needed": 48, "p_holm": 0.06}]
    made = recommend(outcome({"base": 0.3, "hybrid": 0.36}, rows))
    assert made.sentence.endswith("no measurable difference at n = 60; a few more questions may settle it.")


def test_a_difference_of_thousands_has_its_sentence() -> None:
    rows = [pair("rag", "base", 1234.0, False)]
    given = replace(outcome({"base": 40.0, "rag": 1274.0}, rows), title="prompt tokens", unit="tokens")
    assert "retrieval alone is 1,234.0 tokens above it" in recommend(replace(given, higher_is_better=False)).sentence


def pair(first: str, second: str, mean: float, measurable: bool, unit: float = 0.1) -> dict[str, Any]:
    half = abs(mean) / 2 if measurable else abs(mean) + 0.3 * unit
    return {
        "first": first, "second": second, "mean": mean, "low": mean - half, "high": mean + half, "n": 60,
        "p": 0.001, "p_holm": 0.001 if measurable else 0.4, "wins": 9, "losses": 1, "ties": 50, "needed": 240,
        "measurable": measurable,
    }  # fmt: skip


def outcome(means: Mapping[str, float], rows: list[dict[str, Any]], n: int = 60) -> Outcome:
    return Outcome("token F1", "share", True, means, n, n, rows)


def test_nobody_is_crowned_inside_the_noise_whatever_is_measurable() -> None:
    """Any pattern of measurable differences, also those that no real comparison would show."""
    dice = random.Random(0)
    for _ in range(3000):
        arms = [arm for arm in MAIN if arm == "base" or dice.random() < 0.8]
        means = {arm: round(dice.random(), 2) for arm in arms}
        pairs = [(first, second) for at, first in enumerate(arms) for second in arms[at + 1 :]]
        rows = [pair(a, b, means[a] - means[b], means[a] != means[b] and dice.random() < 0.5) for a, b in pairs]
        silence = round(dice.random(), 2) if dice.random() < 0.5 else None
        made = recommend(given := replace(outcome(means, rows), silence=silence))
        if len(arms) == 1:
            assert made.recommended is None
            continue
        assert made.recommended is not None
        assert not any(given.beats(arm, made.recommended) for arm in arms if arm != made.recommended)
        beaten = any(given.beats(arm, "base") for arm in arms[1:])
        assert (made.recommended == "base") is not beaten
        crowned = [arm for arm in arms if all(given.beats(arm, other) for other in arms if other != arm)]
        assert crowned == ([made.winner] if made.winner else [])
        if made.winner:
            assert made.winner == made.recommended
        if "no measurable difference" not in made.sentence:
            others = [arm for arm in arms if arm != made.recommended]
            assert made.winner or all(row["wins"] == row["losses"] for row in rows) or not others


# What is measured on what


def test_only_questions_that_every_main_arm_answered_count() -> None:
    f1 = {"base": [0.0] * 40 + [1.0] * 5, "rag": [1.0] * 40 + [None] * 5, "oracle": [1.0] * 20 + [None] * 20}
    made = concluded(f1)
    assert (made["asked"], made["n"]) == (45, 40)
    rows = {row["arm"]: row for row in made["arms"]}
    assert rows["base"]["metrics"]["f1"] == {"mean": 0, "low": 0, "high": 0, "n": 40}
    assert (rows["oracle"]["n"], rows["oracle"]["metrics"]["f1"]["n"]) == (20, 20)
    assert [(row["first"], row["second"]) for row in made["differences"]["f1"]] == [("base", "rag")]
    assert any("40 of 45 questions" in caution for caution in made["cautions"])
    assert any(caution.startswith("The oracle arm answered 20 of 40") for caution in made["cautions"])


def test_nothing_answered_and_no_references_are_said_so() -> None:
    empty = concluded({arm: [None] * 40 for arm in MAIN})
    assert empty["recommended"] is None
    assert empty["recommendation"].startswith("Nothing can be concluded yet")
    none = {(number, arm): dict.fromkeys(("f1", "exact_match", "right")) for number in range(40) for arm in MAIN}
    asked = [question(number, answers=(), answerable=None, document="") for number in range(40)]
    made = concluded({arm: [0.0] * 40 for arm in MAIN}, questions=asked, extra=none)
    assert (made["recommended"], made["n"]) == (None, 0)
    assert made["recommendation"].startswith("No arm can be recommended: token F1 says nothing of these 40 questions")
    assert any(caution.startswith("No question has a reference answer") for caution in made["cautions"])
    assert all(row["count"] == 0 for row in made["attribution"])
    assert {row["arm"]: "seconds" in row["metrics"] for row in made["arms"]} == dict.fromkeys(MAIN, True)


def test_a_metric_of_some_arms_only_compares_these() -> None:
    support = {
        (number, arm): {"support": (0.2 if arm == "rag" else 0.8) + 0.01 * (number % 7)}
        for number in range(40)
        for arm in ("rag", "hybrid")
    }
    made = concluded({arm: [1.0] * 40 for arm in MAIN}, extra=support, metric="support")
    assert (made["recommended"], made["winner"], made["n"]) == ("hybrid", "hybrid", 40)
    assert "Support says nothing of base and tuned, so they are not compared." in made["cautions"]
    alone = concluded({"base": [1.0] * 40, "rag": [1.0] * 40}, extra=support, metric="support")
    assert (alone["recommended"], alone["differences"].get("support")) == (None, None)
    assert alone["recommendation"] == (
        "There is nothing to compare: support says something of retrieval alone only; there it is 23 %."
    )
    assert "Support says nothing of base, so they are not compared." not in alone["cautions"]
    assert "Support says nothing of base, so it is not compared." in alone["cautions"]


def test_why_a_question_was_not_answered_is_said() -> None:
    comparison, asked, answers, rankings = compared({arm: [1.0] * 40 for arm in MAIN})
    reasons = {(7, "rag"): "the question has 9 tokens", (5, "hybrid"): "x" * 1000, (5, "rag"): "too long by 3 tokens."}
    failed = [
        replace(each, text="", figures={"error": reasons[each.number, each.arm]}, scores={})
        if (each.number, each.arm) in reasons
        else each
        for each in answers
    ]
    cautions = verdict.build(comparison, asked, failed, rankings)["cautions"]
    (told,) = [caution for caution in cautions if "could not be answered" in caution]
    assert told.startswith("2 questions could not be answered by some arm; where a main arm has no answer")
    assert told.endswith(f"The first reason: {'x' * 239}…")  # of the hybrid; the arms' names decide
    one = [each for each in failed if (each.number, each.arm) != (5, "hybrid") and each.number != 7]
    cautions = verdict.build(comparison, asked, one, rankings)["cautions"]
    assert any(caution.endswith("The reason: too long by 3 tokens.") for caution in cautions)


def test_cautions_of_the_questions() -> None:
    asked = [question(number, document=f"{number % 3}.md" if number > 4 else "") for number in range(20)]
    asked += [question(number, answers=(), answerable=False, document="0.md") for number in range(20, 40)]
    unknown = [Ranking(None)] * 5 + [Ranking((1,))] * 35
    made = concluded(
        {arm: [0.0] * 40 for arm in MAIN},
        questions=asked, rankings=unknown, temperature=0.7, cautions=("Known before.",),
    )  # fmt: skip
    text = "\n".join(made["cautions"])
    assert made["cautions"][0] == "Known before."
    for words in (
        "50.0 % of the questions are unanswerable, so a model that never answers would have token F1 50.0 %; no arm",
        "right on only 0 of the 20 questions that can be answered",
        "The place of 5 questions is not known",
        "No oracle arm was asked",
        "The questions are about 3 documents",
        "no arm was asked again",
    ):
        assert words in text


# What would help next


def advised(f1: Mapping[str, Sequence[float | None]], **values: Any) -> list[tuple[int, str]]:
    return [(row["questions"], row["advice"]) for row in concluded(f1, **values)["next"]]


def test_a_larger_k_where_it_would_have_shown_the_passage() -> None:
    deep = ({"document": "x.md", "place": "", "similarity": 0.5},) * 20
    ranks = [(8,)] * 12 + [(15,)] * 5 + [()] * 7 + [(1,)] * 6
    values = [0.0] * 24 + [1.0] * 6
    found = advised(
        {**dict.fromkeys(MAIN, values), "oracle": [1.0] * 9 + [0.0] * 21},
        rankings=[Ranking(each, deep) for each in ranks],
    )
    assert found[0] == (
        12,
        "k = 8 would have shown the right passage for 12 more questions (5 more are further down), for about 360 more "
        "prompt tokens a question; given it, the oracle arm is right on 9 of 12.",
    )
    assert found[1][0] == 7
    assert "not among the 20 best" in found[1][1]
    far = advised(dict.fromkeys(MAIN, [0.0] * 4), rankings=[Ranking((18,), deep)] * 4)
    assert far[0][1].startswith("Have the right passage ranked higher: for 4 questions")


def test_no_k_is_advised_that_the_command_refuses() -> None:
    deep = ({"document": "x.md", "place": "", "similarity": 0.5},) * 40
    for rank, start in ((20, "k = 20 would have shown"), (21, "Have the right passage ranked higher")):
        rankings = [Ranking((rank,), deep)] * 4
        found = advised(dict.fromkeys(MAIN, [0.0] * 4), rankings=rankings, top_k=12)
        assert found[0][1].startswith(start)


def test_a_larger_k_helps_nothing_where_all_was_withheld_or_the_passage_shown() -> None:
    withheld = {(0, arm): {"not_in_library": True} for arm in ("rag", "hybrid")}
    rankings = [Ranking((8,)), Ranking((8,))]
    comparison, asked, answers, ranked = compared({arm: [0.0] * 2 for arm in MAIN}, rankings=rankings, extra=withheld)
    shown = tuple({**each, "document": "1.md"} for each in answers[-1].citations)
    answers = [replace(each, citations=shown) if (each.number, each.arm) == (1, "hybrid") else each for each in answers]
    found = verdict.build(comparison, asked, answers, ranked)["next"]
    assert [row["advice"].split(":")[0] for row in found] == [
        "Lower `retrieval.min_fit`", "Train on more pairs with `context",
    ]  # fmt: skip


def test_more_pairs_or_other_ones_where_the_model_fails() -> None:
    hybrid = [0.0] * 16 + [1.0]
    f1 = {
        "base": [0.0] * 10 + [1.0] * 2 + [0.0] * 5, "tuned": [0.0] * 17,
        "rag": [0.0] * 6 + [1.0] * 4 + [0.0] * 7, "hybrid": hybrid,
    }  # fmt: skip
    asked = [question(number) for number in range(12)]
    asked += [question(number, answers=(), answerable=False) for number in range(12, 15)] + [question(15), question(16)]
    timid = {(number, "hybrid"): {"abstained": 1.0} for number in range(5)}
    withheld = {(15, arm): {"not_in_library": True} for arm in ("rag", "hybrid")}
    found = advised(f1, questions=asked, extra={**timid, **withheld})
    starts = [
        (5, "Train on more pairs with `context:`"),  # 1 not used, 4 right before tuning
        (5, "Lower `without`"),  # and not to raise it as well, for the 3 that should have abstained
        (2, "Try a smaller k"),
        (1, "Lower `retrieval.min_fit`"),
    ]
    assert len(found) == len(starts)
    for (number, text), (expected, start) in zip(found, starts, strict=True):
        assert (number, text.startswith(start)) == (expected, True), text
    assert "which 3 questions lacked as it is" in found[1][1]
    timid = {(number, "hybrid"): {"abstained": 1.0} for number in range(2)}
    withhold = [text for _, text in advised(f1, questions=asked, extra=timid) if "`without`" in text]
    assert len(withhold) == 1
    assert withhold[0].startswith("Withhold the right passage from more pairs")
    assert "on 2 questions it abstained wrongly" in withhold[0]


def test_without_a_run_tuning_is_advised_and_without_an_index_retrieval() -> None:
    run = advised({"base": [0.0] * 5, "rag": [0.0] * 5})
    assert run[0][0] == 5
    assert run[0][1].startswith("Tune the model on pairs with `context:`")
    index = advised({"base": [0.0] * 5, "tuned": [0.0] * 5})
    assert index[0][0] == 5
    assert index[0][1].startswith("Index the documents")


def test_what_the_weights_know_needs_neither() -> None:
    found = advised(dict.fromkeys(MAIN, [1.0] * 30 + [0.0] * 10))
    assert found[-1] == (
        30,
        "Ask whether you need either: the base model has 30 of 40 answerable questions right by itself; retrieval and "
        "tuning can bring something only on the others.",
    )


# The decision table


def test_the_decision_table_has_the_users_figures(workspace: Workspace) -> None:
    number = write_comparison(workspace)
    with CompareStore(workspace.database) as store:
        kept = store.comparison(number).verdict
    assert kept is not None
    rows = {row["row"]: row for row in kept["decision"]}
    assert list(rows) == [
        "Behaviour", "Knowledge", "Hallucination", "Update speed", "Upfront cost", "Cost per query", "Freshness",
    ]  # fmt: skip
    assert all(list(row["values"]) == list(MAIN) and row["measure"] for row in rows.values())
    assert rows["Behaviour"]["values"] == {"base": "0 %", "tuned": "100 %", "rag": "0 %", "hybrid": "100 %"}
    assert rows["Knowledge"]["values"]["hybrid"] == "69 %"  # 22 of 32
    assert rows["Hallucination"]["values"]["base"] == "100 % made up"
    assert rows["Hallucination"]["values"]["hybrid"].startswith("38 % made up, ")  # 3 of 8
    assert rows["Update speed"]["values"] == {
        "base": "never", "tuned": "6 min 52 s", "rag": "2.10 s", "hybrid": "2.10 s",
    }  # fmt: skip
    assert rows["Upfront cost"]["values"]["hybrid"] == "7 min 01 s, 2.1 GB"
    assert rows["Freshness"]["values"]["rag"] == "yes"


def test_what_was_not_measured_is_said_in_the_table() -> None:
    comparison, asked, answers, rankings = compared({arm: [1.0] * 3 for arm in MAIN})
    rows = {row["row"]: row for row in decision.table(Evidence.of(comparison, asked, answers, rankings))}
    assert rows["Behaviour"]["measure"].startswith("ROUGE-L")
    assert "No question is unanswerable" in rows["Hallucination"]["note"]
    assert "was not measured" in rows["Update speed"]["note"]
    assert rows["Freshness"]["values"] == {"base": "no", "tuned": "not before a new run", "rag": "-", "hybrid": "-"}
    assert "does not tell its energy" in rows["Cost per query"]["note"]
    broken = {"update": {"seconds_to_index": None, "seconds_to_answer": 3.0, "found": True, "answer_changed": False}}
    made = decision.table(Evidence.of(replace(comparison, costs=broken), asked, answers, rankings))
    assert made[-1]["values"]["hybrid"] == "found, not used"


# Whole comparisons in the store


@pytest.mark.parametrize(
    ("arms", "recommended"),
    [(MAIN, "hybrid"), (("base", "rag"), "rag"), (("base", "tuned", "rag", "hybrid", "oracle", "again"), "hybrid")],
)
def test_a_stored_comparison_gets_the_same_verdict_twice(
    workspace: Workspace, arms: tuple[str, ...], recommended: str
) -> None:
    number = write_comparison(workspace, arms=arms)
    with CompareStore(workspace.database) as store:
        kept = store.comparison(number).verdict
        again = verdict.build(
            store.comparison(number), store.asked(number), store.answers(number), store.rankings(number)
        )
    assert kept is not None
    assert kept["recommended"] == recommended
    assert [row["arm"] for row in kept["arms"]] == list(arms)
    assert {**again, "made_at": 0} == {**kept, "made_at": 0}
    assert kept["retrieval"]["k"] == 4
    assert (kept["noise"] is not None) == ("again" in arms)


def test_a_comparison_that_was_stopped_is_concluded_from_what_it_has(workspace: Workspace) -> None:
    number = write_comparison(workspace, answered=33, verdict=True)
    with CompareStore(workspace.database) as store:
        kept = store.comparison(number).verdict
    assert kept is not None
    assert (kept["n"], kept["asked"], kept["recommended"]) == (33, 40, "hybrid")
    assert any("33 of 40 questions" in caution for caution in kept["cautions"])


# Two comparisons


def test_two_comparisons_before_and_after_a_run(workspace: Workspace) -> None:
    def write(name: str, hybrid: Sequence[float], asked: Sequence[Question], **spec: Any) -> Comparison:
        made = compared({"base": [0.5] * len(asked), "hybrid": hybrid}, questions=asked, **spec)
        number = store.create(name, made[0].spec, asked)
        for answer in made[2]:
            store.add_answer(number, answer)
        return store.comparison(number)

    asked = [question(number) for number in range(40)]
    with CompareStore(workspace.database) as store:
        before = write("before", [0.0] * 20 + [1.0] * 20, asked)
        turned = [asked[-1], *asked[:-1]]  # the same questions, otherwise numbered
        after = write("after", [0.0] + [1.0] * 20 + [0.9] * 19, turned, top_k=8)
        found = versus.compare(store, before, after, "f1")
        assert (found["first"], found["second"], found["metric"], found["n"]) == ("before", "after", "f1", 40)
        base, hybrid = found["arms"]
        assert (base["arm"], base["difference"]["mean"], base["difference"]["measurable"]) == ("base", 0, False)
        assert hybrid["first"] == pytest.approx(0.5)
        assert hybrid["second"] == pytest.approx((20 + 0.9 * 19) / 40)
        change = hybrid["difference"]
        assert change["mean"] == pytest.approx(hybrid["second"] - hybrid["first"])
        assert 0 < change["low"] < change["mean"] < change["high"]
        assert (change["n"], change["measurable"]) == (40, True)
        assert len(found["changed"]) == 21
        worse, better = found["changed"][0], found["changed"][1]
        assert (worse["question"], worse["first_number"], worse["second_number"]) == ("Question 39?", 39, 0)
        assert (worse["first"], worse["second"]) == ("hybrid 1.0", "hybrid 0.0")
        assert (better["first_number"], better["second_number"]) == (0, 1)
        assert any("number of passages" in caution for caution in found["cautions"])
        backwards = versus.compare(store, after, before, "f1")
        assert backwards["arms"][1]["difference"]["mean"] == pytest.approx(-change["mean"])

        part = write("part", [1.0] * 10, [*asked[:5], *(question(number) for number in range(90, 95))])
        some = versus.compare(store, before, part, "f1")
        assert some["n"] == 5
        assert any("5 questions stand in both" in caution for caution in some["cautions"])
        assert any("fewer than 30" in caution for caution in some["cautions"])
        other = write("other", [1.0] * 3, [question(number) for number in range(60, 63)])
        with pytest.raises(UserError, match="no question in common"):
            versus.compare(store, before, other, "f1")
        with pytest.raises(UserError, match="against itself"):
            versus.compare(store, before, before, "f1")
        assert versus.compare(store, before, after, "support")["arms"] == []


def test_what_else_than_the_run_may_be_behind_a_difference(workspace: Workspace) -> None:
    pins = {
        "min_similarity": 0.3, "top_p": 1.0, "index_revision": "1", "index_fingerprint": "a", "adapter_sha256": "b",
        "base_fingerprint": "c",
    }  # fmt: skip
    asked = [question(number) for number in range(40)]
    f1 = {"base": [0.5] * 40, "hybrid": [0.5] * 40, "oracle": [0.5] * 30}  # the place of ten is not known

    def write(store: CompareStore, name: str, **pinned: Any) -> Comparison:
        made = compared(f1, questions=asked)
        spec = {**made[0].spec, "pinned": pinned}
        if not pinned:
            del spec["pinned"]
        number = store.create(name, spec, asked)
        for answer in made[2]:
            store.add_answer(number, answer)
        return store.comparison(number)

    with CompareStore(workspace.database) as store:
        before = write(store, "before", **pins)
        for at, (pinned, expected) in enumerate((
            ({}, None),
            (pins, None),
            ({**pins, "min_similarity": 0.4}, "They differ in the least similarity of a passage: a difference may"),
            ({**pins, "top_p": 0.9, "adapter_sha256": "x"}, "They differ in top_p and the run: a difference may"),
            ({**pins, "index_revision": "2"}, "The index was rebuilt or updated in between"),
            ({**pins, "index_fingerprint": "x", "index_revision": "2"}, "The index was rebuilt with another embedding"),
            ({**pins, "base_fingerprint": "x"}, "They differ in the base model's weights: a difference may"),
            ({**pins, "adapter_sha256": "x"}, "The run tone was trained anew in between"),
            ({"top_p": 1.0}, None),
        )):  # fmt: skip
            cautions = versus.compare(store, before, write(store, f"after-{at}", **pinned), "f1")["cautions"]
            assert any(caution.startswith(expected) for caution in cautions) if expected else not cautions, cautions
            assert not any("has not answered everything" in caution for caution in cautions)
        less = compared({"base": [0.5] * 40, "hybrid": [0.5] * 39, "oracle": [0.5] * 40}, questions=asked)
        number = store.create("less", {**less[0].spec, "pinned": pins}, asked)
        for answer in less[2]:
            store.add_answer(number, answer)
        found = versus.compare(store, before, store.comparison(number), "f1")["cautions"]
        assert found == ["less has not answered everything; what is missing in either is left out."]
