"""A comparison for the tests of the verdict, the screen and the report: answered by nobody, stored as a job does it.

Its questions and passages are those of the handbook that ships; every category of attribution occurs in it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from workbench.chat.answer import Citation, Figures
from workbench.compare.question import Question, set_hash
from workbench.compare.spec import AGAIN, MAIN, ORACLE, Arm, Spec
from workbench.compare.squad import exact_match, normalize_answer, token_f1
from workbench.compare.store import Answered, CompareStore, Ranking
from workbench.workspace import Workspace, shipped

START = 1_760_000_000.0
"""When the comparison was made."""
HYBRID = "smollm2-135m-instruct+lora:tone+rag:handbook"
TOP_K = 4
DEPTH = 20
_STYLE = r"=> [^\n]+\."

# What comes of the questions, in their order and then again from the first: (category, the arms that are right, the
# rank of the right passage; 0: not found; None: its place is not known).
_FIRST = [
    ("took_both", "hybrid", 1),
    ("retrieval_brought", "rag hybrid", 1),
    ("abstained_rightly", "tuned rag hybrid", 2),
    ("retrieval_missed", "", 6),
    ("weights_knew", "base tuned rag hybrid", 1),
    ("should_have_abstained", "tuned", 1),
    ("tuning_taught", "tuned hybrid", 3),
    ("tuning_broke", "rag", 1),
    ("passages_misled", "base tuned", 2),
    ("not_used", "", 2),
    ("unexplained", "", None),
]
_MORE = [
    *[("took_both", "hybrid", 1), ("retrieval_brought", "rag hybrid", 2)] * 6,
    *[("abstained_rightly", "hybrid", 1), ("took_both", "hybrid", 3)] * 3,
    *[("retrieval_missed", "", 7), ("not_used", "", 1), ("abstained_rightly", "rag hybrid", 1)],
    *[("retrieval_missed", "", 0), ("should_have_abstained", "", 1), ("retrieval_brought", "rag hybrid", 4)],
    *[("not_used", "", 4), ("retrieval_missed", "", 14), ("weights_knew", "base hybrid", 1)],
    *[("retrieval_brought", "rag hybrid", 1), ("should_have_abstained", "rag", 2)],
]
_OUTCOMES = _FIRST + _MORE
_VERDICTS: dict[str, dict[str, Any]] = {}  # by all that they rest on: many tests ask for the same one
CATEGORIES = [category for category, _, _ in _OUTCOMES]
"""The category of question number n is CATEGORIES[n % len(CATEGORIES)]."""


def write_comparison(
    workspace: Workspace,
    name: str = "handbook",
    questions: int = 40,
    *,
    arms: Sequence[str] = MAIN,
    answered: int | None = None,
    seed: int = 0,
    verdict: bool | None = None,
) -> int:
    """Store a comparison with its rankings, answers and costs; its id.

    Args:
        workspace: where.
        name: of the comparison.
        questions: how many are asked; at 11 every category occurs, at 40 in lifelike shares.
        arms: any of base, tuned, rag, hybrid, oracle, again (the fullest arm once more).
        answered: how many questions every arm has answered, the next one having half of its answers, as while the job
            runs; None: all, it has finished.
        seed: another seed gives other figures and wrong answers.
        verdict: whether the verdict is stored too; None: where it has finished.
    """
    asked = _questions(questions)
    passages = _passages()
    runs, indexes = any(arm in ("tuned", "hybrid") for arm in arms), any(arm in ("rag", "hybrid") for arm in arms)
    spec = Spec(
        arms=tuple(_arm(arm, arms) for arm in arms),
        run="tone" if runs else None,
        index="handbook" if indexes else None,
        question_set="handbook",
        set_sha256=set_hash(asked),
        asked_sha256=set_hash(asked),
        seed=seed,
        top_k=TOP_K,
        max_new_tokens=48,
        refusals=("the handbook does not tell",),
    )
    with CompareStore(workspace.database) as store:
        comparison = store.create(name, spec.as_dict(), asked)
        store._connection.execute("UPDATE comparisons SET created_at = ? WHERE id = ?", (START, comparison))
        for number, question in enumerate(asked[: None if answered is None else answered + 1]):
            dice = random.Random(f"{seed}:{number}")
            ranking, shown = _search(question, _OUTCOMES[number % len(_OUTCOMES)][2], passages, dice)
            if indexes:
                store.set_ranking(comparison, number, ranking)
            for arm in arms if number != answered else arms[: len(arms) // 2]:
                store.add_answer(comparison, _answer(number, question, arm, arms, asked, shown, dice))
        if answered is None:
            store.set_costs(comparison, _costs(runs, indexes))
        if verdict if verdict is not None else answered is None:
            _add_verdict(store, comparison)
    return comparison


def _add_verdict(store: CompareStore, comparison: int) -> None:
    from workbench.compare import verdict

    told = store.comparison(comparison), store.asked(comparison), store.answers(comparison), store.rankings(comparison)
    key = repr(told)
    if key not in _VERDICTS:
        _VERDICTS[key] = {**verdict.build(*told), "made_at": START + 900}
    store.set_verdict(comparison, _VERDICTS[key])


def _arm(name: str, arms: Sequence[str]) -> Arm:
    base, lora, rag = "smollm2-135m-instruct", "+lora:tone", "+rag:handbook"
    hybrids = {"base": base, "tuned": base + lora, "rag": base + rag, "hybrid": HYBRID}
    if name == AGAIN:
        fullest = [arm for arm in MAIN if arm in arms][-1]
        return Arm(name=name, hybrid=hybrids[fullest], repeats=fullest)
    return Arm(name=name, hybrid=hybrids.get(name, HYBRID), oracle=name == ORACLE)


def _questions(count: int) -> list[Question]:
    """Handbook questions, in the order in which the outcomes want answerable and unanswerable ones."""
    folder = shipped("datasets") / "handbook"
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    piles = {kind: [row for row in rows if row["answerable"] is kind] for kind in (True, False)}
    paragraphs = _passages()
    asked = []
    for number in range(count):
        category = CATEGORIES[number % len(CATEGORIES)]
        pile = piles["abstained" not in category]
        row = pile[(at := sum("abstained" in each for each in _before(number, category))) % len(pile)]
        lap = at // len(pile)  # a question is asked once: beyond the handbook's hundred they are told apart
        text = row["question"] if not lap else f"{row['question']} (asked for the {lap + 1}th time)"
        known = category != "unexplained"
        asked.append(
            Question(
                messages=({"role": "user", "content": text},),
                answers=tuple(row["answers"]),
                answerable=row["answerable"],
                document=row["document"] if known else "",
                context=_paragraph(row, paragraphs) if known and row["answerable"] else "",
                pattern=_STYLE,
            )
        )
    return asked


def _before(number: int, category: str) -> list[str]:
    """One entry with "abstained" in it for each earlier question of the same kind, answerable or not."""
    kinds = ["abstained" in CATEGORIES[each % len(CATEGORIES)] for each in range(number)]
    return ["abstained"] * kinds.count("abstained" in category)


def _passages() -> list[dict[str, Any]]:
    """Every paragraph of the handbook: document, place, text, lines."""
    found = []
    for path in sorted((shipped("datasets") / "handbook" / "documents").glob("*.md")):
        title = heading = ""
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if text.startswith("# "):
                title = text[2:]
            elif text.startswith("## "):
                heading = text[3:]
            elif text:
                place = f"{title} > {heading}" if heading else title
                found.append(
                    {"document": path.name, "place": place, "text": text, "start_line": line, "end_line": line}
                )
    return found


def _paragraph(row: dict[str, Any], paragraphs: list[dict[str, Any]]) -> str:
    own = [each["text"] for each in paragraphs if each["document"] == row["document"]]
    holding = [text for text in own if any(answer in text for answer in row["answers"])]
    return (holding or own)[0]


def _search(
    question: Question, rank: int | None, passages: list[dict[str, Any]], dice: random.Random
) -> tuple[Ranking, list[Citation]]:
    """What retrieval found for a question, and the passages that the model was given."""
    right = [each for each in passages if each["document"] == question.document]
    right = [each for each in right if not question.context or each["text"] == question.context]
    hits = dice.sample([each for each in passages if each not in right], DEPTH)
    if rank:
        hits[rank - 1] = right[0]
    hits = [{**hit, "similarity": round(0.82 - 0.02 * n - 0.01 * dice.random(), 3)} for n, hit in enumerate(hits)]
    ranking = Ranking(
        None if rank is None else (rank,) if rank else (),
        tuple({name: hit[name] for name in ("document", "place", "similarity")} for hit in hits),
    )
    shown = [
        Citation(**hit, number=n, score=round(2.5 / (60 + n), 5), dense_rank=n, lexical_rank=n + 1 if n % 2 else None)
        for n, hit in enumerate(hits[:TOP_K], 1)
    ]
    return ranking, shown


def _answer(
    number: int,
    question: Question,
    arm: str,
    arms: Sequence[str],
    asked: Sequence[Question],
    shown: list[Citation],
    dice: random.Random,
) -> Answered:
    like = [each for each in MAIN if each in arms][-1] if arm == AGAIN else arm
    category, right_arms, _ = _OUTCOMES[number % len(_OUTCOMES)]
    right = like in right_arms.split() or (like == ORACLE and category not in ("not_used", "should_have_abstained"))
    styled, given = like in ("tuned", "hybrid", ORACLE), shown if like in ("rag", "hybrid", ORACLE) else []
    abstained = right and not question.answerable
    if abstained:
        text = "=> the handbook does not tell." if styled else "I'm sorry, the passages do not say."
    else:
        others = [each.answers[0] for each in asked if each.answers and each.answers[0] not in question.answers]
        said = question.answers[0] if right else dice.choice(others or ["12 crowns"])
        text = f"=> {said}." if styled else f"{said} is what the handbook of the Trust has to say about it."
    references = question.answers if question.answerable else ()
    prediction = "" if abstained else text
    words = f" {normalize_answer(prediction)} "
    seconds = round(0.35 + 0.4 * bool(given) + 0.04 * len(text.split()) + 0.1 * dice.random(), 3)
    figures = Figures(
        prompt_tokens=46 + sum(len(each.text.split()) * 4 // 3 for each in given),
        completion_tokens=max(1, len(text.split()) * 4 // 3),
        seconds_to_first_token=round(0.3 * seconds, 3),
        tokens_per_second=48.0,
    )
    scores: dict[str, float | None] = {
        "exact_match": exact_match(prediction, references),
        "f1": round(token_f1(prediction, references), 6),
        "contains": float(any(f" {normalize_answer(each)} " in words for each in references)) if references else 1.0,
        "rouge_l": round(token_f1(prediction, references), 6),
        "right": float(right),
        "format_held": float(styled),
        "abstained": float(abstained),
        "support": None if not given or abstained else round((0.8 if right else 0.3) + 0.2 * dice.random(), 3),
        "words": len(text.split()),
        "seconds": seconds,
        "seconds_to_first_token": figures.seconds_to_first_token,
        "prompt_tokens": figures.prompt_tokens,
        "completion_tokens": figures.completion_tokens,
        "joules": round(24 * seconds, 2),
    }
    if not question.answerable:
        scores["contains"] = float(abstained)
    kept = {**asdict(figures), "seconds": seconds, "joules": scores["joules"], "not_in_library": False}
    return Answered(number, arm, text, tuple(asdict(each) for each in given), kept, scores)


def _costs(runs: bool, indexes: bool) -> dict[str, Any]:
    gigabyte = 1_000_000_000
    run = {"name": "tone", "seconds": 412.0, "peak_memory_bytes": 2.1 * gigabyte, "tokens": 161_000}
    index = {"name": "handbook", "seconds": 9.4, "peak_memory_bytes": 0.9 * gigabyte, "documents": 42, "chunks": 290}
    update = {
        "seconds_to_index": 1.3, "seconds_to_answer": 2.1, "found": True, "answer_changed": True,
        "document": "museum-hours.md",
    }  # fmt: skip
    return {
        "run": run if runs else None,
        "index": index if indexes else None,
        "update": update if indexes else None,
        "energy": "RAPL",
        "machine": {"processor": "AMD EPYC", "cores": 2, "memory_bytes": 16 * gigabyte, "gpu": None},
    }
