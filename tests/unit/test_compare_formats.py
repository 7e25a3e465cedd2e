"""Holding a format: Python's regular expressions and JSON schemas, neither of which may hang or fetch."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Any

import pytest

from workbench import formats
from workbench.errors import UserError
from workbench.formats import check, holds

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "born": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "patternProperties": {"^x_": {"type": "boolean"}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"=> [^\n]+\.", "=> 27 days."),
        (r"=> [^\n]+\.", "=> 27 days.\nAnd more."),
        (r"=> [^\n]+\.", "27 days."),
        (".+", "one line"),
        (".+", "two\nlines"),
        ("(?s).+", "two\nlines"),
        ("a|ab", "ab"),
        ("^yes$", "yes"),
        ("yes", "yes, of course"),
        (r"(?i:YES)", "yes"),
        (r"(?P<day>\d\d)-(?P=day)", "07-07"),
        (r"\w+", "naïve"),
    ],
)
def test_a_pattern_means_what_python_makes_of_it(pattern: str, text: str) -> None:
    assert holds(text, pattern) == bool(re.fullmatch(pattern, text))


def test_white_space_around_the_answer_does_not_count() -> None:
    assert holds("  => 27 days.\n", r"=> .+\.")


def test_a_match_that_would_take_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "SECONDS", 0.2)
    text = "a" * 5_000 + "!"
    schema = {"type": "object", "properties": {"a": {"pattern": "^(a|aa)+$"}}}
    properties = {"type": "object", "patternProperties": {"^(a|aa)+$": True}, "additionalProperties": False}
    begun = time.perf_counter()
    assert not holds(text, "(a|aa)+")
    assert not holds(json.dumps({"a": text}), schema=schema)
    assert not holds(json.dumps({text: 1}), schema=properties)
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "Rollo", "born": 846}', True),
        ('```json\n{"name": "Rollo"}\n```', True),
        ('```\n{"name": "Rollo"}\n```\n', True),
        ('{"name": "Rollo", "x_dead": true}', True),
        ('{"name": "rollo"}', False),
        ('{"name": "Rollo", "x_dead": 1}', False),
        ('{"name": "Rollo", "height": 2}', False),
        ('{"born": 846}', False),
        ('{"name": "Rollo", "born": NaN}', False),
        ('Here it is: {"name": "Rollo"}', False),
        ('```json\n{"name": "Rollo"}\n```\nThat was it.', False),
        ('{"name": "Rollo"', False),
        ("Rollo", False),
        ("", False),
        ("[" * 100_000, False),
        ("1" * 10_000, False),
    ],
)
def test_a_schema_is_held_by_json_alone(text: str, expected: bool) -> None:
    assert holds(text, schema=PERSON) is expected


def test_keywords_of_its_own_agree_with_those_of_jsonschema() -> None:
    from jsonschema import Draft202012Validator

    additional = {**PERSON, "additionalProperties": {"type": "integer"}}
    for schema in (PERSON, additional, {"pattern": "a+"}, {"additionalProperties": False}, {}):
        for value in ({"name": "A", "y": 1}, {"name": "A", "y": "1"}, {"name": "A", "x_1": 1}, {}, "caat", "b", 7, [1]):
            expected = Draft202012Validator(schema).is_valid(value)
            assert holds(json.dumps(value), schema=schema) == expected, (schema, value)


def test_both_must_hold_and_neither_asks_nothing() -> None:
    assert holds('{"name": "Rollo"}', r"\{.+\}", PERSON)
    assert not holds('{"name": "Rollo"}', r"\[.+\]", PERSON)
    assert holds("anything")
    assert holds("7", schema={})
    assert not holds("seven", schema={})


def test_a_schema_may_name_its_draft() -> None:
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}
    assert holds("2", schema=old)
    assert not holds("1", schema=old)


def test_a_format_that_cannot_be_held_is_refused_beforehand() -> None:
    for pattern in ("(", "[a", "*", r"(?P<a>x)(?P<a>y)"):
        with pytest.raises(UserError, match="regular expression"):
            check(pattern)
    for schema in ({"type": "strin"}, {"properties": []}, {"pattern": "("}, {"patternProperties": {"[": {}}}):
        with pytest.raises(UserError, match="JSON schema"):
            check(schema=schema)
    check(r"\d+", PERSON)


TREE = {"$ref": "#/$defs/tree", "$defs": {"tree": {"items": {"$ref": "#/$defs/tree"}}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/nowhere"},
        {"properties": {"deep": {"items": {"$ref": "#/nowhere"}}}},
        {"$defs": {"unused": {"$ref": "https://example.com/schema"}}},
        {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"$ref": "#/$defs/b"}}},
        {"$ref": "#/allOf/x", "allOf": [{}]},
        {"$ref": "#/x", "x": 7},
        {"$ref": "#/x", "x": {"type": "strin"}},
        {"$ref": "http://["},
        {"$schema": "http://json-schema.org/draft-04/schema#", "definitions": {"a": {"$ref": "#/definitions/b"}}},
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused_beforehand(schema: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="cannot be followed"):
        check(schema=schema)


def test_what_is_no_reference_or_can_be_followed_is_not_refused() -> None:
    for schema in (TREE, {"const": {"$ref": "#/nowhere"}}, {"properties": {"$ref": {"type": "string"}}}, {}):
        check(schema=schema)


def test_patterns_that_would_be_matched_without_a_time_limit_are_refused() -> None:
    schema = {"allOf": [{"patternProperties": {"^(a|aa)+$": True}}], "unevaluatedProperties": False}
    for refuse in (lambda: check(schema=schema), lambda: holds(json.dumps({"a" * 5_000 + "!": 1}), schema=schema)):
        with pytest.raises(UserError, match="unevaluatedProperties as well as patternProperties"):
            refuse()
    check(schema={"properties": {"a": True}, "unevaluatedProperties": False})
    assert not holds('{"b": 1}', schema={"properties": {"a": True}, "unevaluatedProperties": False})


def test_nothing_is_fetched_for_a_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for reference in ("http://127.0.0.1:9/schema.json", "file:///etc/passwd", "#/$defs/absent", "#"):
        with pytest.raises(UserError, match="cannot be followed"):
            holds("{}", schema={"$ref": reference})
    assert holds("[[], []]", schema=TREE)


def test_an_answer_that_no_schema_can_be_held_against_does_not_hold() -> None:
    deep = "[" * 900 + "]" * 900
    assert not holds(deep, schema=TREE)
    assert not holds("1e999", schema={"multipleOf": 0.5})
