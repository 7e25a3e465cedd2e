"""`workbench pairs`: import, export, list, stats, accept, reject, undo, redo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench import output
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.workspace import find

if TYPE_CHECKING:
    from workbench.pairs.store import PairStore

app = output.subcommands("Training pairs: import, export, list, accept, reject, undo.")

_ANY = "any"
_SHOWN = 20  # faults shown to a person
_MOST = 2**63 - 1  # SQLite's largest integer
_EVERY = 1.0  # seconds between two lines of progress

Dataset = Annotated[str, typer.Option("--dataset", "-d", help="The dataset's name.")]
AnyDataset = Annotated[str | None, typer.Option("--dataset", "-d", help="Only of this dataset.")]
Search = Annotated[str, typer.Option(help="Only pairs with all these words; the last may be a beginning.")]
Tag = Annotated[str | None, typer.Option(help="Only pairs with this tag.")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A JSONL, JSON, CSV or Parquet file.")],
    dataset: Dataset,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=COLUMN", help="What a column is called in the file; may be repeated."),
    ] = None,
    status: Annotated[str, typer.Option(help="Status of the new pairs: pending, accepted or rejected.")] = "pending",
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Add the pairs of a file to a dataset; bad rows are named and skipped. The exit code is 1 if all were bad."""
    from workbench.pairs.importing import detect, import_file

    columns = dict(_parsed_map(text) for text in map_ or [])
    shown = time.monotonic()

    def progress(done: float, total: float, unit: str) -> None:
        nonlocal shown
        if time.monotonic() - shown >= _EVERY and total:
            shown = time.monotonic()
            output.warn(f"{done / total:.0%} of {total:,} {unit}")

    with _store(workspace) as store:
        if not json:
            output.say(f"{file.name}: {detect(file, columns)}")
        result = import_file(store, file, dataset, columns=columns, status=status, progress=progress)
        store.catch_up(progress=progress)
    if json:
        output.print_json(
            {
                "imported": result.imported,
                "duplicates": result.duplicates,
                "skipped": result.skipped,
                "form": result.form,
                "faults": [{"line": fault.line, "reason": fault.reason} for fault in result.faults],
            }
        )
    else:
        for fault in result.faults[:_SHOWN]:
            output.say(f"{file}:{fault.line}: {fault.reason}")
        if result.skipped > _SHOWN:
            output.say(f"… and {result.skipped - _SHOWN:,} more; --json lists all.")
        output.say(
            f"{result.imported:,} imported into {dataset} as {status}, {result.duplicates:,} were there already,"
            f" {result.skipped:,} skipped."
        )
    if result.skipped and not result.imported and not result.duplicates:
        raise typer.Exit(1)


@app.command("export")
def export_(
    file: Annotated[Path, typer.Argument(help="Where to; .jsonl, .json, .csv or .parquet says the format.")],
    dataset: Dataset,
    form: Annotated[
        str,
        typer.Option(help="prompt/completion, alpaca, question/answer, messages, sharegpt or preference."),
    ] = "messages",
    status: Annotated[str, typer.Option(help="pending, accepted, rejected or any.")] = "accepted",
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Write the pairs of a dataset to a file."""
    from workbench.pairs.exporting import export

    with _store(workspace) as store:
        only = None if status == _ANY else status
        count = export(store, dataset, file, form, only)
        others = store.count(dataset, status=only) - count
    if json:
        output.print_json({"exported": count, "left_out": others, "form": form, "file": file})
        return
    output.say(f"{count:,} pairs are in {file}, as {form}.")
    if others:
        kind = "with a completion" if form == "preference" else "with preferences"
        output.say(f"{others:,} pairs {kind} do not fit this form and are not in it.")


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


def _parsed_map(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not (equals and name and column):
        raise UserError(f"{text!r} maps nothing", where="--map", do="Write --map NAME=COLUMN, e.g. --map prompt=frage.")
    return name.strip(), column


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
