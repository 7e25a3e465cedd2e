"""A user's own keys: configs/keymap.yaml, on each line a command's id and its keys. Here it is read and checked.

`python -P -m screens.keymap` prints the file that ships: every command with its keys, as comments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, key_to_character

from screens.commands import BY_ID, SCOPES
from workbench.errors import Faults

_MODIFIERS = {"ctrl", "shift", "alt"}
_NAMED = {key.value.rpartition("+")[2] for key in Keys} | set(KEY_NAME_REPLACEMENTS.values())
_HEAD = """\
# The keys of the app. Every command has a line below with the keys that it has by itself: take the `#` before it away,
# and write others, separated by commas. What is written replaces them all, also in the footer and the help (?).
#
#   pairs.accept: y             a letter (capitals are keys of their own), a digit, or a sign
#   pairs.search: ctrl+f, f3    ctrl and shift; f1 to f10, enter, escape, space, tab, backspace, up, down, left, right,
#                               home, end, pageup, pagedown, comma (signs have names: slash, full_stop, question_mark)
#
# No key can mean two things on one screen: to exchange two, write both. Where a screen has a key of its own that also
# holds everywhere, the screen's is the one that counts there. Keys inside dialogs stay as they are.
"""


def read(path: Path) -> dict[str, str]:
    """The keys that a keymap.yaml gives to commands; an absent file gives none.

    Returns:
        By the id of a command its keys, as Textual calls them, separated by commas.

    Raises:
        UserError: the file cannot be read, or is not YAML.
        Faults: there is no such command or key, or a key would mean two things; all of them, with their lines.
    """
    if not path.exists():
        return {}
    from workbench import yaml_file

    given = yaml_file.read(path)
    lines: dict[str, int] = {str(id): given.lc.data[id][0] + 1 for id in given}
    faults: list[tuple[str, str]] = []
    keymap: dict[str, list[str]] = {}
    for id, value in given.items():
        keys = _named(value)
        if id not in BY_ID:
            faults.append((str(id), "there is no such command"))
        elif not BY_ID[id].keys:
            faults.append((id, "it is in the palette only"))
        elif not keys:
            faults.append((id, "no key is written"))
        elif unknown := [key for key in keys if not _exists(key)]:
            faults.append((id, f"there is no key {', '.join(unknown)}"))
        else:
            keymap[id] = keys
    faults += _clashes(keymap)
    if faults:
        raise Faults(
            str(path),
            [f"line {lines[id]}: {id}: {reason}" for id, reason in sorted(faults, key=lambda fault: lines[fault[0]])],
            do="The keys stay what they were. `workbench init` in an empty folder writes a keymap.yaml with every id.",
        )
    return {id: ",".join(keys) for id, keys in keymap.items()}


def example() -> str:
    """The keymap.yaml that ships: all commands, as comments."""
    parts = [_HEAD]
    for scope, commands in SCOPES.items():
        screen = BY_ID.get(f"app.{scope}")
        parts.append(f"\n# {screen.title if screen else _TITLES.get(scope, scope.capitalize())}\n")
        for command in commands:
            if command.keys:  # the others are in the palette only
                keys = ", ".join(command.keys.split(","))
                parts.append(f"# {f'{command.id}: {keys}':<38} # {command.help}\n")
    return "".join(parts)


_TITLES = {"app": "Everywhere", "lists": "In every list"}


def _named(value: Any) -> list[str]:
    """The keys in a value of the file, each by the name that Textual has for it."""
    parts = value if isinstance(value, list) else ("" if value is None else str(value)).split(",")
    keys = ",".join(key for part in parts if (key := str(part).strip()))
    return [binding.key for binding in Binding.make_bindings([Binding(keys, "")])] if keys else []


def _exists(key: str) -> bool:
    *modifiers, last = key.split("+")
    return set(modifiers) <= _MODIFIERS and (last in _NAMED or key_to_character(last) is not None)


_BOUND = {"up", "down", "pageup", "pagedown", "home", "end"}
"""The keys of the table of pairs that no keymap changes."""


def _clashes(keymap: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """The commands of the keymap whose keys mean something else on a screen of theirs, and what."""
    for id, given in keymap.items():
        if BY_ID[id].scope in ("pairs", "lists") and (common := [key for key in given if key in _BOUND]):
            yield id, f"{', '.join(common)} always moves the cursor of the table of pairs"
        if id != "app.quit" and "ctrl+q" in given and "app.quit" not in keymap:
            yield id, "ctrl+q is the key of app.quit"
    keys = {id: keymap.get(id) or _named(command.keys) for id, command in BY_ID.items()}
    for id in keymap:
        scope = BY_ID[id].scope
        for other, command in BY_ID.items():
            scopes = {scope, command.scope}
            met = len(scopes) == 1 or ("lists" in scopes and "app" not in scopes)
            if other != id and met and (common := [key for key in keys[id] if key in keys[other]]):
                if other in keymap and list(keymap).index(other) < list(keymap).index(id):
                    continue  # said of the other
                yield id, f"{', '.join(common)} is the key of {other}"


if __name__ == "__main__":
    print(example(), end="")
