"""`workbench pairs`: import, export, list, stats, accept, reject, undo, redo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench import output
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.pairs import file_commands
from workbench.workspace import find

if TYPE_CHECKING:
    from workbench.pairs.store import PairStore

app = output.subcommands("Training pairs: import, export, list, accept, reject, undo.")

_ANY = "any"
_MOST = 2**63 - 1  # SQLite's largest integer

AnyDataset = Annotated[str | None, typer.Option("--dataset", "-d", help="Only of this dataset.")]
Search = Annotated[str, typer.Option(help="Only pairs with all these words; the last may be a beginning.")]
Tag = Annotated[str | None, typer.Option(help="Only pairs with this tag.")]


app.command("import")(file_commands.import_)
app.command("export")(file_commands.export_)


@app.command("list")
def list_(
    dataset: AnyDataset = None,
    status: Annotated[str, typer.Option(help="pending, accepted, rejected or any.")] = _ANY,
    search: Search = "",
    tag: Tag = None,
    offset: Annotated[int, typer.Option(min=0, max=_MOST, help="Pass over so many.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="Show so many.")] = 50,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """The pairs, in the order in which they were added."""
    with _store(workspace) as store:
        only = _checked_status(status)
        if search:
            store.catch_up()
        limit = min(limit, _MOST - offset)
        pairs = store.page(dataset, status=only, search=search, tag=tag, offset=offset, limit=limit)
        total = store.count(dataset, status=only, search=search, tag=tag)
    if json:
        for pair in pairs:
            output.print_json(pair)
        return
    rows = [
        {
            "id": pair.id, "dataset": pair.dataset, "status": pair.status, "tags": ",".join(pair.tags),
            "prompt": _short(pair.prompt, 60), "answer": _short(pair.answer, 60),
        }
        for pair in pairs
    ]  # fmt: skip
    output.print_table(rows, ["id", "dataset", "status", "tags", "prompt", "answer"], empty="No such pairs.")
    if len(pairs) < total:
        output.say(f"{offset + 1:,} to {offset + len(pairs):,} of {total:,}." if pairs else f"There are {total:,}.")


@app.command()
def stats(json: AsJson = False, workspace: InWorkspace = None) -> None:
    """The datasets and their numbers of pairs."""
    with _store(workspace) as store:
        datasets = store.datasets()
    rows = [
        {
            "dataset": found.name, "pending": found.pending, "accepted": found.accepted,
            "rejected": found.rejected, "total": found.total,
        }
        for found in datasets
    ]  # fmt: skip
    if json:
        for row in rows:
            output.print_json(row)
    else:
        empty = "No pairs yet. Bring some with `workbench pairs import FILE --dataset NAME`."
        output.print_table(rows, ["dataset", "pending", "accepted", "rejected", "total"], empty=empty)


Ids = Annotated[list[int] | None, typer.Argument(help="Ids of pairs.")]
All = Annotated[bool, typer.Option("--all", help="All pairs that the options below choose.")]
Current = Annotated[str, typer.Option("--status", help="With --all: only pairs of this status; any: of every one.")]


@app.command()
def accept(
    ids: Ids = None,
    all_: All = False,
    dataset: AnyDataset = None,
    status: Current = "pending",
    search: Search = "",
    tag: Tag = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Accept pairs: these are what is trained on."""
    _set_status("accepted", ids, all_, dataset, status, search, tag, json, workspace)


@app.command()
def reject(
    ids: Ids = None,
    all_: All = False,
    dataset: AnyDataset = None,
    status: Current = "pending",
    search: Search = "",
    tag: Tag = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Reject pairs: they stay, and are not trained on."""
    _set_status("rejected", ids, all_, dataset, status, search, tag, json, workspace)


@app.command()
def undo(json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Take back the latest change of pairs, whatever it was."""
    with _store(workspace) as store:
        label = store.undo()
    output.print_json({"undone": label}) if json else output.say(f"Undone: {label}." if label else "Nothing to undo.")


@app.command()
def redo(json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Do again what was undone last."""
    with _store(workspace) as store:
        label = store.redo()
    output.print_json({"redone": label}) if json else output.say(f"Redone: {label}." if label else "Nothing to redo.")


def _set_status(
    new: str,
    ids: list[int] | None,
    all_: bool,
    dataset: str | None,
    status: str,
    search: str,
    tag: str | None,
    json: bool,
    workspace: Path | None,
) -> None:
    if all_ == bool(ids):
        raise UserError("say which pairs", do="Give their ids, or --all with what chooses them, but not both.")
    if ids and (dataset or search or tag):
        raise UserError("--dataset, --search and --tag choose among --all", do="Leave them out, or the ids.")
    with _store(workspace) as store:
        if ids:
            changed = store.set_status(ids, new)
        else:
            changed = store.set_status_where(
                new, dataset=dataset, current=_checked_status(status), search=search, tag=tag
            )
    if json:
        output.print_json({new: changed})
    else:
        output.say(f"{changed:,} {'pair' if changed == 1 else 'pairs'} {new}.")


def _store(workspace: Path | None) -> PairStore:
    from workbench.pairs.store import PairStore

    return PairStore(find(workspace).database)


def _checked_status(status: str) -> str | None:
    from workbench.pairs.pair import STATUSES

    if status == _ANY:
        return None
    if status not in STATUSES:
        raise UserError(f"{status!r} is no status", do=f"Use one of: {', '.join(STATUSES)}, {_ANY}.")
    return status


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
