"""`workbench index tests` and `workbench index evaluate`."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import files, output
from workbench.errors import UserError
from workbench.library.commands import Name, app
from workbench.library.retrieval_tests import (
    RetrievalTest,
    add_tests,
    delete_test,
    document_texts,
    list_tests,
    read_tests,
    to_json,
)
from workbench.output import AsJson, InWorkspace
from workbench.workspace import Workspace, find

if TYPE_CHECKING:
    from workbench.library.evaluate import Evaluation

_BATCH = 64  # questions embedded at once


@app.command("tests")
def saved_tests(
    name: Name,
    import_: Annotated[
        Path | None,
        typer.Option("--import", help="Keep those of a file of JSON lines: question, document, quote."),
    ] = None,
    export: Annotated[Path | None, typer.Option(help="Write them to a file of JSON lines.")] = None,
    delete: Annotated[int | None, typer.Option(help="Forget one, by its number.")] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """The retrieval tests of an index: questions with the passage that should be found."""
    found = find(workspace)
    if import_ is not None:
        read = read_tests(import_, document_texts(found, name))
        new = add_tests(found, name, read)
        output.print_json({"read": len(read), "new": new}) if json else output.say(f"{len(read)} read, {new} new.")
        return
    if delete is not None:
        delete_test(found, name, delete)
        output.print_json({"deleted": delete}) if json else output.say(f"Test {delete} was deleted.")
        return
    listed = list_tests(found, name)
    if export is not None:
        lines = "".join(json_module.dumps(to_json(test), ensure_ascii=False) + "\n" for test in listed)
        files.write_text(export, lines)
        output.print_json({"written": len(listed)}) if json else output.say(f"{len(listed)} written to {export}.")
        return
    rows = [{"number": test.id, **to_json(test)} for test in listed]
    if json:
        for row in rows:
            output.print_json(row)
        return
    empty = "No tests yet. Search in the app's library and save a hit with t, or import a file."
    output.print_table(rows, ["number", "question", "document", "quote"], empty=empty)


@app.command()
def evaluate(
    name: Name,
    questions: Annotated[
        Path | None,
        typer.Option("--questions", help="A file of JSON lines with question, document, quote; default: its tests."),
    ] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """How often the right passage is found: dense, BM25, fused, and reranked where a reranker is set."""
    found = find(workspace)
    text_of = document_texts(found, name)
    asked = list_tests(found, name) if questions is None else read_tests(questions, text_of)
    if not asked:
        raise UserError(
            f"the index {name!r} has no retrieval tests",
            do="Save some in the app's library (t on a hit), import them, or give --questions FILE.",
        )
    measured = _evaluate(found, name, asked)
    if json:
        output.print_json({"index": name, **asdict(measured)})
        return
    from workbench.library.evaluate import LEVEL, MEASURES

    rows = [
        {
            "search": kind,
            **{name: f"{100 * f.mean:.1f} [{100 * f.low:.1f}, {100 * f.high:.1f}]" for name, f in row.items()},
        }
        for kind, row in measured.figures.items()
    ]
    output.print_table(rows, ["search", *MEASURES], empty="No test can be asked.")
    output.say(f"{measured.questions} questions, percent, [{LEVEL:.0%} bootstrap interval].")
    if measured.stale:
        output.say(f"{len(measured.stale)} left out: their quotation no longer stands in its document.")
    for test in measured.missed[:10]:
        output.say(f"Not among the first 10: {test.question}  ({test.document})")


def _evaluate(workspace: Workspace, name: str, asked: list[RetrievalTest]) -> Evaluation:
    """In this process; the questions are embedded in batches."""
    from workbench.library.evaluate import LOOKED
    from workbench.library.evaluate import evaluate as run
    from workbench.library.index import Index, embedder_of, options_of
    from workbench.library.ranking import Options

    as_set = options_of(workspace.settings())
    index = Index(workspace.index(name))
    embedder = embedder_of(index)
    texts = list(dict.fromkeys(test.question for test in asked))
    vectors = {}
    for at in range(0, len(texts), _BATCH):
        some = texts[at : at + _BATCH]
        vectors.update(zip(some, embedder.encode(some, query=True), strict=True))
    options = {kind: Options(kind) for kind in ("dense", "lexical", "fused")}
    if as_set.rerank is not None:
        options["reranked"] = as_set

    def search(question: str, kind: str) -> list[Any]:
        return index.search(question, vectors[question], LOOKED, options[kind])

    return run(asked, document_texts(workspace, name), search, list(options))
