"""`workbench ask` and `workbench serve`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import output
from workbench.errors import UserError
from workbench.library.filters import Filter
from workbench.output import AsJson, InWorkspace
from workbench.text import for_terminal
from workbench.workspace import Workspace, find

if TYPE_CHECKING:
    from workbench.chat.answer import Citation


def ask(
    question: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A hybrid: BASE[+lora:RUN][+rag:INDEX]; default: the settings' base model."),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, max=50, help="Passages given to the model.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens at most in the answer.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="0 is greedy.")] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Ask a hybrid one question."""
    from workbench.chat.client import Client, collect
    from workbench.hybrid import Hybrid

    here = find(workspace)
    name = str(Hybrid.parse(here.settings().base_model if model is None else model))
    text = (sys.stdin.read() if question == "-" else question).strip()
    if not text:
        raise UserError("the question is empty")
    with Client.from_workspace(here) as client:
        options = {"top_k": k, "max_tokens": max_tokens, "temperature": temperature}
        deltas = client.chat([{"role": "user", "content": text}], name, **options)
        if not json:
            shown = []
            for delta in deltas:
                shown.append(delta)
                print(for_terminal(delta.text), end="", flush=True)
            print()
            answer = collect(shown)
            for citation in answer.citations:
                output.say(_source(citation))
            return
        answer = collect(deltas)
    output.print_json(
        {
            "model": name,
            "question": text,
            "answer": answer.text,
            "citations": [asdict(citation) for citation in answer.citations],
            "not_in_library": answer.not_in_library,
            "cut": asdict(answer.cut) if answer.cut else None,
            **asdict(answer.figures),
        }
    )


def search(workspace: Workspace, index: str, query: str, k: int, mode: str, filter: Filter) -> list[dict[str, Any]]:
    """`workbench index search`: by the workspace's server, which is started if it does not run."""
    from workbench.chat.client import Client

    with Client.from_workspace(workspace) as client:
        return client.search(index, query, k, mode, filter)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: the settings'.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")] = None,
    json: AsJson = False,
    workspace: InWorkspace = None,
) -> None:
    """Run the workspace's server until ctrl+c: the OpenAI API over all hybrids."""
    from workbench.chat import address
    from workbench.jobs.environment import job_environment

    here = find(workspace)
    if there := address.running(here):
        raise UserError(
            f"the workspace has a server already (process {there.pid})", where=there.url, do="Use it, or end it first."
        )
    options = ["--parent", str(os.getpid())]
    options += ["--host", host] if host else []
    options += ["--port", str(port)] if port is not None else []
    server = subprocess.Popen(
        address.command(here, *options),
        cwd=here.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=job_environment(),
    )
    try:
        for line in server.stdout or ():
            there = address.running(here)
            if line.startswith("listening on ") and there:
                if json:
                    output.print_json({"url": there.url, "pid": there.pid, "token_file": address.path_of(here)})
                else:
                    output.say(f"Listening on {there.url}/v1 until ctrl+c. Token: {there.token}")
            else:
                output.warn(line.rstrip())
        code = server.wait()
    except KeyboardInterrupt:
        server.terminate()  # ctrl+c reaches both in a terminal; a program may have interrupted this process alone
        server.wait()
        return
    if code:
        raise typer.Exit(1)


def _source(citation: Citation) -> str:
    place = f", {citation.place}" if citation.place else ""
    similarity = "" if citation.similarity is None else f"  (similarity {citation.similarity:.2f})"
    return f"[{citation.number}] {citation.document}{place}{similarity}"
