"""How much memory there is, by the limits of control groups of both versions; and the refusal of what does not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from workbench.errors import UserError
from workbench.jobs import memory
from workbench.training.preflight import refuse_memory


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_group_above_counts_without_the_files_that_the_kernel_lets_go(
    tmp_path: Path, version: int
) -> None:
    top = tmp_path / "fs" / ("memory" if version == 1 else "")
    (top / "service" / "job").mkdir(parents=True)
    limit, used, files = (
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        if version == 1
        else ("memory.max", "memory.current", "inactive_file")
    )
    for folder, allowed in (("service", "4000"), ("service/job", "max")):
        (top / folder / limit).write_text(f"{allowed}\n")
        (top / folder / used).write_text("3000\n")
        (top / folder / "memory.stat").write_text(f"anon 1\n{files} 500\n")
    mine = tmp_path / "cgroup"
    mine.write_text("4:memory:/service/job\n1:cpu:/service\n" if version == 1 else "0::/service/job\n")
    assert memory._control_group_limits(tmp_path / "fs", mine) == [(4000, 2500)]


def test_what_a_group_leaves_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_control_group_limits", lambda: [(5_000_000, 4_000_000)])
    mine = psutil.Process().memory_info().rss
    assert memory.available_memory_bytes() == pytest.approx(mine + 1_000_000, abs=20_000_000)


def test_a_run_that_does_not_fit_is_refused_with_what_would_help() -> None:
    refuse_memory(2_000_000_000, 2_000_000_000, "this machine")
    with pytest.raises(
        UserError, match=r"expected to hold 3\.00 GB at its peak, and this machine has 2\.00 GB"
    ) as told:
        refuse_memory(3_000_000_000, 2_000_000_000, "this machine")
    for key in ("per_device_train_batch_size", "gradient_accumulation_steps", "max_length", "gradient_checkpointing"):
        assert key in str(told.value)


def test_memory_that_is_free_goes_back_to_the_system() -> None:
    """In a process of its own: holes between blocks that are still in use."""
    program = """
import psutil, torch
from workbench.jobs.memory import return_free_memory
held = [torch.ones(12_000) for _ in range(8_000)]  # 48 kB each, below what malloc maps by itself
kept = held[::8]
del held
before = psutil.Process().memory_info().rss
return_free_memory()
print(before - psutil.Process().memory_info().rss)
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 150e6
