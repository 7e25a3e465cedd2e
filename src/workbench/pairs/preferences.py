"""Judging preference pairs: which of two answers is the better one, and what the judgements lean to.

Every judgement is one undoable step. A pair in which neither answer is better is rejected, not left waiting: there is
nothing to learn from it, and it must not come again. Its tag says which it was, so that it can be found and mended.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from workbench.errors import UserError
from workbench.pairs.pair import UNDECIDED, NewPair, NotAPair, Pair, normalised
from workbench.pairs.query import Term
from workbench.pairs.reading import IDS
from workbench.pairs.selection import Selection
from workbench.pairs.store import PairStore

Side = Literal["left", "right"]
Neither = Literal["both-bad", "equal"]
SAMPLED = "sampled"
"""The tag of a pair whose answers are two samples of a model."""
BOTH_BAD: Neither = "both-bad"
EQUAL: Neither = "equal"
LEANS = 0.6
"""The share from which on judgements are told to lean to one side, where chance alone would hardly give it."""
_VERDICTS = {"left": "chose the left", "right": "chose the right", "both-bad": "both bad", "equal": "equal"}


@dataclass(frozen=True)
class Sides:
    """The two answers of a pair as they stand side by side."""

    left: str
    right: str
    chosen: Side | None
    """The better one, None while nobody has said."""

    def other(self, side: Side) -> Side:
        """The side that is not `side`."""
        return "right" if side == "left" else "left"

    def text(self, side: Side) -> str:
        """The answer on a side."""
        return self.left if side == "left" else self.right


@dataclass(frozen=True)
class Leaning:
    """What the judgements of a dataset lean to."""

    longer: int
    """Accepted pairs whose chosen answer has more characters than the other."""
    unequal: int
    """Accepted pairs whose answers differ in length."""
    left: int
    """Judgements on this screen, of any sitting, that took the left answer; undone ones do not count."""
    judged: int
    """Judgements that took either answer."""

    @property
    def longer_share(self) -> float | None:
        """Of the pairs whose answers differ in length, in how many the longer one was chosen; None without any."""
        return self.longer / self.unequal if self.unequal else None

    @property
    def left_share(self) -> float | None:
        """In how many judgements the left one was taken; None without any."""
        return self.left / self.judged if self.judged else None


def leans(count: int, of: int) -> bool:
    """Whether `count` is more of `of` than chance gives: at least `LEANS`, and more than 97.5 % of as many fair coins
    would show (the normal approximation of the binomial distribution)."""
    return of > 0 and count / of >= LEANS and count - of / 2 > 1.96 * math.sqrt(of) / 2


def sides_of(pair: Pair) -> Sides:
    """Which answer stands on the left: by chance, but always the same, whichever was chosen.

    It is drawn from the prompt and the two answers, so neither where an answer came from nor a judgement moves it.
    """
    assert pair.chosen is not None, pair.id
    assert pair.rejected is not None, pair.id
    first = _drawn(pair, pair.chosen) <= _drawn(pair, pair.rejected)
    left, right = (pair.chosen, pair.rejected) if first else (pair.rejected, pair.chosen)
    chosen: Side | None = None if pair.is_undecided else "left" if first else "right"
    return Sides(left, right, chosen)


def nearly_same(one: str, other: str) -> bool:
    """Whether two answers differ in case, spaces and punctuation at most."""
    return _words(one) == _words(other)


class PreferenceStore(PairStore):
    """The store of pairs, with what judges the preference pairs among them."""

    def judge(self, id: int, side: Side, *, edited: str | None = None) -> str:
        """Say which answer is the better one, and accept the pair; one step.

        Args:
            id: of a preference pair.
            side: where the better answer stands, see `sides_of`.
            edited: what the better answer is to be; None: what it is.

        Returns:
            What was done, as undo tells it.

        Raises:
            UserError: it is no preference pair, the edited answer cannot be one, or the dataset has the result already.
        """
        with self._change():
            pair = self._preference(id)
            sides = sides_of(pair)
            chosen = sides.text(side) if edited is None else edited
            verb = _VERDICTS[side] if edited is None else f"edited and {_VERDICTS[side]}"
            return self._judged(pair, "accepted", [], chosen, sides.text(sides.other(side)), f"{verb} answer of")

    def judge_neither(self, id: int, which: Neither) -> str:
        """Say that both answers are bad, or that neither is better: the pair is rejected and tagged so; one step.

        Returns:
            What was done, as undo tells it.

        Raises:
            UserError: it is no preference pair.
        """
        with self._change():
            pair = self._preference(id)
            tags = [which, *([UNDECIDED] if pair.is_undecided else [])]
            return self._judged(pair, "rejected", tags, pair.chosen, pair.rejected, f"{_VERDICTS[which]}:")

    def preferences(self, pairs: Sequence[int] | Selection) -> tuple[array[int], array[int]]:
        """Those of these pairs that have two answers, in the order given; and which of them are pending."""
        if isinstance(pairs, Selection):
            two = _narrowed(pairs, "kind", "preference")
            return self.ids(two), self.ids(_narrowed(two, "status", "pending"))
        rows = self._rows(
            f"SELECT id, status FROM pairs WHERE id IN ({IDS}) AND preference", {"ids": json.dumps(list(pairs))}
        )
        statuses = {row["id"]: row["status"] for row in rows}
        found = array("q", (id for id in pairs if id in statuses))
        return found, array("q", (id for id in found if statuses[id] == "pending"))

    def leaning(self, dataset: str) -> Leaning:
        """What the judgements of a dataset lean to; reads the texts of its accepted preference pairs."""
        longer, unequal = self._rows(
            "SELECT coalesce(sum(length(chosen) > length(rejected)), 0),"
            " coalesce(sum(length(chosen) <> length(rejected)), 0)"
            " FROM pair_rows WHERE dataset = :dataset AND status = 'accepted' AND completion IS NULL",
            {"dataset": dataset},
        )[0]
        left, judged = self._rows(
            "SELECT coalesce(sum(label GLOB '*the left answer of*'), 0), count(*) FROM pair_steps"
            " WHERE kind = 'judgement' AND NOT undone AND label GLOB '*the * answer of*' AND EXISTS"
            " (SELECT 1 FROM pair_changes AS kept JOIN pairs ON pairs.id = kept.pair"
            " WHERE kept.step = pair_steps.id AND pairs.dataset = :dataset)",
            {"dataset": dataset},
        )[0]
        return Leaning(longer, unequal, left, judged)

    def _preference(self, id: int) -> Pair:
        pair = self.get(id)
        if not pair.is_preference:
            raise UserError(f"pair {id} has a completion, not two answers", do="Edit it on the Pairs screen.")
        return pair

    def _judged(
        self, pair: Pair, status: str, marks: list[str], chosen: str | None, rejected: str | None, what: str
    ) -> str:
        try:
            new = NewPair(messages=pair.messages, chosen=chosen, rejected=rejected)
        except NotAPair as error:
            raise UserError(f"pair {pair.id} {error}", do="It is left as it was.") from None
        self._check_twin(pair, bytes.fromhex(new.key))
        label = f"{what} pair {pair.id}"
        tags = [tag for tag in pair.tags if tag not in (UNDECIDED, BOTH_BAD, EQUAL)] + marks
        values: dict[str, Any] = {
            "status": status,
            "tags": json.dumps(tags, ensure_ascii=False),
            "key": bytes.fromhex(new.key),
            "chosen": chosen,
            "rejected": rejected,
        }
        step, _ = self._journal.record("judgement", ":id", {"id": pair.id})
        self._write(pair.id, values)
        if label.startswith("edited"):
            self._connection.execute("UPDATE pairs SET edited = edited + 1 WHERE id = ?", (pair.id,))
        self._journal.label(step, label)
        return label


def _drawn(pair: Pair, answer: str) -> bytes:
    return hashlib.sha256(f"{pair.key[:32]}\0{normalised(answer)}".encode()).digest()


def _narrowed(selection: Selection, name: str, value: str) -> Selection:
    """Those that also meet one more term."""
    query = selection.query
    return replace(selection, query=replace(query, terms=(*query.terms, Term(name, (value,)))))


def _words(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
