"""`workbench pairs check` and `workbench pairs format`."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import output
from workbench.checks.findings import WORDS
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.pairs.commands import app
from workbench.workspace import Workspace, find

if TYPE_CHECKING:
    from workbench.checks.clusters import Example
    from workbench.pairs.pair import Pair

Dataset = Annotated[str, typer.Argument(help="The dataset's name.")]


@app.command("check")
def check(
    dataset: Dataset,
    recipe: Annotated[
        str | None, typer.Option(help="By whose limit and split; default: that of the last check, or none.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="INDEX", help="Look for its questions and answers in a library.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.5, max=1, help="Likeness from which on two prompts are the same; kept for the dataset."),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="The dataset's language, e.g. en; auto: that of most pairs. Kept, too.")
    ] = None,
    examples: Annotated[
        bool, typer.Option("--examples", help="Only show pairs on both sides of the threshold.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Stay and show its progress.")] = True,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Look for what a dataset should not teach; each finding becomes a flag. Only what changed is looked at again."""
    from workbench.checks.settings import CheckStore

    found = find(workspace)
    with CheckStore(found.database) as store:
        store.check_dataset(dataset)
        if language is not None:
            store.set_check_settings(dataset, language="" if language == "auto" else language)
    if examples:
        _show_examples(found, dataset, threshold, json=json)
        return
    arguments: dict[str, Any] = {"dataset": dataset, "threshold": threshold}
    if recipe is not None:
        arguments["recipe"] = str(found.recipe(recipe).resolve()) if _is_path(recipe) else recipe
        found.recipe(recipe)  # that there is one, before a job is made for it
    if against is not None:
        if not found.index(against).is_dir():
            raise UserError(f"there is no index {against!r}", do="See `workbench index list`.")
        arguments["against"] = against
    _start(found, dataset, arguments, follow=follow, json=json)


@app.command("flags")
def flags(
    dataset: Dataset,
    flag: Annotated[str, typer.Option(help="Only this flag, e.g. near-duplicate.")] = "any",
    limit: Annotated[int, typer.Option(min=1, help="Show so many pairs.")] = 50,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """The flagged pairs of a dataset, and what was found of each. --json shows all of them."""
    from workbench.checks.findings import Detail
    from workbench.checks.settings import CheckStore
    from workbench.pairs.query import ANY, FLAGS, Query
    from workbench.pairs.selection import Selection

    if flag not in (ANY, *FLAGS):
        raise UserError(f"{flag!r} is no flag", do=f"Use one of: {', '.join(FLAGS)}.")
    with CheckStore(find(workspace).database) as store:
        store.check_dataset(dataset)
        ids = store.ids(Selection(dataset, query=Query.parse(f"flag:{flag}")))
        shown = ids if json else ids[:limit]
        found = store.flags_of(shown)
    rows = [
        {"pair": id, "flag": each.name, "says": detail.says, "other": detail.pair, "likeness": detail.likeness}
        for id in shown
        for each in found[id]
        if flag in (ANY, each.name) and (detail := Detail.read(each.detail))
    ]
    if json:
        for row in rows:
            output.print_json(row)
        return
    output.print_table(rows, ["pair", "flag", "says"], empty="No pair has a flag.")
    if len(shown) < len(ids):
        output.say(f"{len(shown):,} of {len(ids):,} pairs; --limit shows more.")


@app.command("format")
def format_(
    dataset: Dataset,
    schema: Annotated[Path | None, typer.Option(metavar="FILE", help="A JSON schema that every answer holds.")] = None,
    regex: Annotated[
        str | None, typer.Option("--regex", metavar="RE", help="A regular expression that every answer holds.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Any answer will do.")] = False,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Say which format the answers of a dataset hold, or show it; the next check flags those that do not."""
    from workbench.checks.settings import CheckStore

    changes: dict[str, Any] = {"pattern": "", "schema": None} if none else {}
    if schema is not None:
        changes["schema"] = _read_schema(schema)
    if regex is not None:
        changes["pattern"] = regex
    with CheckStore(find(workspace).database) as store:
        store.check_dataset(dataset)
        settings = store.set_check_settings(dataset, **changes) if changes else store.check_settings(dataset)
    if json:
        output.print_json({"dataset": dataset, "regex": settings.pattern, "schema": settings.schema})
    else:
        held = settings.format_in_words
        output.say(f"Every answer of {dataset} holds {held}." if held else f"{dataset} has no format.")


def _start(workspace: Workspace, dataset: str, arguments: dict[str, Any], *, follow: bool, json: bool) -> None:
    from workbench.jobs import control
    from workbench.jobs.commands import follow_to_the_end

    job = control.start(workspace, "check", arguments, title=f"check {dataset}")
    if not follow:
        output.print_json({"job": job.id}) if json else output.say(
            f"{job.id} was started. See it with `workbench jobs follow {job.id}`."
        )
        return
    follow_to_the_end(job, json=json)
    status = job.status()
    result = status.result or {}
    if json:
        output.print_json({"job": job.id, "state": status.state, **result})
    elif status.state == "done":
        rows = [{"flag": name, "pairs": count, "": WORDS.get(name, "")} for name, count in result["flags"].items()]
        output.print_table(rows, ["flag", "pairs", ""], empty="Nothing was found.")
        if rows:
            output.say(
                f"See which with `workbench pairs flags {dataset}`, or on the Pairs screen with the query flag:any."
            )


def _show_examples(workspace: Workspace, dataset: str, threshold: float | None, *, json: bool) -> None:
    from workbench.checks.cache import Cache
    from workbench.checks.clusters import examples
    from workbench.checks.settings import CheckStore

    with CheckStore(workspace.database) as store, Cache(workspace) as cache:
        at = threshold if threshold is not None else store.check_settings(dataset).threshold
        found = examples(store, cache, dataset, at)
    if json:
        for each in found:
            output.print_json(_as_json(each, at))
        return
    if not found:
        output.say(f"Nothing in {dataset} is alike, or it was never checked: `workbench pairs check {dataset}`.")
    for same in (True, False):
        some = [each for each in found if each.same == same]
        if some:
            output.say(f"{'The same' if same else 'Not the same'} with a threshold of {at:g}:")
        for each in some:
            output.say(f"  {each.likeness:.3f}  {each.first.id}: {_short(each.first)}")
            output.say(f"         {each.second.id}: {_short(each.second)}")


def _as_json(example: Example, threshold: float) -> dict[str, Any]:
    pairs = [{"id": pair.id, "prompt": pair.prompt} for pair in (example.first, example.second)]
    return {"threshold": threshold, "likeness": round(example.likeness, 4), "same": example.same, "pairs": pairs}


def _short(pair: Pair) -> str:
    text = " ".join(pair.prompt.split())
    return text if len(text) <= 160 else text[:159] + "…"


def _is_path(recipe: str) -> bool:
    return recipe.endswith((".yaml", ".yml")) or "/" in recipe


def _read_schema(path: Path) -> Any:
    try:
        schema = json_module.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from None
    except ValueError as error:
        raise UserError(f"is no JSON: {error}", where=str(path)) from None
    if not isinstance(schema, dict):
        raise UserError("is no JSON schema: it is not an object", where=str(path))
    return schema
