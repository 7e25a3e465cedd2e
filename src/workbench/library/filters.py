"""Which documents a search looks in: a folder or file, a kind of file, a time. Pure; the store asks it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from pathlib import PurePosixPath

from workbench.errors import UserError

_WORD = re.compile(r'(?<!\S)(in|type|since|until):("[^"]*"|\S+)', re.IGNORECASE)
_ALSO = {"md": ("md", "markdown"), "txt": ("txt", "text"), "html": ("html", "htm")}


@dataclass(frozen=True)
class Filter:
    """What a document must be. An empty field asks nothing; several values of one field: any of them."""

    within: tuple[str, ...] = ()
    """Folders ("handbook/"), files ("handbook/leave.md", or their name alone) or patterns ("*/2026-*")."""
    types: tuple[str, ...] = ()
    """Endings of file names, without the dot and in lower case: "pdf"; "md" is "markdown" too."""
    since: date | None = None
    """The file was modified on this day or later."""
    until: date | None = None
    """The file was modified on this day or before."""

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        return self != Filter()

    def holds(self, name: str, modified: float) -> bool:
        """Whether a document is looked in.

        Args:
            name: the document's name in its index.
            modified: seconds since the epoch.
        """
        ending = PurePosixPath(name).suffix.lower().removeprefix(".")
        return (
            (not self.within or any(_within(name, place) for place in self.within))
            and (not self.types or any(ending in _ALSO.get(kind, (kind,)) for kind in self.types))
            and (self.since is None or modified >= _begin(self.since))
            and (self.until is None or self.until == date.max or modified < _begin(self.until + timedelta(1)))
        )

    def __str__(self) -> str:
        """As it is typed before a question."""
        words = [f"in:{_quoted(place)}" for place in self.within] + [f"type:{kind}" for kind in self.types]
        words += [f"{key}:{day}" for key, day in (("since", self.since), ("until", self.until)) if day]
        return " ".join(words)


def make(
    within: Sequence[str] = (), types: Sequence[str] = (), since: str | None = None, until: str | None = None
) -> Filter:
    """A filter from what a person or a client wrote.

    Raises:
        UserError: a day is not written YYYY-MM-DD.
    """
    kinds = tuple(kind.lower().removeprefix(".") for kind in types)
    return Filter(tuple(within), kinds, _day("since", since), _day("until", until))


def parse(typed: str) -> tuple[str, Filter]:
    """Take `in:PLACE type:KIND since:DAY until:DAY` out of a typed question; a word more than once: any of them.

    Returns:
        The question without them, and the filter.

    Raises:
        UserError: a day is not written YYYY-MM-DD.
    """
    found = Filter()
    for match in _WORD.finditer(typed):
        key, value = match[1].lower(), match[2].strip('"')
        match key:
            case "in":
                found = replace(found, within=(*found.within, value))
            case "type":
                found = replace(found, types=(*found.types, value.lower().removeprefix(".")))
            case _:
                found = replace(found, **{key: _day(key, value)})
    return " ".join(_WORD.sub("", typed).split()) if found else typed.strip(), found


def _within(name: str, place: str) -> bool:
    place = place.removeprefix("./")
    if any(mark in place for mark in "*?["):
        return fnmatchcase(name, place)
    folder = place.rstrip("/")
    if folder in ("", "."):  # the whole library, as for a shell
        return True
    return name == folder or name.startswith(f"{folder}/") or f"/{name}".endswith(f"/{folder}")


@cache
def _begin(day: date) -> float:
    """When a day begins here, in seconds since the epoch; infinite where no clock of the system tells it."""
    try:
        return datetime.combine(day, datetime.min.time()).timestamp()
    except (ValueError, OverflowError, OSError):
        return -math.inf if day.year < 1970 else math.inf


def _day(key: str, value: str | None) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UserError(f"{value!r} is not a day", where=key, do=f"Write it as {key}:2026-01-31.") from None


def _quoted(place: str) -> str:
    return f'"{place}"' if " " in place else place
