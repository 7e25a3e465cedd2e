"""What goes wrong around a command is one line and exit code 1, never a traceback."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from workbench.workspace import Workspace

Command = Callable[..., Any]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("demo", "FILE"), 1, "Not a directory"),
        (("demo", "FILE/below"), 1, "Not a directory"),
        (("pairs", "list", "--offset", "9" * 20), 2, "--offset"),
        (("pairs", "list", "--limit", "9" * 20), 2, "--limit"),
        (("train", "tone", "--name", "x", "--set", "system_prompt=@x", "--set", "dataset=none"), 1, "'none'"),
        (("train", "tone", "--name", "x", "--set", "lora.r=[a"), 1, "lora.r"),
    ],
)
def test_a_mistake_is_one_line(
    tuned: Workspace, command: Command, arguments: tuple[str, ...], code: int, told: str
) -> None:
    file = tuned.root / "file"
    file.write_text("text")
    recipe = tuned.recipe("quick").stem
    done = command(*(part.replace("FILE", str(file)).replace("tone", recipe) for part in arguments))
    assert done.code == code
    assert told in done.err
    assert "Traceback" not in done.err


def test_a_database_whose_tables_are_gone_is_one_line(workspace: Workspace, command: Command) -> None:
    assert command("pairs", "stats").code == 0
    with closing(sqlite3.connect(Path(workspace.database))) as db:
        db.execute("DROP TABLE pairs")
    done = command("pairs", "stats")
    assert (done.code, done.err) == (1, "Error: no such table: pairs.\n")
