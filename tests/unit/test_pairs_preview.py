"""Looking into a file before it is imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.errors import UserError
from workbench.pairs.importing import import_file, preview
from workbench.pairs.pair import NewPair
from workbench.pairs.readers import Fault
from workbench.pairs.store import PairStore


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [
        {"prompt": "a?", "completion": "b", "source": "s.md"},
        {"prompt": "c?"},
        {"prompt": "d?", "completion": "e"},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_the_first_rows_are_read_as_an_import_reads_them(file: Path) -> None:
    seen = preview(file, limit=2)
    assert seen.columns == ["prompt", "completion", "source"]
    assert seen.detection is not None
    assert seen.detection.form == "prompt/completion"
    first, second = seen.rows
    assert isinstance(first, NewPair)
    assert (first.completion, first.source) == ("b", "s.md")
    assert second == Fault(2, "has no completion")


def test_columns_that_fit_no_form_are_listed(file: Path) -> None:
    file.write_text(json.dumps({"frage": "a?", "antwort": "b"}))
    seen = preview(file)
    assert (seen.columns, seen.detection, seen.rows) == (["frage", "antwort"], None, [])
    assert "fit no form" in seen.problem
    mapped = preview(file, {"prompt": "frage", "completion": "antwort"})
    assert isinstance(mapped.rows[0], NewPair)


def test_an_empty_name_leaves_a_column_out(file: Path, tmp_path: Path) -> None:
    row = preview(file, {"source": ""}).rows[0]
    assert isinstance(row, NewPair)
    assert row.source == "pairs.jsonl:1"
    with PairStore(tmp_path / "workbench.sqlite") as store:
        import_file(store, file, "d", columns={"prompt": "prompt", "completion": "completion", "source": ""})
        assert [pair.source for pair in store.pairs("d")] == ["pairs.jsonl:1", "pairs.jsonl:3"]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        preview(tmp_path / "absent.jsonl")
    (tmp_path / "bad.jsonl").write_text("nothing\nof the kind\n")
    with pytest.raises(UserError, match="none of the first rows"):
        preview(tmp_path / "bad.jsonl")
