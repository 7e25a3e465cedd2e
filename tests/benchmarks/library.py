"""An index of a million chunks: building, opening and asking it, and what it finds, beside FAISS HNSW and hnswlib.

    python -P tests/benchmarks/library.py [--chunks N] [--only STAGE,...] [--folder FOLDER]

The vectors are made: clusters of about a hundred, each vector a centre and noise, so that the nearest ten of a question
are hard to tell apart. Every index is asked the same questions, one at a time, and compared with exact search in
float32. Stages, each a few minutes for a million: usearch (ours), faiss, hnswlib, store (the database), publish (its
caches), ask (the whole of a search, and an update of one document). A FOLDER that is given is kept, so that the stages
can be run one by one; otherwise everything is removed in the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from workbench.library import caches, vectors
from workbench.library.chunks import Chunk, SourceText
from workbench.library.documents import FileContent, Found
from workbench.library.index import Index
from workbench.library.store import Store, embedding_key

DIMENSIONS, QUESTIONS, BLOCK, PER_DOCUMENT = 384, 200, 20_000, 100
STAGES = ("usearch", "faiss", "hnswlib", "store", "publish", "ask")
GRAPH = {"M": 16, "efConstruction": 128}
DTYPE: str | None = None  # None: as a library's are
_ROW = "{:22} {:>8} {:>9} {:>9} {:>10} {:>9} {:>8}"


def blocks(count: int) -> Iterator[np.ndarray]:
    """Unit vectors, float32 [<= BLOCK, DIMENSIONS] at a time; the same ones at every call. Questions come last."""
    centres = np.random.default_rng(0).normal(size=(max(1, count // 100), DIMENSIONS)).astype(np.float32)
    for begin in range(0, count + QUESTIONS, BLOCK):
        source = np.random.default_rng(begin + 1)
        rows = min(BLOCK, count + QUESTIONS - begin)
        block = centres[source.integers(0, len(centres), rows)]
        block = block + 0.9 * source.standard_normal(size=(rows, DIMENSIONS), dtype=np.float32)
        yield block / np.linalg.norm(block, axis=1, keepdims=True)


def prepared(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (a memory map), questions, and the rows of the ten nearest of each; made once for a folder."""
    at = folder / f"vectors-{count}.npy"
    if not (folder / f"nearest-{count}.npy").exists():
        every = np.lib.format.open_memmap(at, "w+", np.float32, (count + QUESTIONS, DIMENSIONS))
        done = 0
        for block in blocks(count):
            every[done : done + len(block)] = block
            done += len(block)
        asked = np.array(every[count:])
        scores, rows = np.full((QUESTIONS, 0), 0.0, np.float32), np.zeros((QUESTIONS, 0), np.int64)
        for begin in range(0, count, BLOCK):
            some = asked @ np.asarray(every[begin : min(count, begin + BLOCK)]).T
            scores = np.concatenate([scores, some], axis=1)
            rows = np.concatenate([rows, np.tile(np.arange(begin, begin + some.shape[1]), (QUESTIONS, 1))], axis=1)
            best = np.argsort(-scores, axis=1)[:, :10]
            scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
        every.flush()
        del every
        np.save(folder / f"nearest-{count}.npy", rows)
    every = np.load(at, mmap_mode="r")
    return every[:count], np.array(every[count:]), np.load(folder / f"nearest-{count}.npy")


def asked(questions: np.ndarray, nearest: np.ndarray, search: Callable[[np.ndarray], Any]) -> tuple[float, float]:
    """recall@10, and the median milliseconds of a question, asked a second time."""
    times, found = [], 0
    for turn in range(2):
        for question, wanted in zip(questions, nearest, strict=True):
            begun = time.perf_counter()
            rows = search(question)
            if turn:
                times.append(time.perf_counter() - begun)
                found += len(set(map(int, rows)) & set(wanted.tolist()))
    return found / nearest.size, 1000 * statistics.median(times)


def row(name: str, build: float, memory: float, size: float, opening: float, recall: float, query: float) -> None:
    """Print one line of the table."""
    print(
        _ROW.format(
            name, f"{build:.1f}", f"{memory / 1e6:.0f} MB", f"{size / 1e6:.0f} MB", f"{1000 * opening:.0f} ms",
            f"{recall:.4f}", f"{query:.2f} ms",
        ),
        flush=True,
    )  # fmt: skip


def resident() -> int:
    """Bytes of memory, without pages of files: the vectors come from one, and ours are viewed."""
    used = psutil.Process().memory_info()
    return used.rss - getattr(used, "shared", 0)


