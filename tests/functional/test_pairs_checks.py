"""The checks, as `workbench pairs check` and the job run them; embedding is a double's but for the slow one."""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from jinja2 import TemplateError
from sample_library import FakeEmbedder, build_with

from workbench.checks import job as checking
from workbench.checks import near
from workbench.checks.findings import Detail
from workbench.checks.personal import secrets
from workbench.checks.words import same_numbers, tokens, wording
from workbench.jobs.context import Context, StopRequested
from workbench.jobs.folder import JobFolder, Status
from workbench.models import embed
from workbench.pairs.pair import UNDECIDED, NewPair
from workbench.pairs.split import group_of, is_eval
from workbench.pairs.store import PairStore
from workbench.training import data
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from conftest import Ran

CLIPS = "Natalia sold clips to 48 of her friends in April, and then half as many in May. How many clips did she sell?"
SLIPS = CLIPS.replace("friends", "freinds").replace("How many clips", "How many clisp")
TURNED = "In May Natalia sold half as many clips as in April to 48 of her friends. How many clips did she sell?"
OTHER = CLIPS.replace("48", "50")


def pair(prompt: str, completion: str = "Aye, that is so.", **more: Any) -> NewPair:
    return NewPair(messages=[{"role": "user", "content": prompt}], completion=completion, **more)


def add(workspace: Workspace, *rows: NewPair, dataset: str = "sums", status: str = "accepted") -> None:
    with PairStore(workspace.database) as store:
        store.add(dataset, rows, status=status)


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    fake = FakeEmbedder()
    monkeypatch.setattr(embed, "Embedder", lambda folder: fake)
    return fake


@pytest.fixture
def check(workspace: Workspace, embedder: FakeEmbedder) -> Callable[..., dict[str, Any]]:
    """Run the job in this process."""

    def run(dataset: str = "sums", **arguments: Any) -> dict[str, Any]:
        folder = workspace.jobs / f"check-{len(list(workspace.jobs.iterdir()))}"
        folder.mkdir()
        spec = {"kind": "check", "title": "check", "arguments": {"dataset": dataset, **arguments}, "created_at": 0}
        (folder / "spec.json").write_text(json.dumps(spec))
        return checking.run(Context(JobFolder(folder), Status()))

    return run


def flags(workspace: Workspace, dataset: str = "sums") -> dict[int, dict[str, Detail]]:
    """What was found, by the number of the pair in its dataset, from 1."""
    with PairStore(workspace.database) as store:
        ids = list(store.ids(dataset))
        found = store.flags_of(ids)
    return {at: {f.name: Detail.read(f.detail) for f in found[id]} for at, id in enumerate(ids, 1) if id in found}


def names(workspace: Workspace, dataset: str = "sums") -> dict[int, set[str]]:
    return {number: set(found) for number, found in flags(workspace, dataset).items()}


def test_duplicates_are_what_says_the_same_and_nothing_with_another_number(workspace, check) -> None:
    add(
        workspace, pair(CLIPS), pair(SLIPS), pair(OTHER), pair(TURNED, "She sold 96 clips."), pair(CLIPS, "Seventy-two")
    )
    result = check()
    assert names(workspace) == {
        1: {"contradiction"},  # told on the one that they contradict, too
        2: {"near-duplicate"},
        4: {"contradiction"},
        5: {"contradiction"},
    }
    found = flags(workspace)
    assert (found[2]["near-duplicate"].pair, found[2]["near-duplicate"].size) == (1, 4)
    assert result["clusters"] == 1
    assert result["embedded"] == 4


