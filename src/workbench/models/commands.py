"""`workbench models`: list, fetch."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from workbench import output
from workbench.output import AsJson

app = output.subcommands("Models: which there are, fetching their weights.")
app.info.no_args_is_help = False


@app.callback(invoke_without_command=True)
def list_(context: typer.Context, json: AsJson = False) -> None:
    """Models: without a subcommand, lists those of the catalogue."""
    if context.invoked_subcommand:
        return
    from workbench.errors import UserError
    from workbench.models import local
    from workbench.models.catalogue import catalogue

    rows = []
    for name, entry in catalogue().items():
        try:
            folder = local.local_folder(name)
            state = "here" if folder else "not fetched"
        except UserError:
            folder, state = None, "damaged"
        row = {"model": name, "role": entry.role, "state": state, "licence": entry.licence, "title": entry.title}
        rows.append({**row, "folder": folder})
    if json:
        for row in rows:
            output.print_json(row)
    else:
        output.print_table(rows, ["model", "role", "state", "licence", "title"])


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name of the catalogue, or a hub id OWNER/NAME.")],
    json: AsJson = False,
    again: Annotated[bool, typer.Option("--again", help="Fetch even if it is here.")] = False,
) -> None:
    """Bring a model's weights to this machine."""
    from workbench.models import fetch as fetching

    shown = ""

    def report(what: str, done: int, total: int | None) -> None:
        nonlocal shown
        share = f" {done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
        if json:
            return
        if sys.stderr.isatty():
            print(f"\r\x1b[K{what}{share}", end="", file=sys.stderr, flush=True)
        elif what != shown:
            shown = what
            output.warn(what)

    try:
        folder = fetching.fetch(name, report, again=again)
    finally:
        if not json and sys.stderr.isatty():
            print(file=sys.stderr)
    output.print_json({"model": name, "folder": folder}) if json else output.say(f"{name} is in {folder}")
