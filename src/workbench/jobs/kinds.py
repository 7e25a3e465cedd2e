"""Which kinds of jobs there are, and the function that does each: called with a `Context`, returns a result or None.

The functions are named, not imported: this floor knows nothing of what lies above it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of job."""

    function: str
    """`module:function`; it takes one `workbench.jobs.context.Context` and returns a JSON-able dict or None."""
    heavy: bool
    """It keeps the processor busy: one such job runs at a time, the others queue."""
    online: bool = False
    """It may use the network."""


KINDS = {
    "train": Kind("workbench.training.job:run", heavy=True),
    "preflight": Kind("workbench.training.job:preflight", heavy=True),
    "export": Kind("workbench.training.export.job:run", heavy=True),
    "index": Kind("workbench.library.job:run", heavy=True),
    "check": Kind("workbench.checks.job:run", heavy=True),
    "import": Kind("workbench.pairs.job:run", heavy=False),
    "import-hub": Kind("workbench.pairs.job:run", heavy=False, online=True),
    "compare": Kind("workbench.compare.job:run", heavy=True),
    "verdict": Kind("workbench.compare.job:conclude_again", heavy=False),
    "draft": Kind("workbench.drafting.job:draft", heavy=True),
    "sample": Kind("workbench.drafting.job:sample", heavy=True),
    "fetch": Kind("workbench.models.job:run", heavy=False, online=True),
}
