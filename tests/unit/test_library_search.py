"""What a search makes of its rankings: filters, closeness, collapsed and joined passages, the fit, retrieval tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from sample_library import FakeEmbedder, build_with

from workbench.errors import Faults, UserError
from workbench.library import calibration, commands
from workbench.library.calibration import Calibration
from workbench.library.evaluate import evaluate
from workbench.library.filters import Filter, make, parse
from workbench.library.fusion import Closeness
from workbench.library.index import Index
from workbench.library.ranking import Options, best_fit
from workbench.library.retrieval_tests import RetrievalTest, add_tests, document_texts, list_tests, read_tests, to_json
from workbench.library.search import Hit
from workbench.workspace import Workspace

RULE = "Every guest shows the blue ticket at the gate before the boat leaves, and keeps it until the end of the day."
FILLER = [f"Topic {letter * 5} is about {letter * 6} and {letter * 7} only." for letter in "bcdfghjklm"]


def find(index: Index, question: str, k: int = 4, **options: object) -> list[Hit]:
    vector = FakeEmbedder().encode([question], query=True)[0]
    return index.search(question, vector, k, Options(**options))  # pyright: ignore[reportArgumentType]


def indexed(folder: Path, documents: dict[str, str]) -> Path:
    source = folder / "docs"
    for name, text in documents.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    build_with(folder / "i", [source], FakeEmbedder())
    return folder / "i"


def test_a_filter_is_typed_and_decides_what_is_looked_in(tmp_path: Path) -> None:
    typed = 'in:a/ type:.MD  where is the "lamp"  since:2026-01-02 in:"b c/x.txt"'
    question, filter = parse(typed)
    assert question == 'where is the "lamp"'
    assert filter == Filter(("a/", "b c/x.txt"), ("md",), since=date(2026, 1, 2))
    assert parse(f"{filter} q") == ("q", filter)
    assert parse("built-in: yes  within:x") == ("built-in: yes  within:x", Filter())
    with pytest.raises(UserError, match="is not a day"):
        make(until="1.2.2026")

    folder = indexed(tmp_path, {"a/lamp.md": "A lamp.", "a/b/lamp.txt": "Two lamps.", "ab/lamp.md": "Three lamps."})
    index = Index(folder)
    for wanted, found in (
        (Filter(("a/",)), {"a/lamp.md", "a/b/lamp.txt"}),
        (Filter((".",)), {"a/lamp.md", "a/b/lamp.txt", "ab/lamp.md"}),
        (Filter(("lamp.md",)), {"a/lamp.md", "ab/lamp.md"}),
        (Filter(("*/b/*",)), {"a/b/lamp.txt"}),
        (Filter(("a",), ("md",)), {"a/lamp.md"}),
        (Filter(until=date(2001, 1, 1)), set()),
        (Filter(since=date(2001, 1, 1)), {"a/lamp.md", "a/b/lamp.txt", "ab/lamp.md"}),
    ):
        for mode in ("fused", "dense", "lexical"):
            assert {hit.document for hit in find(index, "lamp", mode=mode, filter=wanted)} == found, (wanted, mode)


def test_a_filter_takes_any_time_that_a_file_can_have() -> None:
    day = date(2026, 1, 2)
    noon = datetime(2026, 1, 2, 12).timestamp()
    for modified, before, on, after in ((1e20, False, False, True), (-1e20, True, False, False), (noon,) + (True,) * 3):
        assert Filter(types=("md",)).holds("a.md", modified)
        assert Filter(since=day, until=day).holds("a.md", modified) == on
        assert Filter(since=day).holds("a.md", modified) == (after or on)
        assert Filter(until=day).holds("a.md", modified) == (before or on)
        assert Filter(since=date.min, until=date.max).holds("a.md", modified)
    assert not Filter(until=day).holds("a.md", noon + 86_400)
    assert not Filter(since=day).holds("a.md", noon - 86_400)


def test_closeness_counts_rare_words_within_a_window_and_neighbours() -> None:
    close = Closeness(["blue", "ticket", "gate"], {"blue": 1.0, "ticket": 2.0, "gate": 1.0}, frozenset({"the"}))
    far = ["ticket", *["x"] * 19, "blue", "the", "gate"]
    assert close.window(far) == 0.5
    assert close.window(["ticket", *["x"] * 17, "blue", "gate"]) == 1.0
    assert close.pairs(["blue", "the", "ticket"]) == 0.5
    assert (close.window([]), close.pairs(["gate", "ticket"])) == (0.0, 0.0)


def test_near_identical_passages_are_one_unless_a_number_differs(tmp_path: Path) -> None:
    folder = indexed(
        tmp_path,
        {
            "a.md": RULE,
            "copy.md": f"# Copy\n\n{RULE.replace('Every', 'Each')}",
            "price.md": RULE + " It costs 4 crowns.",
            "price2.md": RULE + " It costs 5 crowns.",
            **{f"{number}.md": text for number, text in enumerate(FILLER)},
        },
    )
    hits = find(Index(folder), "Where is the blue ticket shown?", 6)
    tickets = [hit for hit in hits if "blue ticket" in hit.text]
    assert len(tickets) == 3
    (collapsed,) = [hit for hit in tickets if hit.same]
    assert {collapsed.document, collapsed.same[0].split(" · ")[0]} == {"a.md", "copy.md"}
    assert not any(hit.same for hit in find(Index(folder), "blue ticket", 6, chunks_only=True))


def test_neighbours_that_both_match_are_one_exact_passage(tmp_path: Path) -> None:
    first = "The lighthouse keeper climbs the tower at dusk. " + "He counts every step aloud. " * 28
    second = "The lighthouse keeper lights the lamp at dusk. " + "The flame must not smoke. " * 28
    text = f"# Tower\n\n{first.strip()}\n\n{second.strip()}\n\n## Other\n\nThe keeper sleeps at dusk.\n"
    folder = indexed(tmp_path, {"tower.md": text, **{f"{n}.md": each for n, each in enumerate(FILLER)}})
    whole = find(Index(folder), "lighthouse keeper dusk", 4)
    joined = next(hit for hit in whole if hit.chunks)
    assert joined.text == text[joined.start : joined.end] == f"{first.strip()}\n\n{second.strip()}"
    assert (joined.start_line, joined.end_line, len(joined.chunks)) == (3, 5, 2)
    assert [hit.text for hit in whole[:2]] == [hit.text for hit in find(Index(folder), "lighthouse keeper dusk", 2)]
    assert any(hit.heading == "Tower > Other" for hit in whole)  # under another heading: not joined


def test_the_fit_is_a_probability_where_the_embedding_model_was_calibrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = indexed(tmp_path, {"a.md": RULE, **{f"{n}.md": text for n, text in enumerate(FILLER)}})
    assert best_fit(find(Index(folder), "Who shows the blue ticket?")) is None
    monkeypatch.setitem(calibration._BY_FINGERPRINT, "fake", Calibration(-4.0, 2.0, 6.0))
    told = best_fit(find(Index(folder), "Who shows the blue ticket at the gate?"))
    foreign = best_fit(find(Index(folder), "How deep is quantum gravity?"))
    assert told is not None
    assert foreign is not None
    assert foreign < 0.3 < told <= 1


def test_a_reranker_orders_the_best_anew(tmp_path: Path) -> None:
    folder = indexed(tmp_path, {"a.md": "A lamp.", "b.md": "A lamp and another lamp.", "c.md": "No light."})
    seen: list[str] = []

    def shortest(question: str, texts: list[str]) -> list[float]:
        seen.append(question)
        return [-float(len(text)) for text in texts]

    hits = find(Index(folder), "another lamp", rerank=shortest)
    assert [hit.text for hit in hits] == ["A lamp.", "No light.", "A lamp and another lamp."]
    assert [hit.rerank for hit in hits] == [-7.0, -9.0, -24.0]
    assert seen == ["another lamp"]


def test_retrieval_tests_survive_new_text_and_a_new_build(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    for number, text in enumerate([*FILLER, RULE]):
        (source / f"{number}.md").write_text(text)
    folder = workspace.index("i")
    build_with(folder, [source], FakeEmbedder())
    hit = find(Index(folder), "blue ticket gate")[0]
    right = RetrievalTest("Who shows the blue ticket at the gate?", hit.document, hit.text, hit.start)
    gone = RetrievalTest("What is topic bbbbb?", "0.md", FILLER[0], 0)
    assert add_tests(workspace, "i", [right, gone, right]) == 2

    (source / "10.md").write_text(f"# New\n\nAn introduction.\n\n{RULE}\n\nAn end.\n")
    (source / "0.md").write_text("Rewritten.")
    build_with(folder, None, FakeEmbedder())
    tests = list_tests(workspace, "i")
    assert [test.question for test in tests] == [right.question, gone.question]
    index = Index(folder)

    text_of = document_texts(workspace, "i")
    measured = evaluate(
        tests, text_of, lambda question, kind: find(index, question, 10, mode=kind), ("dense", "lexical", "fused")
    )
    assert (measured.questions, [test.question for test in measured.stale]) == (1, [gone.question])
    assert measured.figures["fused"]["hit@1"].mean == 1.0

    exported = tmp_path / "tests.jsonl"
    rows = [{**to_json(right), "context": "unused"}, {"question": "?", "answerable": False}]
    exported.write_text("\n".join(json.dumps(row) for row in rows))
    (again,) = read_tests(exported, text_of)
    assert again == right
    exported.write_text('{"question": "q", "document": "no.md", "quote": "x"}\n[]\n' + json.dumps(to_json(gone)))
    with pytest.raises(Faults) as faults:
        read_tests(exported, text_of)
    assert [line.split(":")[0] for line in faults.value.faults] == ["line 1", "line 2", "line 3"]


def test_the_measures_are_those_of_the_field() -> None:
    def search(question: str, kind: str) -> list[Hit]:
        texts = ["x"] * 10
        texts[int(question)] = "right"
        return [Hit(n, text, "d", "", "", n * 10, n * 10 + 5, None, None, None, 0, None, None, None)
                for n, text in enumerate(texts)]  # fmt: skip

    asked = [RetrievalTest(str(rank), "d", "right", rank * 10) for rank in (0, 1, 4, 7)]
    text = "".join(f"{'right' if at // 10 in (0, 1, 4, 7) else 'wrong'}....." for at in range(0, 100, 10))
    measured = evaluate(asked, lambda _: text, search, ["fused"])
    figures = {name: figure.mean for name, figure in measured.figures["fused"].items()}
    expected = [0.25, 0.75, 1.0, np.mean([1, 1 / 2, 1 / 5, 1 / 8]), np.mean(1 / np.log2(np.array([2, 3, 6, 9])))]
    assert list(figures.values()) == pytest.approx(expected)
    hit1 = measured.figures["fused"]["hit@1"]
    assert hit1.low == 0.0
    assert 0.5 < hit1.high <= 1.0


def test_many_questions_are_reranked_as_the_settings_say(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LateFirst:
        def scores(self, question: str, texts: Sequence[str]) -> list[float]:
            return [float(text.count("late")) for text in texts]

    (tmp_path / "docs").mkdir()
    for name, text in {"a.md": "The ferry leaves at noon.", "b.md": "The ferry, late, late, late today."}.items():
        (tmp_path / "docs" / name).write_text(text)
    build_with(workspace.index("i"), [tmp_path / "docs"], FakeEmbedder())
    monkeypatch.setattr("workbench.library.index.embedder_of", lambda _: FakeEmbedder())
    monkeypatch.setattr("workbench.models.rerank.load", lambda name: {"late-first": LateFirst()}[name])

    def first(mode: str) -> str:
        ((_, hits),) = commands._search_here(workspace, "i", ["ferry leaves at noon"], 5, mode, Filter())
        return hits[0].document

    assert first("fused") == "a.md"
    (workspace.configs / "settings.yaml").write_text("retrieval:\n  reranker: late-first\n")
    assert first("fused") == "b.md"
    assert first("lexical") == "a.md"
