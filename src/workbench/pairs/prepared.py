"""A source's rows as the store keeps them: read, checked and hashed, in batches. It knows nothing of databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import NamedTuple

from workbench.errors import UserError
from workbench.pairs.detecting import Detection, Source, fault_of, pair_of
from workbench.pairs.forms import EXTRAS, extras_of
from workbench.pairs.pair import (
    NewPair,
    NotAPair,
    Pair,
    check_text,
    digest_of,
    digest_of_json,
    normalised,
    split_source,
)
from workbench.pairs.row import Fault, Row

CONTENT = ("key", "source", "line", "tags", "note", "messages", "completion", "chosen", "rejected", "chars")
"""The columns of a pair that it brings with it."""
StoredRow = tuple[bytes, str, int | None, str, str, str, str | None, str | None, str | None, int]
"""The values of `CONTENT`."""

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
    texts = (pair.completion, pair.chosen, pair.rejected)
    return (
        digest_of(pair.messages, *texts),
        *split_source(pair.source),
        tags_json(pair.tags),
        pair.note,
        messages_json(pair.messages),
        *texts,
        sum([len(turn["content"]) for turn in pair.messages]) + sum([len(text) for text in texts if text]),
    )


def tags_json(tags: Iterable[str]) -> str:
    """Tags as the store keeps them."""
    return f"[{', '.join(map(encode_basestring, tags))}]"


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
    plain = _plain(found)
    while some := list(islice(remaining, _BATCH)):
        rows: list[StoredRow] = []
        faults: list[Fault] = []
        for row in some:
            if isinstance(row, Row):
                try:
                    quick = _quick(row, plain, source.name) if plain else None
                    rows.append(quick or stored(pair_of(row, found, source.name)))
                    continue
                except NotAPair as error:
                    faults.append(fault_of(row, error))
                    continue
            faults.append(row)
        good, bad, first = good + len(rows), bad + len(faults), first or next(iter(faults), None)
        if first and bad > max(_HOPELESS, good):
            raise UserError(
                f"more than half of the first {good + bad:,} rows are bad; the first: {first.reason}",
                where=f"{source.where}:{first.line}",
                do=f"It was read as {found}. Name the columns with --map if that is wrong. Nothing was imported.",
            )
        yield Batch(rows, faults, source.done, source.total, source.unit)


class _Plain(NamedTuple):
    """A form of two texts: what its columns are called in the source."""

    prompt: str
    completion: str
    extras: tuple[tuple[str, str], ...]


def _plain(found: Detection) -> _Plain | None:
    """The columns, where the rows have no others that make a pair."""
    extras = tuple((name, own) for name, own in found.columns.items() if name in EXTRAS)
    names = tuple(name for name in found.columns if name not in EXTRAS)
    return _Plain(found.columns[names[0]], found.columns[names[1]], extras) if names in _TWO_TEXTS else None


_TWO_TEXTS = {("prompt", "completion"), ("question", "answer")}


def _quick(row: Row, plain: _Plain, name: str) -> StoredRow | None:
    """What `stored(pair_of(row))` is for two plain texts, in half the time; None: it is for these to say."""
    columns = row.columns
    prompt, completion = columns.get(plain.prompt), columns.get(plain.completion)
    if type(prompt) is not str or type(completion) is not str:
        return None
    source, line, tags, note = name + row.part, row.line, "[]", ""
    try:
        check_text(prompt, "prompt")
        check_text(completion, "completion")
        if plain.extras:
            given = {name: columns[its] for name, its in plain.extras if its in columns}
            extras = extras_of(given, f"{source}:{line}")
            source, line = split_source(check_text(extras["source"], "source"))
            tags, note = tags_json(extras["tags"]), extras["note"]
            if note:
                check_text(note, "note")
    except NotAPair:
        return None
    quoted = encode_basestring_ascii(prompt)
    # Where there is nothing to escape otherwise, and nothing to normalise, one string serves twice.
    kept = quoted if prompt.isascii() and "\x7f" not in prompt else encode_basestring(prompt)
    normal, answer = normalised(prompt), encode_basestring_ascii(normalised(completion))
    if normal != prompt:
        quoted = encode_basestring_ascii(normal)
    key = digest_of_json(f'[["user", {quoted}]]', f"[{answer}, null, null]")
    messages, chars = f'[{{"role": "user", "content": {kept}}}]', len(prompt) + len(completion)
    return (key, source, line, tags, note, messages, completion, None, None, chars)
