"""What every subcommand shares: its options, and printing results for a person or as JSON, one object a line."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench import files
from workbench.text import for_json, for_terminal

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
InWorkspace = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", help="The workspace's folder; default: the current folder."),
]


def subcommands(help: str) -> typer.Typer:
    """A group of subcommands, set as all groups are."""
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def print_json(value: Any) -> None:
    """One line of JSON; dataclasses and paths are written as their values, NaN and infinity as null."""
    print(for_json(files.strict_json(value, default=_plain)), flush=True)


def say(text: str) -> None:
    """One line or more for a person; untrusted parts are made safe."""
    print(for_terminal(text), flush=True)


def say_markdown(text: str) -> None:
    """Markdown whose untrusted parts are escaped: laid out on a terminal, as it is in a file or a pipe."""
    if not sys.stdout.isatty():
        say(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(for_terminal(text), hyperlinks=False))


def warn(text: str) -> None:
    """Like `say`, to standard error."""
    print(for_terminal(text), file=sys.stderr, flush=True)


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, empty: str = "Nothing yet.") -> None:
    """Columns side by side, as wide as the terminal allows; the last column is cut where it does not fit."""
    cells = [[for_terminal(_cell(row.get(column)), one_line=True) for column in columns] for row in rows]
    if not cells:
        print(empty)
        return
    widths = [max(len(column), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    room = shutil.get_terminal_size((100, 30)).columns if sys.stdout.isatty() else sum(widths) + 2 * len(widths)
    for row in [[column.replace("_", " ") for column in columns], *cells]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        print(line if len(line) <= room else line[: room - 1] + "…")


def duration(seconds: float | None) -> str:
    """`3 s`, `2 min 05 s`, `1 h 20 min`; `?` when not known."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
