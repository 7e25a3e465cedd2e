"""The job `import`: what `workbench pairs import` does, out of process and followed by the app."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from workbench import files
from workbench.jobs.context import Context
from workbench.pairs.importing import import_file
from workbench.pairs.store import PairStore

_SHOWN = 100  # faults in the result; all of them are in faults.jsonl


def run(context: Context) -> dict[str, Any]:
    """Import a file.

    Arguments of the job: `file` (a path; a relative one lies in the workspace), `dataset`, and, if given, `columns`
    (see `importing.detect`) and `status`.

    Returns:
        imported, duplicates, skipped, form, and the first faults ({line, reason}); all of them are in the job's
        folder, in faults.jsonl.
    """
    arguments = context.arguments
    path = context.workspace.root / arguments["file"]
    context.progress(0, message=f"importing {path.name}")
    with PairStore(context.workspace.database) as store:
        result = import_file(
            store,
            path,
            arguments["dataset"],
            columns=arguments.get("columns"),
            status=arguments.get("status") or "pending",
            progress=lambda done, total, unit: context.progress(done, total, unit=unit),
            check_stop=context.check_stop,
        )
        context.progress(0, message="preparing the search")  # the pairs are there by now, so nothing stops it
        store.catch_up(progress=lambda done, total, unit: context.progress(done, total, unit=unit))
    faults = [asdict(fault) for fault in result.faults]
    if faults:
        files.write_text(
            context.folder / "faults.jsonl", "".join(json.dumps(fault, ensure_ascii=False) + "\n" for fault in faults)
        )
    return {
        "imported": result.imported,
        "duplicates": result.duplicates,
        "skipped": result.skipped,
        "form": result.form,
        "faults": faults[:_SHOWN],
    }
