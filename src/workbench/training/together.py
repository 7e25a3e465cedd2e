"""What the processes of one run agree on. With one process, nothing is asked of anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from workbench.errors import UserError
from workbench.training import checkpoint


def gathered(value: Any) -> list[Any]:
    """The value of every process, by rank."""
    return gather_object([value]) if PartialState().num_processes > 1 else [value]


def refuse_other_pairs(sha256: str) -> None:
    """Let no machine train on pairs of its own.

    Raises:
        UserError: the machines froze different pairs.
    """
    if len(set(gathered(sha256))) > 1:
        raise UserError(
            "the machines do not have the same pairs",
            where="launch.num_machines",
            do="Give each the same workspace (a shared disk, or a copy made now), and start a new run on each.",
        )


def common_checkpoint(run: Path, newest: Path | None) -> Path | None:
    """The newest checkpoint that all processes can go on from.

    Args:
        run: the run's folder on this machine.
        newest: the newest one that verifies here.

    Raises:
        UserError: another machine's newest is not here.
    """
    steps = gathered(checkpoint.step_of(newest) if newest else None)
    if None in steps:
        return None
    common = checkpoint.at_step(run, min(steps))
    faults = [fault for fault in gathered(None if common == newest else checkpoint.fault_of(common)) if fault]
    if faults:
        raise UserError(
            f"{common.name} is not whole on every machine: {faults[0]}",
            where="launch.num_machines",
            do="Copy the folder checkpoints from the run on one machine to the others.",
        )
    return common
