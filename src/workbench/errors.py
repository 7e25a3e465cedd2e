"""Errors that a user can act on: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """A mistake or a circumstance that the user can mend; shown as one line, never as a traceback.

    Args:
        what: what is wrong, a sentence without its full stop.
        where: the file, line, key or name it is about.
        do: what to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, do: str | None = None) -> None:
        self.what, self.where, self.do = what, where, do
        head = f"{where}: {what}" if where else what
        super().__init__(f"{head}. {do}" if do else head)


def in_words(error: UserError | OSError) -> str:
    """What the user reads: a `UserError` as it is; of a file that cannot be read or written its name, and why."""
    if isinstance(error, UserError):
        return str(error)
    what = (error.strerror or str(error) or type(error).__name__).lower()
    return f"{error.filename}: {what}" if error.filename else what


class Faults(UserError):
    """Several faults of one file, found in one pass; `faults` holds them in the order of their lines."""

    def __init__(self, file: str, faults: Sequence[str], *, do: str | None = None) -> None:
        self.faults = list(faults)
        count = len(self.faults)
        super().__init__(
            f"{count} fault{'s' if count != 1 else ''}\n" + "\n".join(f"  {fault}" for fault in self.faults),
            where=file,
            do=do,
        )
