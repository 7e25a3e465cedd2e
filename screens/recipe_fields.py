"""A recipe as the fields of a form, made from the pydantic model: names, help, defaults; and back to changes.

It knows nothing of widgets, and nothing of any field in particular.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from workbench import yaml_file


@dataclass(frozen=True)
class RecipeField:
    """One key of a recipe."""

    key: str
    """Dotted, e.g. `lora.r`."""
    help: str
    """The docstring under the setting."""
    value: str
    """What the file says, as text; empty where it says nothing."""
    default: str
    """What holds where nothing is said, as text."""
    required: bool
    choices: tuple[str, ...]
    """All values there are, or none where any will do."""
    is_text: bool
    """Taken as it is typed; everything else is read as YAML."""
    default_value: Any = None

    @property
    def section(self) -> str:
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2]


def fields_of(model: type[BaseModel], data: Mapping[str, Any], prefix: str = "") -> list[RecipeField]:
    """The fields of a model, those of nested models with dotted keys and after the plain ones.

    Args:
        model: what the file is validated as.
        data: what the file says.
    """
    plain: list[RecipeField] = []
    nested: list[RecipeField] = []
    for name, field in model.model_fields.items():
        kinds = _kinds(field.annotation)
        said = data.get(name) if isinstance(data, Mapping) else None
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is not None:
            nested += fields_of(inner, said if isinstance(said, Mapping) else {}, f"{prefix}{name}.")
            continue
        default = None if field.default is PydanticUndefined else field.default
        choices = next((typing.get_args(kind) for kind in kinds if typing.get_origin(kind) is Literal), ())
        if bool in kinds:
            choices = (True, False)
        plain.append(
            RecipeField(
                key=f"{prefix}{name}",
                help=" ".join((field.description or "").split()),
                value="" if said is None else as_text(said),
                default="" if default is None else as_text(default),
                required=field.is_required(),
                choices=tuple(as_text(choice) for choice in choices),
                is_text=str in kinds or bool(choices and all(isinstance(choice, str) for choice in choices)),
                default_value=default,
            )
        )
    return plain + nested


def changes_of(fields: list[RecipeField], texts: Mapping[str, str]) -> dict[str, Any]:
    """What the user changed, by dotted key, ready for `workbench.training.recipe.load`.

    A field that was emptied goes back to its default. A text that is no value of its field is left for `load` to name.
    """
    changes: dict[str, Any] = {}
    for field in fields:
        text = texts.get(field.key, field.value).strip()
        if text == field.value:
            continue
        changes[field.key] = _parse(field, text) if text else field.default_value
    return changes


def as_text(value: Any) -> str:
    """A value as a person types it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, list | dict):
        return json.dumps(yaml_file.plain(value), ensure_ascii=False)
    return str(value)


def key_of_fault(fault: str, fields: list[RecipeField]) -> tuple[RecipeField | None, str]:
    """The field that one line of `Faults` is about, and what it says of it."""
    text = re.sub(r"^line \d+: ", "", fault)
    key, _, reason = text.partition(": ")
    for field in sorted(fields, key=lambda field: -len(field.key)):
        if key == field.key or key.startswith(f"{field.key}."):
            return field, reason
    return None, text


def _parse(field: RecipeField, text: str) -> Any:
    if field.is_text and not text.startswith("["):
        return text
    return yaml_file.parse_value(text)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(kind for part in typing.get_args(annotation) for kind in _kinds(part))
    return (annotation,)
