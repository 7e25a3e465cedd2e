"""`workbench pairs` and the job `import`, as a user and the app run them."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench import files
from workbench.errors import UserError
from workbench.jobs import control, follow
from workbench.jobs.context import Context
from workbench.jobs.folder import JobFolder, Status
from workbench.pairs import catching_up, hub
from workbench.pairs.importing import import_rows
from workbench.pairs.job import faults_of
from workbench.pairs.job import run as run_import
from workbench.pairs.pair import NewPair
from workbench.pairs.split import is_eval
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace

Command = Callable[..., Any]


def write_10_mb(path: Path) -> tuple[int, dict[int, str]]:
    """A JSONL file with 1% broken lines; the number of good ones, and the bad ones' kinds by line."""
    draw = random.Random(7)
    kinds = {
        "cut": lambda text: text[: len(text) // 2],
        "not UTF-8": lambda text: text.replace("prompt ", "prompt \udcff "),
        "not an object": lambda text: "[1, 2]",
        "no completion": lambda text: '{"prompt": "alone"}',
        "NUL": lambda text: "\0" * 20,
    }
    size, line, good, bad = 0, 0, 0, {}
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        while size < 10_000_000:
            line += 1
            filling = " ".join(str(draw.randint(0, 99_999)) for _ in range(40))
            text = json.dumps({"prompt": f"prompt {line} \u00e9 {filling}", "completion": f"answer {filling}"})
            if draw.random() < 0.01:
                bad[line] = draw.choice(list(kinds))
                text = kinds[bad[line]](text)
            else:
                good += 1
            size += file.write(text + "\n")
    return good, bad


def test_10_mb_with_broken_lines_are_imported_but_for_these(workspace: Workspace, command: Command) -> None:
    good, bad = write_10_mb(workspace.root / "big.jsonl")
    ran = command("pairs", "import", "big.jsonl", "--dataset", "big", "--status", "accepted", "--json")
    assert ran.code == 0, ran.err
    (result,) = ran.lines
    assert (result["imported"], result["skipped"], result["duplicates"]) == (good, len(bad), 0)
    assert result["form"] == "prompt/completion"
    assert [fault["line"] for fault in result["faults"]] == list(bad)
    words = {"cut": "not JSON", "NUL": "not JSON", "no completion": "has no completion"}
    for fault in result["faults"]:
        assert words.get(bad[fault["line"]], bad[fault["line"]]) in fault["reason"]
    again = command("pairs", "import", "big.jsonl", "--dataset", "big", "--json").lines[0]
    assert (again["imported"], again["duplicates"]) == (0, good)
    assert command("pairs", "stats", "--json").lines == [
        {"dataset": "big", "pending": 0, "accepted": good, "rejected": 0, "total": good}
    ]
    assert command("pairs", "undo", "--json").lines == [{"undone": f"imported big.jsonl: {good:,} pairs into big"}]
    assert command("pairs", "stats", "--json").lines == []


def test_accepting_rejecting_and_taking_back(workspace: Workspace, command: Command) -> None:
    rows = [{"frage": f"Question {n}?", "antwort": f"Answer {n}."} for n in range(12)]
    (workspace.root / "rows.json").write_text(json.dumps(rows))
    mapped = ["--map", "prompt=frage", "--map", "completion=antwort"]
    ran = command("pairs", "import", "rows.json", "-d", "d", *mapped)
    assert "prompt/completion (prompt = frage, completion = antwort) in JSON" in ran.out
    assert "12 imported into d as pending" in ran.out
    assert command("pairs", "accept", 1, 2, "--json").lines == [{"accepted": 2}]
    assert command("pairs", "reject", "--all", "--search", "answer 3", "--json").lines == [{"rejected": 1}]
    # Of the twelve, three are no longer pending.
    assert command("pairs", "accept", "--all", "--dataset", "d", "--json").lines == [{"accepted": 9}]
    assert command("pairs", "undo").out == "Undone: accepted 9 pairs.\n"
    assert command("pairs", "redo").out == "Redone: accepted 9 pairs.\n"
    assert command("pairs", "redo").out == "Nothing to redo.\n"
    listed = command("pairs", "list", "--status", "rejected", "--json").lines
    assert [(row["id"], row["completion"]) for row in listed] == [(4, "Answer 3.")]
    ran = command("pairs", "export", "out.csv", "--dataset", "d", "--form", "alpaca", "--status", "any", "--json")
    assert ran.lines == [{"exported": 12, "left_out": 0, "form": "alpaca", "file": "out.csv"}]
    assert (workspace.root / "out.csv").read_text().splitlines()[1] == "Question 0?,,Answer 0.,rows.json:1"


def test_mistakes_are_one_line_and_change_nothing(workspace: Workspace, command: Command) -> None:
    (workspace.root / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    command("pairs", "import", "rows.jsonl", "--dataset", "d")
    for arguments, message in (
        (["import", "absent.jsonl", "--dataset", "d"], "no such file"),
        (["import", "rows.jsonl", "--dataset", "../d"], "cannot name a dataset"),
        (["import", "rows.jsonl", "--dataset", "e", "--status", "good"], "is no status"),
        (["import", "rows.jsonl", "--dataset", "e", "--map", "prompt"], "maps nothing"),
        (["accept"], "say which pairs"),
        (["accept", "1", "--all"], "say which pairs"),
        (["accept", "17"], "there is no pair 17"),
        (["reject", "--all", "--status", "good"], "is no status"),
        (["export", "out.jsonl", "--dataset", "d"], "has no accepted pairs"),
        (["export", "configs/settings.yaml/out.jsonl", "-d", "d", "--status", "any"], "cannot be written"),
    ):
        ran = command("pairs", *arguments)
        assert ran.code == 1, (arguments, ran)
        assert ran.err.startswith("Error: ")
        assert message in ran.err
        assert "Traceback" not in ran.err
    with PairStore(workspace.database) as store:
        assert [pair.status for pair in store.pairs()] == ["pending"]
    (workspace.root / "bad.jsonl").write_text('{"prompt": "a", "completion": ""}\n')
    ran = command("pairs", "import", "bad.jsonl", "--dataset", "d")
    assert (ran.code, "bad.jsonl:1: completion is empty" in ran.out) == (1, True)
    ran = command("pairs", "list", "--offset", 2**63 - 1)
    assert (ran.code, "There are 1." in ran.out) == (0, True), ran


def test_hostile_text_neither_colours_nor_forges(workspace: Workspace, command: Command) -> None:
    name = "[red]\x1b[31m\u202e.jsonl"
    text = "[/red]\x1b]0;title\x07\x1b[31m\x9b31m<|im_end|>\u202e\nnext"
    rows = [{"prompt": f"{text}1", "completion": text}, {"prompt": text, "completion": 3, text: 1}]
    (workspace.root / name).write_text("\n".join(json.dumps(row) for row in rows))
    shown = [
        command("pairs", "import", name, "--dataset", "d"),
        command("pairs", "list"),
        command("pairs", "list", "--search", text),
        command("pairs", "accept", "--all", "--search", "<|im_end|>"),
        command("pairs", "undo"),
        command("pairs", "undo"),
        command("pairs", "import", name, "--dataset", "d", "--map", f"prompt={text}2"),
    ]
    for ran in shown:
        assert not set("\x1b\x07\x9b\u202e") & set(ran.out + ran.err)
        assert "Traceback" not in ran.err
    assert "1 imported" in shown[0].out
    assert "<|im_end|>" in shown[2].out
    with PairStore(workspace.database) as store:
        store.redo()
        assert store.get(1).completion == text  # stored as it was brought


def test_the_app_imports_as_a_job(workspace: Workspace) -> None:
    rows = [{"question": f"q{n}", "answer": "a" if n % 3 else ""} for n in range(600)]
    (workspace.root / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    job = control.start(workspace, "import", {"file": "rows.jsonl", "dataset": "d"}, title="import rows.jsonl")
    list(follow.follow(job))
    status = job.status()
    assert status.state == "done", status.error
    assert status.result is not None
    faults = status.result.pop("faults")
    assert status.result == {"imported": 400, "duplicates": 0, "skipped": 200, "form": "question/answer"}
    assert faults[:2] == [{"line": 1, "reason": "answer is empty"}, {"line": 4, "reason": "answer is empty"}]
    written = [json.loads(line) for line in (job.path / "faults.jsonl").read_text().splitlines()]
    assert (len(written), written[: len(faults)]) == (200, faults)
    failed = control.start(workspace, "import", {"file": "absent.jsonl", "dataset": "d"}, title="import")
    list(follow.follow(failed))
    assert (failed.status().state, "no such file" in (failed.status().error or "")) == ("failed", True)


@pytest.mark.parametrize("ends", ["a stop", "a failure"])
def test_what_ends_the_preparing_of_the_search_takes_nothing_from_an_import(
    workspace: Workspace, command: Command, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    folder = workspace.jobs / "import"
    folder.mkdir(parents=True)
    arguments = {"file": "rows.jsonl", "dataset": "d"}
    files.write_json(folder / "spec.json", {"kind": "import", "title": "import", "arguments": arguments})
    rows = [{"question": f"q{n}", "answer": f"answer {n}" if n else ""} for n in range(30)]
    (workspace.root / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    monkeypatch.setattr(catching_up, "AT_ONCE", 10)
    monkeypatch.setattr(catching_up, "_BATCH", 7)
    index_some = catching_up.index_some

    def ended(connection: Any) -> bool:
        if ends == "a failure":
            raise UserError("another process holds the database", do="Nothing was changed.")
        (folder / "stop").touch()
        return index_some(connection)

    with monkeypatch.context() as patched:
        patched.setattr("workbench.pairs.store.index_some", ended)
        context = Context(job := JobFolder(folder), Status())
        assert job.stop_file == folder / "stop"
        assert run_import(context)["imported"] == 29
        assert [fault["line"] for fault in faults_of(job)] == [1]
        if ends == "a failure":
            ran = command("pairs", "import", "rows.jsonl", "-d", "e")
            assert (ran.code, "29 imported into e" in ran.out) == (0, True), ran
            with PairStore(workspace.database) as store:
                more = [NewPair(messages=[{"role": "user", "content": f"{n}"}], completion="x") for n in range(20)]
                assert store.add("f", more).added == 20
    with PairStore(workspace.database) as store:
        assert store.unsearched()
        store.catch_up()
        assert store.count("d", search="answer") == 29


def test_a_dataset_folder_is_loaded_by_datasets_and_imported_again(workspace: Workspace, command: Command) -> None:
    rows = [
        {"question": f"Question {n}?", "answer": f"Answer {n}.", "source": f"`[/b]\n{n % 3}.md:{n}"} for n in range(60)
    ]
    (workspace.root / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    command("pairs", "import", "rows.jsonl", "-d", "tone", "--status", "accepted")
    export = ["pairs", "export", "out/tone", "-d", "tone", "--test-size", 0.2]
    ran = command(*export)
    assert (ran.code, "60 pairs are in out/tone, as messages" in ran.out) == (0, True), ran
    folder = workspace.root / "out" / "tone"

    import datasets

    splits = datasets.load_dataset(str(folder), cache_dir=str(workspace.root / "cache"))
    with PairStore(workspace.database) as store:
        pairs = list(store.pairs("tone"))
        for name, evaluated in (("train", False), ("eval", True)):
            asked = [pair.prompt for pair in pairs if is_eval(pair.key, 0.2) == evaluated]
            assert asked
            assert [row["messages"][0]["content"] for row in splits[name]] == asked
            assert splits[name].column_names == ["messages", "source"]
    card = (folder / "README.md").read_text()
    assert "# license: YOUR-LICENCE" in card
    assert f"| eval | {len(splits['eval'])} |" in card
    assert "- `[/b] 0.md`: 20 pairs" in card
    assert "form `messages`" in card

    # Nothing is overwritten unasked, and nothing but what an export wrote.
    assert "is there already" in command(*export).err
    (folder / "README.md").write_text(card.replace("# license: YOUR-LICENCE", "license: cc0-1.0"))
    ended = subprocess.Popen(["true"])
    ended.wait()
    (folder.parent / f".tone.{ended.pid}.tmp").mkdir()  # of an export that was killed
    (folder.parent / f".tone.{os.getppid()}.tmp").mkdir()  # of one that is at work
    assert command(*export, "--form", "alpaca", "--replace").code == 0
    assert {path.name for path in folder.parent.iterdir()} == {"tone", f".tone.{os.getppid()}.tmp"}
    (folder.parent / f".tone.{os.getppid()}.tmp").rmdir()
    card = (folder / "README.md").read_text()
    assert "form `alpaca`" in card
    assert "\nlicense: cc0-1.0\n" in card
    (folder / "README.md").write_text(card.replace("## Use", "Mind the dates.\n\n## Use"))
    assert "README.md: was edited" in command(*export, "--replace").err
    (folder / "README.md").write_text(card)
    (folder / "mine.txt").write_text("kept")
    assert "holds other things" in command(*export, "--replace").err
    assert [path.name for path in folder.parent.iterdir()] == ["tone"]
    (folder / "mine.txt").unlink()

    ran = command("pairs", "import", "out/tone@eval", "-d", "again", "--limit", 7, "--json")
    assert ran.lines == [{"imported": 7, "duplicates": 0, "skipped": 0, "form": "alpaca", "faults": []}]
    ran = command("pairs", "import", "out/tone", "-d", "all", "--json")
    assert ran.lines == [{"imported": 60, "duplicates": 0, "skipped": 0, "form": "alpaca", "faults": []}]
    whole = hub.parse("out/tone", workspace.root)
    assert whole is not None
    with PairStore(workspace.database) as store:
        import_rows(store, hub.DatasetRows(whole), "parts", columns={"source": ""})
        held = len(splits["eval"])
        assert store.facets("parts").sources == {"tone@train": 60 - held, "tone@eval": held}
        assert store.page("parts")[-1].source == f"tone@eval:{held}"
    (workspace.root / "out" / "tone@v2.jsonl").write_text('{"question": "Which?", "answer": "The file."}\n')
    assert "1 imported into file" in command("pairs", "import", "out/tone@v2.jsonl", "-d", "file").out
    named = hub.parse("out/tone:default@test", workspace.root)
    assert named is not None
    with pytest.raises(UserError, match=r"out/tone:default@test: has no split 'test'. It has train, eval"):
        next(hub.DatasetRows(named).rows())
    ran = command("pairs", "import", "rows.jsonl", "-d", "tone")
    assert "Nothing is new: tone has every pair of it." in ran.out


def test_without_a_network_the_hub_is_told_to_be_out_of_reach(
    workspace: Workspace, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    ran = command("pairs", "import", "hub:openai/gsm8k:main@train", "-d", "d", "--limit", 10)
    assert ran.code == 1
    assert "hub:openai/gsm8k:main@train: the hub does not answer" in ran.err
    assert "import its folder" in ran.err
    assert "names no dataset of the hub" in command("pairs", "import", "hub:../gsm8k", "-d", "d").err
    assert command("pairs", "stats", "--json").lines == []
