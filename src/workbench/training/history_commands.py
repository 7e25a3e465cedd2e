"""`workbench runs`: tag, compare, clone, delete; and `workbench train --grid`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import output
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.workspace import Workspace, find

if TYPE_CHECKING:
    from workbench.jobs.folder import JobFolder
    from workbench.training.run_comparison import RunComparison
    from workbench.training.run_data import DataDifference

Name = Annotated[str, typer.Argument(help="The run's name.")]
Names = Annotated[list[str], typer.Argument(help="Names of runs.")]


def add_to(app: typer.Typer) -> None:
    """Make them subcommands of `workbench runs`."""
    # -wip takes the tag wip away: no short option may begin like it.
    app.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})(tag)
    for command in (compare, clone, delete):
        app.command()(command)


def tag(
    run: Name,
    changes: Annotated[list[str] | None, typer.Argument(help="+TAG adds, -TAG takes away; none: show them.")] = None,
    json: AsJson = False,
    workspace: Annotated[Path | None, typer.Option("--workspace", help="The workspace's folder.")] = None,
) -> None:
    """Add and remove tags of a run: `workbench runs tag RUN +good -draft`."""
    from workbench.training import runs, tags

    job = runs.find(find(workspace), run)
    if wrong := next((change for change in changes or () if change[:1] not in ("+", "-") or len(change) < 2), None):
        raise UserError(f"{wrong!r} is neither +TAG nor -TAG", do=f"Write +{wrong} to add it.")
    now = tags.change(
        job,
        [change[1:] for change in changes or () if change[0] == "+"],
        [change[1:] for change in changes or () if change[0] == "-"],
    ) if changes else tags.read(job.path).tags  # fmt: skip
    if json:
        output.print_json({"run": run, "tags": now})
    else:
        output.say(f"{run}: {', '.join(now) or 'no tags'}")


def clone(
    run: Name,
    to: Annotated[str | None, typer.Option("--to", help="Write it as configs/NAME.yaml.")] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """The recipe of a run, without what is default anyway: `workbench runs clone RUN > mine.yaml`."""
    from workbench.training import history, runs

    here = find(workspace)
    job = runs.find(here, run)
    if to is not None:
        path = history.save_clone(here, job, to)
        output.print_json({"recipe": path}) if json else output.say(f"configs/{path.name} is written.")
    elif json:
        output.print_json({"run": run, "recipe": history.clone(here, job)})
    else:
        output.say(history.clone(here, job).rstrip("\n"))


def delete(runs_: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names of runs.")], json: AsJson = False,
           workspace: InWorkspace = None) -> None:  # fmt: skip
    """Remove runs with their checkpoints and adapters, for good."""
    from workbench.training import history, runs

    here = find(workspace)
    jobs = [runs.find(here, name) for name in dict.fromkeys(runs_)]
    if going := next((job for job in jobs if job.status().live), None):  # all or none
        raise UserError(f"{going.id} is {going.status().state}", do=f"Stop it first: `workbench runs stop {going.id}`.")
    for job in jobs:
        history.delete(job)
        output.print_json({"deleted": job.id}) if json else output.say(f"{job.id} is deleted.")


def compare(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Names of two or more runs.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="The runs with this tag, e.g. those of a grid.")] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Runs side by side: figures, what recipes and pairs differ in, samples."""
    from workbench.training import history, runs
    from workbench.training.run_comparison import compare as compare_runs

    here = find(workspace)
    jobs = [runs.find(here, name) for name in names or ()]
    if tag is not None:
        tagged = history.matching(reversed(runs.runs(here)), tag=tag)
        jobs += [runs.find(here, run.run) for run in tagged if run.run not in (names or ())]
    result = compare_runs(jobs)
    if json:
        output.print_json(result)
    else:
        _say_comparison(result)


def train_grid(
    here: Workspace,
    recipe: Path,
    name: str,
    entries: Sequence[str],
    changes: dict[str, Any],
    *,
    only_plan: bool,
    json: bool,
) -> None:
    """Tell what the grid costs, then start its runs."""
    from workbench.training import grid as grids
    from workbench.training import runs

    grid = grids.plan(here, recipe, name, grids.parse(entries), changes)
    if json:
        output.print_json({"grid": grid.tag, "runs": len(grid.runs), "steps": grid.steps, "plan": grid.runs})
    else:
        output.say(f"{grids.cost(grid)}, tagged {grid.tag}.")
        rows = [{"run": run.name, **run.values, "steps": run.steps} for run in grid.runs]
        output.print_table(rows, list(rows[0]))
    if only_plan:
        return
    started: list[JobFolder] = grids.start(here, recipe, grid, changes)
    if json:
        for job in started:
            output.print_json(runs.summary(job).as_dict())
    else:
        output.say(f"They were started; `workbench runs compare --tag {grid.tag}` sets them side by side.")


_FIGURES = (
    "run", "state", "step", "loss", "eval_loss", "best_eval_loss", "best_eval_reward", "best_step",
    "tokens_per_second", "seconds", "peak_memory_bytes",
)  # fmt: skip


def _say_comparison(result: RunComparison) -> None:
    runs = [run.run for run in result.runs]
    metrics = dict.fromkeys(name for run in result.runs for name in run.metrics)
    rows = [{**vars(run), **run.metrics} for run in result.runs]
    known = [name for name in _FIGURES if any(row[name] is not None for row in rows)]
    output.print_table(rows, [*known, *metrics])
    output.say("\nRecipe" if result.recipe else "\nRecipe: the same.")
    if result.recipe:
        shown = [{"key": line.key, **dict(zip(runs, map(_value, line.values), strict=True))} for line in result.recipe]
        output.print_table(shown, ["key", *runs])
    output.say("\nPairs")
    for run, data in zip(result.runs, result.data, strict=True):
        if run.train_pairs is None:
            output.say(f"  {run.run}: has not begun, and has no pairs yet")
            continue
        output.say(f"  {run.run}: {run.train_pairs:,} trained on, {run.eval_pairs:,} kept for evaluation")
        if data:
            _say_data(result.runs[0].run, run.run, data)
        elif run is not result.runs[0] and result.runs[0].train_pairs is not None:
            output.say(f"    the very same as {result.runs[0].run}")
    for sample in result.samples:
        output.say(f"\n{sample.prompt}")
        if sample.reference:
            output.say(f"  (pair)  {sample.reference}")
        for run, answer in zip(runs, sample.answers, strict=True):
            if answer is not None:
                output.say(f"  {run}  {answer}")


def _say_data(first: str, second: str, data: DataDifference) -> None:
    output.say(
        f"    {data.same:,} the same, {data.changed:,} with another answer, {data.only_first:,} only in {first},"
        f" {data.only_second:,} only in {second}"
        + (f"; {data.moved:,} moved between training and evaluation" if data.moved else "")
    )
    for kind, sign in (("only_first", "-"), ("only_second", "+"), ("changed", "~")):
        for pair in data.examples.get(kind, ()):
            changed = "" if pair.other is None else f" => {_short(pair.other)}"
            output.say(f"    {sign} {_short(pair.prompt)} -> {_short(pair.answer)}{changed}")


def _short(text: str, most: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _value(value: Any) -> str:
    return "-" if value is None else _short(str(value), 40)
