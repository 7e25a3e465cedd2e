"""The pre-flight: what a run will do, counted before its first step, and what must not start at all.

Here is what can be counted from the pairs and the files of the weights; `probe` measures the rest. Light: no torch.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import statistics
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.output import duration
from workbench.training.data import Example, FrozenPair, bare, encode, judged
from workbench.training.recipe import Recipe

_LONG = 80  # characters of a completion from which on two equal ones are no coincidence
_NEARLY = 0.8  # share of the words that two prompts have in common to be nearly the same
_LIBRARIES = 500_000_000  # bytes that Python and the libraries hold, at least, before any weights
LESS_MEMORY = (
    "Lower per_device_train_batch_size and raise gradient_accumulation_steps by as much, lower max_length, or set "
    "gradient_checkpointing: true."
)


class Measured(Exception):
    """Ends a dry run, where the first step would be; `figures` are its pre-flight."""

    def __init__(self, figures: dict[str, Any]) -> None:
        super().__init__("measured")
        self.figures = figures


@dataclass
class Counted:
    """One split as token ids, and what became of its pairs on the way."""

    examples: list[Example] = field(default_factory=list)
    dropped: int = 0
    """Pairs longer than max_length."""
    dropped_over: int = 0
    """Tokens by which the longest of them is too long."""
    cut: int = 0
    """Pairs that lost passages, so that they fit."""
    passages_left_out: int = 0

    @property
    def tokens(self) -> int:
        """That the model reads when it sees each pair once."""
        return sum(example.tokens for example in self.examples)

    @property
    def lengths(self) -> list[int]:
        """Of each pair with its longer answer, in tokens."""
        return [len(example.prompt_ids) + max(map(len, example.answers)) for example in self.examples]

    def describe_losses(self, max_length: int) -> str:
        """What was dropped and cut, for a person; empty if nothing was."""
        told = []
        if self.dropped:
            told.append(
                f"{self.dropped} pairs longer than max_length {max_length} dropped,"
                f" too long by at most {self.dropped_over} tokens"
            )
        if self.cut:
            told.append(f"{self.passages_left_out} passages left out of {self.cut} pairs")
        return ", ".join(told)


def count(pairs: Sequence[FrozenPair], tokenizer: Any, *, system: str | None, max_length: int) -> Counted:
    """Encode a split, and count what does not fit into `max_length`."""
    counted = Counted()
    for pair in pairs:
        example, left_out = encode(pair, tokenizer, system=system, max_length=max_length)
        counted.passages_left_out += left_out
        counted.cut += bool(left_out)
        if example:
            counted.examples.append(example)
        else:
            counted.dropped += 1
            counted.dropped_over = max(counted.dropped_over, _shortest(pair, tokenizer, system) - max_length)
    return counted


def figures(training: Counted, evaluation: Counted) -> dict[str, Any]:
    """What is known of a run's data, as the event `preflight` tells it."""
    trained = sum(example.trained_tokens for example in training.examples)
    lengths = training.lengths
    return {
        "pairs": len(training.examples),
        "eval_pairs": len(evaluation.examples),
        "tokens": training.tokens,
        "prompt_tokens": training.tokens - trained,
        "trained_tokens": trained,
        "median_length": int(statistics.median(lengths)),
        "longest": max(lengths),
        "dropped": training.dropped + evaluation.dropped,
        "dropped_over": max(training.dropped_over, evaluation.dropped_over),
        "cut": training.cut + evaluation.cut,
        "passages_left_out": training.passages_left_out + evaluation.passages_left_out,
    }


def rows(examples: Sequence[Example], recipe: Recipe) -> list[tuple[int, ...]]:
    """For each row of the trainer's dataset the lengths of the sequences that the model reads for it."""
    match recipe.method:
        case "sft":
            return [(len(each.input_ids),) for each in examples]
        case "dpo" | "reward":
            return [tuple(len(each.prompt_ids) + len(answer) for answer in each.answers) for each in examples]
        case "kto":
            return [
                (len(each.prompt_ids) + len(each.answer), len(each.prompt_ids) + len(each.elsewhere))
                for each in judged(examples, recipe.per_device_train_batch_size)
            ]
    online = recipe.online
    assert online
    return [(len(each.prompt_ids) + online.max_completion_length,) for each in examples]


# What is refused


def refuse_leaks(training: Sequence[FrozenPair], evaluation: Sequence[FrozenPair]) -> None:
    """See that nothing of the eval split is learned.

    Raises:
        UserError: a prompt of both splits differs in case and white space alone, or two pairs have the same long answer
            to nearly the same prompt. The first three are named.
    """
    found = list(itertools.islice(_leaks(training, evaluation), 4))
    if found:
        named = "; ".join(f"{_short(one)} is learned and {_short(other)} evaluated" for one, other in found[:3])
        raise UserError(
            f"the eval split has leaked into training: {named}{'; and more' if len(found) > 3 else ''}",
            where="dataset",
            do="Reject one of the two, or give both the very same prompt, which keeps them on one side.",
        )


