"""`workbench preflight`, and `workbench train --dry-run`: what a run will do, without the run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workbench import output
from workbench.output import AsJson, InWorkspace
from workbench.workspace import find


def preflight(
    recipe: Annotated[str, typer.Argument(help="A recipe: its name in configs/, or a YAML file.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Lay a value over the recipe: lora.r=8. May be repeated.")
    ] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """What a run will take: pairs, tokens, steps, memory and duration, measured by a few passes. No run is started."""
    from workbench.training.commands import changes_of

    show_preflight(recipe, changes_of(set_ or []), json=json, workspace=workspace)


def show_preflight(recipe: str, changes: dict[str, Any], *, json: bool, workspace: InWorkspace) -> None:
    """Start a pre-flight, follow it to its end, and print its figures.

    Raises:
        UserError: the run would be refused.
    """
    from workbench.jobs.commands import follow_to_the_end
    from workbench.training import preflight
    from workbench.training.control import start_preflight

    place = find(workspace)
    job = start_preflight(place, place.recipe(recipe), changes)
    follow_to_the_end(job, json=json)
    figures = job.status().result or {}
    if json:
        output.print_json(figures)
        return
    for name, text in preflight.lines(figures):
        output.say(f"{name:>18}  {text}")
