"""Importing a file of questions: bad rows are named and skipped, the rest come into a set in one transaction."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import formats
from workbench.compare.evalsplit import document_name
from workbench.compare.question import Question
from workbench.compare.store import CompareStore
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.pairs.forms import FORMS
from workbench.pairs.pair import NotAPair, as_text, check_text, is_text
from workbench.pairs.readers import Fault, Row, RowFile

COLUMNS = {
    "question": ("question", "prompt", "query", "input"),
    "instruction": ("instruction",),  # Alpaca's: the question, or what stands before it
    "messages": ("messages", "conversations", "conversation"),
    "system": ("system",),
    "answers": ("answers", "answer", "completion", "reference", "output", "response"),
    "answerable": ("answerable",),
    "is_impossible": ("is_impossible",),  # SQuAD 2.0's name for the contrary
    "document": ("document", "file"),
    "source": ("source",),  # the document, where it looks like one's name: pairs have "rows.jsonl:17" there
    "context": ("context", "passage"),
    "pattern": ("pattern", "regex"),
    "schema": ("schema", "json_schema"),
}
"""What a question can have, and what such a column may be called in a file."""

_NAMES = {alias: name for name, aliases in COLUMNS.items() for alias in aliases}
_TRUTH = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}
_DEEPEST = 64  # levels in a schema
_HELP = "Say which column is which, e.g. --map question=COLUMN; --map context= leaves that one out."


@dataclass
class ImportResult:
    """What became of a file's rows."""

    added: int
    duplicates: int
    """Rows that the set, or an earlier row, had; they are not faults."""
    faults: list[Fault] = field(default_factory=list)
    """The rows that were skipped."""
    columns: dict[str, str] = field(default_factory=dict)
    """What was read, keys of `COLUMNS`, and what each is called in the file."""


def import_questions(
    store: CompareStore, path: Path, name: str, *, columns: Mapping[str, str] | None = None
) -> ImportResult:
    """Add the questions of a file to a set, in one transaction; a file that is imported again adds nothing.

    A row has a question, or messages whose last one is the user's (an assistant's turn behind it is the answer). The
    answers are one text, a list of texts (in CSV as JSON), or SQuAD's `{"text": [...], "answer_start": [...]}`, of
    which an empty one says that the question is not answerable. Without a column that tells, a question with answers
    is answerable, and of one without it is not known whether it is.

    Args:
        store: where to.
        path: a JSONL, JSON, CSV or Parquet file.
        name: of the set; made if there is none of this name.
        columns: what columns are called in the file, e.g. `{"question": "frage"}`; an empty name leaves a column out
            that would be found otherwise.

    Raises:
        UserError: the file cannot be read, has no column of questions, or all of its rows are bad; nothing is imported.
    """
    check_name(name, "question set")
    found = _columns(path, columns or {})
    file = RowFile(path)
    questions: list[Question] = []
    faults: list[Fault] = []
    for row in file.rows(found.values()):
        if isinstance(row, Row):
            try:
                questions.append(_question(row, found, is_csv=file.format == "CSV"))
                continue
            except NotAPair as error:
                row = Fault(row.line, str(error))
        faults.append(row)
    if not questions:
        raise UserError(
            f"none of its {len(faults):,} rows is a question; the first: {faults[0].reason}",
            where=f"{path}:{faults[0].line}",
            do=f"{_HELP} Nothing was imported.",
        )
    added, duplicates = store.add_questions(name, questions)
    return ImportResult(added, duplicates, faults, found)


