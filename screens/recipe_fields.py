"""A recipe as the fields of a form, made from the pydantic model: names, help, defaults; and back to changes.

It knows nothing of widgets, and of one field in particular only this: a section that is named like a choice of `method`
belongs to that method.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from workbench import yaml_file

METHOD = "method"


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
    common: bool = False
    """Shown at first."""
    is_bool: bool = False
    """`true` and `false` are no texts."""
    optional_section: bool = False
    """The whole section may be absent."""
    section_said: bool = False
    """The file has the section."""

    @property
    def section(self) -> str:
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2]


def fields_of(
    model: type[BaseModel], data: Mapping[str, Any], prefix: str = "", *, optional: bool = False, said: bool = False
) -> list[RecipeField]:
    """The fields of a model, those of nested models with dotted keys and after the plain ones.

    Args:
        model: what the file is validated as.
        data: what the file says.
        prefix: of the keys, for a section.
        optional: the section may be absent.
        said: the file has the section.
    """
    plain: list[RecipeField] = []
    nested: list[RecipeField] = []
    for name, field in model.model_fields.items():
        kinds = _kinds(field.annotation)
        value = data.get(name)
        inner = next((kind for kind in kinds if _is_section(kind)), None)
        if inner is not None:
            has = isinstance(value, Mapping)
            nested += fields_of(inner, value if has else {}, f"{prefix}{name}.", optional=type(None) in kinds, said=has)
            continue
        default = None if field.default is PydanticUndefined else field.default
        choices = _choices(kinds)
        extra = field.json_schema_extra
        plain.append(
            RecipeField(
                key=f"{prefix}{name}",
                help=" ".join((field.description or "").split()) + _form_of_list(kinds),
                value="" if value is None else as_text(value),
                default="" if default is None else as_text(default),
                required=field.is_required(),
                choices=tuple(as_text(choice) for choice in choices),
                is_text=str in kinds or bool(choices and all(isinstance(choice, str) for choice in choices)),
                default_value=default,
                common=isinstance(extra, dict) and bool(extra.get("common")),
                is_bool=bool in kinds,
                optional_section=optional,
                section_said=said,
            )
        )
    return plain + nested


def methods_first(fields: Sequence[RecipeField]) -> list[RecipeField]:
    """The fields with the sections of the methods before the other sections: who chooses a method sees what it adds."""
    methods = next((field.choices for field in fields if field.key == METHOD), ())
    return sorted(fields, key=lambda field: (bool(field.section), field.section not in methods))


def shown_keys(fields: Sequence[RecipeField], texts: Mapping[str, str], *, every: bool) -> set[str]:
    """The fields to show: those of the chosen method that are common, or that say something else than the default.

    Args:
        fields: all there are.
        texts: what is typed, by key.
        every: also those that are not common.
    """
    others = _sections_of_other_methods(fields, texts)
    return {
        field.key
        for field in fields
        if field.section not in others
        and (every or field.common or texts.get(field.key, field.value).strip() not in ("", field.default))
    }


def changes_of(fields: Sequence[RecipeField], texts: Mapping[str, str]) -> dict[str, Any]:
    """What the user changed, by dotted key, ready for `workbench.training.recipe.load`.

    A field that was emptied goes back to its default, a section that was emptied and may be absent goes; so does that
    of a method that is not chosen. A text that is no value of its field is left for `load` to name.
    """
    typed = {field.key: texts.get(field.key, field.value).strip() for field in fields}
    others = _sections_of_other_methods(fields, texts)
    changes: dict[str, Any] = {}
    for field in fields:
        if field.section in others or _emptied(field.section, fields, typed):
            if field.section_said:
                changes[field.section] = None
            continue
        text = typed[field.key]
        if text != field.value.strip():
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


def key_of_fault(fault: str, fields: Sequence[RecipeField]) -> tuple[RecipeField | None, str]:
    """The field that one line of `Faults` is about, and what it says of it."""
    text = re.sub(r"^line \d+: ", "", fault)
    key, _, reason = text.partition(": ")
    for field in sorted(fields, key=lambda field: -len(field.key)):
        if key == field.key or key.startswith(f"{field.key}."):
            return field, reason
    return None, text


def _sections_of_other_methods(fields: Sequence[RecipeField], texts: Mapping[str, str]) -> set[str]:
    method = next((field for field in fields if field.key == METHOD), None)
    if method is None:
        return set()
    chosen = texts.get(METHOD, method.value).strip() or method.default
    sections = {field.section for field in fields if field.section in method.choices}
    # While no method is named, none of them is another's.
    return sections - {chosen} if chosen in method.choices else {s for s in sections if s not in _said(fields)}


def _said(fields: Sequence[RecipeField]) -> set[str]:
    return {field.section for field in fields if field.section_said}


def _emptied(section: str, fields: Sequence[RecipeField], typed: Mapping[str, str]) -> bool:
    """Whether a section that may be absent said something, and nothing is left of it."""
    within = [field for field in fields if section and field.section == section and field.optional_section]
    return any(field.value for field in within) and not any(typed[field.key] for field in within)


def _parse(field: RecipeField, text: str) -> Any:
    if field.is_bool and text in ("true", "false"):
        return text == "true"
    if field.is_text and not text.startswith("["):
        return text
    return yaml_file.parse_value(text)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(kind for part in typing.get_args(annotation) for kind in _kinds(part))
    return (annotation,)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _choices(kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    named = tuple(choice for kind in kinds if typing.get_origin(kind) is Literal for choice in typing.get_args(kind))
    return (True, False, *named) if bool in kinds else named


def _form_of_list(kinds: tuple[Any, ...]) -> str:
    """How a list of sections is written in one line; empty for other fields."""
    for kind in kinds:
        for inner in typing.get_args(kind) if typing.get_origin(kind) is list else ():
            if _is_section(inner):
                return f" As YAML: [{{{', '.join(f'{name}: ...' for name in inner.model_fields)}}}]."
    return ""
