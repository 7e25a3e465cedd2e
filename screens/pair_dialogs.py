"""The questions that the Pairs screen asks about pairs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from textual.content import Content

from screens.modals.choose import Choice, Choose
from screens.modals.confirm import Confirm
from screens.modals.edit_texts import EditTexts, TextField
from screens.modals.prompt import Prompt
from screens.pair_list import Listing, PairFilter
from workbench.errors import UserError
from workbench.pairs.pair import NotAPair, Pair, check_tags
from workbench.pairs.store import PairStore

Do = Callable[[Callable[[PairStore], object]], Awaitable[object]]
"""Has the store do something, and waits until it is committed."""

WELCOME = Content.from_markup(
    """[b]No pairs yet.[/b] A pair is a prompt and the answer that is to be learned.

[b $text-accent]i[/]  imports a file: JSONL, JSON, CSV or Parquet with columns such as

   [$text-primary]prompt, completion[/]            [$foreground-muted]texts or lists of messages[/]
   [$text-primary]instruction, input, output[/]    [$foreground-muted]Alpaca[/]
   [$text-primary]question, answer[/]
   [$text-primary]messages[/]                      [$foreground-muted]OpenAI[/]
   [$text-primary]conversations[/]                 [$foreground-muted]ShareGPT[/]
   [$text-primary]prompt, chosen, rejected[/]      [$foreground-muted]preferences[/]

   [$foreground-muted]or others, of which you then say which is which.[/]

[$foreground-muted]Look through them:[/] [b $text-accent]a[/] [$foreground-muted]accepts,[/] [b $text-accent]r[/] \
[$foreground-muted]rejects,[/] [b $text-accent]e[/] [$foreground-muted]edits,[/] [b $text-accent]u[/] \
[$foreground-muted]takes back.[/]
[$foreground-muted]A run learns from the accepted ones.[/]"""
)


def confirm_all(verb: str, count: int, filter: PairFilter) -> Confirm:
    """`verb`: Accept or Reject."""
    which = [f"of dataset {filter.dataset}" if filter.dataset else "of all datasets"]
    if filter.status:
        which.append(f"that are {filter.status}")
    if filter.search.strip():
        which.append(f"with “{filter.search.strip()}”")
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
        detail="" if count == 1 else "They replace the tags that these pairs have.",
        placeholder="separated by commas",
        suggestions=[last] if last else [],
        check=parse_tags,
    )


def parse_tags(text: str) -> list[str]:
    """Tags separated by commas.

    Raises:
        UserError: one of them cannot be a tag.
    """
    tags = [tag.strip() for tag in text.split(",") if tag.strip()]
    try:
        check_tags(tags)
    except NotAPair as error:
        raise UserError(str(error)) from None
    return tags


def ask_note(ids: Sequence[int], before: str, do: Do) -> EditTexts:
    """Writes the note on all of these pairs."""

    async def save(changes: Mapping[str, str]) -> None:
        await do(lambda store: store.set_note(ids, changes["note"]))

    title = f"Note on pair {ids[0]}" if len(ids) == 1 else f"Note on {_pairs(len(ids))}"
    return EditTexts(title, [TextField("note", "note", before)], save)


def edit(pair: Pair, do: Do) -> EditTexts:
    """Every turn before the prompt, the prompt, and the completion or chosen and rejected."""
    last = len(pair.messages) - 1
    fields = [
        TextField(str(number), "prompt" if number == last else message["role"], message["content"])
        for number, message in enumerate(pair.messages)
    ]
    answers = {"completion": pair.completion, "chosen": pair.chosen, "rejected": pair.rejected}
    fields += [TextField(name, name, text) for name, text in answers.items() if text is not None]

    async def save(changes: Mapping[str, str]) -> None:
        parts: dict[str, Any] = {name: text for name, text in changes.items() if name in answers}
        if len(parts) < len(changes):
            parts["messages"] = [
                {"role": message["role"], "content": changes.get(str(number), message["content"])}
                for number, message in enumerate(pair.messages)
            ]
        await do(lambda store: store.edit(pair.id, **parts))

    return EditTexts(f"Edit pair {pair.id}", fields, save)


def _pairs(count: int) -> str:
    return f"{count:,} pair{'s' if count != 1 else ''}"
