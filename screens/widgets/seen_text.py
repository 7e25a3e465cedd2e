"""A pair as the model sees it, as text: every token with what becomes of it, the counts, where the limit falls.

Colour is never all: trained tokens are underlined, those beyond the limit struck through. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.content import Content

from workbench.text import for_terminal
from workbench.training.rendered import CONTEXT, CUT, OMITTED, TRAINED, Part, Rendering

_STYLES = {
    TRAINED: ("$text-success underline", "$text-success underline on $success 20%"),
    CONTEXT: ("$text", "$text on $foreground 7%"),
    CUT: ("$text-error strike", "$text-error strike on $error 15%"),
}
"""Of every second token another background, so that each is told from its neighbours."""
_NEWLINE = "↵"


def seen_parts(rendering: Rendering) -> list[Content]:
    """The legend with the counts, what is worth knowing, then the prompt and each answer."""
    counts = rendering.counts
    legend = Content.from_markup(
        "[$text-success underline]trained[/] $trained[$foreground-muted] · [/][$text]context[/] $context"
        "[$foreground-muted] · [/][$text-error strike]cut off[/] $cut",
        trained=f"{counts['trained']:,}",
        context=f"{_context(rendering):,}",
        cut=f"{counts['cut']:,}",
    )
    parts = [Content("\n").join([legend, *_about(rendering)])]
    prompt, *answers = rendering.parts
    before = prompt.tokens
    parts.append(_part(prompt, rendering.max_length, 0))
    parts += [_part(answer, rendering.max_length, before) for answer in answers]
    return parts


def _about(rendering: Rendering) -> Iterator[Content]:
    prompt, *answers = rendering.parts
    told = f"prompt {prompt.tokens:,}"
    if answers:  # the limit is held against the longest one
        told += " + " + " or ".join(f"{answer.name} {answer.tokens:,}" for answer in answers)
    room = rendering.max_length - rendering.tokens
    yield _muted(
        f"{told} tokens · max_length {rendering.max_length:,}: "
        + (f"{room:,} to spare" if room >= 0 else f"{-room:,} too many")
    )
    for note in rendering.notes:
        yield Content.from_markup("[$text-warning]![/] [$foreground-muted]$note[/]", note=line(note))
    for number, passage in enumerate(rendering.passages, 1):
        where = " · ".join(line(part) for part in (passage.document, passage.place) if part)
        right = "  ✓ it tells the answer" if passage.right else ""
        yield Content.from_markup(
            "[$text-accent]\\[$number][/] [$foreground-muted]$where[/][$text-success]$right[/]",
            number=number,
            where=where,
            right=right,
        )


def _context(rendering: Rendering) -> int:
    """Tokens that are read, not trained, and within the limit."""
    return sum(part.tokens - part.trained - part.cut for part in rendering.parts)


def _part(part: Part, limit: int, before: int) -> Content:
    """`before`: tokens that stand before it."""
    head = Content.from_markup(
        "[$text-accent b]$name[/]  [$foreground-muted]$count[/]", name=part.name, count=f"{part.tokens:,} tokens"
    )
    whole = next((at for at, (_, kind) in enumerate(part.shown) if kind == CUT), len(part.shown))
    lines = [head]
    if whole:
        lines.append(_tokens(part.shown[:whole]))
    if part.cut:
        lines.append(
            Content.from_markup(
                "[$text-error b]──── $limit ────[/] [$foreground-muted]$cut[/]",
                limit=f"max_length {limit:,}",
                cut=f"{part.cut:,} tokens beyond it" if before < limit or part.name == "prompt" else "all beyond it",
            )
        )
        lines.append(_tokens(part.shown[whole:]))
    return Content("\n").join(lines)


def _tokens(tokens: Sequence[tuple[str, str]]) -> Content:
    pieces: list[tuple[str, str]] = []
    odd = False
    for text, kind in tokens:
        if kind == OMITTED:
            pieces.append((f"\n… {text} more tokens …\n", "$foreground-muted"))
            continue
        if text:
            pieces.append((for_terminal(text).replace("\n", f"{_NEWLINE}\n"), _STYLES[kind][odd]))
            odd = not odd
    return Content.assemble(*pieces)


def _muted(text: str) -> Content:
    return Content.from_markup("[$foreground-muted]$text[/]", text=text)


def line(text: str) -> str:
    """Text of any origin on one line, safe to paint."""
    return for_terminal(text, one_line=True)
