"""Starting an export; what can be refused is refused before a process starts. Light: the app calls it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.models.adapter import FOLDER, MANIFEST, has_adapter
from workbench.models.local import ensure
from workbench.training import runs
from workbench.training.export.architecture import check_config
from workbench.training.export.forms import DTYPES, FORMS, REWARD_FORMS
from workbench.training.export.place import check_target
from workbench.workspace import Workspace


def forms_of(workspace: Workspace, run: str) -> list[str]:
    """The forms that a run can be exported in.

    Raises:
        UserError: there is no such run, or it has no adapter.
    """
    job = runs.find(workspace, run)
    if not has_adapter(job.path):
        raise UserError(f"the run {run!r} has no adapter", do="Let it finish, or see `workbench runs list`.")
    rewards = job.spec["arguments"]["recipe"].get("method") == "reward"
    return list(REWARD_FORMS if rewards else FORMS)


def default_folder(workspace: Workspace, run: str) -> Path:
    """Where the exports of a run lie, a folder a form, unless the user names another place."""
    return workspace.root / "exports" / run


def start_export(workspace: Workspace, run: str, targets: Mapping[str, Path], *, dtype: str = "float32") -> JobFolder:
    """Start the export of a run; it is queued behind other heavy jobs.

    Args:
        workspace: whose run it is.
        run: its name.
        targets: a folder for each form, a key of `FORMS`; an earlier export there is replaced.
        dtype: in which a merged model is saved, one of `DTYPES`.

    Raises:
        UserError: the run cannot be exported so, its base model is not here, or the folder holds something else.
    """
    possible = forms_of(workspace, run)
    for form in targets:
        if form not in FORMS:
            raise UserError(f"there is no form {form!r}", where="--form", do=f"Give one of: {', '.join(FORMS)}.")
        if form not in possible:
            raise UserError(
                f"{run!r} is a reward model, and GGUF engines do not compute its score",
                where=form,
                do=f"Export it as {' or '.join(possible)}.",
            )
    if not targets:
        raise UserError("no form was chosen", do=f"Choose one of: {', '.join(possible)}.")
    if dtype not in DTYPES:
        raise UserError(f"there is no dtype {dtype!r}", where="--dtype", do=f"Give one of: {', '.join(DTYPES)}.")
    if dtype != DTYPES[0] and "merged" not in targets:
        raise UserError("is for the form merged", where="--dtype")
    base = ensure(json.loads((workspace.run(run) / FOLDER / MANIFEST).read_text(encoding="utf-8"))["model"])
    if any(form.startswith("gguf") for form in targets):
        check_config(json.loads((base / "config.json").read_text(encoding="utf-8")))
    folders = {form: folder.expanduser().resolve() for form, folder in targets.items()}
    for folder in folders.values():
        check_target(folder)
    arguments = {"run": run, "targets": {form: str(folder) for form, folder in folders.items()}, "dtype": dtype}
    return control.start(workspace, "export", arguments, title=f"export {run}: {', '.join(folders)}")
