"""The dialogs in which a hybrid is put together: which adapter, which index."""

from __future__ import annotations

from screens.hybrid_choices import HybridChoices
from screens.modals.choose import Choice, Choose
from workbench.errors import UserError
from workbench.hybrid import Hybrid

NONE = ""
"""The value of the choice of no adapter, or of no index."""


def choose_adapter(choices: HybridChoices, hybrid: Hybrid) -> Choose:
    """The runs that have an adapter, and none; the result is the name of a run.

    Raises:
        UserError: no run has one.
    """
    if not choices.adapters:
        raise UserError("no run has an adapter yet", do="Train one: the screen is 3.")
    listed = [Choice(NONE, "none", choices.base)]
    for run in choices.adapters:
        loss = f"loss {run.loss:.3f}" if run.loss is not None else ""
        listed.append(Choice(run.run, run.run, "  ".join(filter(None, (run.base, loss, run.state)))))
    return Choose("Which adapter?", listed, current=hybrid.lora or NONE)


def choose_index(choices: HybridChoices, hybrid: Hybrid) -> Choose:
    """The indexes that can be searched, and none; the result is the name of an index.

    Raises:
        UserError: there is no index.
    """
    if not choices.indexes:
        raise UserError("there is no index yet", do="Index documents: the screen is 4.")
    listed = [Choice(NONE, "none", "without the library")]
    listed += [
        Choice(index.name, index.name, f"{index.documents:,} documents, {index.chunks:,} chunks")
        for index in choices.indexes
    ]
    return Choose("Which index?", listed, current=hybrid.rag or NONE)
