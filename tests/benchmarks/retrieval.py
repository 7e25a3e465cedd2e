"""How often an answer stands in the first k chunks: usearch alone, BM25 alone, and both fused.

    .venv/bin/python -P tests/benchmarks/retrieval.py DOCUMENTS QUESTIONS

DOCUMENTS is a folder; QUESTIONS a file of JSON lines with "question" and "answers" (those without answers are passed
over). A question counts as found when one of its answers occurs, ignoring case, in one of the first k chunks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from workbench.library.build import Built, build
from workbench.library.index import Index
from workbench.library.search import MODES
from workbench.models.embed import Embedder
from workbench.models.local import ensure

KS = (1, 5, 10)
MODEL = "all-minilm-l6-v2"


class Quiet:
    """A build's reporter that tells nothing."""

    def progress(self, done: float, total: float | None = None, *, unit: str = "", message: str = "", **_: Any) -> None:
        pass

    def message(self, text: str, *, level: str = "info") -> None:
        pass

    def check_stop(self) -> None:
        pass


def measure(documents: Path, questions: Path, embedder: Embedder) -> tuple[Built, float, dict[str, dict[str, float]]]:
    """Index the documents and ask the questions.

    Returns:
        What was built, in how many seconds, and by mode: hit@k in percent and the median seconds of a search, the
        embedding of the question not counted.
    """
    rows = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["answers"]]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        built = build(Path(folder), [documents], lambda _: embedder, Quiet(), embedding_model=MODEL)
        seconds = time.perf_counter() - begun
        index = Index(Path(folder))
        vectors = embedder.encode([row["question"] for row in rows], query=True)
        figures = {}
        for mode in MODES:
            ranks, times = [], []
            for row, vector in zip(rows, vectors, strict=True):
                begun = time.perf_counter()
                hits = index.search(row["question"], vector, max(KS), mode=mode)
                times.append(time.perf_counter() - begun)
                ranks.append(first_with(row["answers"], [hit.text for hit in hits]))
            figures[mode] = {f"hit@{k}": 100 * statistics.mean(rank <= k for rank in ranks) for k in KS}
            figures[mode]["seconds"] = statistics.median(times)
    return built, seconds, figures


def first_with(answers: list[str], texts: list[str]) -> int:
    """The rank, from 1, of the first text that holds an answer; beyond the last when none does."""
    for rank, text in enumerate(texts, 1):
        if any(answer.lower() in text.lower() for answer in answers):
            return rank
    return len(texts) + 1


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("questions", type=Path)
    given = parser.parse_args()
    built, seconds, figures = measure(given.documents, given.questions, Embedder(ensure(MODEL)))
    print(f"{built.documents} documents, {built.chunks} chunks, indexed in {seconds:.1f} s")
    print(f"{'':8}" + "".join(f"{f'hit@{k}':>9}" for k in KS) + f"{'ms a search':>14}")
    for mode, row in figures.items():
        print(f"{mode:8}" + "".join(f"{row[f'hit@{k}']:9.2f}" for k in KS) + f"{1000 * row['seconds']:14.2f}")


if __name__ == "__main__":
    main()
