"""What a dataset is made of: counts, lengths, how its answers begin, how varied its prompts are.

Every figure is read by itself, so that a screen can show each as it comes; of a million pairs texts are read of a
sample only. It knows nothing of recipes and models: limits and embeddings are given to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from workbench.errors import UserError
from workbench.pairs.pair import STATUSES
from workbench.pairs.reading import PairReader
from workbench.pairs.variety import Variety

SAMPLE = 20_000
"""Pairs whose texts are read. They are the first by key, a hash of the content: as good as drawn by lot."""
_OPENING = 2  # words of an answer that count as how it begins
_LOOK = 80  # characters of an answer in which they are looked for
_NO_SOURCE = "(none)"


@dataclass(frozen=True)
class Lengths:
    """How long the pairs of a dataset are."""

    unit: str
    """tokens, as the checks counted them; characters where they did not."""
    counts: dict[int, int]
    """Pairs of each length, the shortest first."""
    uncounted: int = 0
    """Pairs of which no length is known: edited or added since the checks ran; with characters: not in the sample."""

    @property
    def pairs(self) -> int:
        """How many lengths are known."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> int:
        """The length that this share of the pairs does not exceed; 0 where there are none."""
        wanted = share * self.pairs
        seen = 0
        for length, number in self.counts.items():
            seen += number
            if seen >= wanted:
                return length
        return 0

    def beyond(self, limit: int) -> int:
        """Pairs longer than this."""
        return sum(number for length, number in self.counts.items() if length > limit)

    def histogram(self, width: int, bars: int) -> list[int]:
        """Pairs in each of so many bars of this width, the first one from 0 on; the last has what is longer, too."""
        found = [0] * bars
        for length, number in self.counts.items():
            found[min(bars - 1, length // width)] += number
        return found


@dataclass(frozen=True)
class Openings:
    """How the answers begin: of a sample, the first words and how many answers begin with them."""

    answers: int
    counts: dict[str, int]
    """The most frequent first; those that occur once are left out."""


@dataclass
class Overview:
    """What is known by now of a dataset; None: not read yet."""

    dataset: str
    recipe: str = ""
    max_length: int | None = None
    """The recipe's, in tokens."""
    statuses: dict[str, int] | None = None
    lengths: Lengths | None = None
    tags: dict[str, int] | None = None
    sources: dict[str, int] | None = None
    flags: dict[str, int] | None = None
    openings: Openings | None = None
    variety: Variety | None = None
    variety_read: bool = False
    """Whether it was looked for: with `variety` None, the checks have not embedded the prompts."""

    @property
    def pairs(self) -> int:
        """All pairs of the dataset."""
        return sum((self.statuses or {}).values())


class OverviewReader(PairReader):
    """Reads the figures, one by one; for one thread."""

    def must_have(self, dataset: str) -> None:
        """Refuse a dataset that has no pairs.

        Raises:
            UserError: those there are, are named.
        """
        if not self._rows("SELECT 1 FROM pairs WHERE dataset = :dataset LIMIT 1", {"dataset": dataset}):
            known = ", ".join(found.name for found in self.datasets()) or "none yet"
            raise UserError(f"there is no dataset {dataset!r}", do=f"Datasets: {known}.")

    def statuses(self, dataset: str) -> dict[str, int]:
        """Pairs of each status."""
        return dict.fromkeys(STATUSES, 0) | self._counts("status", "pairs", dataset)

    def tags(self, dataset: str) -> dict[str, int]:
        """Pairs of each tag, the most frequent first."""
        return self._counts("tag", "pair_tags", dataset)

    def sources(self, dataset: str) -> dict[str, int]:
        """Pairs of each file that they came from, the most frequent first."""
        found = self._counts("source", "pairs", dataset)
        return {source or _NO_SOURCE: number for source, number in found.items()}

    def flags(self, dataset: str) -> dict[str, int]:
        """Pairs of each flag of the checks, the most frequent first."""
        return self._counts("flag", "pair_flags AS f JOIN pairs ON pairs.id = f.pair AND pairs.key = f.key", dataset)

    def lengths(self, dataset: str) -> Lengths:
        """Of all pairs the tokens that the checks counted; where they counted none, the characters."""
        total = self._rows("SELECT count(*) FROM pairs WHERE dataset = :dataset", {"dataset": dataset})[0][0]
        counted = self._rows(
            "SELECT tokens, count(*) FROM pairs JOIN pair_lengths AS l ON l.pair = pairs.id AND l.key = pairs.key"
            " WHERE dataset = :dataset GROUP BY tokens ORDER BY tokens",
            {"dataset": dataset},
        )
        counts = {row[0]: row[1] for row in counted}
        if not counts:
            counted = self._rows(
                "SELECT chars, count(*) FROM pairs WHERE dataset = :dataset GROUP BY chars", {"dataset": dataset}
            )
            counts = {row[0]: row[1] for row in counted}
            return Lengths("characters", counts, total - sum(counts.values()))
        return Lengths("tokens", counts, total - sum(counts.values()))

    def openings(self, dataset: str) -> Openings:
        """How the answers of a sample begin: the completions, and the better answers of preference pairs."""
        rows = self._rows(
            f"SELECT substr(coalesce(completion, chosen), 1, {_LOOK}) FROM pair_rows WHERE id IN ({_SAMPLED})",
            {"dataset": dataset, "sample": SAMPLE},
        )
        counts = Counter(" ".join(row[0].split()[:_OPENING]) for row in rows)
        return Openings(len(rows), {words: number for words, number in counts.most_common(10) if number > 1})

    def prompts(self, dataset: str, most: int) -> dict[bytes, str]:
        """A sample of the dataset's prompts, each by the first 16 bytes of its pairs' keys."""
        rows = self._rows(
            "SELECT key, (SELECT json_extract(value, '$.content') FROM json_each(messages) ORDER BY key DESC LIMIT 1)"
            f" FROM pair_rows WHERE id IN ({_SAMPLED})",
            {"dataset": dataset, "sample": most},
        )
        return {row[0][:16]: row[1] for row in rows}

    def _counts(self, what: str, tables: str, dataset: str) -> dict[str, int]:
        rows = self._rows(
            f"SELECT {what} AS what, count(*) FROM {tables} WHERE dataset = :dataset"
            " GROUP BY what ORDER BY count(*) DESC, what",
            {"dataset": dataset},
        )
        return {row[0]: row[1] for row in rows}


_SAMPLED = "SELECT id FROM pairs INDEXED BY pairs_by_key WHERE dataset = :dataset ORDER BY key LIMIT :sample"

FIGURES = {
    "statuses": OverviewReader.statuses,
    "openings": OverviewReader.openings,
    "flags": OverviewReader.flags,
    "lengths": OverviewReader.lengths,
    "tags": OverviewReader.tags,
    "sources": OverviewReader.sources,
}
"""What is read, what is quick first; each is a field of `Overview`."""