def test_preferences_and_completions_share_a_prompt_but_undecided_pairs_contradict_nothing(workspace, check) -> None:
    both = {"messages": [{"role": "user", "content": CLIPS}]}
    add(workspace, pair(CLIPS, "She sold 72."), NewPair(**both, chosen="She sold 72 clips.", rejected="She sold 24."))
    add(workspace, NewPair(**both, chosen="Forty", rejected="Ninety", tags=(UNDECIDED,)), status="pending")
    add(
        workspace,
        NewPair(messages=[{"role": "user", "content": SLIPS}], chosen="She sold 96.", rejected="She sold none."),
    )
    check()
    assert names(workspace) == {2: {"contradiction"}, 4: {"contradiction"}}
    with PairStore(workspace.database) as store:
        assert len({group_of(each.key, store.clusters("sums"))[:32] for each in store.pairs("sums")}) == 1


def test_a_large_group_is_searched_instead(workspace, check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "EXACT", 3)
    others = [f"Who keeps the {name} of the harbour, and since when?" for name in ("lamp", "boats", "nets", "ropes")]
    add(workspace, *map(pair, others), pair(others[1].replace("harbour", "habrour")))
    check(threshold=0.91)
    assert names(workspace) == {5: {"near-duplicate"}}
    assert flags(workspace)[5]["near-duplicate"].pair == 2


def test_of_a_large_group_that_is_all_alike_the_nearest_are_looked_at_and_it_can_be_stopped(monkeypatch) -> None:
    monkeypatch.setattr(near, "_BATCH", 64)
    angles = np.linspace(0, 0.5, 300)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    blocks = list(near._within(np.arange(300), np.ones(300, bool), vectors))
    found = {tuple(sorted(pair)) for block, _ in blocks for pair, _ in block}
    assert [rows for _, rows in blocks] == [64, 64, 64, 64, 44], "between two the check can be stopped"
    assert len(found) <= 300 * near.MOST
    assert {(at, at + 1) for at in range(299)} <= found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Tom has 3 apples and Ann has 5 pears.", "Ann has 5 pears and Tom has 3 apples.", True),
        ("Tom has 3 apples and Ann has 5 pears.", "Tom has 5 apples and Ann has 3 pears.", False),
        ("Tom has three apples.", "Tom has 3 apples.", True),
        ("Tom has thrree apples.", "Tom has three apples.", True),
        ("Tom has half the apples.", "Tom has twice the apples.", False),
        ("Tom does not like apples.", "Tom likes apples.", False),
        ("It costs 1,000 euros.", "It costs 1000 euros.", True),
        ("It costs 1.5 euros.", "It costs 15 euros.", False),
        ("What is 2 + 3?", "What is 2 - 3?", False),
    ],
)
def test_numbers_belong_to_what_they_stand_by(one: str, other: str, same: bool) -> None:
    assert same_numbers(tokens(one), tokens(other)) is same
    assert same_numbers(tokens(other), tokens(one)) is same


def test_wording_forgives_slips_and_passes_over_the_words_of_the_task() -> None:
    first, second = tokens("Translate this: the brown dog sleeps"), tokens("Translate this: the brwon dog slepes")
    assert wording(first, second) > 0.99
    assert wording(first, tokens("Translate this: the red fox"), frozenset(("translate", "this", "the"))) < 0.1


def test_near_duplicates_share_a_side_of_the_split_and_a_dataset_without_checks_is_as_it_was(workspace, check) -> None:
    dice = random.Random(7)
    word = lambda: "".join(dice.choices(string.ascii_lowercase, k=7))  # noqa: E731
    bases = [" ".join(word() for _ in range(14)) for _ in range(30)]
    add(workspace, *(pair(f"{base} {more}") for base in bases for more in ("please", "now")))
    with PairStore(workspace.database) as store:
        keys = [each.key for each in store.pairs("sums")]
        assert store.clusters("sums") == {}
        before = [is_eval(group_of(key, {}), 0.5) for key in keys]
        assert before == [is_eval(key, 0.5) for key in keys]
        assert any(one != other for one, other in zip(before[::2], before[1::2], strict=True))
    check()
    with PairStore(workspace.database) as store:
        clusters = store.clusters("sums")
        after = [is_eval(group_of(key, clusters), 0.5) for key in keys]
    assert after[::2] == after[1::2] == before[::2], "each goes where the first of its cluster went"


