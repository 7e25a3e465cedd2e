"""Cutting text: exact spans, nothing lost, nothing too long, places that are right."""

from __future__ import annotations

import random
import re
import time

import pytest

from workbench.library.chunks import HEADING_TOKENS, SourceText, cut

MARKDOWN = """\
---
title: Rules
---
Preface.

# Animals

Intro to animals.

## Dogs

Dogs travel on a lead.
They pay 23 crowns.

- one
- two

```
# not a heading
```

## Cats

Setext
------
Below it.

# Empty
# Last

The end.
"""


def count(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def test_sections_places_and_exact_spans() -> None:
    chunks = cut(SourceText(MARKDOWN, "Rules"), count)
    lines = MARKDOWN.splitlines()
    assert [(chunk.heading, chunk.text.splitlines()[0]) for chunk in chunks] == [
        ("", "Preface."),
        ("Animals", "Intro to animals."),
        ("Animals > Dogs", "Dogs travel on a lead."),
        ("Animals", "## Cats"),
        ("Animals > Setext", "Below it."),
        ("", "# Empty"),
        ("Last", "The end."),
    ]
    for chunk in chunks:
        assert MARKDOWN[chunk.start : chunk.end] == chunk.text
        assert "\n".join(lines[chunk.start_line - 1 : chunk.end_line]) == chunk.text
    assert chunks[2].text.endswith("```")
    assert chunks[2].embedded.startswith("Animals > Dogs\nDogs travel")


def test_short_paragraphs_go_together_and_long_ones_are_cut_at_sentences() -> None:
    short = "\n\n".join(f"Paragraph {number} is short." for number in range(10))
    long = " ".join(f"Sentence number {number} of the long one." for number in range(40))
    chunks = cut(SourceText(f"{short}\n\n{long}\n\n{short}", "t", structure="plain"), count, limit=60)
    assert chunks[0].text == short
    assert all(chunk.text.endswith(".") for chunk in chunks)
    assert max(count(chunk.text) for chunk in chunks) <= 60
    assert chunks[-1].text == short


@pytest.mark.parametrize("seed", range(20))
def test_any_text_is_cut_the_same_twice_and_covers_everything(seed: int) -> None:
    rng = random.Random(seed)
    pieces = [
        "# H\n",
        "## Sub *x*\n",
        "word ",
        "longer. ",
        "\n\n",
        "\n",
        "- item\n",
        "```\n",
        "> q\n",
        "漢字",
        "🛳️",
        "\t",
        "é ",
    ]
    text = "".join(rng.choices(pieces, k=3000))
    source = SourceText(text, "t", structure="markdown" if seed % 2 == 0 else "plain")
    chunks = cut(source, count, limit=50)
    assert chunks == cut(source, count, limit=50)
    end = 0
    for chunk in chunks:
        assert chunk.start >= end
        assert text[chunk.start : chunk.end] == chunk.text == chunk.text.strip("\n").rstrip()
        assert count(chunk.text) <= 50
        assert source.structure == "markdown" or not text[end : chunk.start].strip()
        end = chunk.end
    if source.structure != "markdown":
        assert not text[end:].strip()


def test_pages() -> None:
    text = "# One\n\nFirst page.\n\nSecond page.\n\n"
    source = SourceText(text, "t", has_lines=False, page_starts=(0, text.index("Second")))
    first, second = cut(source, count, limit=3)
    assert (first.page, second.page) == (1, 2)
    assert first.start_line is None


@pytest.mark.parametrize(
    "text",
    [
        "x" * 500_000, "#" * 200_000, "> " * 100_000, "[" * 100_000, "a \n \n" * 50_000, "\n" * 500_000 + "x",
        "- x\n" * 20_000, "a" + " " * 200_000 + "b\n",
    ],
    ids=["word", "hashes", "quotes", "brackets", "blank", "newlines", "list", "spaces"],
)  # fmt: skip
def test_hostile_text_is_cut_in_reasonable_time(text: str) -> None:
    begun = time.process_time()
    chunks = cut(SourceText(text, "t"), count)
    assert time.process_time() - begun < 20
    assert max(len(chunk.text) for chunk in chunks) <= 2100
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())


def test_long_headings_are_shortened() -> None:
    (chunk,) = cut(SourceText(f"# {'very ' * 500}long\n\n## Sub\n\nText.\n", "t"), count)
    assert chunk.heading == "Sub"
    (chunk,) = cut(SourceText(f"# {'very ' * 500}long\n\nText.\n", "t"), count)
    assert 0 < count(chunk.heading) <= HEADING_TOKENS
