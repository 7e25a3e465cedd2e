"""The questions that the Pairs screen asks about pairs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from textual.content import Content

from screens.modals.choose import Choice, Choose
from screens.modals.confirm import Confirm
from screens.modals.edit_texts import EditTexts, TextField
from screens.modals.prompt import Prompt
from screens.pair_list import Listing, PairFilter
from workbench.errors import UserError
from workbench.pairs.pair import NotAPair, Pair, check_tags
from workbench.pairs.selection import Selection
from workbench.pairs.store import PairStore

_ANSWERS = ("completion", "chosen", "rejected")
Do = Callable[[Callable[[PairStore], object]], Awaitable[object]]
"""Has the store do something, and waits until it is committed."""

ORDERS = {
    "": "as they were added", "new": "the latest first", "status": "by status", "source": "by source",
    "tokens": "fewest tokens first", "-tokens": "most tokens first", "chars": "the shortest first",
    "-chars": "the longest first",
}  # fmt: skip
"""What a sort of the query line is called."""

_WELCOME = """[b]No pairs yet.[/b] A pair is a prompt and the answer that is to be learned.

[b $text-accent]$import_[/]  imports a file: JSONL, JSON, CSV or Parquet with columns such as

   [$text-primary]prompt, completion[/]            [$foreground-muted]texts or lists of messages[/]
   [$text-primary]instruction, input, output[/]    [$foreground-muted]Alpaca[/]
   [$text-primary]question, answer[/]
   [$text-primary]messages[/]                      [$foreground-muted]OpenAI[/]
   [$text-primary]conversations[/]                 [$foreground-muted]ShareGPT[/]
   [$text-primary]prompt, chosen, rejected[/]      [$foreground-muted]preferences[/]

   [$foreground-muted]or others, of which you then say which is which.[/]

[$foreground-muted]Look through them:[/] [b $text-accent]$accept[/] [$foreground-muted]accepts,[/] \
[b $text-accent]$reject[/] [$foreground-muted]rejects,[/] [b $text-accent]$edit[/] [$foreground-muted]edits,[/] \
[b $text-accent]$undo[/] [$foreground-muted]takes back.[/]
[$foreground-muted]A run learns from the accepted ones.[/]"""


def welcome(key: Callable[[str], str]) -> Content:
    """What stands where there are no pairs; `key`: gives the key of a command of the screen."""
    keys = {name: key(name) for name in ("accept", "reject", "edit", "undo")}
    return Content.from_markup(_WELCOME, import_=key("import"), **keys)


def confirm_all(verb: str, count: int, filter: PairFilter) -> Confirm:
    """`verb`: Accept or Reject."""
    which = [f"of dataset {filter.dataset}" if filter.dataset else "of all datasets"]
    if filter.query.narrows:
        which.append(f"that match “{filter.query.sorted_by('')}”")
    detail = f"All {' '.join(which)}. One undo takes it back."
    return Confirm(f"{verb} {_pairs(count)}?", detail, yes=verb, danger=verb == "Reject")


def confirm_delete(count: int) -> Confirm:
    return Confirm(f"Delete {_pairs(count)}?", "Undo brings them back.", yes="Delete", danger=True)


def choose_dataset(listing: Listing) -> Choose:
    """Returns the name; empty: all."""
    total = sum(dataset.total for dataset in listing.datasets)
    choices = [Choice("", "all datasets", _pairs(total))]
    choices += [
        Choice(
            dataset.name,
            dataset.name,
            f"{_pairs(dataset.total)}, {dataset.pending:,} pending, {dataset.accepted:,} accepted",
        )
        for dataset in listing.datasets
    ]
    return Choose("Which dataset?", choices, current=listing.filter.dataset or "")


def ask_tags(count: int, before: str, last: str) -> Prompt:
    """`before`: the tags that all of them have; `last`: those given last, offered again."""
    return Prompt(
        "Tags" if count == 1 else f"Tags of {_pairs(count)}",
        before,
        detail="They replace those that are there; +NAME adds one to them, -NAME takes one away.",
        placeholder="separated by commas",
        suggestions=[last] if last else [],
        check=tag_change,
    )


def tag_change(text: str) -> Callable[[PairStore, Sequence[int] | Selection], int]:
    """What to do to the tags of pairs: `a, b` replaces them, `+a, +b` adds some, `-a` takes one away.

    Raises:
        UserError: one of them cannot be a tag.
    """
    tags = [tag.strip() for tag in text.split(",") if tag.strip()]
    sign = tags[0][0] if tags else ""
    if sign not in ("+", "-") or any(tag[0] != sign for tag in tags):
        sign = ""
    tags = [tag.removeprefix(sign).strip() for tag in tags]
    try:
        check_tags(tags)
    except NotAPair as error:
        raise UserError(str(error)) from None
    if sign == "+":
        return lambda store, pairs: store.add_tags(pairs, tags)
    if sign == "-":
        return lambda store, pairs: store.remove_tags(pairs, tags)
    return lambda store, pairs: store.set_tags(pairs, tags)


def ask_note(ids: Sequence[int], before: str, save: Callable[[str], Awaitable[object]]) -> EditTexts:
    """A note on all of these pairs; `save` gets it."""

    async def saved(changes: Mapping[str, str]) -> None:
        await save(changes["note"])

    title = f"Note on pair {ids[0]}" if len(ids) == 1 else f"Note on {_pairs(len(ids))}"
    return EditTexts(title, [TextField("note", "note", before)], saved)


def fields_of(pair: Pair) -> list[TextField]:
    """Every turn before the prompt, the prompt, and the completion or chosen and rejected."""
    last = len(pair.messages) - 1
    fields = [
        TextField(str(number), "prompt" if number == last else message["role"], message["content"])
        for number, message in enumerate(pair.messages)
    ]
    answers = ((name, getattr(pair, name)) for name in _ANSWERS)
    return fields + [TextField(name, name, text) for name, text in answers if text is not None]


async def save_edit(pair: Pair, do: Do, changes: Mapping[str, str]) -> None:
    """Save those of the fields of a pair that were changed, as one step."""
    parts: dict[str, Any] = {name: text for name, text in changes.items() if name in _ANSWERS}
    if len(parts) < len(changes):
        parts["messages"] = [
            {"role": message["role"], "content": changes.get(str(number), message["content"])}
            for number, message in enumerate(pair.messages)
        ]
    await do(lambda store: store.edit(pair.id, **parts))


def edit(pair: Pair, do: Do) -> EditTexts:
    """All texts of a pair."""
    return EditTexts(f"Edit pair {pair.id}", fields_of(pair), partial(save_edit, pair, do))


def _pairs(count: int) -> str:
    return f"{count:,} pair{'s' if count != 1 else ''}"
