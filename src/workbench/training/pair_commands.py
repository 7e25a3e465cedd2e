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
