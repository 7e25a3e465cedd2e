"""The job that fetches a model."""

from __future__ import annotations

from workbench.jobs.context import Context
from workbench.models.fetch import fetch


def run(context: Context) -> dict[str, str]:
    """Fetch `arguments["model"]`."""
    name = context.arguments["model"]

    def report(what: str, done: int, total: int | None) -> None:
        context.check_stop()
        megabytes = None if total is None else total / 1e6
        context.progress(round(done / 1e6, 1), megabytes, unit="MB", message=what)

    folder = fetch(name, report, again=context.arguments.get("again", False))
    return {"model": name, "folder": str(folder)}
