"""`workbench runs export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench import output
from workbench.output import AsJson, InWorkspace
from workbench.training.export.forms import FORMS
from workbench.workspace import find

_FORMS = "; ".join(f"{name}: {form.about}" for name, form in FORMS.items())


def export(
    run: Annotated[str, typer.Argument(help="The run's name.")],
    form: Annotated[list[str], typer.Option("--form", help=f"{_FORMS}. May be repeated.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="The folder; of several forms each gets one in it. Default: exports/RUN/FORM."),
    ] = None,
    dtype: Annotated[
        str, typer.Option("--dtype", help="Of merged: float32, float16 or bfloat16; it is merged in float32.")
    ] = "float32",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its progress until it ends.")] = False,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Write what a run learned to files, load them again, and check that they answer as the tuned model does."""
    from workbench.jobs.commands import follow_to_the_end, summary
    from workbench.training.export.control import default_folder, start_export

    place = find(workspace)
    if to is not None and len(set(form)) == 1:
        targets = {form[0]: to}
    else:
        targets = {name: (to or default_folder(place, run)) / name for name in form}
    job = start_export(place, run, targets, dtype=dtype)
    if follow:
        follow_to_the_end(job, json=json)
    told = summary(job)
    if json:
        output.print_json(told)
    elif follow:
        for export in (told["result"] or {}).get("exports", []):
            output.say(f"{export['form']}: {export['folder']}")
    else:
        output.say(f"{run} is being exported. Follow it with `workbench jobs follow {job.id}`.")