def test_a_run_freezes_by_whom_a_side_was_drawn(workspace, check) -> None:
    from workbench.training.data import FROZEN
    from workbench.training.prepare import prepare
    from workbench.training.recipe import Recipe

    add(workspace, pair(CLIPS), pair(SLIPS), *(pair(f"What is {number} plus {number}?") for number in range(2, 30)))

    def frozen(name: str) -> list[dict[str, Any]]:
        folder = workspace.runs / name
        folder.mkdir()
        (folder / "spec.json").write_text(json.dumps({"kind": "train", "title": "", "arguments": {}, "created_at": 0}))
        prepare(Context(JobFolder(folder), Status()), Recipe(dataset="sums", test_size=0.5))
        events = map(json.loads, JobFolder(folder).events.read_text().splitlines())
        warned[:] = [event["text"] for event in events if event.get("level") == "warning"]
        return [json.loads(line) for line in (folder / FROZEN).read_text().splitlines()]

    warned: list[str] = []
    assert all("group" not in each for each in frozen("before"))
    check()
    first, second, *others = frozen("after")
    assert first["group"] == second["group"] == first["key"][:32]
    assert first["evaluated"] == second["evaluated"]
    assert all("group" not in each for each in others)
    assert warned == [], "also those that no other is like were compared"
    add(workspace, pair(TURNED))
    with PairStore(workspace.database) as store:
        store.edit(7, messages=[{"role": "user", "content": "Another one?"}])
    frozen("later")
    assert len(warned) == 1
    assert warned[0].startswith("2 of 31 pairs are new since the last check")
    assert "`workbench pairs check sums`" in warned[0]


def test_only_what_changed_is_looked_at_again(workspace, check, embedder) -> None:
    add(workspace, pair(CLIPS), pair(OTHER))
    assert (check()["checked"], len(embedder.embedded)) == (2, 2)
    assert (check()["checked"], len(embedder.embedded)) == (0, 2)
    with PairStore(workspace.database) as store:
        store.edit(2, messages=[{"role": "user", "content": SLIPS}])
    assert (check()["checked"], len(embedder.embedded)) == (1, 3)
    assert names(workspace) == {2: {"near-duplicate"}}
    with PairStore(workspace.database) as store:
        store.undo()
    assert (check()["checked"], len(embedder.embedded)) == (0, 3), "what was computed before the edit is known"
    assert names(workspace) == {}


def test_a_stopped_check_keeps_what_it_embedded(workspace, check, embedder, monkeypatch) -> None:
    add(workspace, pair(CLIPS), pair(SLIPS))

    def stop(*_: Any) -> None:
        raise StopRequested

    with monkeypatch.context() as patch:
        patch.setattr(checking.near, "compare", stop)
        with pytest.raises(StopRequested):
            check()
    check()
    assert len(embedder.embedded) == 2
    assert names(workspace) == {2: {"near-duplicate"}}


def test_another_threshold_is_applied_without_embedding(workspace, check, embedder) -> None:
    add(workspace, pair(CLIPS), pair(TURNED))
    check(threshold=0.99)
    assert names(workspace) == {}
    check(threshold=0.6, only="duplicates")
    assert names(workspace) == {2: {"near-duplicate"}}
    assert len(embedder.embedded) == 2


def test_a_threshold_is_not_applied_to_what_a_stopped_check_left_half_compared(workspace, check, monkeypatch) -> None:
    def stop(*_: Any) -> None:
        raise StopRequested

    add(workspace, pair(CLIPS), pair(SLIPS))
    check()
    add(workspace, pair("Is it far?"))
    with PairStore(workspace.database) as store:
        before = store.clusters("sums")
    check(threshold=0.7, only="duplicates")
    with PairStore(workspace.database) as store:
        assert (store.clusters("sums"), store.new_since_check("sums")) == (before, {3})
    with monkeypatch.context() as patch:
        patch.setattr(near, "_keep", stop)
        patch.setattr(near, "_common_words", lambda cache: cache.compare_again() or frozenset())
        with pytest.raises(StopRequested):
            check()
    check(threshold=0.72, only="duplicates")
    with PairStore(workspace.database) as store:
        assert (store.clusters("sums"), store.new_since_check("sums")) == (before, set())


