"""Several named texts as one file for an editor, and what was made of it there. It knows nothing of pairs or editors.

    # Edit pair 17. ...
    ===== prompt
    Where is the key?
    ===== completion
    In the box.
    ===== end

A text stands between two lines that begin with the fence, exactly as it is: no line of any text begins so.
"""

from __future__ import annotations

from collections.abc import Sequence

from screens.modals.edit_texts import TextField
from screens.stand_ins import StandIns
from workbench.errors import UserError

_END = "end"


class TextForm:
    """The file of some texts; characters that a terminal must not see have stand-ins in it (see `StandIns`)."""

    def __init__(self, title: str, fields: Sequence[TextField]) -> None:
        self._fields = list(fields)
        self._stand_ins = [StandIns(field.text) for field in fields]
        shown = [stand_ins.shown for stand_ins in self._stand_ins]
        self._fence = "====="
        while any(line.startswith(self._fence) for text in shown for line in text.split("\n")):
            self._fence += "="
        head = f"# {title}. Change what stands between the lines with {self._fence}, save, and leave the editor.\n"
        parts = [f"{self._fence} {field.label}\n{text}\n" for field, text in zip(self._fields, shown, strict=True)]
        self.text = "".join([head, *parts, f"{self._fence} {_END}\n"])
        """What the file holds."""

    def changes(self, edited: str) -> dict[str, str]:
        """The texts that were changed, by name.

        Args:
            edited: what the editor saved; its newlines may have become CRLF, and a byte order mark is passed over.

        Raises:
            UserError: the lines with the fence are not those that there were; it names the first that is missing.
        """
        sections = self._sections(edited.removeprefix("\ufeff").replace("\r\n", "\n"))
        wanted = [field.label for field in self._fields]
        found = [label for label, _ in sections]
        if found != wanted:
            place = next((n for n, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), len(found))
            if place < len(wanted):
                raise UserError(f"the line “{self._fence} {wanted[place]}” is not where it was", do=_MEND)
            raise UserError(f"there is a line “{self._fence} {found[len(wanted)]}” more", do=_MEND)
        return {
            field.name: stand_ins.restored(text)
            for field, stand_ins, (_, text) in zip(self._fields, self._stand_ins, sections, strict=True)
            if text != stand_ins.shown
        }

    def _sections(self, text: str) -> list[tuple[str, str]]:
        """(label, text) of every section, up to the end."""
        sections: list[tuple[str, list[str]]] = []
        for line in text.split("\n"):
            label = line[len(self._fence) :].strip() if line.startswith(self._fence) else None
            if label == _END:
                return [(name, "\n".join(lines)) for name, lines in sections]
            if label is not None:
                sections.append((label, []))
            elif sections:
                sections[-1][1].append(line)
        raise UserError(f"the line “{self._fence} {_END}” is gone", do=_MEND)


_MEND = "Edit again and put it back; a text stands between two such lines."
