"""A source's rows as the store keeps them: read, checked and hashed, in batches. It knows nothing of databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import NamedTuple

from workbench.errors import UserError
from workbench.pairs.detecting import Detection, Source, pair_of
from workbench.pairs.pair import NewPair, NotAPair, Pair, check_text, digest_of, digest_of_json, normalised
from workbench.pairs.row import Fault, Row

StoredRow = tuple[bytes, str, str, str, str, str | None, str | None, str | None]
"""The values of `CONTENT`."""
CONTENT = ("key", "source", "tags", "note", "messages", "completion", "chosen", "rejected")
"""The columns of a pair that it brings with it."""

_BATCH = 1000  # rows
_HOPELESS = 100_000  # with so many faults, and more of them than rows, a source is refused


class Batch(NamedTuple):
    """Some rows of a source, and how much of it is read with them."""

    rows: list[StoredRow]
    faults: list[Fault]
    done: float
    total: float
    unit: str


def stored(pair: NewPair | Pair) -> StoredRow:
    """A pair as the store keeps it. Its lists are JSON as `json.dumps` writes it, made several times as fast."""
    return (
        digest_of(pair.messages, pair.completion, pair.chosen, pair.rejected),
        pair.source,
        f"[{', '.join(map(encode_basestring, pair.tags))}]",
        pair.note,
        messages_json(pair.messages),
        pair.completion,
        pair.chosen,
        pair.rejected,
    )


def messages_json(messages: Iterable[Mapping[str, str]]) -> str:
    """Messages as the store keeps them."""
    turns = [
        f'{{"role": {encode_basestring(turn["role"])}, "content": {encode_basestring(turn["content"])}}}'
        for turn in messages
    ]
    return f"[{', '.join(turns)}]"


def batches(source: Source, found: Detection, limit: int | None = None) -> Iterator[Batch]:
    """The rows of a source, in batches.

    Args:
        source: where they come from.
        found: what their columns mean.
        limit: how many at most, good and bad; None: all.

    Raises:
        UserError: the source cannot be read, or is none of pairs at all.
    """
    good = bad = 0
    first: Fault | None = None
    remaining = islice(source.rows(found.columns.values()), limit)
    two = _two_columns(found)
    while some := list(islice(remaining, _BATCH)):
        rows: list[StoredRow] = []
        faults: list[Fault] = []
        for row in some:
            if isinstance(row, Row):
                try:
                    rows.append((two and _quick(row, *two, source.name)) or stored(pair_of(row, found, source.name)))
                    continue
                except NotAPair as error:
                    row = Fault(row.line, str(error))
            faults.append(row)
        good, bad, first = good + len(rows), bad + len(faults), first or next(iter(faults), None)
        if first and bad > max(_HOPELESS, good):
            raise UserError(
                f"more than half of the first {good + bad:,} rows are bad; the first: {first.reason}",
                where=f"{source.where}:{first.line}",
                do=f"It was read as {found}. Name the columns with --map if that is wrong. Nothing was imported.",
            )
        yield Batch(rows, faults, source.done, source.total, source.unit)


def _two_columns(found: Detection) -> tuple[str, str] | None:
    """The columns of prompt and completion, where the rows have no other that counts."""
    names = tuple(found.columns)
    return tuple(found.columns.values()) if names in _PLAIN else None  # pyright: ignore[reportReturnType]


_PLAIN = {("prompt", "completion"), ("question", "answer")}


def _quick(row: Row, prompt_column: str, completion_column: str, name: str) -> StoredRow | None:
    """What `stored(pair_of(row))` is for two plain texts, in half the time; None: it is for these to say."""
    prompt, completion = row.columns.get(prompt_column), row.columns.get(completion_column)
    if type(prompt) is not str or type(completion) is not str:
        return None
    try:
        check_text(prompt, prompt_column)
        check_text(completion, completion_column)
    except NotAPair:
        return None
    quoted = encode_basestring_ascii(prompt)
    # Where there is nothing to escape otherwise, and nothing to normalise, one string serves twice.
    kept = quoted if prompt.isascii() and "\x7f" not in prompt else encode_basestring(prompt)
    normal, answer = normalised(prompt), encode_basestring_ascii(normalised(completion))
    if normal != prompt:
        quoted = encode_basestring_ascii(normal)
    return (
        digest_of_json(f'[["user", {quoted}]]', f"[{answer}, null, null]"),
        f"{name}:{row.line}",
        "[]",
        "",
        f'[{{"role": "user", "content": {kept}}}]',
        completion,
        None,
        None,
    )
