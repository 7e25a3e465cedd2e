"""What became of a pair: against what was imported, and change by change. It makes text to be shown, and reads nothing.

What was taken out stands in `[-…-]`, what was put in in `{+…+}`, so that it can be read without colours.
"""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Sequence
from typing import Any

from textual.content import Content

from screens.word_diff import word_diff
from workbench.pairs.history import Change
from workbench.pairs.pair import Pair
from workbench.text import for_terminal

_LOOK = 20_000  # characters of a text that are compared
_ANSWERS = ("completion", "chosen", "rejected")


def changes_since(original: Pair | None, pair: Pair) -> Content:
    """The texts of a pair, with what was taken out and put in since it was imported; None: nothing was."""
    if original is None:
        return Content.from_markup("[$foreground-muted]Its texts are as they were imported.[/]")
    head = Content.from_markup(
        "[$foreground-muted]Since it was imported:[/] [$text-error]$out[/] [$text-success]$in[/]",
        **{"out": "[-taken out-]", "in": "{+put in+}"},
    )
    before, after = _texts(vars(original)), _texts(vars(pair))
    parts = [head]
    for label, text, now in _matched(before, after):
        name = Content.from_markup("[b $text-accent]$label[/]", label=label)
        parts.append(name + Content.from_markup(" [$foreground-muted]unchanged[/]") if text == now else name)
        parts.append(_compared(text, now))
    return Content("\n\n").join(parts[:1] + [Content("\n").join(parts[n : n + 2]) for n in range(1, len(parts), 2)])


def history(changes: Sequence[Change]) -> Content:
    """Each change of a pair with its time and what it was called, the latest first."""
    if not changes:
        return Content.from_markup("[$foreground-muted]Nothing is known of how it came here.[/]")
    return Content("\n\n").join(_told(change) for change in reversed(changes))


def _told(change: Change) -> Content:
    told = Content.from_markup(
        "[b $text-accent]$at[/]  $label", at=_local(change.at), label=for_terminal(change.label, one_line=True)
    )
    for label, before, after in _matched(_fields(change.before), _fields(change.after)):
        if before != after:
            told += Content.from_markup("\n  [$foreground-muted]$label[/] ", label=label) + _compared(before, after)
    return told


def _fields(values: Any) -> list[tuple[str, str]]:
    """The fields of a pair that a change touched, as texts."""
    told = [(name, values[name]) for name in ("status", "note") if name in values]
    if "tags" in values:
        told.append(("tags", ", ".join(values["tags"])))
    return told + _texts(values) if "messages" in values else told


def _texts(values: Any) -> list[tuple[str, str]]:
    """The texts of a pair by what they are called."""
    *turns, last = values["messages"]
    texts = [(message["role"], message["content"]) for message in turns] + [("prompt", last["content"])]
    return texts + [(name, values[name]) for name in _ANSWERS if values[name] is not None]


def _matched(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Label, former and later text. The n-th turn of a role is the n-th of it before."""
    matched: list[tuple[str, str, str]] = []
    remaining = list(before)
    for label, text in after:
        found = next((one for one in remaining if one[0] == label), None)
        if found:
            remaining.remove(found)
        matched.append((label, found[1] if found else "", text))
    return matched + [(label, text, "") for label, text in remaining]


def _compared(before: str, after: str) -> Content:
    """Both texts in one."""
    parts = []
    for kind, text in word_diff(_shown(before), _shown(after)):
        if kind == "same":
            parts.append(Content(text))
        elif kind == "removed":
            parts.append(Content.from_markup("[$text-error]$text[/]", text=_around("[-", text, "-]")))
        else:
            parts.append(Content.from_markup("[$text-success]$text[/]", text=_around("{+", text, "+}")))
    return Content("").join(parts)


def _around(opening: str, text: str, closing: str) -> str:
    """The signs stand next to the words, not to the space before them."""
    words = text.lstrip()
    return text[: len(text) - len(words)] + opening + words + closing


def _shown(text: str) -> str:
    more = len(text) - _LOOK
    return for_terminal(text[:_LOOK]) + (f"\n… {more:,} more characters" if more > 0 else "")


def _local(at: str) -> str:
    """A time of the database, in UTC, as the clock here shows it."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(timegm(time.strptime(at, "%Y-%m-%d %H:%M:%S"))))
    except ValueError:
        return for_terminal(at, one_line=True)
