"""The server that disturbed runs are run by; and, at the end of the output, the table of how they came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_training import ready_to_train
from trial import SHORT, Trials

from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.workspace import init

MATRIX = "fault matrix"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the cells that the tests have recorded as properties; pytest-xdist brings them from its workers."""
    cells: Counter[tuple[str, str, str]] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", []) if getattr(report, "when", "") == "call" else []:
                if name == MATRIX:
                    cells[tuple(value)] += 1
    if cells:
        terminalreporter.section(MATRIX)
        for line in table(cells):
            terminalreporter.write_line(line)


def table(cells: Counter[tuple[str, str, str]]) -> list[str]:
    """Lines of (fault, where, outcome) and how often."""
    rows = [("fault", "where", "outcome", "times")]
    rows += [(fault, where, outcome, str(times)) for (fault, where, outcome), times in sorted(cells.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


@pytest.fixture
def tell(record_property: Any) -> Any:
    """`tell(fault, where, outcome)`: one cell of the matrix."""
    return lambda fault, where, outcome: record_property(MATRIX, (fault, where, outcome))


@pytest.fixture(scope="session")
def trials(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[Trials]:
    """A workspace with pairs, preference pairs and long pairs, and a server that runs jobs quickly."""
    workspace = ready_to_train(init(tmp_path_factory.mktemp("faults") / "workspace"), tiny_base)
    with PairStore(workspace.database) as store:
        asked = [[{"role": "user", "content": f"What is {n} + 1?"}] for n in range(40)]
        preferences = [
            NewPair(messages=question, chosen=f"{n + 1}", rejected=f"No, {n}.") for n, question in enumerate(asked)
        ]
        long = [NewPair(messages=question, completion=f"{n} and one. " * 45) for n, question in enumerate(asked)]
        store.add("preferences", preferences, status="accepted")
        store.add("long", long, status="accepted")
    trials = Trials(workspace, tmp_path_factory.mktemp("state"))
    trials.open(trials.prepared("warm-up", "quick", SHORT))
    try:
        yield trials
    finally:
        trials.close()