def usearch(folder: Path, count: int) -> None:
    """Ours: written and viewed as a library's are; asked at several depths of search."""
    every, questions, nearest = prepared(folder, count)
    path, before, peak = folder / "ours.usearch", resident(), 0

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal peak
        for begin in range(0, count, BLOCK):
            yield np.arange(begin, min(count, begin + BLOCK), dtype=np.uint64), np.array(every[begin : begin + BLOCK])
            peak = max(peak, resident())

    begun = time.perf_counter()
    dtype = DTYPE or vectors.best_dtype()
    vectors.write(path, batches(), dimensions=DIMENSIONS, dtype=dtype, rows=count)
    build = time.perf_counter() - begun
    begun = time.perf_counter()
    segment = vectors.Segment(path, dimensions=DIMENSIONS, dtype=dtype, count=count)
    opened = vectors.Vectors([segment], np.empty(0, np.uint64))
    opening = time.perf_counter() - begun
    size = path.stat().st_size + vectors.places_of(path).stat().st_size
    for depth in dict.fromkeys((64, 128, vectors.EXPANSION_SEARCH, 512)):
        segment._index.expansion_search = depth
        figures = asked(questions, nearest, lambda question: opened.search(question, 10)[0])
        row(f"usearch {dtype}, ef {depth}", build, peak - before, size, opening, *figures)


