"""`workbench compare`: question sets, comparisons, verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import output
from workbench.compare import answer_commands, pair_commands, question_commands
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.workspace import Workspace, find

if TYPE_CHECKING:
    from workbench.compare.store import CompareStore, Comparison
    from workbench.jobs.folder import JobFolder

app = output.subcommands("Measure what a task needs: the base model, tuning, retrieval, or both.")
app.add_typer(question_commands.app, name="questions")
app.command("answers")(answer_commands.answers)
app.command("pairs")(pair_commands.pairs)
Name = Annotated[str, typer.Argument(help="The comparison's name.")]
_FORMATS = {".md": "markdown", ".html": "html", ".json": "json"}


@app.command()
def start(
    run: Annotated[str | None, typer.Option(help="The run whose adapter is measured.")] = None,
    index: Annotated[
        str | None, typer.Option(help="The index to retrieve from; default: the one the run was trained with.")
    ] = None,
    no_index: Annotated[bool, typer.Option("--no-index", help="Measure tuning alone.")] = False,
    questions: Annotated[
        str, typer.Option("--questions", "-q", help="A question set; default: the run's eval split.")
    ] = "",
    name: Annotated[str | None, typer.Option(help="What to call it; default: of the run or the index.")] = None,
    count: Annotated[int | None, typer.Option("-n", min=1, help="Questions drawn; default: all.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of drawing them, and of sampled answers.")] = 0,
    k: Annotated[int | None, typer.Option("-k", min=1, max=20, help="Passages given to the model.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens at most in an answer.")] = None,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 is greedy.")] = 0.0,
    metric: Annotated[
        str, typer.Option(help="What the verdict is about: f1, exact_match, right, format_held ...")
    ] = "f1",
    oracle: Annotated[bool, typer.Option("--oracle", help="Also give the right passage, where it is known.")] = False,
    again: Annotated[
        bool | None, typer.Option("--again/--no-again", help="Ask the fullest arm twice, to see the noise.")
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", help="One more: NAME=HYBRID or NAME=MODEL@http://host:port. May be repeated."),
    ] = None,
    leave_out_known: Annotated[
        bool, typer.Option("--leave-out-known", help="Leave out questions that the run was trained on.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its progress until it ends.")] = False,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Ask all arms the same questions, as a job that outlives this command."""
    from workbench.compare.control import start_comparison
    from workbench.compare.store import CompareStore

    here = find(workspace)
    with CompareStore(here.database) as store:
        name = name or _free(store, run or index or "comparison")
    job = start_comparison(
        here,
        name,
        run=run,
        index="" if no_index else index,
        question_set=questions,
        count=count,
        seed=seed,
        top_k=k,
        max_new_tokens=max_tokens,
        temperature=temperature,
        metric=metric,
        oracle=oracle,
        again=again,
        others=arm or (),
        leave_out_known=leave_out_known,
    )
    with CompareStore(here.database) as store:
        comparison = store.comparison(name)
        for caution in comparison.spec["cautions"]:
            output.warn(f"Note: {caution}")
    if follow:
        _follow(here, job, name, json=json)
    elif json:
        output.print_json(_row(comparison, job))
    else:
        output.say(f"{name} was started as the job {job.id}. See `workbench compare show {name}`.")


