"""Whether an answer holds the format that a question asks for: a regular expression, a JSON schema, or both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from workbench.errors import UserError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

SECONDS = 1.0
"""How long one match may take. Backtracking without end is what a text that does not match brings about, so an answer
whose match takes longer does not hold the format."""
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(?P<json>.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)


def check(pattern: str = "", schema: dict[str, Any] | None = None) -> None:
    """Find out, before any question is asked, whether a format can be held at all.

    Raises:
        UserError: the pattern is no regular expression; the schema is no JSON schema, has a `$ref` that cannot be
            followed, or has unevaluatedProperties as well as patternProperties.
    """
    if pattern:
        _compiled(pattern)
    if schema is not None:
        _follow(_validator(json.dumps(schema)))


def holds(text: str, pattern: str = "", schema: dict[str, Any] | None = None) -> bool:
    """Whether the whole answer, without white space around it, holds the format.

    A pattern is Python's: it must match from the first to the last character, and its dot matches no newline. For a
    schema (Draft 2020-12, unless its `$schema` names another) the answer must be JSON that is valid under it; one fence
    of three backticks around it, with or without the word json, is taken off, as chat models write it and IFEval
    (arXiv 2311.07911) allows it. NaN and Infinity are no JSON. A `$ref` that leads outside the schema is not followed,
    and `format` in a schema is not checked.

    Args:
        text: the answer.
        pattern: a regular expression; empty: none.
        schema: a JSON schema; None: none.

    Raises:
        UserError: as `check`.
    """
    text = text.strip()
    if pattern and not _matches(pattern, text, whole=True):
        return False
    return schema is None or _valid(text, schema)


def _valid(text: str, schema: dict[str, Any]) -> bool:
    validator = _validator(json.dumps(schema))
    if fenced := _FENCE.fullmatch(text):
        text = fenced["json"]
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    with _followed():
        try:
            return validator.is_valid(value)
        except (RecursionError, OverflowError):  # it is nested too deep, or has a number such as 1e999
            _follow(validator)  # unless it is the schema that has no end
            return False


@contextmanager
def _followed() -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # what a $ref names need be no schema: anything can come of following it
        raise UserError(
            "the JSON schema cannot be followed (a $ref leads outside it, back to itself, or to no schema)",
            do="Write what it refers to into the schema, under $defs.",
        ) from error


def _follow(validator: Any) -> None:
    """Hold a value against every part of a schema, also those that few answers would reach, so that each `$ref` in it
    is followed once."""
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    with _followed():
        whole = Resource.from_contents(validator.schema, default_specification=DRAFT202012)
        parts = [(whole, Registry().resolver_with_root(whole))]
        while parts:
            part, resolver = parts.pop()
            list(validator.descend(None, part.contents, resolver=resolver))
            parts += [(each, resolver.in_subresource(each)) for each in part.subresources()]


def _names(schema: Any) -> set[str]:
    """All keys in a schema, at any depth."""
    found, level = set(), [schema]
    while level:
        each = level.pop()
        if isinstance(each, dict):
            found |= each.keys()
        level += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:
    """The pattern for the package regex, which can be told to give up; what `re` refuses is refused."""
    import regex

    try:
        re.compile(pattern)
        return regex.compile(pattern)
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        raise UserError(f"it is not a regular expression ({error})", where=pattern) from None


def _matches(pattern: str, text: str, *, whole: bool = False) -> bool:
    compiled = _compiled(pattern)
    try:
        return (compiled.fullmatch if whole else compiled.search)(text, timeout=SECONDS) is not None
    except TimeoutError:
        return False


@lru_cache(maxsize=64)
def _validator(dumped: str) -> Validator:
    from jsonschema import Draft202012Validator, SchemaError, validators
    from referencing import Registry

    schema = json.loads(dumped)
    try:
        draft = validators.validator_for(schema, default=Draft202012Validator)
        draft.check_schema(schema)
    except SchemaError as error:
        raise UserError(f"it is not a JSON schema: {error.message:.200}", where=error.json_path) from None
    except TypeError as error:  # its $schema is no text
        raise UserError(f"it is not a JSON schema: {error}") from None
    if {"unevaluatedProperties", "patternProperties"} <= _names(schema):
        raise UserError(
            "the JSON schema has unevaluatedProperties as well as patternProperties, whose patterns would then be "
            "matched without a time limit",
            do="Use additionalProperties.",
        )
    timed = validators.extend(
        draft,
        {"pattern": _pattern, "patternProperties": _pattern_properties, "additionalProperties": _additional_properties},
    )
    return timed(schema, registry=Registry())  # an empty registry: nothing is fetched


# jsonschema's own three keywords match with `re`, which cannot be told to give up.


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[Exception]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, _: Any) -> Iterator[Exception]:
    if isinstance(instance, dict):
        for pattern, schema in patterns.items():
            for name, value in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, additional: Any, instance: Any, schema: Any) -> Iterator[Exception]:
    from jsonschema import ValidationError

    if not isinstance(instance, dict):
        return
    patterns = schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in schema.get("properties", {}) or any(_matches(pattern, name) for pattern in patterns):
            continue
        if additional is False:
            yield ValidationError(f"{name!r} is not allowed")
        elif isinstance(additional, dict):
            yield from validator.descend(value, additional, path=name)
