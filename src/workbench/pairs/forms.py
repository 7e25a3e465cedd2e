"""The forms in which users have pairs: which columns make one, and how its rows become pairs and pairs its rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.pairs.pair import NotAPair, Pair, check_text, is_tag

Columns = Mapping[str, Any]
"""A row under the names of the form's own columns."""


@dataclass(frozen=True)
class Form:
    """One form."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    preference: bool
    """Whether its pairs have chosen and rejected."""
    read: Callable[[Columns], dict[str, Any]]
    """A row to the arguments of `NewPair`; raises NotAPair."""
    write: Callable[[Pair], dict[str, Any]]
    """A pair to a row."""
    turns: Callable[[Pair], dict[str, Any]] | None = None
    """The same with lists of messages, where some pair of a file has earlier turns; None: the form has no room."""


ALIASES = {
    "prompt": ("prompt", "instruction", "question", "input", "query"),
    "completion": ("completion", "response", "output"),
    "instruction": ("instruction",),
    "input": ("input", "context"),
    "output": ("output", "response"),
    "question": ("question", "query"),
    "answer": ("answer", "response"),
    "messages": ("messages", "conversations", "conversation"),
    "conversations": ("conversations", "conversation", "messages"),
    "chosen": ("chosen",),
    "rejected": ("rejected",),
    "system": ("system",),
    "source": ("source",),
    "tags": ("tags",),
    "note": ("note",),
}
"""What a column of each name may be called in a file."""

EXTRAS = ("source", "tags", "note")
"""Columns that every form may have."""

_ROLES = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant", "chatgpt": "assistant",
}  # fmt: skip


def is_flat(pair: Pair) -> bool:
    """Whether a pair is one message of the user, with or without a system message before it."""
    return len(pair.messages) == 1 or (len(pair.messages) == 2 and pair.messages[0]["role"] == "system")


def extras_of(row: Columns, source: str) -> dict[str, Any]:
    """Source, tags and note of a row; what there does not fit is left out, as any column is that no form knows."""
    own, note, tags = row.get("source"), row.get("note"), row.get("tags")
    if isinstance(tags, str):
        cell = _list_in(tags)
        tags = [tag.strip() for tag in tags.split(",")] if cell is None else cell
    return {
        "source": own if isinstance(own, str) and own.strip() else source,
        "note": note if isinstance(note, str) else "",
        "tags": tuple(dict.fromkeys(tag for tag in tags if is_tag(tag))) if isinstance(tags, list) else (),
    }


# Rows to pairs


def _read_completion(row: Columns) -> dict[str, Any]:
    messages = _prompt(row.get("prompt"), row)
    completion = row.get("completion")
    if isinstance(completion, list):
        completion = _answer("completion", completion)[1]
    return {"messages": messages, "completion": check_text(completion, "completion")}


def _read_alpaca(row: Columns) -> dict[str, Any]:
    instruction, given = check_text(row.get("instruction"), "instruction"), row.get("input")
    if given is not None and not isinstance(given, str):
        check_text(given, "input")
    prompt = f"{instruction}\n\n{given}" if given and given.strip() else instruction
    return {"messages": _prompt(prompt, row), "completion": check_text(row.get("output"), "output")}


def _read_question(row: Columns) -> dict[str, Any]:
    question = check_text(row.get("question"), "question")
    return {"messages": _prompt(question, row), "completion": check_text(row.get("answer"), "answer")}


def _read_messages(row: Columns) -> dict[str, Any]:
    name = "messages" if "messages" in row else "conversations"
    messages, completion = _answer(name, row.get(name))
    if not messages:
        raise NotAPair("has no user turn right before its answer")
    return {"messages": _with_system(messages, row), "completion": completion}


def _read_preference(row: Columns) -> dict[str, Any]:
    chosen, rejected = row.get("chosen"), row.get("rejected")
    earlier: list[list[dict[str, str]]] = []
    if isinstance(chosen, list):
        before, chosen = _answer("chosen", chosen)
        earlier.append(before)
    if isinstance(rejected, list):
        before, rejected = _answer("rejected", rejected)
        earlier.append(before)
    if any(before != earlier[0] for before in earlier):
        raise NotAPair("has a chosen and a rejected that answer different prompts")
    messages = _with_system(earlier[0], row) if earlier and earlier[0] else _prompt(row.get("prompt"), row)
    return {
        "messages": messages,
        "chosen": check_text(chosen, "chosen"),
        "rejected": check_text(rejected, "rejected"),
    }


def _prompt(prompt: Any, row: Columns) -> list[dict[str, str]]:
    if isinstance(prompt, list):
        return _with_system([_turn(turn, "prompt") for turn in prompt], row)
    return _with_system([{"role": "user", "content": check_text(prompt, "prompt")}], row)


def _with_system(messages: list[dict[str, str]], row: Columns) -> list[dict[str, str]]:
    system = row.get("system")
    if system is None or (isinstance(system, str) and not system.strip()) or messages[0]["role"] == "system":
        return messages
    return [{"role": "system", "content": check_text(system, "system")}, *messages]


def _answer(name: str, turns: Any) -> tuple[list[dict[str, str]], str]:
    """The turns before the last one of the assistant, and that one's text; what follows it teaches nothing."""
    if isinstance(turns, str):
        turns = _list_in(turns)
    if not isinstance(turns, list) or not turns:
        raise NotAPair(f"{name} is not a list of turns")
    messages = [_turn(turn, name) for turn in turns]
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()
    if not messages:
        raise NotAPair(f"{name} has no turn of the assistant")
    return messages[:-1], messages[-1]["content"]