def faiss(folder: Path, count: int) -> None:
    """FAISS HNSW."""
    import faiss as library

    every, questions, nearest = prepared(folder, count)
    before, begun = resident(), time.perf_counter()
    index = library.IndexHNSWFlat(DIMENSIONS, GRAPH["M"], library.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = GRAPH["efConstruction"]
    for begin in range(0, count, BLOCK):
        index.add(np.array(every[begin : begin + BLOCK]))
    build, memory = time.perf_counter() - begun, resident() - before
    library.write_index(index, str(folder / "faiss"))
    del index
    begun = time.perf_counter()
    index = library.read_index(str(folder / "faiss"))
    opening = time.perf_counter() - begun
    for depth in (64, 128, 256, 512):
        index.hnsw.efSearch = depth
        figures = asked(questions, nearest, lambda question: index.search(question[None], 10)[1][0])
        row(f"FAISS HNSW f32, ef {depth}", build, memory, (folder / "faiss").stat().st_size, opening, *figures)


def hnswlib(folder: Path, count: int) -> None:
    """hnswlib."""
    import hnswlib as library

    every, questions, nearest = prepared(folder, count)
    before, begun = resident(), time.perf_counter()
    index = library.Index("ip", DIMENSIONS)
    index.init_index(count, M=GRAPH["M"], ef_construction=GRAPH["efConstruction"])
    for begin in range(0, count, BLOCK):
        index.add_items(np.array(every[begin : begin + BLOCK]), np.arange(begin, min(count, begin + BLOCK)))
    build, memory = time.perf_counter() - begun, resident() - before
    index.save_index(str(folder / "hnswlib"))
    del index
    begun = time.perf_counter()
    index = library.Index("ip", DIMENSIONS)
    index.load_index(str(folder / "hnswlib"))
    opening = time.perf_counter() - begun
    for depth in (64, 128, 256, 512):
        index.set_ef(depth)
        figures = asked(questions, nearest, lambda question: index.knn_query(question, 10)[0][0])
        row(f"hnswlib f32, ef {depth}", build, memory, (folder / "hnswlib").stat().st_size, opening, *figures)


def stage(store: Store, number: int, rows: np.ndarray) -> Found:
    """A document of so many chunks of about 60 words, common words being common, embedded."""
    source = np.random.default_rng(number)
    drawn = np.minimum((20 * source.pareto(0.9, size=(len(rows), 60))).astype(int), 60_000)
    texts = [" ".join(f"w{word}" for word in words) for words in drawn]
    cut, at = [], 0
    for text in texts:
        cut.append(Chunk(at, at + len(text), text, "", None, None, None))
        at += len(text) + 1
    keys = [embedding_key("made", f"{number} {place}") for place in range(len(cut))]
    text = "\n".join(texts)
    found = Found(Path(f"/made/{number}.txt"), f"{number}.txt")
    content = FileContent(b"", f"{number}", 0.0)
    store.stage(found, content, SourceText(text, f"{number}"), zip(cut, keys, strict=True), form="made")
    store.add_embeddings(keys, rows)
    return found


FACTS = {"embedding_model": "made", "fingerprint": "made", "dimensions": DIMENSIONS, "updated_at": 0}


def fill(folder: Path, count: int) -> None:
    """The database of a library."""
    every, _, _ = prepared(folder, count)
    home = folder / "index"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    begun = time.perf_counter()
    with Store(home) as store:
        store._database.execute("PRAGMA synchronous = OFF")
        found = [
            stage(store, begin // PER_DOCUMENT, np.array(every[begin : begin + PER_DOCUMENT]))
            for begin in range(0, count, PER_DOCUMENT)
        ]
        filled = time.perf_counter()
        store.promote([Path("/made")], found, [], FACTS)
        print(f"store: filled in {filled - begun:.1f} s, promoted in {time.perf_counter() - filled:.1f} s")


def publish(folder: Path, count: int) -> None:
    """The caches of that library."""
    home, before = folder / "index", resident()
    with Store(home) as store, caches.publish_lock(home):
        begun = time.perf_counter()
        manifest = caches.publish(home, store)
        seconds = time.perf_counter() - begun
    size = sum((home / name).stat().st_size for name in manifest.files)
    print(f"publish: {seconds:.1f} s, memory added {(resident() - before) / 1e6:.0f} MB, files {size / 1e6:.0f} MB")


def ask(folder: Path, count: int) -> None:
    """Opening, asking, and an update of one document."""
    _, questions, nearest = prepared(folder, count)
    home = folder / "index"
    begun = time.perf_counter()
    index = Index(home)
    opening = time.perf_counter() - begun
    words = np.random.default_rng(9)
    texts = [
        " ".join(f"w{word}" for word in np.minimum((20 * words.pareto(0.9, size=10)).astype(int), 60_000))
        for _ in questions
    ]
    figures = {}
    for mode in ("fused", "dense", "lexical"):
        times = []
        for turn in range(2):
            for text, question in zip(texts, questions, strict=True):
                begun = time.perf_counter()
                index.search(text, question, 10, mode=mode)
                if turn:
                    times.append(1000 * (time.perf_counter() - begun))
        figures[mode] = (statistics.median(times), sorted(times)[int(0.95 * len(times))])
    with Store(home) as store:
        ids = store.live_ids()
    places = {int(chunk): place for place, chunk in enumerate(ids)}
    found = 0
    for question, wanted in zip(questions, nearest, strict=True):
        hits = index.search("", question, 10, mode="dense")
        found += len({places[hit.chunk] for hit in hits} & set(wanted.tolist()))
    # What this stage has updated in a folder that is kept stands at other places.
    recall = found / nearest.size if places.keys() == range(min(places), min(places) + count) else float("nan")
    print(f"ask: opened in {1000 * opening:.0f} ms, resident {resident() / 1e6:.0f} MB, recall@10 {recall:.4f}")
    for mode, (median, high) in figures.items():
        print(f"ask: {mode:8} {median:6.2f} ms at the median, {high:6.2f} ms at 95 %")
    for turn in range(5):
        fresh = np.random.default_rng(turn + 77).normal(size=(PER_DOCUMENT, DIMENSIONS)).astype(np.float32)
        with Store(home) as store:
            begun = time.perf_counter()
            document = stage(store, turn, fresh)
            staged = time.perf_counter()
            kept = [Found(Path(path), Path(path).name) for path in store.documents(live=True)]
            with caches.publish_lock(home):
                store.promote([Path("/made")], kept, [], FACTS)
                promoted = time.perf_counter()
                caches.refresh(home, store)
            written = time.perf_counter()
        index.search(document.name, fresh[0], 10)
        print(
            f"update of {PER_DOCUMENT} chunks: staged {staged - begun:.3f} s, promoted {promoted - staged:.3f} s,"
            f" caches {written - promoted:.3f} s, found {time.perf_counter() - written:.3f} s later"
        )


def main() -> None:
    """Do the stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--only", default=",".join(STAGES), help="stages, with commas between")
    parser.add_argument("--folder", type=Path, help="where the data lies; kept")
    parser.add_argument("--dtype", choices=["bf16", "f16"], help="of the stage usearch, instead of the best here")
    given = parser.parse_args()
    global DTYPE
    DTYPE = given.dtype
    folder = given.folder or Path(tempfile.mkdtemp(prefix="million-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{given.chunks:,} chunks of {DIMENSIONS} dimensions, {os.cpu_count()} processors, M 16, efConstruction 128")
    stages = [name for name in given.only.split(",") if name]
    if {"usearch", "faiss", "hnswlib"} & set(stages):
        print(_ROW.format("", "build s", "memory", "file", "opened in", "recall@10", "query"))
    doing = dict(zip(STAGES, (usearch, faiss, hnswlib, fill, publish, ask), strict=True))
    try:
        for name in stages:
            doing[name](folder, given.chunks)
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
