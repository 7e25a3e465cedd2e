"""`workbench compare questions`: sets of questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench import output
from workbench.errors import UserError
from workbench.output import AsJson, InWorkspace
from workbench.workspace import find

app = output.subcommands("Question sets: import, list, show, delete.")
SetName = Annotated[str, typer.Argument(help="The question set's name.")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A JSONL, JSON, CSV or Parquet file.")],
    name: Annotated[str, typer.Option("--set", "-s", help="The set's name.")],
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="NAME=COLUMN", help="What a column is called in the file.")
    ] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Add the questions of a file to a set; bad rows are named and skipped.

    Columns: question (or messages); answers or answer; answerable (or is_impossible); document and context, where the
    answer stands; pattern or schema, a format to hold. Only the question is needed; SQuAD's rows are read as they are.
    """
    from workbench.compare.importing import import_questions
    from workbench.compare.store import CompareStore

    columns = dict(_mapped(text) for text in map_ or [])
    with CompareStore(find(workspace).database) as store:
        result = import_questions(store, file, name, columns=columns)
        summary = next(each for each in store.sets() if each.name == name)
    if json:
        output.print_json(
            {"set": name, "added": result.added, "duplicates": result.duplicates, "faults": result.faults}
        )
        return
    unscored = summary.questions - summary.with_answers - summary.unanswerable
    told = (
        f"It holds {summary.questions:,}: {summary.answerable:,} answerable, {summary.unanswerable:,} unanswerable,"
        f" {summary.with_place:,} with their place, {unscored:,} with no reference answer (these cannot be scored)."
    )
    for fault in result.faults[:20]:
        output.warn(f"{file}:{fault.line}: {fault.reason}")
    output.say(
        f"{name}: {result.added:,} added, {result.duplicates:,} were there already, {len(result.faults):,} skipped."
    )
    output.say(told)


@app.command("list")
def list_sets(json: AsJson = False, workspace: InWorkspace = None) -> None:
    """All question sets, and what is known of their questions."""
    from workbench.compare.store import CompareStore

    with CompareStore(find(workspace).database) as store:
        rows = [vars(each) for each in store.sets()]
    if json:
        for row in rows:
            output.print_json(row)
    else:
        columns = ["name", "questions", "answerable", "unanswerable", "with_answers", "with_place", "with_format"]
        output.print_table(rows, columns, empty="No question sets yet.")


@app.command("show")
def show_set(name: SetName, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """The questions of a set."""
    from workbench.compare.store import CompareStore

    with CompareStore(find(workspace).database) as store:
        questions = store.questions(name)
    for question in questions:
        if json:
            output.print_json(question.as_dict())
        else:
            right = " / ".join(question.answers) or ("(not told)" if question.answerable is False else "?")
            output.say(f"{question.text}  [{right}]")


@app.command("delete")
def delete_set(name: SetName, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Remove a question set; comparisons keep the questions that they asked."""
    from workbench.compare.store import CompareStore

    with CompareStore(find(workspace).database) as store:
        store.delete_set(name)
    output.print_json({"deleted": name}) if json else output.say(f"{name} is deleted.")


def _mapped(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not (equals and name.strip()):
        raise UserError(
            f"{text!r} maps nothing", where="--map", do="Write --map NAME=COLUMN, e.g. --map question=frage."
        )
    return name.strip(), column
