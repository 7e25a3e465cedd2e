"""Drafts from a library and two samples of a model, by the command and real job processes, asking a server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from fake_remote import NAME, FakeRemote, remote
from sample_comparison import write_comparison
from sample_index import MUSEUM, write_index

from workbench.compare.store import CompareStore
from workbench.drafting import job as drafting_job
from workbench.drafting.control import start_draft, start_sample
from workbench.drafting.outcomes import DRAFTS
from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.commands import follow_to_the_end
from workbench.jobs.context import Context
from workbench.jobs.folder import JobFolder, Status
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace

Command = Callable[..., Any]
PASSAGES = {
    "ferry.md": "The ferry leaves at 8:05 and 16:30 on every weekday. Dogs travel on a lead.",
    "jackets.txt": "New crew receive two jackets and one oilskin from the purser in their first week.",
    "short.txt": "Closed.",
    "crane.txt": "The dock crane lifts four tonnes and is checked by Birger Stene every first Monday of a month.",
    "shop.txt": "The gift shop sells maps, candles and wool from ten until five, but never on a Sunday in winter.",
    "radio.txt": "The radio watch lasts four hours, and its log is signed by two people before the next one begins.",
    "fuel.txt": "The fuel store is locked at dusk, and the key hangs in the engine room behind the blue door.",
    "seals.txt": "Seals rest on the north skerry from May to August, and boats keep two hundred metres away from it.",
    "canteen.txt": "The canteen serves soup at noon on weekdays, and bread is baked there before the first boat.",
}
ANSWERS = {
    "ferry leaves": ("When does the ferry leave?", "The ferry leaves at 8:05 and 16:30 on every weekday."),
    "New crew": ("What do new crew receive?", "They receive two jackets, an umbrella, a torch and a compass."),
    "dock crane": "I do not know.",
    "gift shop": "It sells maps.",
    "radio watch": ("How long does it last?", "It is forbidden to swim near Gothenburg in 1987."),
    "fuel store": ("When is the FUEL store locked\u00a0?", "The fuel store is locked at dusk."),
    "Seals rest": ("Where do seals rest?", "The passages do not tell."),
    "canteen serves": "CUT Question: When is soup served?\nAnswer: The canteen serves soup at",
}


def drafting(body: dict[str, Any]) -> str:
    asked = body["messages"][-1]["content"]
    answer = next(answer for words, answer in ANSWERS.items() if words in asked)
    return answer if isinstance(answer, str) else "Question: {}\nAnswer: {}".format(*answer)


def pairs(workspace: Workspace, dataset: str) -> list[Any]:
    with PairStore(workspace.database) as store:
        return list(store.pairs(dataset))


def test_drafts_are_pending_with_their_passage_and_what_is_dropped_is_counted(
    workspace: Workspace, command: Command
) -> None:
    write_index(workspace, "handbook", PASSAGES)
    known = NewPair(messages=[{"role": "user", "content": "When is the fuel store locked?"}], completion="At dusk.")
    with PairStore(workspace.database) as store:
        store.add("new", [known])
    with remote(workspace, FakeRemote(drafting)) as fake:
        ran = command("pairs", "draft", "handbook", "-d", "new", "--hybrid", NAME, "--limit", 8, "--json")
        assert ran.code == 0, ran.err
        result = ran.lines[-1]
        kept = {pair.completion: pair for pair in pairs(workspace, "new")}
        assert result["outcomes"] == {
            "kept": 2, "refusal": 2, "format": 1, "cut_off": 1, "unsupported": 1, "duplicate": 1
        }  # fmt: skip
        assert (result["passages"], result["kept"], result["flagged"]) == (8, 2, 1)
        ferry = kept["The ferry leaves at 8:05 and 16:30 on every weekday."]
        assert (ferry.status, ferry.tags, ferry.source) == ("pending", ("drafted",), "handbook/ferry.md:1")
        assert PASSAGES["ferry.md"] in ferry.note
        with PairStore(workspace.database) as store:
            flags = {store.get(id).prompt: flags for id, flags in store.flags_of([p.id for p in kept.values()]).items()}
            assert [flag.name for flag in flags["What do new crew receive?"]] == ["ungrounded"]
            assert list(flags) == ["What do new crew receive?"]
        # Every passage but the one of a word was shown once, fenced, and none is drafted from twice unless asked.
        shown = [
            re.search(r"--- (\w+)\n\[1\] .*\n--- \1\n", b["messages"][-1]["content"], re.DOTALL) for b in fake.asked
        ]
        assert len(shown) == 8
        assert all(shown)
        nothing = command("pairs", "draft", "handbook", "-d", "new", "-m", NAME)
        assert "no passage is left" in nothing.out
        again = command("pairs", "draft", "handbook", "-d", "new", "-m", NAME, "--again", "--json").lines[-1]
        assert again["outcomes"]["duplicate"] == 3
        # One step took them in, so one undo takes them out.
        with PairStore(workspace.database) as store:
            assert store.undo() == "drafted from handbook: 2 pairs into new"
        assert [pair.prompt for pair in pairs(workspace, "new")] == [known.messages[0]["content"]]


def test_two_samples_are_undecided_until_a_person_chooses(workspace: Workspace, command: Command) -> None:
    asked = [NewPair(messages=[{"role": "user", "content": f"Question {n}?"}], completion="x") for n in range(5)]
    with PairStore(workspace.database) as store:
        store.add("tone", asked)

    def says(body: dict[str, Any]) -> str:
        question = body["messages"][-1]["content"]
        return {"Question 0?": "Always this!", "Question 3?": "", "Question 4?": f"CUT Half of {body['seed']}"}.get(
            question, f"Answer {body['seed']}."
        )

    with remote(workspace, FakeRemote(says)) as fake:
        ran = command("pairs", "sample", "tone", "-m", NAME, "--seed", 1, "--json")
        assert ran.code == 0, ran.err
        assert ran.lines[-1]["outcomes"] == {"kept": 2, "same": 1, "empty": 1, "cut_off": 1}
        assert {body["temperature"] for body in fake.asked} == {0.8}
        two = [pair for pair in pairs(workspace, "tone") if pair.is_preference]
        assert [pair.prompt for pair in two] == ["Question 1?", "Question 2?"]
        assert {(pair.status, pair.tags) for pair in two} == {("pending", ("sampled", "undecided"))}
        assert command("pairs", "sample", "tone", "-m", NAME, "--json").lines[-1]["prompts"] == 3  # those without two
    # Nothing that nobody has judged gets into training or out into a file.
    refused = command("pairs", "accept", "--all", "--dataset", "tone")
    assert refused.code == 1
    assert "nobody has said which answer is the better one" in refused.err
    assert all(pair.status == "pending" for pair in pairs(workspace, "tone"))
    out = command("pairs", "export", "all.jsonl", "-d", "tone", "--form", "preference", "--status", "any")
    assert out.code == 1
    assert "no preference pairs" in out.err


def test_what_a_server_refuses_is_told_in_its_words_and_can_be_asked_for_again(workspace: Workspace) -> None:
    write_index(
        workspace, "handbook", {f"{name}.md": f"The {name} opens at nine and shuts at five." for name in "abcd"}
    )
    asked = {"index": "handbook", "dataset": "new", "hybrid": NAME, "limit": 4, "temperature": 0}

    def run() -> dict[str, Any]:
        folder = workspace.jobs / str(len(list(workspace.jobs.iterdir())))
        folder.mkdir()
        spec = {"kind": "draft", "title": "", "arguments": asked, "created_at": 0}
        (folder / "spec.json").write_text(json.dumps(spec))
        return drafting_job.draft(Context(JobFolder(folder), Status()))

    def says(body: dict[str, Any]) -> str:
        if not willing or "The c opens" in body["messages"][-1]["content"]:
            return "NO temperature is not taken by this model"
        return "Question: When does it open?\nAnswer: It opens at nine."

    willing = False
    with remote(workspace, FakeRemote(says)) as fake:
        with pytest.raises(UserError, match=r"refused all of the first 3: .*temperature is not taken"):
            run()
        assert len(fake.asked) == 3
        willing = True
        result = run()
    assert result["passages"] == 4, "what was refused is not spent"
    assert (result["outcomes"]["refused"], result["kept"]) == (1, 1)
    assert "refused to answer (the remote server: temperature is not taken by this model)" in drafting_job.told(
        result, "passage", DRAFTS
    )


def test_a_stopped_job_keeps_what_it_has_and_goes_on(workspace: Workspace, command: Command) -> None:
    write_index(
        workspace, "handbook", {f"{name}.md": f"The {name} opens at nine and shuts at five." for name in "abcd"}
    )

    def says(body: dict[str, Any]) -> str:
        if len(fake.asked) == 3:  # the user stops it while the third is being asked
            next(workspace.jobs.glob("*/spec.json")).with_name("stop").touch()
        name = next(name for name in "abcd" if f"The {name} opens" in body["messages"][-1]["content"])
        return f"Question: When does {name} open?\nAnswer: The {name} opens at nine."

    with remote(workspace, FakeRemote(says)) as fake:
        ran = command("pairs", "draft", "handbook", "-d", "new", "-m", NAME, "--json")
        assert ran.lines[-1]["state"] == "stopped"
        first = [pair.prompt for pair in pairs(workspace, "new")]
        assert len(first) == 2
        with PairStore(workspace.database) as store:
            store.undo()  # what the user took out does not come back by itself
        follow_to_the_end(control.resume(control.find(workspace, ran.lines[-1]["job"])), json=True)
        last = [pair.prompt for pair in pairs(workspace, "new")]
        assert sorted(first + last) == [f"When does {name} open?" for name in "abcd"]
        assert len(fake.asked) == 5  # the one that was broken off is asked again


def test_two_arms_of_a_comparison_are_set_side_by_side_without_their_names(
    workspace: Workspace, command: Command
) -> None:
    write_comparison(workspace, "harbour")
    ran = command("compare", "pairs", "harbour", "-d", "blind", "--arms", "base,hybrid", "--json")
    assert ran.code == 0, ran.err
    made = pairs(workspace, "blind")
    assert ran.lines[-1]["added"] == len(made) > 0
    with CompareStore(workspace.database) as store:
        texts = {(a.number, a.arm): a.text for a in store.answers(store.comparison("harbour").id)}
    for pair in made:
        number = int(pair.source.rsplit(" ", 1)[1]) - 1
        assert {pair.chosen, pair.rejected} == {texts[number, "base"], texts[number, "hybrid"]}
        assert (pair.status, pair.tags) == ("pending", ("from-comparison", "undecided"))
    refused = command("compare", "pairs", "harbour", "-d", "blind", "--arms", "base,none")
    assert (refused.code, "has no arm 'none'" in refused.err) == (1, True)


def test_what_is_at_fault_is_refused_before_a_job_is_made(workspace: Workspace, command: Command) -> None:
    ran = command("pairs", "draft", "nowhere", "-d", "new")
    assert (ran.code, "there is no index 'nowhere'" in ran.err) == (1, True)
    write_index(workspace, "handbook", {"museum.md": MUSEUM})
    with pytest.raises(UserError, match="there is no run 'none'"):
        start_draft(workspace, "handbook", "new", hybrid="base+lora:none")
    with pytest.raises(UserError, match="cannot name a dataset"):
        start_draft(workspace, "handbook", "new/old")
    with pytest.raises(UserError, match="there is no dataset 'nothing'"):
        start_sample(workspace, "nothing")
    with pytest.raises(UserError, match="at temperature 0 both answers are the same"):
        start_sample(workspace, "nothing", temperature=0)
    assert not list(workspace.jobs.glob("*"))