@app.command()
def resume(
    comparison: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its progress until it ends.")] = False,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Go on with a comparison that was stopped or killed; nothing is answered twice."""
    from workbench.jobs import control

    here = find(workspace)
    job = _job(here, comparison)
    control.resume(job)
    if follow:
        _follow(here, job, comparison, json=json)
    else:
        output.print_json({"job": job.id}) if json else output.say(f"{comparison} goes on.")


@app.command()
def stop(comparison: Name, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Stop a comparison; the verdict is made of what was answered, and it can be resumed."""
    from workbench.jobs import control

    job = _job(find(workspace), comparison)
    control.stop(job)
    output.print_json({"job": job.id}) if json else output.say(f"{comparison} was asked to stop.")


@app.command("list")
def list_(json: AsJson = False, workspace: InWorkspace = None) -> None:
    """All comparisons, newest first."""
    from workbench.compare.control import job_of
    from workbench.compare.store import CompareStore

    here = find(workspace)
    with CompareStore(here.database) as store:
        rows = [_row(each, job_of(here, each.id)) for each in store.comparisons()]
    if json:
        for row in rows:
            output.print_json(row)
    else:
        output.print_table(
            rows,
            ["comparison", "state", "questions", "answers", "recommended", "recommendation"],
            empty="No comparisons yet. Start one with `workbench compare start --run RUN`.",
        )


@app.command()
def show(
    comparison: Name,
    whole: Annotated[bool, typer.Option("--whole", help="With every figure, and how it was measured.")] = False,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """The verdict, as far as it was answered."""
    from workbench.compare.report.markdown import markdown

    verdict = _verdict(find(workspace), comparison)
    output.print_json(verdict) if json else output.say_markdown(markdown(verdict, whole=whole))


@app.command()
def export(
    comparison: Name,
    file: Annotated[Path, typer.Argument(help="Where to: a name that ends in .md, .html or .json.")],
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Write the verdict to a file: Markdown, a self-contained HTML page, or JSON."""
    here = find(workspace)
    form = _FORMATS.get(file.suffix.lower())
    if form is None:
        raise UserError(
            f"{file.suffix or 'no ending'!r} is no form of a verdict", where=str(file), do="Use .md, .html or .json."
        )
    from workbench.compare.export import write

    write(here, comparison, _verdict(here, comparison), file, form)
    output.print_json({"file": file}) if json else output.say(f"Written to {file}.")


@app.command()
def versus(
    first: Annotated[str, typer.Argument(help="The earlier comparison.")],
    second: Annotated[str, typer.Argument(help="The later one.")],
    metric: Annotated[str | None, typer.Option(help="Default: the later one's.")] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Two comparisons on the questions that both asked: before and after a run."""
    from workbench.compare import versus as compared
    from workbench.compare.metrics import METRICS
    from workbench.compare.store import CompareStore

    with CompareStore(find(workspace).database) as store:
        before, after = store.comparison(first), store.comparison(second)
        metric = metric or after.spec["metric"]
        if metric not in METRICS:
            raise UserError(f"{metric!r} is no metric", where="--metric", do=f"Use one of: {', '.join(METRICS)}.")
        found = compared.compare(store, before, after, metric)
    if json:
        output.print_json(found)
        return
    from workbench.compare.report.markdown import versus_markdown

    output.say_markdown(versus_markdown(found))


@app.command()
def delete(comparison: Name, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Remove a comparison with its answers, for good."""
    from workbench.compare.control import job_of
    from workbench.compare.store import CompareStore

    here = find(workspace)
    with CompareStore(here.database) as store:
        found = store.comparison(comparison)
        job = job_of(here, found.id)
        if job and job.status().live:
            raise UserError(f"{comparison} is going on", do=f"Stop it first: `workbench compare stop {comparison}`.")
        store.delete(found.id)
    output.print_json({"deleted": comparison}) if json else output.say(f"{comparison} is deleted.")


def _follow(here: Workspace, job: JobFolder, name: str, *, json: bool) -> None:
    from workbench.jobs.commands import follow_to_the_end

    follow_to_the_end(job, json=json)
    show(name, json=json, workspace=here.root)


def _verdict(here: Workspace, name: str) -> dict[str, Any]:
    """The verdict that is kept, or, where more was answered since or none was made, one of what there is."""
    from workbench.compare.control import job_of
    from workbench.compare.job import conclude
    from workbench.compare.store import CompareStore

    with CompareStore(here.database) as store:
        found = store.comparison(name)
        if not found.answers:
            job = job_of(here, found.id)
            why = job.status().error if job else None
            raise UserError(why or "nothing is answered yet", where=name, do="See `workbench compare list`.")
        if found.verdict and found.verdict.get("answers") == found.answers:
            return found.verdict
        job = job_of(here, found.id)
        return conclude(store, found.id, keep=job is None or not job.status().live)


def _job(here: Workspace, name: str) -> JobFolder:
    from workbench.compare.control import job_of
    from workbench.compare.store import CompareStore

    with CompareStore(here.database) as store:
        job = job_of(here, store.comparison(name).id)
    if job is None:
        raise UserError(f"the job of {name} is gone", where=name)
    return job


def _row(comparison: Comparison, job: JobFolder | None) -> dict[str, Any]:
    verdict = comparison.verdict or {}
    return {
        "comparison": comparison.name,
        "state": job.status().state if job else None,
        "questions": comparison.questions,
        "answers": comparison.answers,
        "of": comparison.expected,
        "recommended": verdict.get("recommended"),
        "recommendation": verdict.get("recommendation"),
        "job": job.id if job else None,
    }


def _free(store: CompareStore, stem: str) -> str:
    taken = {each.name for each in store.comparisons()}
    return next(name for number in range(1, len(taken) + 2) if (name := f"{stem}-{number}") not in taken)
