"""What the reading panes rest on: wrapping, finding a question's words, finding a passage again."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len

from screens.passages import FoundPassage
from screens.query_words import snippet, word_spans
from screens.times import ago
from screens.wrapping import row_at, wrap


@pytest.mark.parametrize("seed", range(20))
def test_rows_hold_all_of_a_text_and_fit(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choice("ab cd\n\u6f22\u5b57 .-") for _ in range(400)) + "x" * chance.randint(0, 90)
    width = chance.randint(2, 30)
    rows = wrap(text, width)
    assert all(cell_len(text[row.start : row.end]) <= width for row in rows)
    kept = "".join(text[row.start : row.end] for row in rows)
    assert "".join(kept.split()) == "".join(text.split()), "only white space is left out"
    assert [row.line for row in rows if row.line] == list(range(1, text.count("\n") + 2))
    for row in rows:
        if row.end > row.start:
            assert rows[row_at(rows, row.start)] == row


def test_rows_are_cut_between_words() -> None:
    assert [("hello world foo"[row.start : row.end]) for row in wrap("hello world foo", 11)] == ["hello world", "foo"]
    assert len(wrap("word " * 400_000, 80)) == 25_000


def found(text: str, question: str) -> list[str]:
    return [text[start:end] for start, end in word_spans(text, question)]


def test_words_of_a_question_are_found_in_other_forms_and_common_ones_are_not() -> None:
    text = "The museum OPENS at ten; opening it, Museums' caf\u00e9 is open. Reopened?"
    assert found(text, "When does the museum open?") == ["museum", "OPENS", "opening", "Museums", "open"]
    assert found("Das Caf\u00e9", "cafe") == ["Caf\u00e9"]
    assert found("to be or not", "to be") == ["to", "be"], "a question of nothing but common words"
    assert found("anything", "") == []
    assert found("[/red] red", "[/red]") == ["red", "red"]


def test_the_snippet_holds_most_of_the_words_and_begins_with_one() -> None:
    text = "nothing here " * 30 + "the museum opens in summer and the museum closes" + " nothing there" * 30
    spans = word_spans(text, "museum summer")
    start, end = snippet(text, spans, 80)
    assert end - start <= 80
    assert text[start:end].count("museum") == 2
    assert text[start - 1] == " "
    assert snippet("short", [], 80) == (0, 5)
    assert snippet(text, [], 80)[0] == 0


def test_a_passage_is_found_again_where_it_was_or_nearest_to_it() -> None:
    text = "one\ntwo same\nthree\nfour same\n"
    assert FoundPassage("d", "", "same", start=8, line=2).span_in(text) == (8, 12)
    assert FoundPassage("d", "", "same", line=4).span_in(text) == (24, 28)
    assert FoundPassage("d", "", "same", start=23, line=4).span_in(text) == (24, 28), "the text before it grew"
    assert FoundPassage("d", "", "gone", start=8, line=2).span_in(text) is None
    assert FoundPassage("d", "", "same", line=99).span_in(text) == (24, 28)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "just now"), (300, "5 min ago"), (7300, "2 h ago"), (90_000, "1 day ago"), (400_000, "5 days ago")],
)
def test_ago(seconds: float, words: str) -> None:
    assert ago(1_000_000_000, now=1_000_000_000 + seconds) == words
    assert ago(None) == ""
