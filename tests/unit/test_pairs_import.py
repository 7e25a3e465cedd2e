"""Importing pairs: the forms users have, bad rows by file, line and reason, and files that mean harm."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.errors import UserError
from workbench.pairs import importing, prepared, readers
from workbench.pairs.importing import ImportResult, detect, import_file
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace


def bring(workspace: Workspace, name: str, content: str | bytes, **more: Any) -> tuple[ImportResult, list[Any]]:
    """Write a file, import it, and return the result and the pairs of the store."""
    path = workspace.root / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with PairStore(workspace.database) as store:
        result = import_file(store, path, "d", **more)
        return result, list(store.pairs("d"))


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


USER = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
FORMS = [
    ("prompt/completion", {"prompt": "Hi", "completion": "Ho"}, [USER], "Ho"),
    ("prompt/completion", {"prompt": "Hi", "completion": "Ho", "system": "Be brief."}, [SYSTEM, USER], "Ho"),
    ("prompt/completion", {"Input": "Hi", "OUTPUT": "Ho"}, [USER], "Ho"),
    ("prompt/completion", {"prompt": [SYSTEM, USER], "completion": [{"role": "assistant", "content": "Ho"}]},
     [SYSTEM, USER], "Ho"),
    ("alpaca", {"instruction": "Add.", "input": "1 2", "output": "3"},
     [{"role": "user", "content": "Add.\n\n1 2"}], "3"),
    ("alpaca", {"instruction": "Hi", "input": "", "output": "Ho"}, [USER], "Ho"),
    ("alpaca", {"instruction": "Hi", "context": "", "response": "Ho", "category": "qa"}, [USER], "Ho"),
    ("question/answer", {"question": "Hi", "answer": "Ho"}, [USER], "Ho"),
    ("messages", {"prompt": "Hi", "messages": [SYSTEM, USER, {"role": "assistant", "content": "Ho"}]},
     [SYSTEM, USER], "Ho"),
    ("messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                               {"role": "assistant", "content": "Ho"}, {"role": "user", "content": "Thanks"}]},
     [USER], "Ho"),
    ("messages", {"messages": [USER, {"role": "assistant", "content": "one"}, {"role": "user", "content": "And?"},
                               {"role": "assistant", "content": "two"}]},
     [USER, {"role": "assistant", "content": "one"}, {"role": "user", "content": "And?"}], "two"),
    ("sharegpt", {"id": "x", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}],
                  "system": "Be brief."}, [SYSTEM, USER], "Ho"),
    ("messages", {"conversations": [USER, {"role": "assistant", "content": "Ho"}]}, [USER], "Ho"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "row", "messages", "completion"), FORMS)
def test_forms(workspace: Workspace, form: str, row: dict[str, Any], messages: list[Any], completion: str) -> None:
    result, pairs = bring(workspace, "rows.jsonl", lines(row))
    assert (result.form, result.imported, result.faults) == (form, 1, [])
    assert (pairs[0].messages, pairs[0].completion) == (messages, completion)
    assert (pairs[0].source, pairs[0].status) == ("rows.jsonl:1", "pending")


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Ho", "rejected": "No"},
        {"question": "Hi", "chosen": "Ho", "rejected": "No"},
        {"prompt": [USER], "chosen": [{"role": "assistant", "content": "Ho"}], "rejected": "No"},
        {"chosen": [USER, {"role": "assistant", "content": "Ho"}], "messages": [],
         "rejected": [USER, {"role": "assistant", "content": "No"}]},
    ],
)  # fmt: skip
def test_preferences(workspace: Workspace, row: dict[str, Any]) -> None:
    result, pairs = bring(workspace, "rows.jsonl", lines(row))
    assert (result.form, result.faults) == ("preference", [])
    assert (pairs[0].messages, pairs[0].chosen, pairs[0].rejected, pairs[0].completion) == ([USER], "Ho", "No", None)


def test_bad_rows_are_named_and_the_rest_imported(workspace: Workspace) -> None:
    rows = [
        ('{"prompt": "1", "completion": "ok"}', None),
        ('{"prompt": "2", "completion": "cut of', "not JSON: unterminated string starting at column 31"),
        ("", None),
        ("   \r", None),
        ('{"prompt": "3"}', "has no completion"),
        ('{"prompt": "4", "completion": "  "}', "completion is empty"),
        ('{"prompt": "5", "completion": 5}', "completion is a number, not text"),
        ('{"prompt": "6", "completion": null}', "completion is null, not text"),
        ('["prompt", "completion"]', "not an object with columns"),
        ('{"prompt": "7", "completion": "a\\ud83d"}', "completion has half a surrogate pair (\\ud83d) at character 2"),
        ('{"prompt": "8\\u0000", "completion": "x"}', "prompt has a NUL character at character 2"),
        ('{"prompt": "9", "completion": "a\0b"}', "not JSON: invalid control character at column 33"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ('{"prompt": "10", "completion": ' + "9" * 5000 + "}", "not JSON: a number of too many digits"),
        (b'{"prompt": "11", "completion": "caf\xe9"}', "not UTF-8: byte 0xe9 at character 36"),
        ('{"prompt": "12", "completion": "' + "x" * 1_000_001 + '"}', "completion is longer than 1,000,000 characters"),
        ('{"prompt": "1 ", "completion": "ok"}\r', None),  # a duplicate
        ('{"prompt": "13", "completion": "\u2028ok\u0085", "source": "own"}', None),
    ]
    content = b"\n".join(row if isinstance(row, bytes) else row.encode() for row, _ in rows)
    result, pairs = bring(workspace, "rows.jsonl", content)
    expected = [(line, reason) for line, (_, reason) in enumerate(rows, 1) if reason]
    assert [(fault.line, fault.reason) for fault in result.faults] == expected
    assert (result.imported, result.duplicates, result.skipped) == (2, 1, len(expected))
    assert [(pair.prompt, pair.completion, pair.source) for pair in pairs] == [
        ("1", "ok", "rows.jsonl:1"),
        ("13", "\u2028ok\u0085", "own"),
    ]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "messages is not a list of turns"),
        ("Hi", "messages is not a list of turns"),
        (["Hi"], "messages has a turn that is not an object"),
        ([USER], "messages has no turn of the assistant"),
        ([{"role": "assistant", "content": "Ho"}], "has no user turn right before its answer"),
        ([USER, {"role": "tool", "content": "42"}, {"role": "assistant", "content": "Ho"}],
         "messages has a turn of role 'tool'; only system, user and assistant can be learned"),
        ([USER, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}],
         "has no user turn right before its answer"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, {"role": "assistant", "content": "Ho"}],
         "messages has a turn with parts that are not text"),
        ([USER, {"role": "assistant", "content": None}], "a turn in messages is null, not text"),
    ],
)  # fmt: skip
def test_bad_turns(workspace: Workspace, messages: Any, reason: str) -> None:
    good = {"messages": [USER, {"role": "assistant", "content": "Ho"}]}
    result, _ = bring(workspace, "rows.jsonl", lines(good, {"messages": messages}))
    assert [(fault.line, fault.reason) for fault in result.faults] == [(2, reason)]


def test_columns_can_be_mapped(workspace: Workspace) -> None:
    content = "frage;antwort;quelle\nWer?;Aune.;Seite 3\n"
    names = {"prompt": "frage", "completion": "antwort", "source": "quelle"}
    result, pairs = bring(workspace, "rows.csv", content, columns=names)
    assert (result.form, pairs[0].prompt, pairs[0].completion) == ("prompt/completion", "Wer?", "Aune.")
    assert pairs[0].source == "Seite 3"
    assert str(detect(workspace.root / "rows.csv", names)) == (
        "prompt/completion (prompt = frage, completion = antwort, source = quelle) in CSV"
    )
    for wrong, message in (
        ({}, "its columns fit no form of pairs: frage, antwort, quelle"),
        ({"prompt": "Frage"}, "there is no column 'Frage'"),
        ({"frage": "prompt"}, "no form has a column 'frage'"),
        ({"prompt": "frage"}, "its columns fit no form"),
    ):
        with pytest.raises(UserError, match=message):
            detect(workspace.root / "rows.csv", wrong)


def test_csv_with_lines_inside_quotes(workspace: Workspace) -> None:
    content = (
        '\ufeffprompt,completion,tags\r\n'
        '"a\nb",one,"x, y"\r\n'
        "\r\n"
        "c\r\n"
        '"d ""quoted"" [/red]",two,\r\n'
        '"e"f,three,\r\n'
        "g\0,four,\r\n"
        "h,five,\r\n"
        '"never closed,six,\r\nlast,seven,\r\n'
    )  # fmt: skip
    result, pairs = bring(workspace, "rows.csv", content)
    assert [(pair.prompt, pair.source, pair.tags) for pair in pairs] == [
        ("a\nb", "rows.csv:2", ("x", "y")),
        ('d "quoted" [/red]', "rows.csv:6", ()),
        ("h", "rows.csv:9", ()),
    ]
    assert [(fault.line, fault.reason) for fault in result.faults] == [
        (5, "has 1 columns, the header has 3"),
        (7, "not CSV: ',' expected after '\"'"),
        (8, "prompt has a NUL character at character 2"),
        (10, "the quote that opens here is never closed: nothing behind it could be read"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_encodings(workspace: Workspace, name: str, encoding: str) -> None:
    text = "Wo liegt Sk\u00e4rholm? \U0001f6a2 \u540d"
    rows = [{"prompt": text, "completion": "ja"}, {"prompt": "2", "completion": "nein"}]
    content = {
        "rows.jsonl": "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
        "rows.json": json.dumps(rows, ensure_ascii=False, indent=1),
        "rows.csv": f"prompt,completion\r\n{text},ja\r\n2,nein",
    }[name]
    result, pairs = bring(workspace, name, content.encode(encoding))
    assert (result.faults, [pair.prompt for pair in pairs]) == ([], [text, "2"])


def test_json_arrays_tell_the_line_of_each_row(workspace: Workspace) -> None:
    content = '[\n {"prompt": "1",\n  "completion": "x"},\n {"prompt": "2"}, 3,\n\n {"prompt": "4", "completion": "y"}]'
    result, pairs = bring(workspace, "rows.json", content)
    assert [pair.source for pair in pairs] == ["rows.json:2", "rows.json:6"]
    assert [(fault.line, fault.reason) for fault in result.faults] == [
        (4, "has no completion"),
        (4, "not an object with columns"),
    ]


def test_a_json_file_of_lines_is_read_as_such(workspace: Workspace) -> None:
    result, _ = bring(workspace, "rows.json", lines({"prompt": "1", "completion": "x"}, {"prompt": "2"}))
    assert (result.imported, result.skipped) == (1, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '[{"prompt": "1", "completion": "x"},\n {"prompt": ', "a.json:2: not JSON: expecting value"),
        ("a.json", '[{"prompt": "1", "completion": "x"}\n {}]', "a.json:2: not JSON: ',' or ']' is missing"),
        ("a.json", '[{"prompt": "1", "completion": "x"}] {}', "something follows the array"),
        ("a.json", '{\n "data": []}', "is not an array of rows"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.jsonl", "", "holds no rows"),
        ("a.jsonl", "\n \n", "holds no rows"),
        ("a.csv", "prompt,completion\n", "holds no rows"),
        ("a.jsonl", "not json\n", "none of the first rows can be read; the first: not JSON"),
        ("a.jsonl", '{"text": "Hi"}\n', "its columns fit no form of pairs: text"),
        ("a.jsonl", '{"prompt": "Hi"}'.encode("utf-16-le"), "is not UTF-8 text"),
        ("a.jsonl", b"\xff\xfe{\0\"\0", "is not UTF-16 throughout|none of the first rows"),
        ("a.jsonl", b"\x1f\x8b\x08\0", r"is packed \(gzip\)"),
        ("a.parquet", "PAR0", "is not a Parquet file"),
        ("a.parquet", b"PAR1" + bytes(100), "cannot be read as Parquet"),
    ],
)  # fmt: skip
def test_files_that_are_refused_leave_nothing(workspace: Workspace, name: str, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        bring(workspace, name, content)
    with PairStore(workspace.database) as store:
        assert store.count() == 0
        assert store.undo() is None


def test_what_is_no_file_is_refused(workspace: Workspace) -> None:
    os.mkfifo(workspace.root / "pipe")
    with pytest.raises(UserError, match="no such file"):
        detect(workspace.root / "absent")
    for name in ("configs", "pipe"):
        with pytest.raises(UserError, match="not a regular file"):
            detect(workspace.root / name)


def test_names_that_are_not_text(workspace: Workspace) -> None:
    result, pairs = bring(workspace, os.fsdecode(b"caf\xe9.jsonl"), lines({"prompt": "1", "completion": "x"}))
    assert (result.imported, pairs[0].source) == (1, "caf\ufffd.jsonl:1")
    with pytest.raises(UserError, match="fit no form of pairs: \ufffd, " + "x" * 40 + ", completion"):
        bring(workspace, "rows.jsonl", lines({"\ud800": 1, "x" * 1000: 2, "completion": "x"}))


def test_parquet(workspace: Workspace) -> None:
    import pyarrow
    import pyarrow.parquet

    path = workspace.root / "rows.parquet"
    rows = [{"question": f"q{n}", "answer": None if n == 200 else f"a{n}", "weight": n} for n in range(300)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    result, pairs = bring(workspace, path.name, path.read_bytes())
    assert (result.form, result.imported) == ("question/answer", 299)
    assert [(fault.line, fault.reason) for fault in result.faults] == [(201, "answer is null, not text")]
    assert pairs[-1].source == "rows.parquet:300"
    broken = bytearray(path.read_bytes())
    broken[10:200] = bytes(190)
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        bring(workspace, "broken.parquet", bytes(broken))


def test_lines_without_end_are_passed_over_in_pieces(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_LINE", 1000)
    good = {"prompt": "1", "completion": "x"}
    content = lines(good) + "{" * 50_000 + "\n" + lines({**good, "prompt": "2"}) + "x" * 5000
    result, _ = bring(workspace, "rows.jsonl", content)
    assert (result.imported, [fault.line for fault in result.faults]) == (2, [2, 4])
    assert result.faults[0].reason == "longer than 1,000 characters"
    with pytest.raises(UserError, match=r"rows\.csv:3: longer than 1,000 characters"):
        bring(workspace, "rows.csv", "prompt,completion\na,b\n" + "c" * 5000)


def test_a_file_of_faults_alone_is_given_up(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "_HOPELESS", 10)
    rows = [{"prompt": "1", "completion": "x"}] * 5 + [{"prompt": "no completion"}] * 100
    with pytest.raises(UserError, match=r"rows\.jsonl:6: more than half of the first 105 rows are bad; .*no comp"):
        bring(workspace, "rows.jsonl", lines(*rows))
    with PairStore(workspace.database) as store:
        assert store.count() == 0


def test_a_stopped_import_leaves_nothing(workspace: Workspace) -> None:
    path = workspace.root / "rows.jsonl"
    path.write_text(lines(*({"prompt": str(n), "completion": "x"} for n in range(5000))))
    calls = []

    def stop_at_the_third_look() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise InterruptedError

    with PairStore(workspace.database) as store:
        with pytest.raises(InterruptedError):
            import_file(store, path, "d", check_stop=stop_at_the_third_look)
        assert store.count() == 0
        seen: list[tuple[float, float, str]] = []
        import_file(store, path, "d", status="accepted", progress=lambda *figures: seen.append(figures))
        assert store.count(status="accepted") == 5000
        assert seen[-1] == (path.stat().st_size, path.stat().st_size, "bytes")
        assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)
        assert store.undo() == "imported rows.jsonl: 5,000 pairs into d"


def test_the_sample_that_ships_is_imported_whole(workspace: Workspace) -> None:
    sample = Path(__file__).parents[2] / "datasets" / "handbook" / "pairs.jsonl"
    with PairStore(workspace.database) as store:
        result = import_file(store, sample, "handbook", status="accepted")
        assert result.faults == []
        assert result.duplicates == 0
        assert {pair.source for pair in store.page(limit=3)} == {json.loads(sample.open().readline())["source"]}


KEYS = [
    ("plain", "Wie hoch ist der Mast?", "24 Meter."),
    ("escapes", 'a "quoted" \\ \t \x01 \x7f \u2028 </script>', "tab\there"),
    ("to normalise", " cafe\u0301 \r\n next\rline ", "\ufb01 \U0001f6a2\n"),
    ("to strip", "\u00a0 asked \u2003", "\x1c answered \x85"),
]


@pytest.mark.parametrize(("name", "prompt", "answer"), KEYS)
@pytest.mark.parametrize("form", ["two columns", "a system turn", "chosen"])
def test_the_keys_of_workspaces_that_exist_stay(
    workspace: Workspace, form: str, name: str, prompt: str, answer: str
) -> None:
    """However a row is read: its key is what the first release wrote, and its messages are as `json` writes them."""
    row = {"question": prompt, "answer": answer}
    roles, texts, answers = ["user"], [prompt], [answer, None, None]
    if form == "a system turn":
        row, roles, texts = row | {"system": f"{answer}!"}, ["system", "user"], [f"{answer}!", prompt]
    if form == "chosen":
        row, answers = {"prompt": prompt, "chosen": answer, "rejected": "x"}, [None, answer, "x"]

    def normal(text: str | None) -> str | None:
        return None if text is None else unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()

    prompts = json.dumps([[role, normal(text)] for role, text in zip(roles, texts, strict=True)])
    whole = prompts + json.dumps([normal(text) for text in answers])
    digests = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in (prompts, whole)]
    result, pairs = bring(workspace, "rows.jsonl", lines(row))
    assert (result.faults, pairs[0].key) == ([], "".join(digests))
    with closing(sqlite3.connect(workspace.database)) as database:
        messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
        assert database.execute("SELECT messages FROM pair_contents").fetchone()[0] == json.dumps(
            messages, ensure_ascii=False
        )


def test_a_large_file_is_read_by_a_process_beside(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(psutil.Process().children())
    rows = [{"prompt": f"{n} caf\u00e9", "completion": "x" if n % 1000 else ""} for n in range(3000)]
    content = lines(*rows)
    here = bring(workspace, "rows.jsonl", content)
    (workspace.root / "workbench.sqlite").unlink()
    monkeypatch.setattr(importing, "_LARGE", 1000)
    seen: list[float] = []
    groups = set()

    def progress(done: float, *_: object) -> None:
        seen.append(done)
        groups.update(os.getpgid(child.pid) for child in set(psutil.Process().children()) - before)

    there = bring(workspace, "rows.jsonl", content, progress=progress)
    assert groups
    assert os.getpgrp() not in groups  # ctrl+c does not reach it: there is no traceback of it to see
    assert there == here
    assert (there[0].imported, [fault.line for fault in there[0].faults]) == (2997, [1, 1001, 2001])
    assert seen[-1] == len(content.encode())
    again, _ = bring(workspace, "rows.jsonl", content)
    assert (again.imported, again.duplicates) == (0, 2997)
    with pytest.raises(UserError, match="something follows the array"):  # what the other process refuses
        bring(workspace, "broken.json", json.dumps(rows[1:200], indent=1) + "\n,")
    assert not set(psutil.Process().children()) - before
