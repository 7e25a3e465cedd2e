"""The registry of commands: what the footer, the keys, the palette and the help are made of."""

from __future__ import annotations

import pytest

from screens.commands import BY_ID, FOOTER_AT_MOST, SCOPES, Command

SCREENS = [scope for scope in SCOPES if scope not in ("app", "lists")]


def keys_of(command: Command) -> set[str]:
    return {key for key in command.keys.split(",") if key}


@pytest.mark.parametrize("scope", SCREENS)
def test_no_key_means_two_things_on_a_screen(scope: str) -> None:
    taken: dict[str, str] = {}
    for command in (*SCOPES[scope], *SCOPES["app"]):
        for key in keys_of(command):
            assert key not in taken, f"{key}: {taken[key]} and {command.id}"
            taken[key] = command.id


@pytest.mark.parametrize("scope", SCREENS)
def test_footer_holds_at_most_seven_keys(scope: str) -> None:
    shown = [command.id for command in (*SCOPES[scope], *SCOPES["app"]) if command.footer]
    assert len(shown) <= FOOTER_AT_MOST, shown


def test_every_command_explains_itself() -> None:
    for scope, commands in SCOPES.items():
        for command in commands:
            assert command.scope == scope
            assert command.title
            assert command.help.endswith(".")
    assert len(BY_ID) == sum(len(commands) for commands in SCOPES.values()), "two commands share an id"


def test_keys_are_safe_in_every_terminal() -> None:
    """Letters, digits, F1 to F10, arrows, and a few named keys, with ctrl and shift at most."""
    named = {"slash", "question_mark", "enter", "escape", "space", "tab", "up", "down", "left", "right", "backspace"}
    named |= {"plus", "minus", "left_square_bracket", "right_square_bracket", "full_stop", "comma", "asterisk"}
    for command in BY_ID.values():
        for key in keys_of(command):
            *modifiers, last = key.split("+")
            assert set(modifiers) <= {"ctrl", "shift"}, command.id
            assert last in named or len(last) == 1 or last in {f"f{n}" for n in range(1, 11)}, command.id
