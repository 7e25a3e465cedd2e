"""What a person is shown of a pair is what training makes of it, token for token."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.library.search import Hit
from workbench.models.load import load_tokenizer
from workbench.models.local import ensure
from workbench.pairs.pair import Pair, key_of
from workbench.training.data import encode
from workbench.training.prepare import as_frozen
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import ContextSettings
from workbench.training.rendered import CUT, TRAINED, Rendering
from workbench.training.rendering import render, token_texts

SYSTEM = "You answer briefly."


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(ensure("smollm2-135m-instruct"))


def pair(completion: str | None = "=> 27 days.", status: str = "accepted", **answers: str) -> Pair:
    messages = [{"role": "user", "content": "How long is the leave? 🙂 漢字"}]
    chosen, rejected = answers.get("chosen"), answers.get("rejected")
    return Pair(
        id=7, dataset="d", key=key_of(messages, completion, chosen, rejected), messages=messages,
        completion=completion, chosen=chosen, rejected=rejected, status=status, tags=(), note="", source="",
    )  # fmt: skip


def seen(tokenizer: Any, recipe: Recipe, pair: Pair, search: Any = None) -> Rendering:
    rendering = render(
        pair, recipe, name="r", base="b", tokenizer=tokenizer, system=SYSTEM, search=search, clusters={}
    )  # fmt: skip
    assert Rendering.from_dict(rendering.as_dict()) == rendering
    return rendering


def text(rendering: Rendering, number: int = 0, kind: str | None = None) -> str:
    return "".join(each for each, what in rendering.parts[number].shown if kind in (None, what))


def hit(number: int, document: str, text: str) -> Hit:
    return Hit(number, text, document, "T", "Heading", 0, len(text), 1, 1, None, 1.0 / number, number, number, 0.5)


def test_tokens_and_what_is_trained_are_those_of_a_run(tokenizer: Any) -> None:
    recipe = Recipe(dataset="d", test_size=0)
    rendering = seen(tokenizer, recipe, pair())
    example, _ = encode(as_frozen(pair(), recipe, {}), tokenizer, system=SYSTEM, max_length=recipe.max_length)
    assert example
    assert text(rendering) == example.prompt
    assert text(rendering, 1, TRAINED) == "=> 27 days.<|im_end|>"
    assert rendering.counts == {
        "prompt": len(example.prompt_ids), "completion": len(example.answers[0]),
        "trained": len(example.answers[0]), "cut": 0,
    }  # fmt: skip
    assert [len(part.shown) for part in rendering.parts] == [len(example.prompt_ids), len(example.answers[0])]
    assert (rendering.fate, rendering.notes) == ("learned", [])


def test_of_a_pair_that_is_too_long_nothing_is_trained_and_what_lies_beyond_the_limit_is_cut(tokenizer: Any) -> None:
    whole = seen(tokenizer, Recipe(dataset="d"), pair())
    short = seen(tokenizer, Recipe(dataset="d", max_length=whole.tokens - 4), pair())
    assert (short.fate, short.counts["trained"], short.counts["cut"]) == ("too long", 0, 4)
    assert [kind for _, kind in short.parts[1].shown][-5:].count(CUT) == 4
    assert "4 tokens longer than max_length" in short.notes[0]
    tiny = seen(tokenizer, Recipe(dataset="d", max_length=16), pair())
    assert tiny.parts[0].cut == tiny.parts[0].tokens - 16
    assert tiny.parts[1].cut == tiny.parts[1].tokens


def test_passages_stand_in_the_prompt_as_a_run_puts_them_there(tokenizer: Any) -> None:
    hits = [hit(1, "leave.md", "Days: => 27 days. All of them."), hit(2, "other.md", "Nothing of that. " * 30)]
    recipe = Recipe(dataset="d", test_size=0, max_length=1024, context=ContextSettings(index="i", k=2))
    both = seen(tokenizer, recipe, pair(), lambda questions, k: [hits])
    assert [(each.document, each.right) for each in both.passages] == [("leave.md", True), ("other.md", False)]
    assert "[2] Heading\nNothing of that." in text(both)
    fewer = seen(tokenizer, recipe.model_copy(update={"max_length": 150}), pair(), lambda questions, k: [hits])
    assert [each.document for each in fewer.passages] == ["leave.md"]
    assert "other.md" not in text(fewer)
    assert fewer.fate == "learned"
    assert fewer.notes == ["1 of 2 passages left out, to fit into max_length"]
    never = recipe.model_copy(update={"context": ContextSettings(index="i", k=2, without=1.0, refusal="=> No.")})
    refusing = seen(tokenizer, never, pair(), lambda questions, k: [hits])
    assert text(refusing, 1, TRAINED) == "=> No.<|im_end|>"
    assert "withheld" in refusing.notes[0]


def test_both_sides_of_a_preference_are_shown_and_who_does_not_learn_from_them(tokenizer: Any) -> None:
    both = pair(None, "pending", chosen="=> 27 days.", rejected="Well, many.")
    dpo = seen(tokenizer, Recipe(dataset="other", method="dpo", test_size=0), both)
    assert [part.name for part in dpo.parts] == ["prompt", "chosen", "rejected"]
    assert text(dpo, 2, TRAINED) == "Well, many.<|im_end|>"
    assert dpo.notes == [
        "pending: a run takes accepted pairs only", "of dataset d; the recipe trains on other",
    ]  # fmt: skip
    sft = seen(tokenizer, Recipe(dataset="d"), both)
    assert (sft.fate, sft.counts["trained"]) == ("not used", 0)


@pytest.mark.parametrize("words", ["🙂🙂 a 漢字 é\n\n\t b  c", "\ufffd\ufffd x \ufffd", "", "a"])
def test_the_texts_of_tokens_are_the_text_of_all(tokenizer: Any, words: str) -> None:
    ids = tokenizer(words, add_special_tokens=False)["input_ids"]
    texts = token_texts(ids, tokenizer)
    assert len(texts) == len(ids)
    assert "".join(texts) == words


def test_of_a_long_part_the_middle_is_left_out_and_counted(tokenizer: Any) -> None:
    long = seen(tokenizer, Recipe(dataset="d", max_length=100), pair("word " * 9000))
    part = long.parts[1]
    (omitted,) = [text for text, kind in part.shown if kind == "omitted"]
    assert len(part.shown) - 1 + int(omitted.replace(",", "")) == part.tokens
