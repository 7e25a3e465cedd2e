"""From accepted pairs to what the model sees: frozen pairs, their passages, token ids and which of them are trained.

A run reads its own frozen copy, so that it can be resumed and understood whatever becomes of the pairs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import UserError
from workbench.library.grounding import Passage, grounded_messages, new_nonce
from workbench.models.load import control_strings
from workbench.text import for_template

FROZEN = "pairs.jsonl"


@dataclass(frozen=True)
class FrozenPair:
    """One pair as a run trains on it."""

    key: str
    """Hash of its content, from the pairs store."""
    messages: list[dict[str, str]]
    completion: str
    source: str
    evaluated: bool
    """In the eval split, never trained on."""
    passages: list[dict[str, str]]
    """What retrieval found for it, as `Passage` fields; empty without `context:`."""
    right: int | None = None
    """Which of the passages tells the completion; None where none does, or it is not known."""
    rejected: str | None = None
    """The worse answer of a preference pair; its completion is the better one."""
    group: str | None = None
    """The prompt by which its side of the split was drawn, 32 digits as `pairs.split.group_of` gives them; None: its
    own."""

    @property
    def answers(self) -> tuple[str, ...]:
        """What is learned from: the completion, and in a preference pair the rejected answer after it."""
        return (self.completion,) if self.rejected is None else (self.completion, self.rejected)


@dataclass(frozen=True)
class Example:
    """A pair as token ids."""

    key: str
    prompt_ids: list[int]
    answers: tuple[list[int], ...]
    """The answers' ids, each with the token that ends it: the completion; or the chosen and the rejected."""
    prompt: str
    """The whole prompt, as the chat template writes it."""

    @property
    def input_ids(self) -> list[int]:
        """Prompt and first answer."""
        return self.prompt_ids + self.answers[0]

    @property
    def trained_tokens(self) -> int:
        """How many tokens the losses are over."""
        return sum(len(answer) for answer in self.answers)

    @property
    def tokens(self) -> int:
        """What the model reads: the prompt before each answer."""
        return len(self.answers) * len(self.prompt_ids) + self.trained_tokens


@dataclass(frozen=True)
class Judged:
    """One answer to a prompt, as KTO learns from it."""

    prompt_ids: list[int]
    answer: list[int]
    wanted: bool
    elsewhere: list[int]
    """An answer to another prompt: how likely the model finds those tells how far it has gone from the base."""


def judged(examples: Sequence[Example], batch: int) -> list[Judged]:
    """Preference pairs taken apart as TRL does it (`unpair_preference_dataset`, `KTOTrainer._prepare_dataset`).

    All the chosen come first, then all the rejected, so that no neighbour has the same prompt; within each `batch` the
    answers move on by one to be the ones of elsewhere.
    """
    rows = [(each.prompt_ids, each.answers[n], n == 0) for n in (0, 1) for each in examples]
    found = []
    for start in range(0, len(rows), batch):
        group = rows[start : start + batch]
        for number, (prompt, answer, wanted) in enumerate(group):
            found.append(Judged(prompt, answer, wanted, group[number - 1][1]))
    return found


def freeze(folder: Path, pairs: Iterable[FrozenPair]) -> str:
    """Write the run's copy of its pairs; return the sha256 of its bytes."""
    # Without `group` where there is none: pairs that were never checked are frozen as they always were.
    told = ({name: value for name, value in vars(pair).items() if (name, value) != ("group", None)} for pair in pairs)
    lines = [json.dumps(each, ensure_ascii=False, sort_keys=True) for each in told]
    text = "".join(line + "\n" for line in lines)
    files.write_text(folder / FROZEN, text)
    return hashlib.sha256(text.encode()).hexdigest()


def thaw(folder: Path, sha256: str) -> list[FrozenPair]:
    """Read the run's pairs back.

    Raises:
        UserError: the file is not the one that was frozen.
    """
    path = folder / FROZEN
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(
            "is not the copy of the pairs that this run was started with",
            where=str(path),
            do="Start a new run; this one cannot be resumed faithfully.",
        )
    return [FrozenPair(**json.loads(line)) for line in data.decode().split("\n") if line]


def standing(pair: FrozenPair, left_out: int) -> list[int]:
    """Which of a pair's passages stand in its prompt when so many are left out: the last go first, the right one never.

    The right one stays because a pair without it would teach the model to invent.
    """
    spare = [number for number in range(len(pair.passages)) if number != pair.right]
    gone = set(spare[max(0, len(spare) - left_out) :])
    return [number for number in range(len(pair.passages)) if number not in gone]


def bare(pair: FrozenPair) -> FrozenPair:
    """The pair with all passages left out that may be: as short as `encode` makes it."""
    kept = [pair.passages[number] for number in standing(pair, len(pair.passages))]
    return replace(pair, passages=kept, right=0 if kept else None)


def encode(pair: FrozenPair, tokenizer: Any, *, system: str | None, max_length: int) -> tuple[Example | None, int]:
    """The token ids of a pair, built as chat builds its prompt.

    Passages that do not fit into `max_length` are left out, see `standing`.

    Returns:
        The example, or None if it is longer than `max_length` all the same; and the passages left out.
    """
    added = control_strings(tokenizer)
    texts = [for_template(answer, added) for answer in pair.answers]
    for left_out in range(len(pair.passages) + (pair.right is None)):
        passages = [Passage(**pair.passages[number]) for number in standing(pair, left_out)]
        messages = grounded_messages(
            pair.messages, passages, added_tokens=added, nonce=new_nonce(pair.key), system=system
        )
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        answers = tuple(_completion_ids(messages, prompt, text, tokenizer) for text in texts)
        if len(prompt_ids) + max(map(len, answers)) <= max_length:
            return Example(pair.key, prompt_ids, answers, prompt), left_out
    return None, 0


def _completion_ids(messages: list[dict[str, str]], prompt: str, completion: str, tokenizer: Any) -> list[int]:
    """The completion as the template writes an assistant's turn, up to and with the token that ends it."""
    whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": completion}], tokenize=False)
    rest = whole[len(prompt) :] if whole.startswith(prompt) else completion + tokenizer.eos_token
    ids: list[int] = tokenizer(rest, add_special_tokens=False)["input_ids"]
    if tokenizer.eos_token_id in ids:
        return ids[: ids.index(tokenizer.eos_token_id) + 1]
    return [*ids, tokenizer.eos_token_id]
