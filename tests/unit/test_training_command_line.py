"""The command that is told for a run: pasted into the real parser, it asks for the same run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.training.command_line import set_text, train_command
from workbench.workspace import Workspace, init
from workbench.yaml_file import parse_value

VALUES: list[Any] = [
    None, True, False, 0, -1, 8, 2e-4, 1e-05, 0.1, 3.0, 1e22, "", " ", "tone", "true", "null", "007", "1e-4", "~",
    "a b",
    "it's", 'say "hi"', "$HOME `id` !x", "a: b # c", "- x", "[1,", "{a", "'", "line\nline", "\ttab", "nul\u0085\u2028x",
    "\x1b[2J", "\u202eevil", "ünï 🚀", "\u00a0", [], ["q_proj", "v_proj"], ["it's, then", "a\nb"], [1, 2.5, None],
    [{"function": "length", "max_words": 9}], {"min_lr_rate": 0.1}, "--name", "=", "a=b",
]  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What `start_run` was called with; nothing is started."""
    calls: list[tuple[Any, ...]] = []

    class Started(Exception):
        pass

    def started(*arguments: Any) -> None:
        calls.append(arguments)
        raise Started

    monkeypatch.setattr("workbench.training.control.start_run", started)
    return calls


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_read_back_as_it_was(value: Any) -> None:
    text = set_text(value)
    assert text.isprintable(), "it is one line, and nothing in it hides"
    again = parse_value(text)
    assert (again, type(again)) == (value, type(value))


def test_the_command_asks_for_the_same_run(workspace: Workspace, asked: list[tuple[Any, ...]]) -> None:
    (workspace.configs / "tone.yaml").write_text("dataset: tone\n")
    changes = {f"key{number}": value for number, value in enumerate(VALUES)}
    for recipe in (workspace.recipe("tone"), workspace.recipe("sft")):
        words = shlex.split(train_command(workspace, recipe, "my-run", changes))
        assert words[0] == "workbench"
        CliRunner().invoke(app, words[1:])
        assert asked[-1][0] == workspace
        assert asked[-1][1].resolve() == recipe.resolve()
        assert asked[-1][2:] == ("my-run", changes)


def test_the_workspace_is_named_where_it_is_not_the_current_folder(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = workspace.recipe("sft")
    assert train_command(workspace, recipe, "x", {}) == f"workbench train sft --name x --workspace {workspace.root}"
    monkeypatch.chdir(workspace.root)
    assert train_command(workspace, recipe, "x", {}) == "workbench train sft --name x"
    (workspace.root / "sft").write_text("dataset: other\n")  # a file of that name would be taken instead
    assert train_command(workspace, recipe, "x", {}) == f"workbench train {recipe} --name x"


def test_a_workspace_with_a_space_in_its_name(tmp_path: Path, asked: list[tuple[Any, ...]]) -> None:
    here = init(tmp_path / "my work's")
    (here.configs / "a b.yaml").write_text("dataset: tone\n")
    CliRunner().invoke(app, shlex.split(train_command(here, here.configs / "a b.yaml", "x", {"lora.r": 8}))[1:])
    assert asked[-1][1:] == (here.configs / "a b.yaml", "x", {"lora.r": 8})
