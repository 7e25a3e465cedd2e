"""What the frozen pairs of two runs have in common and what not. Streaming: of each pair only digests are held."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from workbench.training.data import FROZEN

SHOWN = 5
"""Pairs that are given as examples of each difference."""


@dataclass(frozen=True)
class PairText:
    """A pair as a reader is shown it."""

    prompt: str
    answer: str
    other: str | None = None
    """What it is in the other run, where that is different."""


@dataclass
class DataDifference:
    """The pairs of two runs. A pair is known by its messages; the first few of each kind are given."""

    same: int = 0
    only_first: int = 0
    only_second: int = 0
    changed: int = 0
    """In both, with another completion (of a preference pair: another chosen or rejected)."""
    moved: int = 0
    """In both, but in the eval split of only one of them."""
    examples: dict[str, list[PairText]] = field(default_factory=dict)
    """The first of `only_first`, `only_second` and `changed`."""


@dataclass(frozen=True)
class _Seen:
    answer: bytes
    evaluated: bool
    offset: int


@dataclass(frozen=True)
class Digests:
    """The frozen pairs of a run, as little of them as tells them apart."""

    path: Path
    by_prompt: dict[bytes, list[_Seen]]
    train_pairs: int
    eval_pairs: int


def digests(folder: Path) -> Digests:
    """Read the pairs of the run in `folder` once; a run that has not frozen any yet counts as one without pairs."""
    path = folder / FROZEN
    by_prompt: dict[bytes, list[_Seen]] = {}
    counts = [0, 0]
    for offset, pair in _lines(path):
        seen = _Seen(_digest(_answers(pair)), bool(pair.get("evaluated")), offset)
        by_prompt.setdefault(_digest(pair.get("messages")), []).append(seen)
        counts[seen.evaluated] += 1
    return Digests(path, by_prompt, *counts)


def difference(first: Digests, second: Digests) -> DataDifference:
    """What sets the pairs of the first run apart from those of the second."""
    ours, theirs = first.by_prompt, second.by_prompt
    found = DataDifference()
    apart: dict[str, list[tuple[_Seen | None, _Seen | None]]] = defaultdict(list)
    for prompt in {**ours, **theirs}:  # in the order of the files
        mine, others = list(ours.get(prompt, ())), list(theirs.get(prompt, ()))
        for one in list(mine):  # a prompt may stand there more than once, with other answers
            if twin := next((other for other in others if other.answer == one.answer), None):
                mine.remove(one)
                others.remove(twin)
                found.same += 1
                found.moved += one.evaluated != twin.evaluated
        both = min(len(mine), len(others))
        for one, other in zip(mine[:both], others[:both], strict=True):
            found.moved += one.evaluated != other.evaluated
            apart["changed"].append((one, other))
        apart["only_first"] += [(one, None) for one in mine[both:]]
        apart["only_second"] += [(None, other) for other in others[both:]]
    found.only_first, found.only_second = len(apart["only_first"]), len(apart["only_second"])
    found.changed = len(apart["changed"])
    found.examples = {
        kind: _texts(first.path, second.path, apart[kind][:SHOWN]) for kind in ("only_first", "only_second", "changed")
    }
    return found


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(offset, pair) of each line; what is no pair is passed over."""
    offset = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if pair := _pair(line):
                    yield offset, pair
                offset += len(line)
    except FileNotFoundError:
        return


def _pair(line: bytes) -> dict[str, Any] | None:
    try:
        pair = json.loads(line)
    except ValueError:
        return None
    return pair if isinstance(pair, dict) else None


def _answers(pair: dict[str, Any]) -> list[Any]:
    return [pair.get(name) for name in ("completion", "chosen", "rejected")]


def _digest(value: Any) -> bytes:
    return blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).digest()


def _texts(first: Path, second: Path, pairs: Sequence[tuple[_Seen | None, _Seen | None]]) -> list[PairText]:
    texts = []
    for ours, theirs in pairs:
        mine = _at(first, ours) if ours else None
        other = _at(second, theirs) if theirs else None
        told = mine or other or {}
        messages = told.get("messages") or [{}]
        changed = _answer(other) if mine and other else None
        texts.append(PairText(str(messages[-1].get("content", "")), _answer(told), changed))
    return texts


def _at(path: Path, seen: _Seen) -> dict[str, Any]:
    with path.open("rb") as file:
        file.seek(seen.offset)
        return _pair(file.readline()) or {}


def _answer(pair: dict[str, Any]) -> str:
    if pair.get("chosen") is not None:
        return f"{pair['chosen']} (not: {pair.get('rejected')})"
    return str(pair.get("completion", ""))
