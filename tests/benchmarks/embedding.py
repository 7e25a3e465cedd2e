"""How fast and how true embedding is, beside sentence-transformers as a user starts it.

    .venv/bin/python -P tests/benchmarks/embedding.py DOCUMENTS [--chunks 384] [--rounds 3]

DOCUMENTS is a folder; its chunks are those that `workbench index build` would embed, taken evenly over all documents.
Each variant runs in a process of its own, by turns, on the same texts; loading is not counted. Agreement is told
against sentence-transformers in float32: the cosine of each text's two vectors, and how many of the ten nearest texts
of each text are the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MODEL = "all-minilm-l6-v2"
DEFAULTS = "sentence-transformers, defaults"
OURS = "ours"
VARIANTS = (DEFAULTS, OURS)


def chunk_texts(folder: Path, most: int) -> list[str]:
    """What would be embedded of the documents in a folder, at most so many texts."""
    from workbench.library.chunks import cut
    from workbench.library.documents import find, read_content, to_text
    from workbench.library.parsing import Parser
    from workbench.models.embed import Embedder
    from workbench.models.local import ensure

    embedder = Embedder(ensure(MODEL))
    texts: dict[str, None] = {}
    with Parser() as parser:
        for found in find([folder])[0]:
            source = to_text(found.path, read_content(found.path).data, parser)
            texts |= dict.fromkeys(chunk.embedded for chunk in cut(source, embedder.count_tokens))
    return list(texts)[:: max(1, len(texts) // most)][:most]


def embed(variant: str, texts: list[str]) -> tuple[np.ndarray, float]:
    """Vectors [n, d] and the seconds they took."""
    from workbench.models.embed import Embedder
    from workbench.models.load import be_offline
    from workbench.models.local import ensure

    folder = ensure(MODEL)
    if variant == OURS:
        encode = Embedder(folder).encode
    else:
        be_offline()
        from sentence_transformers import SentenceTransformer

        encode = SentenceTransformer(str(folder), local_files_only=True).encode
    encode(texts[:64])  # the first products compile kernels
    begun = time.perf_counter()
    vectors = np.asarray(encode(texts), np.float32)
    return vectors, time.perf_counter() - begun


def agreement(ours: np.ndarray, theirs: np.ndarray, k: int = 10) -> tuple[float, float, float]:
    """Mean and least cosine of like rows, and the mean share of the k nearest others that both have."""
    ours, theirs = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (ours, theirs))
    cosines = (ours * theirs).sum(axis=1)
    nearest = []
    for rows in (ours, theirs):
        similar = rows @ rows.T
        np.fill_diagonal(similar, -np.inf)
        nearest.append(np.argsort(-similar, axis=1)[:, :k])
    same = [len(set(a) & set(b)) / k for a, b in zip(*nearest, strict=True)]
    return float(cosines.mean()), float(cosines.min()), statistics.mean(same)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--chunks", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        variant, folder = given.worker
        texts = json.loads(Path(folder, "texts.json").read_text(encoding="utf-8"))
        vectors, seconds = embed(variant, texts)
        np.save(Path(folder, f"{VARIANTS.index(variant)}.npy"), vectors)
        print(json.dumps(seconds))
        return
    with tempfile.TemporaryDirectory() as folder:
        texts = chunk_texts(given.documents, given.chunks)
        Path(folder, "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        speeds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        for _ in range(given.rounds):
            for variant in VARIANTS:
                command = [sys.executable, "-P", __file__, str(given.documents), "--worker", variant, folder]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                speeds[variant].append(len(texts) / json.loads(done.stdout.splitlines()[-1]))
        vectors = [np.load(Path(folder, f"{number}.npy")) for number in range(len(VARIANTS))]
    print(f"{len(texts)} chunks of {statistics.mean(map(len, texts)):.0f} characters, {given.rounds} rounds by turns")
    print(f"{'':34}{'chunks/s':>10}{'ratio':>8}{'cosine mean':>14}{'least':>10}{'top 10':>9}")
    for number, variant in enumerate(VARIANTS):
        speed = statistics.median(speeds[variant])
        mean, least, same = agreement(vectors[number], vectors[0])
        ratio = statistics.median(a / b for a, b in zip(speeds[variant], speeds[DEFAULTS], strict=True))
        print(f"{variant:34}{speed:10.1f}{ratio:8.2f}{mean:14.5f}{least:10.5f}{same:9.3f}")


if __name__ == "__main__":
    main()
