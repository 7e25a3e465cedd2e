"""What a hybrid can be put together from in a workspace: base model, runs with an adapter, indexes. Plain objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workbench.hybrid import Hybrid
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.library.catalogue import IndexSummary
    from workbench.training.runs import RunSummary

REMOTE = "remote:"
"""Before the name of a remote model, where the names of runs stand, too; no run has a colon in its name."""


@dataclass(frozen=True)
class HybridChoices:
    """What there is."""

    base: str
    """The base model of the settings."""
    adapters: Sequence[RunSummary] = ()
    """Runs with an adapter, newest first."""
    indexes: Sequence[IndexSummary] = ()
    """Indexes that can be searched, by name."""
    remotes: Sequence[str] = ()
    """Models on other servers, by the names that the settings give them."""

    def first(self) -> Hybrid:
        """What a new chat begins with: the newest adapter and the index built last, where there are any."""
        newest = max(self.indexes, key=lambda index: index.updated_at or 0.0, default=None)
        hybrid = Hybrid(self.base, rag=newest.name if newest else None)
        return self.with_adapter(hybrid, self.adapters[0].run) if self.adapters else hybrid

    def with_adapter(self, hybrid: Hybrid, run: str | None) -> Hybrid:
        """A hybrid with another adapter, on the base model that the adapter was trained on; None takes it away.

        `REMOTE` before the name of a remote model takes that, which has no adapter.
        """
        if run and run.startswith(REMOTE):
            return replace(hybrid, base=run.removeprefix(REMOTE), lora=None)
        base = next((adapter.base for adapter in self.adapters if adapter.run == run), self.base)
        return replace(hybrid, base=base, lora=run)

    def lacks_adapter(self, hybrid: Hybrid) -> bool:
        """Whether its adapter is gone."""
        return hybrid.lora is not None and all(adapter.run != hybrid.lora for adapter in self.adapters)

    def lacks_index(self, hybrid: Hybrid) -> bool:
        """Whether its index is gone, or cannot be searched."""
        return hybrid.rag is not None and all(index.name != hybrid.rag for index in self.indexes)


def read_choices(workspace: Workspace) -> HybridChoices:
    """What there is now. Reads files: call it in a thread.

    Raises:
        UserError: the settings have faults.
    """
    from workbench.library.catalogue import indexes
    from workbench.training.runs import runs

    settings = workspace.settings()
    return HybridChoices(
        settings.base_model,
        [run for run in runs(workspace) if run.adapter],
        [index for index in indexes(workspace) if index.updated_at is not None],
        list(settings.remotes),
    )