def refuse_weights(folder: Path, weights: str, in_4bit: bool, available: int, place: str) -> None:
    """See that the weights alone fit, before they are loaded.

    Args:
        folder: of the base model.
        weights: float32 or bfloat16, in which the weights are held.
        in_4bit: whether they are held in 4 bits instead.
        available: bytes that the process can hold where the model goes.
        place: what has them, for a person: "this machine", "the GPU".

    Raises:
        UserError: they do not fit.
    """
    numbers = parameters_in(folder)
    bits = 4.5 if in_4bit else {"float32": 32, "bfloat16": 16}[weights]
    needed = int(numbers * bits / 8) + _LIBRARIES
    if needed > available:
        kind = "4 bits" if in_4bit else weights
        raise UserError(
            f"the base model does not fit into memory: its {numbers / 1e9:.1f} billion parameters need"
            f" {gigabytes(needed)} in {kind}, and {place} has {gigabytes(available)} for it",
            where="model_name_or_path",
            do="Choose a smaller base model" + ("." if weights == "bfloat16" else ", or set bf16: true."),
        )


def refuse_memory(expected: int, available: int, place: str) -> None:
    """See that the run fits.

    Raises:
        UserError: the expected peak is more than there is.
    """
    if expected > available:
        raise UserError(
            f"the run does not fit into memory: it is expected to hold {gigabytes(expected)} at its peak, and {place}"
            f" has {gigabytes(available)} for it",
            do=LESS_MEMORY,
        )


def parameters_in(folder: Path) -> int:
    """Numbers that a model's safetensors hold, by their headers alone."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
        shapes = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
        total += sum(math.prod(shape) for shape in shapes)
    return total


# What a person reads


def lines(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of an event `preflight` as names and words."""
    share = told.get("trainable_share")
    lost = []
    if told.get("dropped"):
        lost.append(f"{told['dropped']} pairs dropped, too long by at most {told['dropped_over']} tokens")
    if told.get("cut"):
        lost.append(f"{told['passages_left_out']} passages left out of {told['cut']} pairs")
    found = [
        ("pairs", f"{told['pairs']:,} to train on, {told['eval_pairs']:,} to evaluate on"),
        ("tokens", f"{told['tokens']:,} ({told['trained_tokens']:,} of them trained)"),
        ("length", f"{told['median_length']:,} tokens the median, {told['longest']:,} the longest"),
        ("cut", "; ".join(lost) or "nothing"),
        ("steps", f"{told['steps']:,} in {told['epochs']:g} epochs"),
        ("trainable", f"{told['trainable_parameters']:,} parameters" + (f" ({share:.2%})" if share else "")),
    ]
    if told.get("peak_memory_bytes"):
        found.append(
            ("memory", f"{gigabytes(told['peak_memory_bytes'])} at its peak, of {gigabytes(told['available'])}")
        )
    if told.get("seconds"):
        found.append(("duration", duration(told["seconds"]) + (", a guess" if told.get("guess") else "")))
    return found


def check_lines(check: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of an event `preflight_check` as names and words."""
    words = {"peak_memory_bytes": ("memory", gigabytes), "seconds": ("duration", duration)}
    found = [
        (
            words[name][0],
            f"{words[name][1](check['expected'][name])} expected, {words[name][1](actual)} it was"
            f" ({check['ratio'][name]:.2f} of it)",
        )
        for name, actual in check["actual"].items()
    ]
    return [*found, *(("not compared", reason) for reason in check.get("not_compared", ()))]


def gigabytes(number: float) -> str:
    """Bytes as `1.24 GB`."""
    return f"{number / 1e9:.2f} GB"


# The parts


def _leaks(training: Sequence[FrozenPair], evaluation: Sequence[FrozenPair]) -> Iterator[tuple[FrozenPair, FrozenPair]]:
    by_prompt = {_prompt(pair): pair for pair in training}
    by_answer: dict[str, list[FrozenPair]] = defaultdict(list)
    for pair in training:
        answer = _plain(pair.completion)
        if len(answer) >= _LONG:
            by_answer[answer].append(pair)
    for pair in evaluation:
        prompt = _prompt(pair)
        if same := by_prompt.get(prompt):
            yield same, pair
        else:
            alike = (other for other in by_answer.get(_plain(pair.completion), ()) if _alike(_prompt(other), prompt))
            if other := next(alike, None):
                yield other, pair


def _prompt(pair: FrozenPair) -> str:
    return "\n".join(f"{message['role']}: {_plain(message['content'])}" for message in pair.messages)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _alike(one: str, other: str) -> bool:
    a, b = set(re.findall(r"\w+", one)), set(re.findall(r"\w+", other))
    return len(a & b) >= _NEARLY * len(a | b)


def _short(pair: FrozenPair) -> str:
    text = " ".join(pair.messages[-1]["content"].split())
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _shortest(pair: FrozenPair, tokenizer: Any, system: str | None) -> int:
    """Tokens of a pair with all passages left out that may be."""
    example, _ = encode(bare(pair), tokenizer, system=system, max_length=1 << 40)
    assert example
    return len(example.prompt_ids) + max(map(len, example.answers))
