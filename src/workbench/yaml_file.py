"""Reading a YAML file into a pydantic model, with every fault named by file, line and key; and writing it back.

It keeps a user's comments when a form changes a value, and knows nothing of what the models mean.
"""

from __future__ import annotations

import difflib
import io
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from workbench import files
from workbench.errors import Faults, UserError

Model = TypeVar("Model", bound=BaseModel)
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")  # YAML 1.2 wants a dot in 1e-4; people do not
_PADDED = re.compile(r"[-+]?0\d+")  # 007 is somebody's name; a model that wants a number reads it as one


def read(path: Path) -> CommentedMap:
    """The mapping in a YAML file, with its comments and positions; an empty file gives an empty mapping.

    Raises:
        UserError: the file is absent, unreadable, not YAML, or not a mapping; it names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("no such file", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from None
    try:
        data = YAML().load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = (error.problem or "not YAML").splitlines()[0]
        raise UserError(f"not YAML: {problem}", where=f"{path}:{line}", do="Mend that line.") from None
    except YAMLError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"not YAML: {reason}", where=str(path), do="Remove what is no text.") from None
    if data is None:
        return CommentedMap()
    if not isinstance(data, CommentedMap):
        raise UserError("holds no keys", where=f"{path}:1", do="Write `key: value` lines.")
    return data


def load(path: Path, model: type[Model], *, changes: dict[str, Any] | None = None) -> Model:
    """Validate a YAML file as `model`.

    Args:
        path: the file.
        model: a pydantic model.
        changes: dotted keys and values laid over the file's, e.g. `{"lora.r": 8}`.

    Raises:
        UserError: the file cannot be read.
        Faults: the values do not validate; every fault is listed with its line and key.
    """
    data = read(path)
    for key, value in (changes or {}).items():
        set_key(data, key, value)
    return validate(data, model, path)


def validate(data: CommentedMap, model: type[Model], path: Path) -> Model:
    """Validate a mapping read by `read`; see `load`."""
    try:
        return model.model_validate(plain(data))
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            for location, reason in _told(fault, model):
                line = _line(data, location)
                key = ".".join(str(part) for part in location) or "(the whole file)"
                faults.append((line or 0, f"{f'line {line}: ' if line else ''}{key}: {reason}"))
        raise Faults(str(path), [text for _, text in sorted(faults)]) from None


def set_key(data: CommentedMap, dotted: str, value: Any) -> None:
    """Set `a.b.c` in nested mappings, making those that are missing."""
    *parents, last = dotted.split(".")
    for parent in parents:
        inner = data.get(parent)
        if not isinstance(inner, CommentedMap):
            inner = data[parent] = CommentedMap()
        data = inner
    data[last] = value


def parse_value(text: str) -> Any:
    """A value that a person typed: a number, `true`, `null`, or `[a, b]`, `{a: b}` and `"a"` as YAML reads them.

    Everything else is the text as it stands, also where YAML would see a comment, a date, a key, or a mistake.
    """
    bare = text.strip()
    if _EXPONENT.fullmatch(bare):
        return float(bare)
    if _PADDED.fullmatch(bare):
        return text
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError):
        return text
    if value is None:
        return None if bare.lower() in ("", "~", "null") else text
    return value if isinstance(value, bool | int | float) or bare[0] in "[{'\"" else text


def write(path: Path, data: CommentedMap) -> None:
    """Replace `path` by `data`, keeping comments, durably."""
    stream = io.StringIO()
    YAML().dump(data, stream)
    files.write_text(path, stream.getvalue())


def plain(data: Any) -> Any:
    """Ruamel's containers and scalars as Python's own."""
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(value) for value in data]
    for kind in (bool, int, float, str):
        if isinstance(data, kind):
            return kind(data)
    return data


def _line(data: Any, location: tuple[int | str, ...]) -> int | None:
    line = None
    for part in location:
        if isinstance(data, CommentedMap) and part in data:
            position = data.lc.data.get(part) if data.lc.data else None
            line = position[0] + 1 if position else line
            data = data[part]
        elif isinstance(data, CommentedSeq) and isinstance(part, int) and part < len(data):
            line = data.lc.item(part)[0] + 1
            data = data[part]
        else:
            break
    return line


def _told(fault: Any, model: type[BaseModel]) -> list[tuple[tuple[int | str, ...], str]]:
    """(where, what) of one of pydantic's faults: several, where a model's own check names the keys that contradict."""
    named = getattr(fault.get("ctx", {}).get("error"), "faults", None)
    if isinstance(named, dict):
        return [((*fault["loc"], key), reason) for key, reason in named.items()]
    return [(fault["loc"], _reason(fault, model))]


def _reason(fault: Any, model: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        known: list[str] = []
        level: Any = model
        for part in fault["loc"][:-1]:
            field = level.model_fields.get(part) if isinstance(level, type) and issubclass(level, BaseModel) else None
            level = field.annotation if field else None
            if not (isinstance(level, type) and issubclass(level, BaseModel)):
                arguments = [
                    a for a in getattr(level, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)
                ]
                level = arguments[0] if arguments else None
        if level is not None:
            known = list(level.model_fields)
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
        return "unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
    message = fault["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = fault.get("input")
    return f"{message}, not {given!r}" if isinstance(given, str | int | float | bool) else message
