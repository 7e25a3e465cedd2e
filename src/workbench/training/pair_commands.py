"""`workbench pairs show` and `workbench pairs overview`: pairs in the light of a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from workbench import output
from workbench.output import AsJson, InWorkspace
from workbench.training.rendered import CUT, OMITTED
from workbench.workspace import find

if TYPE_CHECKING:
    from workbench.training.rendered import Rendering

RecipeName = Annotated[
    str | None,
    typer.Option("--recipe", help="A recipe: its name in configs/, or a file. Default: the newest run's."),
]


def add_to(pairs: typer.Typer) -> None:
    """Add them to the subcommands of `workbench pairs`."""
    pairs.command("show")(show)
    pairs.command("overview")(overview)


def show(
    id: Annotated[int, typer.Argument(help="The pair's id.")],
    recipe: RecipeName = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """A pair as the model sees it: the rendered template, which tokens are trained, which lie beyond the limit."""
    from workbench.training.render_client import RenderClient, default_recipe

    place = find(workspace)
    client = RenderClient(place)
    try:
        rendering = client.ask(id, recipe or default_recipe(place))
    finally:
        client.close()
    if json:
        output.print_json(rendering.as_dict())
        return
    for line in _lines(rendering):
        output.say(line)


def overview(
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="The dataset's name.")],
    recipe: RecipeName = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """What a dataset is made of: lengths with the recipe's limit, counts, variety, and what it has too much of."""
    from workbench.pairs.overview import FIGURES, Overview, OverviewReader
    from workbench.pairs.overview_words import as_dict, lines
    from workbench.pairs.variety import EMBEDDINGS, MOST, of
    from workbench.training.control import name_of
    from workbench.training.recipe import load
    from workbench.training.render_client import default_recipe

    place = find(workspace)
    path = place.recipe(recipe or default_recipe(place))
    known = Overview(dataset, recipe=name_of(place, path), max_length=load(path).max_length)
    with OverviewReader(place.database) as reader:
        reader.must_have(dataset)
        for name, figure in FIGURES.items():
            setattr(known, name, figure(reader, dataset))
        known.variety = of(place.private / EMBEDDINGS, reader.prompts(dataset, MOST))
        known.variety_read = True
    if json:
        output.print_json(as_dict(known))
        return
    for line in lines(known):
        output.say(line)


def _lines(rendering: Rendering) -> Iterator[str]:
    """The rendering as text: what is trained is told by headings, what is cut off by a line across."""
    counts, limit = rendering.counts, rendering.max_length
    yield f"pair {rendering.pair} by recipe {rendering.recipe} ({rendering.method}, {rendering.base}): {rendering.fate}"
    yield (
        f"tokens: {counts['prompt']:,} prompt + {counts['completion']:,} completion, {counts['trained']:,} trained,"
        f" {counts['cut']:,} cut off by max_length {limit:,}"
    )
    yield from (f"! {note}" for note in rendering.notes)
    for number, passage in enumerate(rendering.passages, 1):
        right = " (it tells the answer)" if passage.right else ""
        yield f"[{number}] {' · '.join(part for part in (passage.document, passage.place) if part)}{right}"
    for part in rendering.parts:
        trained = "trained" if part.trained else "context"
        yield f"\n---- {part.name}: {part.tokens:,} tokens, {trained} ----"
        text, is_cut = "", False
        for token, kind in part.shown:
            if kind == CUT and not is_cut:
                is_cut = True
                text += f"\n---- max_length {limit:,}: what follows is cut off ----\n"
            text += f"\n… {token} more tokens …\n" if kind == OMITTED else token
        yield text
