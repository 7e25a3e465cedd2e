"""`workbench compare pairs`: what two arms answered, as pairs to choose between without knowing which arm it was."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench import output
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.workspace import find


def pairs(
    comparison: Annotated[str, typer.Argument(help="The comparison's name.")],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Where they go, as pending and undecided.")],
    arms: Annotated[str, typer.Option(help="Two arms of the comparison, separated by a comma.")] = "base,hybrid",
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Make a pair of what two arms answered to each question; the key P of the Pairs screen chooses the better one."""
    from workbench.compare.preferences import undecided
    from workbench.compare.store import CompareStore
    from workbench.pairs.store import PairStore

    one, comma, other = (part.strip() for part in arms.partition(","))
    if not comma or one == other:
        raise UserError(f"{arms!r} are not two arms", where="--arms", do="Write two, such as base,tuned.")
    found = find(workspace)
    with CompareStore(found.database) as store:
        made = undecided(store, comparison, one, other)
    with PairStore(found.database) as store:
        result = store.add(dataset, made.pairs, label=f"answers of the comparison {comparison}")
    if json:
        output.print_json({"added": result.added, "there_already": result.duplicates, "alike": made.alike})
    else:
        output.say(
            f"{result.added:,} pairs are in {dataset}, undecided; {result.duplicates:,} were there already, and to"
            f" {made.alike:,} questions both said the same or nothing. A run on {dataset} learns these questions, so a"
            " comparison of that run must leave them out."
        )
