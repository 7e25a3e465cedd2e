"""The command `workbench`: one subcommand per capability; without one it opens the app.

Nothing heavy is imported before a subcommand needs it, so `workbench --help` answers at once.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import Annotated

import typer

from workbench import __version__, output
from workbench.chat import commands as chat
from workbench.checks import commands as _checks  # noqa: F401  adds to `workbench pairs`
from workbench.compare import commands as compare
from workbench.drafting import commands as drafting
from workbench.errors import UserError
from workbench.jobs import commands as jobs
from workbench.library import commands as library
from workbench.library import evaluation_commands as _evaluation  # noqa: F401  adds to `workbench index`
from workbench.models import commands as models
from workbench.output import AsJson, InWorkspace
from workbench.pairs import commands as pairs
from workbench.training import commands as training
from workbench.training import pair_commands
from workbench.training.export.commands import export
from workbench.training.preflight_commands import preflight
from workbench.workspace import find
from workbench.workspace import init as init_workspace

app = typer.Typer(
    help="Tune a small language model, index documents, talk to the hybrid, and measure which of them helped.",
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models.app, name="models")
pairs.app.command("draft")(drafting.draft)
pairs.app.command("sample")(drafting.sample)
pair_commands.add_to(pairs.app)
app.add_typer(pairs.app, name="pairs")
app.command("train")(training.train)
app.command("preflight")(preflight)
training.app.command("export")(export)
app.add_typer(training.app, name="runs")
library.add_search(chat.search)
app.add_typer(library.app, name="index")
app.command("ask")(chat.ask)
app.command("serve")(chat.serve)
app.add_typer(compare.app, name="compare")
app.add_typer(jobs.app, name="jobs")


@app.callback()
def main_callback(
    context: typer.Context,
    workspace: InWorkspace = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Without a subcommand, the app opens on the workspace."""
    if version:
        print(__version__)
        raise typer.Exit
    if workspace is not None:
        os.environ["WORKBENCH_WORKSPACE"] = str(workspace)
    if context.invoked_subcommand is None:
        from screens.app import open_app

        raise typer.Exit(open_app(find(workspace)))


@app.command()
def init(
    folder: Annotated[str, typer.Argument(help="The folder; made if absent.")] = ".",
    json: AsJson = False,
) -> None:
    """Make a folder a workspace."""
    workspace = init_workspace(folder)
    if json:
        output.print_json({"workspace": workspace.root})
    else:
        output.say(f"{workspace.root} is a workspace. Open it with `workbench -w {workspace.root}`.")


@app.command()
def demo(
    folder: Annotated[str, typer.Argument(help="A new workspace for the demo.")] = "demo-workspace",
    json: AsJson = False,
) -> None:
    """The whole loop on the sample that ships: pairs, a run, an index, and four arms side by side."""
    from workbench.demo import run_demo

    run_demo(folder, json=json)


def main() -> None:
    """Run the command; a user's mistake is one line on standard error and exit code 1."""
    try:
        app()
    except UserError as error:
        output.warn(f"Error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (OSError, sqlite3.Error) as error:
        output.warn(f"Error: {_reason(error)}.")
        sys.exit(1)


def _reason(error: OSError | sqlite3.Error) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
