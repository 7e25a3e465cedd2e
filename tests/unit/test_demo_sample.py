"""The sample that ships: what the demo's figures rest on."""

from __future__ import annotations

import json
import re

from workbench.workspace import shipped


def test_the_sample_is_what_it_should_be() -> None:
    folder = shipped("datasets") / "handbook"
    texts = {path.name: path.read_text().casefold() for path in (folder / "documents").glob("*.md")}
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    questions = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    assert len(texts) >= 40
    assert len(pairs) >= 500
    assert len({pair["prompt"] for pair in pairs}) == len(pairs)
    assert all(re.fullmatch(questions[0]["pattern"], pair["completion"]) for pair in pairs)
    held_out = {question["document"] for question in questions}
    assert not held_out & {pair["source"] for pair in pairs}
    assert not {q["question"] for q in questions} & {pair["prompt"] for pair in pairs}
    for question in questions:
        assert question["answerable"] == bool(question["answers"])
        for answer in question["answers"]:
            assert answer.casefold() in texts[question["document"]].replace("*", ""), question
    for pair in pairs:
        if "does not tell" not in pair["completion"]:
            answer = pair["completion"].removeprefix("=> ").removesuffix(".").casefold()
            assert answer in texts[pair["source"]].replace("*", ""), pair