def test_each_pair_by_itself(workspace, check) -> None:
    long = "A longer answer that says nothing more. " * 4
    both = {"messages": [{"role": "user", "content": "Which one?"}]}
    add(
        workspace,
        pair("Say nothing.", "\u200b\u200b"),
        pair("Say hello", "say hello!"),
        pair("Go on", "Sure <|im_end|> there"),
        pair("Which key?", "AKIAIOSFODNN7EXAMPLE"),
        pair("Whom do I write to?", "jane.doe@gmail.com, or +1 415 555 2671, card 4111 1111 1111 1111"),
        pair("Is it 4111 1111 1111 1112 or 20240131123456?", "someone@example.com, 12.10.2024 to 13.10.2024"),
        pair("Wie viele Tage hat ein gewöhnliches Jahr in unserem Kalender?", "Es hat dreihundertfünfundsechzig Tage."),
        *(pair(f"How do I find the {name} in this very large building?", "Ask at the door.") for name in "abc"),
        NewPair(**both, chosen=long, rejected="Short."),
        NewPair(**both, chosen="the same", rejected="The same."),
    )
    add(workspace, NewPair(**both, chosen=long + "More.", rejected="Curt.", tags=(UNDECIDED,)), status="pending")
    result = check()
    found = names(workspace)
    assert {number: found[number] - {"contradiction", "near-duplicate"} for number in sorted(found)} == {
        1: {"empty"},
        2: {"same-both-sides"},
        3: {"control-tokens"},
        4: {"secret"},
        5: {"personal-data"},
        7: {"language"},
        **{number: set() for number in found if number in (8, 9, 10)},
        11: {"length-bias"},
        12: {"identical-sides"},
        **{number: set() for number in found if number == 13},  # which one is chosen nobody has said
    }
    said = flags(workspace)[5]["personal-data"].says
    assert re.fullmatch(r"e-mail: jane…, card number: 4111…, phone: \+1 …", said), "masked: a flag is no second copy"
    assert result["longer_chosen"] == 0.5


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("password = 'hunter2abc9'\nand\nsecret = 'another1one'", ["Secret Keyword: hu…", "Secret Keyword: an…"]),
        ("DB_PASSWORD=hunter2abc9\nexport API_KEY=abcd1234efgh5678", ["Secret Keyword: hu…", "Secret Keyword: abcd…"]),
        ("Set MAX_TOKENS=16384abc, API_KEY=$KEY12345 and password: required", []),
    ],
)
def test_secrets_of_every_line_masked_by_their_length(text: str, kinds: list[str]) -> None:
    assert list(dict.fromkeys(secrets(text))) == kinds


def test_lengths_and_the_recipe(workspace, check) -> None:
    add(workspace, pair("Short?"), pair("Long? " + "word " * 200))
    recipe = workspace.configs / "short.yaml"
    recipe.write_text("dataset: sums\nmax_length: 128\n")
    check()  # the recipe that trains on the dataset is found
    assert names(workspace) == {2: {"too-long"}}
    assert re.fullmatch(r"\d+ tokens, the recipe takes 128", flags(workspace)[2]["too-long"].says)
    with PairStore(workspace.database) as store:
        assert [tokens > 128 for tokens in store.tokens_of([1, 2]).values()] == [False, True]
        assert list(store.ids(status=None, search="")) == [1, 2]


