"""The tags of a run, in its folder, so that they travel with it; and of a grid's run, which values it was given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from workbench import files
from workbench.errors import UserError
from workbench.jobs.folder import JobFolder

FILE = "tags.json"


@dataclass(frozen=True)
class Tagged:
    """What tags.json holds."""

    tags: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    """Of a run of a grid: its own values by dotted key, e.g. {"lora.r": 8}."""


def read(folder: Path) -> Tagged:
    """The tags of the run in `folder`; none where the file is absent or is not ours."""
    try:
        data = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Tagged(tuple(str(tag) for tag in data["tags"]), dict(data.get("values") or {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Tagged()


def change(
    job: JobFolder, add: Iterable[str] = (), remove: Iterable[str] = (), *, values: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Add and remove tags of a run; those it then has, in the order in which they came.

    Args:
        job: the run.
        add: tags that it has already change nothing.
        remove: tags that it has not change nothing.
        values: recorded with them; default: those recorded before.

    Raises:
        UserError: a tag is empty, too long, or has spaces, commas, quotes or backslashes.
    """
    add, gone = [check(tag) for tag in add], set(remove)
    with FileLock(job.path / f".{FILE}.lock"):  # the app and a command may tag it at the same time
        before = read(job.path)
        tags = tuple(dict.fromkeys([*(tag for tag in before.tags if tag not in gone), *add]))
        files.write_json(job.path / FILE, {"tags": tags, "values": before.values if values is None else dict(values)})
    return tags


def replace(job: JobFolder, tags: Iterable[str]) -> tuple[str, ...]:
    """Give a run these tags and no others; see `change`."""
    wanted = list(tags)
    return change(job, wanted, [tag for tag in read(job.path).tags if tag not in wanted])


def check(tag: str) -> str:
    """Return `tag` if it is one: a word, so that several can be written in a line.

    Raises:
        UserError: it is not.
    """
    from workbench.pairs.pair import NotAPair, check_tags  # not at start: the app reads tags before its first paint

    try:
        check_tags([tag])
    except NotAPair as error:
        raise UserError(str(error)) from None
    if any(character.isspace() for character in tag) or tag[0] in "+-":
        raise UserError(f"{tag!r} is no tag: one word that does not begin with + or -")
    return tag
