"""The store of pairs, with what brings in proposals: pending pairs that a model made, in one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workbench.drafting.gathered import Made
from workbench.pairs.store import PairStore

CHECK = "drafting"
"""What the flags of drafts are found by: the checks of a dataset leave them."""


class ProposalStore(PairStore):
    """Every proposal is pending: nothing that a model made is accepted without a person."""

    def propose(self, dataset: str, made: Sequence[Made], *, flag: str, label: str) -> int:
        """Add the pairs of what was made, as one undo step, and flag those with a detail; how many were added.

        Args:
            dataset: where to.
            made: what became of passages or prompts; those without a pair are passed over.
            flag: the flag of those that have a detail for it.
            label: what undo says was done.
        """
        proposed = [(each, pair) for each in made if (pair := each.new_pair()) is not None]
        if not proposed:
            return 0
        result = self.add(dataset, [pair for _, pair in proposed], status="pending", label=label)
        flagged = [
            (row["id"], flag, each.flag)
            for each, pair in proposed
            if each.flag
            for row in self._rows(
                "SELECT id FROM pairs WHERE dataset = :dataset AND key = :key",
                {"dataset": dataset, "key": bytes.fromhex(pair.key)},
            )
        ]
        if flagged:
            self.set_flags(dataset, CHECK, flagged, pairs=[row[0] for row in flagged])
        return result.added

    def prompts(self, dataset: str, alike: Callable[[str], bytes]) -> set[bytes]:
        """What the prompts of a dataset come down to, by `alike`, whatever their status."""
        return {alike(pair.prompt) for pair in self.pairs(dataset)}
