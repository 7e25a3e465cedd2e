"""`workbench jobs`: list, follow, stop, resume; the queue and its order."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workbench import output
from workbench.errors import UserError
from workbench.jobs import control, queue
from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import follow as events_of
from workbench.output import AsJson, InWorkspace
from workbench.workspace import Workspace, find

app = output.subcommands("Long work: list, follow, stop, resume; the queue.")
Id = Annotated[str, typer.Argument(help="A job's id (its beginning is enough) or a run's name.")]


def summary(job: JobFolder) -> dict[str, Any]:
    """What a list shows of a job."""
    status, spec = job.status(), job.spec
    fraction = status.progress.fraction
    return {
        "job": job.id,
        "kind": spec["kind"],
        "title": spec["title"],
        "state": status.state,
        "progress": None if fraction is None else f"{fraction:.0%}",
        "seconds_left": status.progress.seconds_left if status.state == "running" else None,
        "error": status.error,
        "result": status.result,
    }


@app.command("list")
def list_(json: AsJson = False, workspace: InWorkspace = None) -> None:
    """All jobs of the workspace, newest first."""
    rows = [summary(job) for job in control.jobs(find(workspace))]
    if json:
        for row in rows:
            output.print_json(row)
    else:
        output.print_table(rows, ["job", "kind", "state", "progress", "title", "error"], empty="No jobs yet.")


@app.command()
def follow(job: Id, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Show a job's progress and messages until it ends; ctrl+c leaves it running."""
    follow_to_the_end(control.find(find(workspace), job), json=json)


@app.command()
def stop(
    job: Id,
    json: AsJson = False,
    workspace: InWorkspace = None,
    now: Annotated[bool, typer.Option("--now", help="Kill it instead of asking; it can be resumed.")] = False,
) -> None:
    """Ask a job to stop; it saves what it can."""
    found = control.find(find(workspace), job)
    control.stop(found, now=now)
    output.print_json(summary(found)) if json else output.say(f"{found.id} was asked to stop.")


@app.command()
def resume(job: Id, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Go on with a job that was stopped, failed or lost."""
    found = control.resume(control.find(find(workspace), job))
    output.print_json(summary(found)) if json else output.say(f"{found.id} goes on.")


@app.command("queue")
def queue_(json: AsJson = False, workspace: InWorkspace = None) -> None:
    """The heavy jobs of all workspaces: the one that runs, and those that wait, in their order."""
    _print_line(queue.line_up(), find(workspace), json=json)


@app.command()
def move(
    job: Id,
    up: Annotated[bool, typer.Option("--up", help="Before the one that is ahead of it.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Behind the one that follows it.")] = False,
    first: Annotated[bool, typer.Option("--first", help="Before all others that wait.")] = False,
    last: Annotated[bool, typer.Option("--last", help="Behind all others.")] = False,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Put a waiting job elsewhere in the queue; what runs goes on."""
    asked = [where for where, wanted in zip(queue.MOVES, (up, down, first, last), strict=True) if wanted]
    if len(asked) != 1:
        raise UserError("where to?", where="jobs move", do="Give one of --up, --down, --first, --last.")
    here = find(workspace)
    _print_line(queue.move(control.find(here, job), asked[0]), here, json=json)


def _print_line(line: list[queue.Place], here: Workspace, *, json: bool) -> None:
    rows = [
        {
            "place": number,
            "job": place.job.id if place.job else "another program",
            "state": "running" if place.running else "waiting",
            "workspace": str(place.job.workspace_root) if place.job else None,
        }
        for number, place in enumerate(line, start=0 if any(place.running for place in line) else 1)
    ]
    if json:
        for row in rows:
            output.print_json(row)
        return
    elsewhere = any(row["workspace"] != str(here.root) for row in rows)
    shown = ["place", "job", "state", *(["workspace"] if elsewhere else [])]
    output.print_table(rows, shown, empty="Nothing runs and nothing waits.")


def follow_to_the_end(job: JobFolder, *, json: bool = False) -> None:
    """Print a job's events until it ends.

    Raises:
        UserError: it failed or was lost.
    """
    for event in events_of(job):
        if json:
            output.print_json(event)
        elif line := describe(event):
            output.say(line)
    status = job.status()
    if status.state in ("failed", "lost"):
        raise UserError(
            status.error or "its process is gone",
            where=job.id,
            do="" if status.error else f"Go on with `workbench jobs resume {job.id}`.",
        )


def describe(event: dict[str, Any]) -> str | None:
    """One event as a line for a person; None for what is only for programs."""
    match event["type"]:
        case "state":
            return event["state"]
        case "message":
            return event["text"]
        case "progress":
            if not event["total"]:
                return event["message"] or None
            loss = f", loss {event['loss']:.3f}" if isinstance(event.get("loss"), float) else ""
            left = f", {output.duration(event['seconds_left'])} left" if event["seconds_left"] else ""
            return f"{event['message']} {event['done']:g} of {event['total']:g} {event['unit']}{loss}{left}".strip()
    return None
