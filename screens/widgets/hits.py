"""What retrieval found and why: a list of hits with both ranks, the similarity, the fused score and the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content
from textual.widgets.option_list import Option

from screens.query_words import Span, snippet, word_spans
from screens.widgets.lists import Options
from workbench.library.search import DEPTH
from workbench.text import for_terminal

_BAR = 8  # cells of the highest score
_TEXT = 3  # rows of a hit's text
_INDENT = 3  # cells, under the number


class Hits(Options):
    """The list. `show` fills it; the highlighted hit is `hits[highlighted]`."""

    DEFAULT_CSS = """
    Hits, Hits:focus {
        height: 1fr;
        padding: 0;
        border: none;
    }
    Hits > .option-list--option-highlighted, Hits:focus > .option-list--option-highlighted {
        background: $primary 20%;
        color: $foreground;
        text-style: none;
    }
    Hits > .option-list--option-highlighted {
        background: $boost;
    }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.hits: Sequence[Mapping[str, Any]] = ()
        self._question = ""
        self._width = 0

    def show(self, hits: Sequence[Mapping[str, Any]], question: str) -> None:
        """Show hits as the server sends them, best first."""
        self.hits, self._question = hits, question
        self._fill(0)

    def on_resize(self) -> None:
        if self._text_width != self._width:
            self._fill(self.highlighted)

    @property
    def _text_width(self) -> int:
        return max(20, self.scrollable_content_region.width - 2)  # an option's padding

    def _fill(self, highlighted: int | None) -> None:
        self._width = self._text_width
        best = max((hit["score"] for hit in self.hits), default=1.0)
        self.clear_options()
        for number, hit in enumerate(self.hits, 1):
            self.add_option(Option(describe_hit(number, hit, self._question, best=best, width=self._width)))
        self.highlighted = highlighted if self.hits else None


def describe_hit(number: int, hit: Mapping[str, Any], question: str, *, best: float, width: int) -> Content:
    """Document and place; the score as a bar of what each ranking gave to it, and how it came about; the text."""
    heading, _, where = for_terminal(hit["place"], one_line=True).rpartition(" · ")
    head = Content.from_markup(
        "[$foreground-muted]$number[/] [b]$document[/]  $where  [$foreground-muted]$heading[/]",
        number=f"{number:>2}",
        document=for_terminal(hit["document"], one_line=True),
        where=where,
        heading=heading,
    ).truncate(width, ellipsis=True)
    text = for_terminal(hit["text"], one_line=True)
    spans = word_spans(text, question)
    inside = width - _INDENT
    start, end = snippet(text, spans, _TEXT * inside - inside // 4)
    body = emphasised(text[start:end], [(a - start, b - start) for a, b in spans if start <= a and b <= end])
    if start:
        body = Content("… ") + body
    if end < len(text):
        body += Content(" …")
    rows = [_why(hit, best).truncate(inside, ellipsis=True), *body.wrap(inside)[:_TEXT]]
    return Content("\n").join([head, *(Content(" " * _INDENT) + row for row in rows)])


def emphasised(text: str, spans: Sequence[Span]) -> Content:
    """A text, made safe already, with some words of it emphasised."""
    content = Content(text)
    for start, end in spans:
        content = content.stylize("$text-accent bold", start, end)
    return content


def _why(hit: Mapping[str, Any], best: float) -> Content:
    dense, lexical, similarity = hit["dense_rank"], hit["lexical_rank"], hit["similarity"]
    parts = [max(0.0, part) for part in hit.get("parts") or (hit["score"], 0.0, 0.0)]
    cells = [round(_BAR * sum(parts[: number + 1]) / best) for number in range(3)] if best > 0 else [0, 0, 0]
    more = ""
    if hit.get("fit") is not None:
        more += f"  fits {hit['fit']:.0%}"
    if hit.get("rerank") is not None:
        more += f"  reranked {hit['rerank']:.2f}"
    if hit.get("same"):
        more += f"  also in {', '.join(hit['same'])}"
    return Content.from_markup(
        "[$primary]$a[/][$accent]$b[/][$success]$c[/][$surface-lighten-2]$rest[/] $score"
        "  [$text-primary]dense $dense[/]  [$text-accent]BM25 $lexical[/]  [$text-success]close $close[/]"
        "  [$foreground-muted]cosine $similarity$more[/]",
        a="█" * cells[0],
        b="█" * (cells[1] - cells[0]),
        c="█" * (cells[2] - cells[1]),
        rest="─" * max(0, _BAR - cells[2]),
        close=f"{parts[2]:.2f}",
        more=for_terminal(more, one_line=True),
        dense=str(dense) if dense else f">{DEPTH}",
        lexical=str(lexical) if lexical else f">{DEPTH}",
        similarity="?" if similarity is None else f"{similarity:.2f}",
        score=f"{hit['score']:.2f}",
    )