def test_a_pair_that_the_chat_template_refuses_is_flagged_and_the_others_are_checked(
    workspace, check, monkeypatch
) -> None:
    def refuse(frozen: data.FrozenPair, *given: Any, **more: Any) -> Any:
        if len(frozen.messages) == 2:
            raise TemplateError("Conversation roles must alternate")
        return encode(frozen, *given, **more)

    encode = data.encode
    monkeypatch.setattr(data, "encode", refuse)
    odd = [{"role": "user", "content": "One."}, {"role": "user", "content": "Two."}]
    add(workspace, NewPair(messages=odd, completion="Aye."), pair("Short?"))
    check()
    assert names(workspace) == {1: {"format"}}
    assert flags(workspace)[1]["format"].says.endswith("refuses its turns: Conversation roles must alternate")
    with PairStore(workspace.database) as store:
        assert list(store.tokens_of([1, 2])) == [2]


def test_between_datasets(workspace, check) -> None:
    rows = [pair(f"{CLIPS} Think of {number} more.") for number in range(60)]
    near = [pair(f"{SLIPS} Think of {number} more.") for number in range(60)]
    add(workspace, *rows)
    add(workspace, *near, rows[0], dataset="exam")
    check("exam")
    check()
    found = flags(workspace)
    assert found[1]["exact-duplicate"].pair == 121
    leaks = [each["leak-train-eval"] for each in found.values() if "leak-train-eval" in each]
    assert leaks, "of 60 with a twentieth held out in each, some are learned here and evaluated there"
    with PairStore(workspace.database) as store:
        for number, each in found.items():
            if "leak-train-eval" in each:
                ours, theirs = store.get_many([number, each["leak-train-eval"].pair])
                assert is_eval(ours.key, 0.05) != is_eval(theirs.key, 0.05)
                assert theirs.dataset == "exam"


def test_in_a_library(workspace, check, tmp_path: Path) -> None:
    passage = "The lamp of the northern tower is lit at dusk and put out when the last boat is in the harbour."
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "lamp.md").write_text(f"# The lamp\n\n{passage}\n\nNothing else is told of it.\n")
    build_with(workspace.index("lamps"), [docs], FakeEmbedder())
    add(
        workspace, pair("When is the lamp lit?", passage[:-1]), pair("Is the sea blue?", "It is as blue as the sky is.")
    )
    check(against="lamps")
    ((name, detail),) = flags(workspace)[1].items()
    assert name in ("leak-train-library", "leak-eval-library")
    assert detail.document.endswith("lamp.md")
    assert "its answer stands word for word in" in detail.says
    assert "as it should" not in detail.says
    assert 2 not in flags(workspace)
    (workspace.configs / "c.yaml").write_text("dataset: sums\nmax_length: 64\ncontext: {index: lamps}\n")
    add(workspace, pair("Is it far? " * 80))
    check()  # a recipe with the library's passages is looked at by itself
    assert flags(workspace)[1][name].says.endswith("as it should: the recipe trains with the passage")
    assert " tokens without its passages, the recipe takes 64" in flags(workspace)[3]["too-long"].says


def test_format_command(workspace, check, command: Callable[..., Ran], tmp_path: Path) -> None:
    add(workspace, pair("One?", '{"answer": 1}'), pair("Two?", "2"))
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["answer"]}')
    assert command("pairs", "format", "sums", "--schema", schema).out == "Every answer of sums holds the JSON schema.\n"
    check()
    assert names(workspace) == {2: {"format"}}
    (row,) = command("pairs", "flags", "sums", "--json").lines
    assert (row["pair"], row["flag"], row["says"]) == (2, "format", "the answer does not hold the JSON schema")
    assert "regular expression" in command("pairs", "format", "sums", "--regex", "(").err


@pytest.mark.slow
def test_check_command(workspace, command: Callable[..., Ran]) -> None:
    add(workspace, pair(CLIPS), pair(SLIPS), pair(OTHER))
    told = command("pairs", "check", "sums", "--json").lines[-1]
    assert told["flags"] == {"near-duplicate": 1}
    shown = command("pairs", "check", "sums", "--examples", "--threshold", "0.99", "--json").lines
    assert [(each["same"], [one["id"] for one in each["pairs"]]) for each in shown] == [(False, [1, 2])]
    assert "no dataset" in command("pairs", "check", "nowhere").err
