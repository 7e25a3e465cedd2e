"""`workbench index`: build, update, list, search."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from workbench import output
from workbench.errors import Faults, UserError
from workbench.library.filters import Filter, make
from workbench.output import AsJson, InWorkspace
from workbench.workspace import Workspace, find

app = output.subcommands("Libraries: index documents, keep them current, search them.")
Name = Annotated[str, typer.Argument(help="The index's name.")]
Processes = Annotated[int, typer.Option("--processes", min=1, help="How many embed, under `accelerate launch`.")]
Embedding = Annotated[
    str | None,
    typer.Option("--embedder", help="The embedding model; default: the index's own, of a new one the settings'."),
]
Reembed = Annotated[
    bool, typer.Option("--reembed", help="Embed everything anew, where the embedding model is another than it was.")
]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Stay and show its progress; or only start it.")]
SearchFunction = Callable[[Workspace, str, str, int, str, Filter], Sequence[Any]]
"""Search through the server: workspace, index, question, k, mode, filter; gives hits, or mappings of their fields."""

_FIELDS = ("text", "document", "place", "score", "dense_rank", "lexical_rank", "similarity", "fit", "same")
_BATCH = 64  # questions embedded at once


@app.command()
def build(
    name: Name,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders.")],
    add: Annotated[bool, typer.Option("--add", help="Keep what it was built from, too.")] = False,
    embedder: Embedding = None,
    reembed: Reembed = False,
    processes: Processes = 1,
    follow: Follow = True,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Index documents (Markdown, text, HTML, PDF, DOCX) under a name."""
    sources = [Path(path).expanduser().absolute() for path in paths]
    for given, source in zip(paths, sources, strict=True):
        if not source.exists():
            raise UserError("no such file or folder", where=given)
    found = find(workspace)
    chosen = _embedder(found, name, embedder, reembed=reembed)
    _start(
        found,
        name,
        {"paths": [str(path) for path in sources], "add": add, **chosen, "processes": processes},
        follow=follow,
        json=json,
    )


