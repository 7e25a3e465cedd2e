"""`workbench pairs import` and `workbench pairs export`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import output
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.workspace import Workspace, find

if TYPE_CHECKING:
    from workbench.jobs.folder import JobFolder
    from workbench.pairs.hub import DatasetName

_ANY = "any"
_SHOWN = 20  # faults shown to a person
_EVERY = 1.0  # seconds between two lines of progress

Dataset = Annotated[str, typer.Option("--dataset", "-d", help="The dataset's name.")]


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="A JSONL, JSON, CSV or Parquet file; a Hugging Face dataset folder; or hub:OWNER/NAME."
            " Behind the last two, :CONFIG and @SPLIT choose a part; without @SPLIT all of a folder is read,"
            " and train of the hub's.",
        ),
    ],
    dataset: Dataset,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=COLUMN", help="What a column is called in the file; may be repeated."),
    ] = None,
    status: Annotated[str, typer.Option(help="Status of the new pairs: pending, accepted or rejected.")] = "pending",
    limit: Annotated[int | None, typer.Option(min=1, max=2**63 - 1, help="Read so many rows at most.")] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Add the pairs of a file to a dataset; bad rows are named and skipped. The exit code is 1 if all were bad."""
    from workbench.pairs import hub

    arguments = {
        "dataset": dataset,
        "columns": dict(_parsed_map(text) for text in map_ or []),
        "status": status,
        "limit": limit,
    }
    found = find(workspace)
    if named := hub.parse(str(file)):
        result, faults = _by_job(found, named, arguments)
    else:
        result, faults = _here(found, file, arguments, say=not json)
    if json:
        output.print_json({**result, "faults": faults})
    else:
        for fault in faults[:_SHOWN]:
            output.say(f"{named or file}:{fault['line']}: {fault['reason']}")
        if len(faults) > _SHOWN:
            output.say(f"… and {len(faults) - _SHOWN:,} more; --json lists all.")
        if result["duplicates"] and not result["imported"]:
            output.say(f"Nothing is new: {dataset} has every pair of it.")
        output.say(
            f"{result['imported']:,} imported into {dataset} as {status}, {result['duplicates']:,} were there already,"
            f" {result['skipped']:,} skipped."
        )
    if faults and not result["imported"] and not result["duplicates"]:
        raise typer.Exit(1)


def _here(
    workspace: Workspace, file: Path, arguments: dict[str, Any], *, say: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Import a file in this process: the figures, and the faults."""
    from workbench.pairs.importing import detect, import_file
    from workbench.pairs.store import PairStore

    with PairStore(workspace.database) as store:
        if say:
            output.say(f"{file.name}: {detect(file, arguments['columns'])}")
        result = import_file(store, file, progress=_progress(), **arguments)
        with suppress(UserError, KeyboardInterrupt):  # the pairs are there, and the next search goes on from here
            store.catch_up(progress=_progress())
    figures = {
        "imported": result.imported,
        "duplicates": result.duplicates,
        "skipped": result.skipped,
        "form": result.form,
    }
    return figures, [{"line": fault.line, "reason": fault.reason} for fault in result.faults]


def _by_job(
    workspace: Workspace, named: DatasetName, arguments: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Import a dataset in a job, which alone may use the network and imports what a stream takes; the same figures."""
    from workbench.jobs import control
    from workbench.jobs.follow import follow
    from workbench.pairs.job import faults_of

    kind = "import-hub" if named.on_hub else "import"
    job = control.start(workspace, kind, {"file": str(named), **arguments}, title=f"import {named}")
    output.warn(f"{job.id} was started; ctrl+c leaves it running.")
    progress = _progress()
    for event in follow(job):
        if event["type"] == "progress":
            progress(event["done"], event["total"] or 0, event["unit"])
    result = dict(_result(job))
    result.pop("faults")
    return result, faults_of(job)


def _result(job: JobFolder) -> dict[str, Any]:
    status = job.status()
    if status.result is None:
        raise UserError(status.error or f"{job.id} is {status.state}", do="" if status.error else "Import it again.")
    return status.result


def export_(
    file: Annotated[
        Path,
        typer.Argument(
            help="Where to; .jsonl, .json, .csv or .parquet says the format, and a name without an ending is a"
            " Hugging Face dataset folder.",
        ),
    ],
    dataset: Dataset,
    form: Annotated[
        str,
        typer.Option(help="prompt/completion, alpaca, question/answer, messages, sharegpt or preference."),
    ] = "messages",
    status: Annotated[str, typer.Option(help="pending, accepted, rejected or any.")] = "accepted",
    test_size: Annotated[
        float | None,
        typer.Option(help="Of a folder: the share of its eval split; which pairs is what a recipe's test_size says."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is there.")] = False,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Write the pairs of a dataset to a file or a folder."""
    from workbench.pairs.exporting import TEST_SIZE, export
    from workbench.pairs.store import PairStore

    only = None if status == _ANY else status
    size = TEST_SIZE if test_size is None else test_size
    with PairStore(find(workspace).database) as store:
        count = export(store, dataset, file, form, only, replace=replace, test_size=size, progress=_progress())
        others = store.count(dataset, status=only) - count
    if json:
        output.print_json({"exported": count, "left_out": others, "form": form, "file": file})
        return
    output.say(f"{count:,} pairs are in {file}, as {form}.")
    if others:
        kind = "with a completion" if form == "preference" else "with preferences"
        output.say(f"{others:,} pairs {kind} do not fit this form and are not in it.")
    if not file.suffix:
        output.say(f"{file / 'README.md'} is its card: say there under which licence it may be used.")


def _progress() -> Callable[[float, float, str], None]:
    """Tells the progress of something that takes more than a moment."""
    shown = time.monotonic()

    def progress(done: float, total: float, unit: str) -> None:
        nonlocal shown
        if time.monotonic() - shown >= _EVERY:
            shown = time.monotonic()
            output.warn(f"{done / total:.0%} of {total:,} {unit}" if total else f"{done:,} {unit}")

    return progress


def _parsed_map(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not (equals and name and column):
        raise UserError(f"{text!r} maps nothing", where="--map", do="Write --map NAME=COLUMN, e.g. --map prompt=frage.")
    return name.strip(), column
