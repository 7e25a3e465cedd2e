"""Writing a verdict to a file. Light: the app calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench import files
from workbench.compare.report.html import html
from workbench.compare.report.markdown import markdown
from workbench.compare.store import CompareStore
from workbench.text import for_json
from workbench.workspace import Workspace

FORMS = {"markdown": ".md", "html": ".html", "json": ".json"}


def write(workspace: Workspace, comparison: str, verdict: dict[str, Any], path: Path, form: str) -> None:
    """Write a verdict.

    Args:
        workspace: whose comparison it is.
        comparison: its name; the HTML page also holds its questions and answers.
        verdict: see `workbench.compare.verdict.build`.
        path: replaced if it exists.
        form: a key of `FORMS`.

    Raises:
        OSError: it cannot be written.
    """
    if form == "markdown":
        text = markdown(verdict)
    elif form == "json":
        text = for_json(json.dumps(verdict, ensure_ascii=False, indent=1)) + "\n"
    else:
        with CompareStore(workspace.database) as store:
            found = store.comparison(comparison)
            text = html(verdict, store.asked(found.id), store.answers(found.id), store.rankings(found.id))
    files.write_text(path, text)
