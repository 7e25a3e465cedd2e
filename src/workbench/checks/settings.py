"""What a dataset is checked by, and the store of pairs as the checks use it. Light: the app reads through it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from workbench import formats
from workbench.checks.likeness import FLOOR, THRESHOLD
from workbench.errors import UserError
from workbench.pairs.store import PairStore


@dataclass(frozen=True)
class CheckSettings:
    """The settings of one dataset's checks.

    Raises:
        UserError: one of them cannot be held.
    """

    threshold: float = THRESHOLD
    """Likeness of two prompts from which on they are near-duplicates, `FLOOR` to 1."""
    language: str = ""
    """Code of the language that the pairs are in, e.g. en; empty: that of most of them."""
    pattern: str = ""
    """A regular expression that every answer holds as a whole; empty: none."""
    schema: dict[str, Any] | None = None
    """A JSON schema that every answer holds; None: none."""
    recipe: str = ""
    """The recipe whose limit and split the last check went by; empty: none."""

    def __post_init__(self) -> None:
        if not FLOOR <= self.threshold <= 1:
            raise UserError(f"a threshold of {self.threshold:g} is none", do=f"Give one from {FLOOR:g} to 1.")
        if not re.fullmatch(r"([a-z]{2,3})?", self.language):
            raise UserError(f"{self.language!r} is no code of a language", do="Give one such as en, de or fr.")

    @property
    def format_in_words(self) -> str:
        """The format, for a person; empty where there is none."""
        told = [f"the expression {self.pattern:.80}"] if self.pattern else []
        return " and ".join([*told, *(["the JSON schema"] if self.schema is not None else [])])


class CheckStore(PairStore):
    """The pairs, with what they are checked by and what links them."""

    def check_settings(self, dataset: str) -> CheckSettings:
        """The settings of a dataset; the defaults where nothing was set."""
        rows = self._rows("SELECT settings FROM check_settings WHERE dataset = :d", {"d": dataset})
        known = json.loads(rows[0][0]) if rows else {}
        return CheckSettings(**{name: known[name] for name in asdict(CheckSettings()) if name in known})

    def set_check_settings(self, dataset: str, **changes: Any) -> CheckSettings:
        """Change some settings of a dataset; they count from the next check on.

        Raises:
            UserError: there is no such dataset, or a value cannot be held.
        """
        self.check_dataset(dataset)
        settings = replace(self.check_settings(dataset), **changes)
        formats.check(settings.pattern, settings.schema)
        with self._change():
            self._connection.execute(
                "REPLACE INTO check_settings VALUES (?, ?)", (dataset, json.dumps(asdict(settings), ensure_ascii=False))
            )
        return settings

    def check_dataset(self, dataset: str) -> None:
        """See that there is such a dataset.

        Raises:
            UserError: there is none.
        """
        if not self._rows("SELECT 1 FROM pairs WHERE dataset = :d LIMIT 1", {"d": dataset}):
            raise UserError(f"there is no dataset {dataset!r}", do="See what there is with `workbench pairs stats`.")

    def twins(self, dataset: str, other: str) -> Iterator[tuple[int, int]]:
        """Pairs of a dataset that another one has, too: both ids."""
        with self._errors():
            yield from self._connection.execute(
                "SELECT a.id, b.id FROM pairs AS a JOIN pairs AS b ON b.dataset = ? AND b.key = a.key"
                " WHERE a.dataset = ? AND a.status <> 'rejected' AND b.status <> 'rejected' ORDER BY a.id",
                (other, dataset),
            )

    def prompts(self, dataset: str) -> Iterator[tuple[bytes, int]]:
        """(prompt, id) of the pairs of a dataset that are not rejected, by ids."""
        with self._errors():
            yield from self._connection.execute(
                "SELECT substr(key, 1, 16), id FROM pairs WHERE dataset = ? AND status <> 'rejected' ORDER BY id",
                (dataset,),
            )

    def ids_of_prompts(self, dataset: str, prompts: Sequence[bytes]) -> dict[bytes, int]:
        """For each of these prompts the first pair of the dataset that has it and is not rejected, where there is
        one."""
        found: dict[bytes, int] = {}
        statement = "SELECT min(id) FROM pairs WHERE dataset = ? AND key BETWEEN ? AND ? AND status <> 'rejected'"
        with self._errors():
            for prompt in prompts:
                row = self._connection.execute(statement, (dataset, prompt, prompt + b"\xff" * 16)).fetchone()
                if row[0] is not None:
                    found[prompt] = row[0]
        return found

    def set_clusters(self, dataset: str, compared: Iterable[bytes], clusters: Mapping[bytes, bytes]) -> None:
        """Replace which prompts of a dataset stand for which others in the split.

        Args:
            dataset: its name.
            compared: all of its prompts, also those that no other is like.
            clusters: for each of the others the one that stands for it.
        """
        with self._change():
            self._connection.execute("DELETE FROM prompt_clusters WHERE dataset = ?", (dataset,))
            self._connection.executemany(
                "INSERT INTO prompt_clusters VALUES (?, ?, ?)",
                ((dataset, prompt, clusters.get(prompt, b"")) for prompt in compared),
            )