def _columns(path: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Which columns the file has. All rows are looked at: a format may be told in the last one only."""
    if unknown := [name for name in given if name not in _NAMES]:
        raise UserError(f"questions have no column {unknown[0]!r}", do=f"Map one of: {', '.join(COLUMNS)}.")
    own: dict[str, None] = {}
    first_fault: Fault | None = None
    for row in RowFile(path).rows():
        if isinstance(row, Row):
            own |= dict.fromkeys(row.columns)
        else:
            first_fault = first_fault or row
    if not own:
        if first_fault:
            reason = f"none of its rows can be read; the first: {first_fault.reason}"
            raise UserError(reason, where=f"{path}:{first_fault.line}")
        raise UserError("holds no rows", where=str(path))
    if absent := [column for column in given.values() if column and column not in own]:
        raise UserError(f"there is no column {absent[0]!r}", where=str(path), do=f"It has: {_listed(own)}.")
    mapped = {_NAMES[name]: column for name, column in given.items()}
    lower = {column.strip().lower(): column for column in reversed(own) if column not in mapped.values()}
    found = {
        name: column
        for name, aliases in COLUMNS.items()
        if (column := mapped.get(name, next((lower[alias] for alias in aliases if alias in lower), "")))
    }
    if not found.keys() & {"question", "instruction", "messages"}:
        raise UserError(f"no column holds questions: {_listed(own)}", where=str(path), do=_HELP)
    return found


def _question(row: Row, columns: Mapping[str, str], *, is_csv: bool) -> Question:
    """The question of a row.

    Raises:
        NotAPair: what keeps the row from being one.
    """
    values = {name: row.columns[column] for name, column in columns.items() if column in row.columns}
    if "answers" in columns and "answers" not in values:  # rows of one file may say it in other words
        taken = set(columns.values())
        others = (own for own in row.columns if own not in taken and own.strip().lower() in COLUMNS["answers"])
        values["answers"] = row.columns.get(next(others, ""))
    messages, closing = _messages(values, columns)
    given = values.get("answers", closing)
    answers = _answers(given, is_csv=is_csv)
    return Question(
        messages=messages,
        answers=answers,
        answerable=_answerable(values, answers, says_none=_is_squad(given)),
        document=_text(values, "document").strip() or _document(values.get("source")),
        context=_text(values, "context"),
        pattern=_pattern(values),
        schema=_schema(values.get("schema")),
    )


def _messages(values: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[tuple[dict[str, str], ...], str | None]:
    """The messages up to the user's last one, and what the assistant says behind it."""
    system = {"system": values.get("system")}
    turns, question = values.get("messages"), values.get("question")
    if turns in (None, "") and isinstance(question, list):  # TRL's prompt of messages
        turns = question
    if turns in (None, "") and "instruction" in values:
        alpaca = {"instruction": values["instruction"], "input": question, "output": "-", **system}
        return tuple(FORMS["alpaca"].read(alpaca)["messages"]), None
    if turns in (None, ""):
        if "question" not in values:
            raise NotAPair(f"has no {columns.get('question', columns.get('messages', 'instruction'))}")
        return _as_pair([{"role": "user", "content": check_text(question, "question")}], system), None
    if isinstance(turns, str):
        turns = _parsed(turns, "messages")
    if not isinstance(turns, list) or not turns:
        raise NotAPair("messages is not a list of turns")
    messages = _as_pair(turns, system)
    closing = messages[-1]["content"] if messages[-1]["role"] == "assistant" else None
    messages = messages if closing is None else messages[:-1]
    if not messages or messages[-1]["role"] != "user":
        raise NotAPair("messages do not end with the user's")
    return messages, closing


def _as_pair(turns: list[Any], system: dict[str, Any]) -> tuple[dict[str, str], ...]:
    """The turns as those of a pair are read, for which an answer is put behind them."""
    read = FORMS["messages"].read({"messages": [*turns, {"role": "assistant", "content": "-"}], **system})
    return tuple(read["messages"])


def _answers(value: Any, *, is_csv: bool) -> tuple[str, ...]:
    if is_csv and isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError, RecursionError):  # it may also be a text that begins so
            value = json.loads(value)
    if isinstance(value, Mapping):
        if "text" not in value:
            raise NotAPair("answers is an object without text")
        value = value["text"]
    if value is None or (isinstance(value, str) and not value.strip()):
        return ()
    texts = [each.get("text") if isinstance(each, Mapping) else each for each in _as_list(value)]
    return tuple(dict.fromkeys(check_text(text, "an answer") for text in texts))


def _is_squad(answers: Any) -> bool:
    return isinstance(answers, Mapping) and answers.get("text") is not None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _answerable(values: Mapping[str, Any], answers: tuple[str, ...], *, says_none: bool) -> bool | None:
    answerable, impossible = (_truth(values.get(name), name) for name in ("answerable", "is_impossible"))
    if impossible is not None:
        if answerable is impossible:
            raise NotAPair("contradicts itself: answerable and is_impossible are the same")
        answerable = not impossible
    if answerable is False and answers:
        raise NotAPair("contradicts itself: it is not answerable, but has an answer")
    if answerable and not answers and "answers" in values:
        raise NotAPair("contradicts itself: it is answerable, but its answers are empty")
    if answerable is None and (answers or says_none):
        return bool(answers)
    return answerable


def _truth(value: Any, name: str) -> bool | None:
    if value is None or value == "":
        return None
    told = _TRUTH.get(str(value).strip().lower())
    if told is None:
        raise NotAPair(f"{name} is {value!r:.40}, neither true nor false")
    return told


def _text(values: Mapping[str, Any], name: str) -> str:
    """The text of a column; "" where it is absent or blank."""
    value = values.get(name)
    return "" if value is None or (isinstance(value, str) and not value.strip()) else check_text(value, name)


def _document(source: Any) -> str:
    return document_name(source) if isinstance(source, str) and is_text(source) else ""


def _pattern(values: Mapping[str, Any]) -> str:
    pattern = _text(values, "pattern")
    try:
        formats.check(pattern)
    except UserError as error:
        raise NotAPair(f"pattern: {error.what}") from None
    return pattern


def _schema(value: Any) -> dict[str, Any] | None:
    """A JSON schema that answers can be held against."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        value = _parsed(value, "schema")
    if not isinstance(value, dict):
        raise NotAPair("schema is not an object")
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [part for each in level for part in _parts(each)]
    if level:
        raise NotAPair(f"schema has more than {_DEEPEST} levels")
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError):  # a date of Parquet, NaN, half a surrogate pair
        raise NotAPair("schema holds something that JSON does not know") from None
    try:
        formats.check(schema=value)
    except UserError as error:
        raise NotAPair(f"schema: {error.what}") from None
    return value


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotAPair(f"{name} is not JSON") from None


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(as_text(name[:40]) for name in names[:12]) + (", …" if len(names) > 12 else "")