@app.command()
def update(
    name: Name,
    embedder: Embedding = None,
    reembed: Reembed = False,
    processes: Processes = 1,
    follow: Follow = True,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Bring an index up to date with its files; only what changed is read and embedded."""
    from workbench.library.catalogue import documents

    found = find(workspace)
    documents(found, name)  # that there is one, before a job is made for it
    chosen = _embedder(found, name, embedder, reembed=reembed)
    _start(found, name, {"update": True, **chosen, "processes": processes}, follow=follow, json=json)


@app.command()
def watch(name: Name, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Keep an index in step with its files until ctrl+c; the server does so by itself while it runs."""
    from workbench.library import watch as watching
    from workbench.library.catalogue import documents

    found = find(workspace)
    documents(found, name)
    watching.in_foreground(found, name, output.print_json if json else lambda line: output.say(watching.describe(line)))


@app.command()
def compact(name: Name, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Make few large files of the many that updates have left; updates do it themselves when it is due."""
    from workbench.library import upkeep

    done = upkeep.compact(_built(find(workspace), name))
    output.print_json(vars(done)) if json else output.say(
        f"{done.files_before} vector files became {done.files}; {done.removed} removed chunks were dropped."
    )


@app.command()
def verify(name: Name, json: AsJson = False, workspace: InWorkspace = None) -> None:
    """Read all files of an index and compare them with what was written; damaged ones are made again."""
    from workbench.library import upkeep

    done = upkeep.verify(_built(find(workspace), name))
    output.print_json(vars(done)) if json else output.say(
        f"{done.files} files are what was written." if done.damage is None else f"{done.damage}; they were made again."
    )


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="An index, to list its documents.")] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """The indexes of the workspace, or the documents of one."""
    from workbench.library import catalogue

    found = find(workspace)
    if name is None:
        rows = [vars(summary) for summary in catalogue.indexes(found)]
        columns = ["name", "state", "documents", "chunks", "updated", "embedding_model"]
        columns += ["files"] if any(row["in_step"] for row in rows) else []
        empty = "No indexes yet. Make one with `workbench index build NAME PATH`."
    else:
        rows = [vars(row) for row in catalogue.documents(found, name)]
        columns = ["document", "title", "chunks", "size", "modified"]
        empty = "No documents yet."
    if json:
        for row in rows:
            output.print_json(row)
        return
    for row in rows:
        row["files"] = row["in_step"].in_words if row.get("in_step") else None
        for column, key in (("updated", "updated_at"), ("modified", "modified")):
            if row.get(key) is not None:
                row[column] = time.strftime("%Y-%m-%d %H:%M", time.localtime(row[key]))
    output.print_table(rows, columns, empty=empty)
    if name is not None:
        for fault in catalogue.faults(found, name):
            output.say(f"Not indexed: {fault.path} {fault.reason}")


def add_search(server_search: SearchFunction) -> None:
    """Give the group its `search`; the function that asks the server is given, for this package knows no server."""

    @app.command()
    def search(
        name: Name,
        query: Annotated[str | None, typer.Argument(help="A question.")] = None,
        questions: Annotated[
            Path | None, typer.Option("--questions", help='A file of JSON lines with "question", instead of QUERY.')
        ] = None,
        k: Annotated[int, typer.Option("-k", min=1, max=1000, help="Passages for each question.")] = 5,
        mode: Annotated[
            Literal["fused", "dense", "lexical"],
            typer.Option(help="Both rankings joined, usearch alone, or BM25 alone."),
        ] = "fused",
        within: Annotated[
            list[str] | None, typer.Option("--in", help='Look in this folder ("handbook/") or file; may be repeated.')
        ] = None,
        types: Annotated[
            list[str] | None, typer.Option("--type", help="Look in files of this ending, as pdf; may be repeated.")
        ] = None,
        since: Annotated[str | None, typer.Option(help="Files modified on this day or later, YYYY-MM-DD.")] = None,
        until: Annotated[str | None, typer.Option(help="Files modified on this day or before, YYYY-MM-DD.")] = None,
        json: AsJson = False,
        workspace: InWorkspace = None,
    ) -> None:
        """Search an index; one line a question with --json."""
        if (query is None) == (questions is None):
            raise UserError("a search needs QUERY or --questions FILE", do="Give one of them.")
        found = find(workspace)
        filter = make(within or (), types or (), since, until)
        if query is not None:
            answers = iter([(query, server_search(found, name, query, k, mode, filter))])
        else:
            answers = _search_here(found, name, _read_questions(questions), k, mode, filter)
        for question, hits in answers:
            shown = [_fields(hit) for hit in hits]
            if json:
                output.print_json({"question": question, "hits": shown})
            else:
                _print_hits(question, shown)


def _built(workspace: Workspace, name: str) -> Path:
    from workbench.library.catalogue import documents

    documents(workspace, name)  # that there is one
    return workspace.index(name)


def _embedder(workspace: Workspace, name: str, embedder: str | None, *, reembed: bool) -> dict[str, Any]:
    """A job's arguments for the embedding model that is asked for; refused, before a job is made, if that would mean
    embedding everything anew and nobody said so. Of settings that name another than the index's, it is only told."""
    from workbench.library.identity import embedders

    compared = embedders(workspace, name, embedder)
    embedder = workspace.model(embedder) if embedder else None
    if compared is not None and not reembed:
        compared.check()
        wanted = workspace.settings().embedding_model
        if embedder is None and wanted != compared.embedded_with:
            output.warn(
                f"The index {name} keeps {compared.embedded_with}; configs/settings.yaml says {wanted}."
                f" To change over: `workbench index update {name} --embedder {wanted} --reembed`."
            )
    return {"embedder": embedder, "reembed": reembed} if embedder or reembed else {}


def _start(workspace: Workspace, name: str, arguments: dict[str, Any], *, follow: bool, json: bool) -> None:
    from workbench.jobs import control
    from workbench.jobs.commands import follow_to_the_end

    workspace.index(name)  # the name is checked before a job is made for it
    job = control.start(workspace, "index", {"name": name, **arguments}, title=f"index {name}")
    if not follow:
        output.print_json({"job": job.id}) if json else output.say(
            f"{job.id} was started. See it with `workbench jobs follow {job.id}`."
        )
        return
    follow_to_the_end(job, json=json)
    status = job.status()
    if json:
        output.print_json({"job": job.id, "state": status.state, **(status.result or {})})


def _read_questions(path: Path | None) -> list[str]:
    assert path is not None
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would split at U+2028, too
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from None
    questions, faults = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            questions.append(str(json_module.loads(line)["question"]))
        except (ValueError, KeyError, TypeError):
            faults.append(f'line {number}: is not a JSON object with "question"')
    if faults:
        raise Faults(str(path), faults)
    return questions


def _search_here(
    workspace: Workspace, name: str, questions: Sequence[str], k: int, mode: str, filter: Filter
) -> Iterator[tuple[str, Sequence[Any]]]:
    """Many questions are embedded in this process, in batches."""
    from workbench.library.index import Index, embedder_of, options_of

    index = Index(workspace.index(name))
    options = options_of(workspace.settings(), mode, filter)
    embedder = None if mode == "lexical" else embedder_of(index)
    for at in range(0, len(questions), _BATCH):
        some = questions[at : at + _BATCH]
        vectors = [None] * len(some) if embedder is None else embedder.encode(some, query=True)
        for question, vector in zip(some, vectors, strict=True):
            yield question, index.search(question, vector, k, options)


def _fields(hit: Any) -> dict[str, Any]:
    if isinstance(hit, Mapping):
        return {field: hit.get(field) for field in _FIELDS}
    return {field: getattr(hit, field) for field in _FIELDS}


def _print_hits(question: str, hits: Sequence[Mapping[str, Any]]) -> None:
    output.say(f"{question}\n" if hits else f"{question}\n  Nothing was found.\n")
    for number, hit in enumerate(hits, 1):
        ranks = ", ".join(
            f"{kind} {hit[f'{field}_rank'] or '-'}" for kind, field in (("dense", "dense"), ("BM25", "lexical"))
        )
        similarity = "" if hit["similarity"] is None else f", cosine {hit['similarity']:.2f}"
        similarity += "" if hit["fit"] is None else f", fits {hit['fit']:.0%}"
        output.say(f"[{number}] {hit['document']} · {hit['place']}  ({ranks}{similarity})")
        for same in hit["same"] or ():
            output.say(f"    the same in {same}")
        output.say("    " + str(hit["text"]).replace("\n", "\n    ") + "\n")
