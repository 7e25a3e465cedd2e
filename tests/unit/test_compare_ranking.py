"""Which passages hold a known place, and the figures of retrieval against values worked out by hand."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from workbench.compare.question import Question
from workbench.compare.ranking import figures, holds, rank, right_passage
from workbench.compare.store import Ranking
from workbench.library.chunks import SourceText, cut
from workbench.library.grounding import Passage
from workbench.library.search import Hit

FIRST = (
    "The Normans were the people who in the 10th and 11th centuries gave their name to Normandy, a region in France."
    " They were descended from Norse raiders and pirates from Denmark, Iceland and Norway."
)
SECOND = (
    "Through generations of assimilation and mixing with the native populations, their descendants would gradually"
    " merge with the cultures of West Francia."
)
OTHER = "The steam engine of Thomas Newcomen pumped water out of mines near Dudley Castle in the reign of Queen Anne."


def question(*answers: str, document: str = "normans.md", context: str = f"{FIRST} {SECOND}") -> Question:
    messages = ({"role": "user", "content": "Where did they come from?"},)
    return Question(messages=messages, answers=answers, answerable=True, document=document, context=context)


def hit(text: str, document: str = "documents/normans.md", chunk: int = 0, **values: Any) -> Hit:
    rest = {
        "title": "", "heading": "Origins", "start": 0, "end": len(text), "start_line": 3, "end_line": 3, "page": None,
        "score": 1.0, "dense_rank": 1, "lexical_rank": 1, "similarity": 0.5,
    }  # fmt: skip
    return Hit(chunk=chunk, text=text, document=document, **{**rest, **values})


@pytest.mark.parametrize(
    ("found", "known", "expected"),
    [
        ("normans.md", "normans.md", True),
        ("documents/normans.md", "normans.md", True),
        ("normans.md", "/home/me/documents/normans.md", True),
        ("documents\\normans.md", "./documents/normans.md", True),
        ("cafe\u0301.md", "caf\u00e9.md", True),
        ("the-normans.md", "normans.md", False),
        ("a/normans.md", "b/normans.md", False),
        ("normans.md/force.md", "normans.md", False),
        ("", "normans.md", False),
    ],
)
def test_a_document_is_known_by_the_end_of_its_path(found: str, known: str, expected: bool) -> None:
    assert holds(found, "Any text of it.", question(document=known, context="")) is expected


def test_nothing_is_said_where_the_place_is_not_known() -> None:
    asked = question("France", document="", context="")
    assert holds("normans.md", FIRST, asked) is None
    ranking = rank([hit(FIRST)], asked)
    assert ranking.right is None
    assert ranking.hits == ({"document": "documents/normans.md", "place": "Origins · line 3", "similarity": 0.5},)


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        (f"{FIRST} {SECOND}", ["France"], True),
        (FIRST, ["France"], True),  # the half that tells it
        (SECOND, ["France"], False),  # the half that does not
        (f"{OTHER}\n\n{FIRST}", ["France"], True),  # joined with another paragraph
        (f"# Normans\n\n{FIRST}".replace(" ", "\n"), ["France"], True),  # other line ends
        (f"{OTHER} France", ["France"], False),  # the answer without the passage
        (OTHER, ["France"], False),
        (SECOND, ["Gaul"], True),  # a reference that does not stand there asks nothing of the passage
        (SECOND, [], True),
        (FIRST, ["Gaul", "france"], True),
        (SECOND, ["Franc"], True),  # not a whole word of the passage, so not a reference that stands there
    ],
)
def test_a_passage_must_share_the_known_one_and_hold_its_answer(text: str, answers: list[str], expected: bool) -> None:
    assert holds("normans.md", text, question(*answers)) is expected
    assert holds("anything.md", text, question(*answers, document="")) is expected
    assert holds("force.md", text, question(*answers)) is False


def test_a_known_passage_may_be_short() -> None:
    asked = question("27 days", context="Leave is 27 days.")
    assert holds("normans.md", "Pay is monthly. Leave is 27 days. Rest is free.", asked)
    assert not holds("normans.md", "Leave was 27 days.", asked)
    assert holds("normans.md", "?!", question(context="?!")) is True  # nothing to compare: the document decides
    assert holds("normans.md", "pirates from Denmark, Iceland and Norway.", question("Norway"))  # a short end of it
    assert not holds("normans.md", "Norway", question("Norway"))
    assert not holds("normans.md", "", question("Norway"))


def test_ranks_count_from_one() -> None:
    ranking = rank([hit(OTHER), hit(FIRST), hit(SECOND), hit(f"{FIRST}\n\n{OTHER}")], question("France"))
    assert ranking.right == (2, 4)
    assert ranking.rank == 2
    assert len(ranking.hits) == 4
    assert rank([], question("France")).right == ()


def test_figures_by_hand() -> None:
    rankings = [Ranking((1,)), Ranking((2, 4)), Ranking((5,)), Ranking(()), Ranking(None)]
    # nDCG@3: 1; a right one at 2 of two that were found; none among three; none at all
    second = (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    assert figures(rankings, 3) == {
        "hit": pytest.approx(2 / 4),
        "mrr": pytest.approx((1 + 1 / 2) / 4),
        "ndcg": pytest.approx((1 + second) / 4),
        "n": 4,
        "k": 3,
    }
    # the ideal holds k at most
    assert figures([Ranking((1, 2, 3))], 2)["ndcg"] == pytest.approx(1)
    assert figures([Ranking((2, 3, 4))], 2)["ndcg"] == pytest.approx(second)


def test_figures_without_anything_to_measure() -> None:
    nothing = {"hit": None, "mrr": None, "ndcg": None, "n": 0, "k": 4}
    assert figures([], 4) == nothing
    assert figures([Ranking(None)], 4) == nothing
    assert figures([Ranking(())], 4) == {"hit": 0, "mrr": 0, "ndcg": 0, "n": 1, "k": 4}


def test_figures_agree_with_their_definitions_on_random_rankings() -> None:
    dice = random.Random(0)
    rankings = [Ranking(tuple(sorted(dice.sample(range(1, 21), dice.randint(0, 4))))) for _ in range(200)]
    for k in (1, 4, 20):
        gains = [[1 / math.log2(rank + 1) for rank in ranking.right or () if rank <= k] for ranking in rankings]
        ideals = [sum(1 / math.log2(r + 2) for r in range(min(k, len(ranking.right or ())))) for ranking in rankings]
        got = figures(rankings, k)
        assert got["hit"] == pytest.approx(sum(map(bool, gains)) / 200)
        assert got["mrr"] == pytest.approx(sum(1 / r.rank for r in rankings if r.rank and r.rank <= k) / 200)
        assert got["ndcg"] == pytest.approx(sum(sum(g) / i for g, i in zip(gains, ideals, strict=True) if i) / 200)


def test_the_oracle_is_given_the_known_passage_or_the_best_that_holds_it() -> None:
    hits = [hit(OTHER, "force.md"), hit(SECOND), hit(FIRST)]
    assert right_passage(question("France", context=FIRST), hits) == Passage(FIRST, "normans.md")
    assert right_passage(question("France", context=""), hits) == hits[1].passage
    assert right_passage(question("France", document="absent.md", context=""), hits) is None
    assert right_passage(question("France", document="", context=""), hits) is None


def test_every_answer_of_real_questions_stands_in_a_chunk_of_its_document(shared_data: Path) -> None:
    chunks = {
        path.name: [
            chunk.text
            for chunk in cut(SourceText(path.read_text(), path.stem), lambda text: len(text.split()) * 4 // 3)
        ]
        for path in (shared_data / "squad" / "documents").glob("*.md")
    }
    lines = (shared_data / "squad" / "questions.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["answerable"]]
    random.Random(0).shuffle(rows)
    found = []
    for row in rows[:300]:
        asked = question(*row["answers"], document=row["document"], context=row["context"])
        found.append(sum(bool(holds(name, text, asked)) for name in chunks for text in chunks[name]))
    assert sum(map(bool, found)) / len(found) >= 0.99
    assert sum(found) / len(found) < 1.2  # and in little else
