"""The process between a run's job and its workers: `accelerate launch`, kept to this machine where it is alone.

Started by `launch`, never by hand.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from workbench import files
from workbench.jobs.processes import end_with_the_job, register_loopback
from workbench.training.launch import EXCHANGE, FAILURES, arguments
from workbench.training.recipe import Recipe


def main(folder: Path) -> int:
    """Run the workers of the run in `folder`; 0 when all ended well."""
    end_with_the_job()
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    recipe = Recipe.model_validate(
        json.loads((folder / "spec.json").read_text(encoding="utf-8"))["arguments"]["recipe"]
    )
    register_loopback()
    try:
        launch_command(launch_command_parser().parse_args(arguments(recipe, folder)))
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        files.write_json(folder / EXCHANGE / FAILURES, {"of": recipe.launch.num_processes, "codes": codes})
        return 1
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)
