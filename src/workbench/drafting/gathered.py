"""What a job has made so far, in a file of its folder, and the one step that brings it into the dataset.

Pairs come in one undoable change when the job ends or is stopped, not one by one: undo takes back the latest change,
whatever it was, and while a person judges pairs that is to be the person's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workbench import files
from workbench.pairs.pair import NewPair


@dataclass(frozen=True)
class Made:
    """What became of one passage or prompt."""

    key: str
    """It stands for the passage or the prompt."""
    outcome: str
    pair: dict[str, Any] | None = None
    """The fields of a `NewPair`, where one came of it."""
    flag: str = ""
    """The detail of a flag that the pair is given; empty for none."""
    why: str = ""
    """What the server said when it refused."""

    def new_pair(self) -> NewPair | None:
        """The pair that came of it."""
        return NewPair(**{**self.pair, "tags": tuple(self.pair["tags"])}) if self.pair else None


class Gathered:
    """The lines of `made.jsonl`, in their order, also those of earlier attempts. A context manager."""

    def __init__(self, folder: Path) -> None:
        """Reads what is there; a line that a crash tore is dropped.

        Raises:
            OSError: the folder cannot be read or written.
        """
        self._path, self._kept_path = folder / "made.jsonl", folder / "kept.json"
        self.made: list[Made] = []
        whole = b""
        if self._path.exists():
            for line in self._path.read_bytes().splitlines(keepends=True):
                try:
                    self.made.append(Made(**json.loads(line)))
                except (ValueError, TypeError):
                    break
                whole += line
            if len(whole) < self._path.stat().st_size:
                files.write_text(self._path, whole.decode())
        self._kept = json.loads(self._kept_path.read_text()) if self._kept_path.exists() else 0
        self._file = self._path.open("a", encoding="utf-8", newline="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, made: Made) -> None:
        """Write down what became of one; it is with the system when this returns."""
        self._file.write(files.strict_json(vars(made)) + "\n")
        self._file.flush()
        self.made.append(made)

    @property
    def counts(self) -> Counter[str]:
        """How many have each outcome, of all attempts."""
        return Counter(made.outcome for made in self.made)

    def keep(self, into: Callable[[list[Made]], object]) -> None:
        """Hand over what was not handed over yet, by an earlier attempt; once it returns it never is again."""
        left = self.made[self._kept :]
        if left:
            files.fsync_file(self._path)
            into(left)
            self._kept = len(self.made)
            files.write_json(self._kept_path, self._kept)
