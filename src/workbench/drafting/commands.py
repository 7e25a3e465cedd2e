"""`workbench pairs draft` and `workbench pairs sample`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench import output
from workbench.output import AsJson, InWorkspace
from workbench.workspace import find

if TYPE_CHECKING:
    from workbench.jobs.folder import JobFolder

HybridName = Annotated[
    str | None,
    typer.Option(
        "--hybrid", "-m", help="A hybrid or a remote model of the settings; default: the settings' base model."
    ),
]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="Tokens at most in an answer; default: the setting.")]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Wait and show progress.")]


def draft(
    index: Annotated[str, typer.Argument(help="The index whose passages are drafted from.")],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Where the drafts go, as pending.")],
    hybrid: HybridName = None,
    limit: Annotated[int, typer.Option(min=1, help="Passages that the model is shown.")] = 20,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 is greedy.")] = 0.0,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens at most in a draft; one that is cut is dropped.")
    ] = 160,
    again: Annotated[bool, typer.Option("--again", help="Also passages that this dataset was drafted from.")] = False,
    follow: Follow = True,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Have a model draft questions and answers from an index's passages; a person accepts what is good."""
    from workbench.drafting.control import start_draft

    job = start_draft(
        find(workspace), index, dataset, hybrid=hybrid, limit=limit, temperature=temperature,
        max_tokens=max_tokens, again=again,
    )  # fmt: skip
    _follow(job, follow=follow, json=json)


def sample(
    dataset: Annotated[str, typer.Argument(help="The dataset whose prompts are answered.")],
    hybrid: HybridName = None,
    limit: Annotated[int, typer.Option(min=1, help="Prompts at most.")] = 20,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Above 0: both answers are sampled.")] = 0.8,
    max_tokens: MaxTokens = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same answers.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also prompts that have two answers already.")] = False,
    follow: Follow = True,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Have a model answer prompts twice; a person chooses the better answer (the key P of the Pairs screen)."""
    from workbench.drafting.control import start_sample

    job = start_sample(
        find(workspace), dataset, hybrid=hybrid, limit=limit, temperature=temperature,
        max_tokens=max_tokens, seed=seed, again=again,
    )  # fmt: skip
    _follow(job, follow=follow, json=json)


def _follow(job: JobFolder, *, follow: bool, json: bool) -> None:
    from workbench.jobs.commands import follow_to_the_end

    if not follow:
        output.print_json({"job": job.id}) if json else output.say(
            f"{job.id} was started. See it with `workbench jobs follow {job.id}`."
        )
        return
    follow_to_the_end(job, json=json)
    if json:
        status = job.status()
        output.print_json({"job": job.id, "state": status.state, **(status.result or {})})
