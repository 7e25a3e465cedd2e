"""The table of what was disturbed, and how it came out, at the end of the tests' output."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

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
