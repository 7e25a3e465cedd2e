"""The name of a hybrid: `BASE[+lora:RUN][+rag:INDEX]`. It knows nothing of models or indexes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from workbench.errors import UserError

ARMS = ("base", "tuned", "rag", "hybrid")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FORM = "BASE[+lora:RUN][+rag:INDEX]"


def check_name(name: str, noun: str) -> str:
    """Return `name` if it can name a run, an index or a dataset; such names are also names of folders.

    Raises:
        UserError: the name has other characters, is empty, or is longer than 64.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name {'an' if noun[0] in 'aeiou' else 'a'} {noun}",
            do="Use up to 64 letters, digits, '.', '_' and '-', beginning with a letter or a digit.",
        )
    return name


@dataclass(frozen=True)
class Hybrid:
    """A base model, with or without an adapter (the name of a run) and an index (its name)."""

    base: str
    lora: str | None = None
    rag: str | None = None

    @classmethod
    def parse(cls, name: str) -> Hybrid:
        """Read a hybrid's name.

        Raises:
            UserError: the name is not of the form `BASE[+lora:RUN][+rag:INDEX]`.
        """
        match = re.fullmatch(r"(?P<base>.+?)(?:\+lora:(?P<lora>[^+]*))?(?:\+rag:(?P<rag>[^+]*))?", name.strip())
        if match is None or re.search(r"\+(lora|rag):", match["base"]):
            raise UserError(f"{name!r} is not the name of a hybrid", do=f"Write {_FORM}.")
        if match["lora"] is not None:
            check_name(match["lora"], "run")
        if match["rag"] is not None:
            check_name(match["rag"], "index")
        return cls(match["base"], match["lora"], match["rag"])

    def __str__(self) -> str:
        return self.base + (f"+lora:{self.lora}" if self.lora else "") + (f"+rag:{self.rag}" if self.rag else "")

    @property
    def arm(self) -> str:
        """Which of the four arms this is: base, tuned, rag or hybrid."""
        return ARMS[(1 if self.lora else 0) + (2 if self.rag else 0)]

    def arms(self) -> dict[str, Hybrid]:
        """The four arms of the full hybrid: base, tuned (+lora), rag (+rag), hybrid (both)."""
        return {
            "base": replace(self, lora=None, rag=None),
            "tuned": replace(self, rag=None),
            "rag": replace(self, lora=None),
            "hybrid": self,
        }
