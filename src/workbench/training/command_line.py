"""The command that starts a run, as it is pasted into a shell: the inverse of what `workbench train` reads."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.workspace import Workspace
from workbench.yaml_file import parse_value

_NOT_SHOWN = re.compile("[\x7f-\xa0\u200b-\u200f\u2028-\u202f\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff]")


def train_command(workspace: Workspace, recipe: Path, name: str, changes: Mapping[str, Any]) -> str:
    """`workbench train RECIPE --name NAME --set KEY=VALUE ...`, which does what `start_run` does with the same.

    The workspace is named where it is not the current folder.
    """
    words = ["workbench", "train", _recipe_name(workspace, recipe), "--name", name]
    for key, value in changes.items():
        words += ["--set", f"{key}={set_text(value)}"]
    if workspace.root != Path.cwd().resolve():
        words += ["--workspace", str(workspace.root)]
    return shlex.join(words)


def set_text(value: Any) -> str:
    """A value as one line of text that `parse_value` reads back as the same value."""
    if value is None:
        return "null"
    if isinstance(value, str):
        seen = value.isprintable() and not _NOT_SHOWN.search(value)
        return value if seen and parse_value(value) == value else _as_json(value)  # a text never equals a number
    if isinstance(value, float):
        return repr(value)
    return _as_json(value)


def _as_json(value: Any) -> str:
    """JSON, which is YAML; with every character that would not be seen as an escape."""
    return _NOT_SHOWN.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def _recipe_name(workspace: Workspace, recipe: Path) -> str:
    """The shortest name by which the command finds this very file."""
    names = [recipe.stem]
    if recipe.is_relative_to(workspace.root):
        names.append(str(recipe.relative_to(workspace.root)))
    for name in names:
        try:
            if not name.startswith("-") and workspace.recipe(name).resolve() == recipe.resolve():
                return name
        except UserError:
            continue
    return str(recipe.resolve())
