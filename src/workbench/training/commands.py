"""`workbench train` and `workbench runs`; see also `history_commands`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workbench import output
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.training import history_commands
from workbench.workspace import find

app = output.subcommands("Runs: list, show, stop, resume; tag, compare, clone, delete.")
history_commands.add_to(app)
Name = Annotated[str, typer.Argument(help="The run's name.")]
_COLUMNS = ["run", "state", "step", "steps", "loss", "eval_loss", "tokens_per_second", "tags", "adapter"]


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe: its name in configs/, or a YAML file.")],
    name: Annotated[str, typer.Option("--name", help="What to call the run.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Lay a value over the recipe: lora.r=8. May be repeated.")
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", help="One run for each combination: lora.r=8,16. May be repeated."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="With --grid: tell the runs and their steps, start none.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its progress until it ends.")] = False,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Train a LoRA adapter on a dataset's accepted pairs, as a job that outlives this command."""
    from workbench.jobs.commands import follow_to_the_end
    from workbench.training import runs
    from workbench.training.control import start_run

    place = find(workspace)
    if grid:
        if follow:
            raise UserError("--follow shows one run, a grid has several", do="Leave --follow out.")
        changes = _changes(set_ or [])
        history_commands.train_grid(place, place.recipe(recipe), name, grid, changes, only_plan=plan, json=json)
        return
    if plan:
        raise UserError("--plan is for a grid", do="Give --grid too.")
    job = start_run(place, place.recipe(recipe), name, _changes(set_ or []))
    if follow:
        follow_to_the_end(job, json=json)
    summary = runs.summary(job).as_dict()
    if json:
        output.print_json(summary)
    elif follow:
        output.say(f"{name}: {summary['state']}; adapter: {summary['adapter'] or 'none'}")
    else:
        output.say(f"{name} was started. Follow it with `workbench jobs follow {name}`.")


@app.command("list")
def list_(
    tag: Annotated[str | None, typer.Option("--tag", help="Only those with this tag.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only those in this state, e.g. done.")] = None,
    method: Annotated[str | None, typer.Option("--method", help="Only those of this method, e.g. dpo.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only those trained on this dataset.")] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Runs, newest first."""
    from workbench.training import history, runs

    every = runs.runs(find(workspace))
    found = history.matching(every, tag=tag, state=state, method=method, dataset=dataset)
    if json:
        for run in found:
            output.print_json(run.as_dict())
        return
    empty = (
        "None of the runs is like that."
        if every
        else "No runs yet. Start one with `workbench train RECIPE --name NAME`."
    )
    rows = [{**run.as_dict(), "tags": " ".join(run.tags)} for run in found]
    output.print_table(rows, _COLUMNS, empty=empty)


@app.command()
def show(run: Name, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """A run's figures, its evaluations and its latest samples."""
    from workbench.training import runs

    job = runs.find(find(workspace), run)
    summary, events = runs.summary(job).as_dict(), runs.events(job)
    evaluations = [event for event in events if event["type"] == "metrics" and "eval_loss" in event]
    samples = [event for event in events if event["type"] == "sample"]
    latest = [sample for sample in samples if sample["step"] == samples[-1]["step"]]
    if json:
        output.print_json({**summary, "evaluations": evaluations, "samples": latest})
        return
    for key, value in summary.items():
        output.say(f"{key.replace('_', ' '):>18}  {'-' if value is None else value}")
    for event in evaluations:
        loss = "not a number" if event["eval_loss"] is None else f"{event['eval_loss']:.4f}"
        output.say(f"{'eval loss':>18}  {loss} at step {event['step']}")
    for sample in latest:
        output.say(f"\nstep {sample['step']}: {sample['prompt']}\n  {sample['answer']}")


@app.command()
def stop(run: Name, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Ask a run to stop; it saves a checkpoint and its adapter."""
    from workbench.jobs import control
    from workbench.training import runs

    job = runs.find(find(workspace), run)
    control.stop(job)
    output.print_json(runs.summary(job).as_dict()) if json else output.say(f"{run} was asked to stop.")


@app.command()
def resume(
    run: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its progress until it ends.")] = False,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Go on with a run from its newest checkpoint that verifies."""
    from workbench.jobs import control
    from workbench.jobs.commands import follow_to_the_end
    from workbench.training import runs

    job = control.resume(runs.find(find(workspace), run))
    if follow:
        follow_to_the_end(job, json=json)
    output.print_json(runs.summary(job).as_dict()) if json else output.say(f"{run} is {job.status().state}.")


def _changes(pairs: list[str]) -> dict[str, Any]:
    from workbench.yaml_file import parse_value

    changes = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UserError(f"{pair!r} is not KEY=VALUE", where="--set", do="Write, e.g., --set lora.r=8.")
        changes[key.strip()] = parse_value(value)
    return changes
