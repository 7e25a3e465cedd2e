"""The user's own editor on some texts: $VISUAL, else $EDITOR, in the terminal that the app lends it meanwhile."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from screens.modals.confirm import Confirm
from screens.modals.edit_texts import TextField
from screens.text_form import TextForm
from workbench.errors import UserError

if TYPE_CHECKING:
    from screens.app import WorkbenchApp

_HERE = "Or edit it in the app."


def editor() -> list[str]:
    """The command of the editor, without the file.

    Raises:
        UserError: none is set, or the one that is set cannot be found.
    """
    variable = next((name for name in ("VISUAL", "EDITOR") if os.environ.get(name, "").strip()), None)
    if variable is None:
        raise UserError(
            "no editor is set", do=f"Set EDITOR, e.g. `export EDITOR=nano`, and open the app again. {_HERE}"
        )
    try:
        command = shlex.split(os.environ[variable])
    except ValueError as error:
        raise UserError(f"cannot be read as a command: {error}", where=variable, do=_HERE) from None
    if shutil.which(command[0]) is None:
        raise UserError(f"there is no program {command[0]!r}", where=variable, do=f"Set it to an editor. {_HERE}")
    return command


async def edit_outside(
    app: WorkbenchApp, title: str, fields: Sequence[TextField], save: Callable[[dict[str, str]], Awaitable[object]]
) -> None:
    """Have the user edit texts in one file, until they can be saved or the user leaves it; call it in a worker.

    What cannot be saved is never lost: the user edits it again, or is told which file it is in.

    Args:
        app: it stands still while the editor is open.
        title: what is edited.
        fields: the texts.
        save: gets the texts that were changed, by name; its UserError is shown.

    Raises:
        UserError: there is no editor, it failed, or the terminal cannot be lent.
        OSError: the file cannot be written.
    """
    command = editor()
    form = TextForm(title, fields)
    folder = app.workspace.private
    folder.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(prefix="edit-", suffix=".txt", dir=folder)
    os.close(handle)
    file = Path(name)
    file.write_text(form.text, encoding="utf-8", newline="")
    kept = True  # whatever happens, what the user wrote is in the file
    try:
        while True:
            _run(app, command, file)
            try:
                changes = form.changes(_read(file))
                if changes:
                    await save(changes)
                else:
                    app.tell("Nothing was changed. (An editor with a window must be told to wait: `code --wait`.)")
                kept = False
                return
            except UserError as error:
                question = Confirm("It is not saved.", str(error), yes="Edit again", no="Leave")
            if not await app.push_screen_wait(question):
                app.tell(f"Not saved. What you wrote is in {file}", severity="warning")
                return
    except UserError as error:  # of the editor
        kept = file.read_bytes() != form.text.encode()
        raise UserError(error.what, do=f"What you wrote is in {file}") if kept else error from None
    finally:
        if not kept:
            file.unlink(missing_ok=True)


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except OSError as error:
        raise UserError(f"what the editor saved cannot be read: {error.strerror}", where=str(file)) from None
    except UnicodeDecodeError:
        raise UserError("the editor has not saved UTF-8", where=str(file), do="Have it save UTF-8.") from None


def _run(app: WorkbenchApp, command: Sequence[str], file: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with app.suspend():
            # Ctrl-C is the editor's: the app is in the same foreground group, and would leave.
            signal.signal(signal.SIGINT, lambda *_: None)
            try:
                code = subprocess.run([*command, str(file)]).returncode
            finally:
                signal.signal(signal.SIGINT, before)
    except SuspendNotSupported:
        raise UserError("this terminal cannot be lent to an editor", do=_HERE) from None
    except OSError as error:
        raise UserError(f"{command[0]} does not run: {error.strerror}", do=_HERE) from None
    if code:
        raise UserError(f"{command[0]} ended with exit code {code}; nothing was changed", do=_HERE)
