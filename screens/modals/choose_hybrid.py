"""The dialogs in which a hybrid is put together: which adapter, which index."""

from __future__ import annotations

from screens.hybrid_choices import REMOTE, HybridChoices
from screens.modals.choose import Choice, Choose
from workbench.errors import UserError
from workbench.hybrid import Hybrid

NONE = ""
"""The value of the choice of no adapter, or of no index."""


def choose_adapter(choices: HybridChoices, hybrid: Hybrid) -> Choose:
    """The runs that have an adapter, none, and remote models; the result is for `HybridChoices.with_adapter`.

    Raises:
        UserError: no run has one, and there is no remote model.
    """
    if not choices.adapters and not choices.remotes:
        raise UserError("no run has an adapter yet", do="Train one: the screen is 3.")
    listed = [Choice(NONE, "none", choices.base)]
    for run in choices.adapters:
        loss = f"loss {run.loss:.3f}" if run.loss is not None else ""
        listed.append(Choice(run.run, run.run, "  ".join(filter(None, (run.base, loss, run.state)))))
    listed += [Choice(REMOTE + name, name, "on another server") for name in choices.remotes]
    current = REMOTE + hybrid.base if hybrid.base in choices.remotes else hybrid.lora or NONE
    return Choose("Which adapter?", listed, current=current)


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
