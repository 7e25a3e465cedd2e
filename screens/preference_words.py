"""What the preference screen says around the answers. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.content import Content

from screens.widgets.pair_reading import status_content
from workbench.pairs.preferences import Leaning, Sides, leans, nearly_same
from workbench.text import for_terminal

if TYPE_CHECKING:
    from screens.preference_queue import PreferenceQueue
    from workbench.pairs.pair import Pair
    from workbench.pairs.store import Flag

_LOOK = 20_000  # characters of a text that are shown: wrapping a million would take seconds
_UNEVEN = 2.0  # times as many words, from which on it is said


def heading(queue: PreferenceQueue, dataset: str) -> Content:
    """Where one is, and how much is left."""
    decided = len(queue.ids) - len(queue.pending)
    return Content.from_markup(
        "[b]$number of $total[/]  [$foreground-muted]$dataset · $decided decided · $left pending[/]",
        number=f"{queue.number:,}",
        total=f"{len(queue.ids):,}",
        dataset=for_terminal(dataset, one_line=True),
        decided=f"{decided:,}",
        left=f"{len(queue.pending):,}",
    )


def leaning_words(leaning: Leaning) -> Content:
    """What the judgements of the dataset lean to: the left side, and length."""
    parts = []
    if leaning.left_share is not None:
        side_leans = leans(leaning.left, leaning.judged) or leans(leaning.judged - leaning.left, leaning.judged)
        parts.append(_share("the left was chosen", leaning.left_share, leaning.judged, warns=side_leans))
    if leaning.longer_share is not None:
        longer_leans = leans(leaning.longer, leaning.unequal)
        parts.append(_share("the longer answer was chosen", leaning.longer_share, leaning.unequal, warns=longer_leans))
    return Content(" · ").join(parts)


def pair_title(pair: Pair) -> Content:
    """Its number, state, tags and source."""
    parts = [Content(f"Pair {pair.id}"), status_content(pair.status)]
    for text in (", ".join(pair.tags), pair.source):
        if text:
            parts.append(Content.from_markup("[$text-muted]$text[/]", text=for_terminal(text, one_line=True)))
    return Content.from_markup("[$text-muted] · [/]").join(parts)


def prompt_content(pair: Pair) -> Content:
    """The turns before the prompt, pale, the prompt, and the note."""
    *before, last = pair.messages
    parts = [
        Content.from_markup("[$foreground-muted][b]$role[/b]  $text[/]", role=turn["role"], text=shown(turn["content"]))
        for turn in before
    ]
    parts.append(Content(shown(last["content"])))
    if pair.note:
        parts.append(Content.from_markup("[$text-warning b]note[/]  $text", text=shown(pair.note)))
    return Content("\n").join(parts)


def remarks(sides: Sides, flags: Iterable[Flag]) -> Content:
    """What to be wary of: the flags of the pair, answers that are nearly the same, answers of uneven length."""
    flags = list(flags)
    parts = [
        Content.from_markup(
            "[$text-warning]$name[/][$foreground-muted]$detail[/]",
            name=flag.name,
            detail=f" {for_terminal(flag.detail, one_line=True)}" if flag.detail else "",
        )
        for flag in flags
    ]
    if nearly_same(sides.left, sides.right):
        parts.append(Content.from_markup("[$text-warning]the answers differ in case, spaces and punctuation only[/]"))
    left, right = words(sides.left), words(sides.right)
    told = any(flag.name == "length-bias" for flag in flags)
    if not told and max(left, right) >= _UNEVEN * max(1, min(left, right)):
        longer, times = ("left", left / max(1, right)) if left > right else ("right", right / max(1, left))
        parts.append(
            Content.from_markup(
                "[$text-warning]the $side answer is $times times as long[/]", side=longer, times=f"{times:.1f}"
            )
        )
    return Content(" · ").join(parts)


def words(text: str) -> int:
    """How many words a text has."""
    return len(text.split())


def shown(text: str) -> str:
    """What is painted of a text."""
    more = len(text) - _LOOK
    return for_terminal(text[:_LOOK]) + (f"\n… {more:,} more characters" if more > 0 else "")


def _share(what: str, share: float, of: int, *, warns: bool) -> Content:
    text = f"{what} in {share:.0%} of {of:,}"
    return Content.from_markup("[$text-warning]$text: a lean[/]" if warns else "$text", text=text)
