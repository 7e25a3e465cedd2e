"""What the tests of the library share: a reporter that remembers, a stand-in for the embedding model, real PDFs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.library.build import Built, build


class Reporter:
    """A build's reporter that remembers what it was told."""

    def __init__(self, on_progress: Callable[[str, float], None] = lambda unit, done: None) -> None:
        self.messages: list[str] = []
        self._on_progress = on_progress

    def progress(self, done: float, total: float | None = None, *, unit: str = "", message: str = "", **_: Any) -> None:
        self._on_progress(unit, done)

    def message(self, text: str, *, level: str = "info") -> None:
        self.messages.append(text)

    def check_stop(self) -> None:
        pass


class FakeEmbedder:
    """Vectors from the words of a text, so that texts which share words are near; remembers what it embedded."""

    name = "fake"
    max_tokens = 256
    passage_tokens = 254

    def __init__(self, fingerprint: str = "fake", dimensions: int = 64) -> None:
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        self.embedded: list[str] = []

    def encode(self, texts: Sequence[str], *, batch_size: int = 8, query: bool = False) -> np.ndarray:
        if not query:
            self.embedded += texts
        vectors = np.full((len(texts), self.dimensions), 1e-3, np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[hashlib.sha256(word.encode()).digest()[0] % self.dimensions] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def count_tokens(self, text: str) -> int:
        return len(re.findall(r"\w+|[^\w\s]", text))


def build_with(
    folder: Path, paths: Sequence[Path] | None, embedder: Any, reporter: Reporter | None = None, **options: Any
) -> Built:
    """Build or update an index in this process."""
    return build(folder, paths, lambda _: embedder, reporter or Reporter(), embedding_model="fake", **options)


def write_pdf(path: Path, pages: Sequence[tuple[str, str]]) -> Path:
    """A real PDF: on every page a heading and a paragraph."""
    from fpdf import FPDF

    pdf = FPDF()
    for heading, text in pages:
        pdf.add_page()
        pdf.set_font("helvetica", style="B", size=20)
        pdf.cell(0, 12, heading, new_x="LMARGIN", new_y="NEXT")
        pdf.set_font("helvetica", size=11)
        pdf.multi_cell(0, 6, text)
    pdf.output(str(path))
    return path
