"""Starting an export; what can be refused is refused before a process starts. Light: the app calls it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.models.adapter import MANIFEST
from workbench.models.local import ensure
from workbench.training import runs
from workbench.training.export.forms import DTYPES, FORMS, REWARD_FORMS
from workbench.training.export.place import check_target
from workbench.workspace import Workspace


def forms_of(workspace: Workspace, run: str) -> list[str]:
    """The forms that a run can be exported in.

    Raises:
        UserError: there is no such run, or it has no adapter.
    """
    job = runs.find(workspace, run)
    if not (job.path / "adapter" / MANIFEST).is_file():
        raise UserError(f"the run {run!r} has no adapter", do="Let it finish, or see `workbench runs list`.")
    rewards = job.spec["arguments"]["recipe"].get("method") == "reward"
    return list(REWARD_FORMS if rewards else FORMS)


def default_folder(workspace: Workspace, run: str) -> Path:
    """Where the exports of a run lie, a folder a form, unless the user names another place."""
    return workspace.root / "exports" / run


def start_export(
    workspace: Workspace, run: str, forms: Sequence[str], *, to: Path | None = None, dtype: str = "float32"
) -> JobFolder:
    """Start the export of a run; it is queued behind other heavy jobs.

    Args:
        workspace: whose run it is.
        run: its name.
        forms: keys of `FORMS`.
        to: the folder of the export, where one form is asked for; of several, each gets a folder in it. An earlier
            export there is replaced. Default: exports/RUN/FORM in the workspace.
        dtype: in which a merged model is saved, one of `DTYPES`.

    Raises:
        UserError: the run cannot be exported so, its base model is not here, or the folder holds something else.
    """
    possible = forms_of(workspace, run)
    for form in forms:
        if form not in FORMS:
            raise UserError(f"there is no form {form!r}", where="--form", do=f"Give one of: {', '.join(FORMS)}.")
        if form not in possible:
            raise UserError(
                f"{run!r} is a reward model: GGUF engines do not compute its score",
                where=form,
                do=f"Export it as {' or '.join(possible)}.",
            )
    if not forms:
        raise UserError("no form was chosen", do=f"Choose one of: {', '.join(possible)}.")
    if dtype not in DTYPES:
        raise UserError(f"there is no dtype {dtype!r} for an export", where="--dtype", do=f"Give {', '.join(DTYPES)}.")
    if dtype != DTYPES[0] and "merged" not in forms:
        raise UserError("is for the form merged", where="--dtype")
    adapter = json.loads((runs.find(workspace, run).path / "adapter" / MANIFEST).read_text(encoding="utf-8"))
    base = ensure(adapter["model"])
    if any(form.startswith("gguf") for form in forms):
        _check_architecture(base)
    whole = to.expanduser() if to else default_folder(workspace, run)
    several = to is None or len(forms) > 1
    targets = {form: (whole / form if several else whole).resolve() for form in dict.fromkeys(forms)}
    for target in targets.values():
        check_target(target)
    arguments = {"run": run, "targets": {form: str(target) for form, target in targets.items()}, "dtype": dtype}
    return control.start(workspace, "export", arguments, title=f"export {run}: {', '.join(targets)}")


def _check_architecture(base: Path) -> None:
    from workbench.training.export.architecture import check_config

    check_config(json.loads((base / "config.json").read_text(encoding="utf-8")))
