"""The jobs `import` and `import-hub`: what `workbench pairs import` does, out of process and followed by the app."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Any

from workbench import files
from workbench.errors import UserError
from workbench.jobs.context import Context, StopRequested
from workbench.jobs.folder import JobFolder
from workbench.pairs import hub
from workbench.pairs.importing import import_file, import_rows
from workbench.pairs.store import PairStore

_SHOWN = 100  # faults in the result; all of them are in faults.jsonl


def run(context: Context) -> dict[str, Any]:
    """Import a file, a Hugging Face dataset folder, or a dataset of the hub.

    Arguments of the job: `file` (a path; a relative one lies in the workspace; or what `hub.parse` takes), `dataset`,
    and, if given, `columns` (see `importing.detect`), `status` and `limit` (rows).

    Returns:
        imported, duplicates, skipped, form, and the first faults ({line, reason}); all of them are in the job's
        folder, in faults.jsonl.
    """
    arguments = context.arguments
    named = hub.parse(arguments["file"], context.workspace.root)
    path = context.workspace.root / arguments["file"]
    context.progress(0, message=f"importing {named if named and named.on_hub else path.name}")
    with PairStore(context.workspace.database) as store:
        result = (partial(import_rows, store, hub.DatasetRows(named)) if named else partial(import_file, store, path))(
            arguments["dataset"],
            columns=arguments.get("columns"),
            status=arguments.get("status") or "pending",
            limit=arguments.get("limit"),
            progress=lambda done, total, unit: context.progress(done, total or None, unit=unit),
            check_stop=context.check_stop,
        )
        # The pairs are there by now: nothing that happens from here on may take away what is told of them.
        faults = [asdict(fault) for fault in result.faults]
        if faults:
            told = "".join(json.dumps(fault, ensure_ascii=False) + "\n" for fault in faults)
            with suppress(OSError):  # the first ones are in the result
                files.write_text(context.folder / "faults.jsonl", told)
        context.progress(0, message="preparing the search")
        with suppress(UserError, StopRequested):  # the next search goes on from there
            store.catch_up(
                progress=lambda done, total, unit: context.progress(done, total, unit=unit),
                check_stop=context.check_stop,
            )
    return {
        "imported": result.imported,
        "duplicates": result.duplicates,
        "skipped": result.skipped,
        "form": result.form,
        "faults": faults[:_SHOWN],
    }


def faults_of(job: JobFolder, limit: int | None = None) -> list[dict[str, Any]]:
    """The faults of an import, {line, reason} each, from its folder; those of its result where the file is gone."""
    try:
        with (job.path / "faults.jsonl").open(encoding="utf-8") as file:
            return [json.loads(line) for line in islice(file, limit)]
    except (OSError, ValueError):
        return (job.status().result or {}).get("faults", [])[:limit]