def _list_in(cell: str) -> list[Any] | None:
    """The list that a cell of a CSV file holds as JSON; None when it holds none."""
    try:
        value = json.loads(cell) if cell.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _turn(turn: Any, name: str) -> dict[str, str]:
    if not isinstance(turn, Mapping):
        raise NotAPair(f"{name} has a turn that is not an object")
    role = turn.get("role", turn.get("from"))
    if not isinstance(role, str) or role.lower() not in _ROLES:
        raise NotAPair(f"{name} has a turn of role {role!r:.40}; only system, user and assistant can be learned")
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):  # OpenAI's parts
        if not all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content):
            raise NotAPair(f"{name} has a turn with parts that are not text")
        content = "".join(part["text"] for part in content)
    return {"role": _ROLES[role.lower()], "content": check_text(content, f"a turn in {name}")}


# Pairs to rows


def _system(pair: Pair) -> dict[str, str]:
    return {"system": pair.messages[0]["content"]} if pair.messages[0]["role"] == "system" else {}


def _assistant(text: str | None) -> dict[str, str]:
    return {"role": "assistant", "content": text or ""}


def _write_sharegpt(pair: Pair) -> dict[str, Any]:
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    turns: Sequence[Mapping[str, str]] = [*pair.messages, _assistant(pair.completion)]
    return {"conversations": [{"from": names[turn["role"]], "value": turn["content"]} for turn in turns]}


FORMS = {
    "preference": Form(
        ("chosen", "rejected"), ("prompt", "system"), True, _read_preference,
        lambda pair: {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected, **_system(pair)},
        lambda pair: {
            "prompt": pair.messages,
            "chosen": [_assistant(pair.chosen)],
            "rejected": [_assistant(pair.rejected)],
        },
    ),
    "messages": Form(
        ("messages",), ("system",), False, _read_messages,
        lambda pair: {"messages": [*pair.messages, _assistant(pair.completion)]},
        lambda pair: {"messages": [*pair.messages, _assistant(pair.completion)]},
    ),
    "sharegpt": Form(
        ("conversations",), ("system",), False, _read_messages, _write_sharegpt, _write_sharegpt,
    ),
    "alpaca": Form(
        ("instruction", "output"), ("input", "system"), False, _read_alpaca,
        lambda pair: {"instruction": pair.prompt, "input": "", "output": pair.completion, **_system(pair)},
    ),
    "question/answer": Form(
        ("question", "answer"), ("system",), False, _read_question,
        lambda pair: {"question": pair.prompt, "answer": pair.completion, **_system(pair)},
    ),
    "prompt/completion": Form(
        ("prompt", "completion"), ("system",), False, _read_completion,
        lambda pair: {"prompt": pair.prompt, "completion": pair.completion, **_system(pair)},
        lambda pair: {"prompt": pair.messages, "completion": [_assistant(pair.completion)]},
    ),
}  # fmt: skip
"""The forms by name, the more particular ones first: the first whose columns a file has is taken."""
