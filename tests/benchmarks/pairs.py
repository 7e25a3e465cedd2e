"""A million pairs: bringing them in, choosing among them, changing and exporting them, beside Hugging Face `datasets`.

    python -P tests/benchmarks/pairs.py ROWS.jsonl [--pairs N] [--only STAGE,...] [--folder FOLDER]

The pairs are made of the rows of a JSONL file with `question` and `answer` (GSM8K's), each with the number of its copy
in the question, one of eight sources, a tag for one in ten. Stages: import, again (the same file), open, page, sort,
filter, search, counts, edit, undo, scroll (the app, from a key to what is painted), export, datasets. All but the last
take their pairs from what import brought; a FOLDER that is given is kept, so that stages can be run one by one,
otherwise everything is removed in the end.

Reads are told as the median of seven and the slowest of them, which is mostly the first. Beside a figure stands
what is wanted of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from workbench.pairs.exporting import export
from workbench.pairs.importing import ImportResult, import_file
from workbench.pairs.query import Query
from workbench.pairs.reading import PairReader
from workbench.pairs.selection import Selection
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace, init

STAGES = (
    "import", "again", "open", "page", "sort", "filter", "search", "counts", "edit", "undo", "scroll", "export",
    "datasets",
)  # fmt: skip
NAME = "gsm8k"
SOURCES, TAGGED, FLAGGED = 8, 10, 20  # files; every tenth pair has the tag, every twentieth a flag
PAGE, TIMES = 100, 7
_PIECE = 50_000  # lengths noted at once
_ROW = "{:10} {:42} {:>14} {:>12}  {}"

FILTERS = ("status:accepted", "tag:money", "flag:near-duplicate", "source:grade-3.jsonl", "tokens>200", "chars>900")
SORTS = ("sort:tokens", "sort:-chars", "sort:source", "sort:status", "sort:new")
BOTH = ("status:pending tag:money sort:-tokens", "flag:near-duplicate -tag:money sort:source")
SEARCHES = ("refund", "refund status:pending", '"twice as many"', "apples oranges tag:money", "how many")
COUNTED = ("status:accepted", "tag:money", "flag:near-duplicate", "source:grade-3.jsonl", "how many")


def make(rows: Path, path: Path, count: int) -> None:
    """Write the file of pairs, once for a folder."""
    if path.exists():
        return
    with rows.open(encoding="utf-8") as file:
        originals = [json.loads(line) for line in file]
    aside = path.with_suffix(".tmp")
    with aside.open("w", encoding="utf-8") as file:
        for number, row in enumerate(islice(cycle(originals), count)):
            copy = {
                "question": f"{row['question']} (Copy {number // len(originals)}.)",
                "answer": row["answer"],
                "source": f"grade-{number % SOURCES}.jsonl:{number // SOURCES + 1}",
                "tags": ["money"] if number % TAGGED == 0 else [],
            }
            file.write(json.dumps(copy, ensure_ascii=False) + "\n")
    aside.rename(path)


def dress(store: PairStore) -> None:
    """Give the pairs statuses, flags and lengths, as a person and the checks do."""
    store.set_status(Selection(NAME, query=Query.parse("source:grade-0.jsonl,grade-1.jsonl")), "accepted")
    store.set_status(Selection(NAME, query=Query.parse("source:grade-2.jsonl")), "rejected")
    ids = store.ids(NAME)
    store.set_flags(NAME, "duplicates", ((id, "near-duplicate", "") for id in ids[::FLAGGED]))
    for start in range(0, len(ids), _PIECE):
        pairs = store.get_many(ids[start : start + _PIECE])
        store.set_lengths((pair.id, pair.key, (len(pair.prompt) + len(pair.answer)) // 4) for pair in pairs)


def show(stage: str, what: str, figure: str, worst: str = "", wanted: str = "") -> None:
    """One line of the table."""
    print(_ROW.format(stage, what, figure, worst, wanted), flush=True)


@contextmanager
def timed() -> Iterator[list[float]]:
    """The seconds that the block took, as the only element."""
    seconds: list[float] = []
    begin = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - begin)


def repeated(work: Callable[[], object], times: int = TIMES) -> tuple[str, str]:
    """The median and the slowest of some runs, in ms."""
    taken = []
    for _ in range(times):
        with timed() as seconds:
            work()
        taken.append(seconds[0] * 1000)
    return f"{statistics.median(taken):,.1f} ms", f"{max(taken):,.1f} ms"


def bring(stage: str, database: Path, path: Path, count: int) -> None:
    """Import the file; the second time it brings nothing."""
    with PairStore(database) as store:
        with timed() as seconds:
            result: ImportResult = import_file(store, path, NAME, progress=lambda *_: None)
        assert result.imported + result.duplicates == count, result
        wanted = "60,000 rows/s" if stage == "import" else ""
        what = f"{result.imported:,} new, {result.duplicates:,} were there already"
        show(stage, what, f"{count / seconds[0]:,.0f} rows/s", f"{seconds[0]:.1f} s", wanted)
        if not result.imported:
            return
        with timed() as seconds:
            store.catch_up()
        show(stage, "until words find them", f"{seconds[0]:.1f} s")
        with timed() as seconds:
            dress(store)
        show(stage, "statuses, flags and lengths given", f"{seconds[0]:.1f} s")


def first_look(database: Path) -> None:
    """What the Pairs screen does to open a dataset."""
    with PairReader(database) as reader:
        reader.datasets()
        selection = Selection(NAME)
        reader.get_many(reader.first_ids(selection, PAGE))


def pages(reader: PairReader, stage: str, queries: tuple[str, ...], wanted: str) -> None:
    """The first page of each query."""
    for query in queries:
        selection = Selection(NAME, query=Query.parse(query))
        figures = repeated(lambda chosen=selection: reader.get_many(reader.first_ids(chosen, PAGE)))
        show(stage, query, *figures, wanted)


def read(stage: str, database: Path) -> None:
    """The stages that change nothing."""
    if stage == "open":
        show(stage, "connection, datasets, first page", *repeated(lambda: first_look(database)), "1,000 ms")
        return
    with PairReader(database) as reader:
        match stage:
            case "page":
                ids = reader.ids(NAME)
                show(stage, "all ids", *repeated(lambda: reader.ids(NAME)))
                places = iter(range(0, len(ids), max(1, len(ids) // 50)))
                figures = repeated(lambda: reader.get_many(ids[(at := next(places)) : at + PAGE]), 50)
                show(stage, f"{PAGE} pairs anywhere", *figures, "33 ms, a frame")
            case "sort":
                pages(reader, stage, SORTS, "200 ms")
            case "filter":
                pages(reader, stage, FILTERS + BOTH, "200 ms")
            case "search":
                pages(reader, stage, SEARCHES, "300 ms")
            case "counts":
                show(stage, "statuses, tags, flags, sources", *repeated(lambda: reader.facets(NAME)), "may be later")
                for query in COUNTED:
                    selection = Selection(NAME, query=Query.parse(query))
                    show(stage, query, *repeated(lambda chosen=selection: reader.count(chosen)), "may be later")


def change(stage: str, database: Path) -> None:
    """The stages that change pairs; they leave them as they were."""
    with PairStore(database) as store:
        ids = store.ids(NAME)
        places = iter(ids[:: max(1, len(ids) // 100)])
        everything = Selection(NAME)
        if stage == "edit":
            figures = repeated(lambda: store.edit(next(places), completion=f"#### {time.perf_counter_ns()}"), 30)
            show(stage, "an answer, committed", *figures, "20 ms")
            figures = repeated(lambda: store.set_status([next(places)], "rejected"), 30)
            show(stage, "a status, committed", *figures, "20 ms")
            for _ in range(60):
                store.undo()
            return
        store.edit(next(places), completion="#### 17")
        show(stage, "an edit", *repeated(store.undo, 1), "20 ms")
        with timed() as seconds:
            changed = store.set_status(everything, "rejected")
        show(stage, f"{changed:,} pairs rejected", f"{seconds[0]:.2f} s")
        with timed() as seconds:
            store.undo()
        show(stage, "and that undone", f"{seconds[0]:.2f} s")


async def scroll(workspace: Workspace) -> None:
    """The Pairs screen at 100x30: the time from a key to what is painted after it."""
    from textual import events

    from screens.app import WorkbenchApp
    from screens.widgets.pair_table import PairTable

    app = WorkbenchApp(workspace)
    painted, display = 0, app._display

    def counted(*arguments: Any) -> None:
        nonlocal painted
        painted += 1
        display(*arguments)

    async def until(what: Callable[[], bool]) -> None:
        while not what():
            await asyncio.sleep(0.001)

    async with app.run_test(size=(100, 30)) as pilot:
        setattr(app, "_display", counted)  # noqa: B010
        await pilot.pause()

        def press(key: str) -> None:
            app.post_message(events.Key(key, key if len(key) == 1 else None))

        press("escape")
        with timed() as seconds:
            press("2")
            await until(lambda: bool(app.screen.query(PairTable)) and bool(app.screen.query_one(PairTable).ids))
        show("scroll", "from the key 2 to the first rows", f"{seconds[0] * 1000:,.0f} ms", wanted="1,000 ms")
        table = app.screen.query_one(PairTable)
        await until(lambda: app.screen.listing.complete)  # type: ignore[attr-defined]
        for what, key in (("a row down", "j"), ("a page down", "ctrl+d"), ("a row up from the end", "k")):
            if what.endswith("end"):
                press("G")
                await pilot.pause(0.3)
            taken = []
            for _ in range(100):
                was, row = painted, table.cursor
                with timed() as seconds:
                    press(key)
                    await until(lambda was=was, row=row: painted > was and table.cursor != row)
                taken.append(seconds[0] * 1000)
            worst = f"{sorted(taken)[94]:.1f} ms (95 %)"
            show("scroll", what, f"{statistics.median(taken):.1f} ms", worst, "33 ms, a frame")


def write(database: Path, folder: Path) -> None:
    """All pairs, to each kind of file."""
    with PairStore(database) as store:
        for name in ("out.jsonl", "out.parquet", "out"):
            path = folder / name
            with timed() as seconds:
                count = export(store, NAME, path, "messages", None, replace=True)
            kind = path.suffix.removeprefix(".") or "dataset folder"
            show("export", kind, f"{count / seconds[0]:,.0f} rows/s", f"{seconds[0]:.1f} s")
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def beside(path: Path, folder: Path) -> None:
    """The same with Hugging Face `datasets`, in one process, as a script does it."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    import datasets

    datasets.disable_caching()
    cache = str(folder / "cache")
    rows: Any = None
    with timed() as seconds:
        rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=cache)
    show("datasets", "load_dataset of the JSONL file", f"{len(rows) / seconds[0]:,.0f} rows/s", f"{seconds[0]:.1f} s")
    with timed() as seconds:
        datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=cache)
    show("datasets", "the same file again", f"{seconds[0] * 1000:,.0f} ms")
    tasks: dict[str, Callable[[], Any]] = {
        "filter by tag": lambda: rows.filter(lambda tags: "money" in tags, input_columns="tags"),
        "filter by source": lambda: rows.filter(lambda s: s.startswith("grade-3.jsonl:"), input_columns="source"),
        "filter by length": lambda: rows.filter(
            lambda q, a: len(q) + len(a) > 900, input_columns=["question", "answer"]
        ),
        "filter by a word": lambda: rows.filter(lambda q: "refund" in q.lower(), input_columns="question"),
        "sort by source": lambda: rows.sort("source"),
    }
    for what, work in tasks.items():
        with timed() as seconds:
            work()[:PAGE]
        show("datasets", f"{what}, first page", f"{seconds[0] * 1000:,.0f} ms")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="JSONL with question and answer")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--only", default=",".join(STAGES), help="stages, with commas between them")
    parser.add_argument("--folder", type=Path, help="work here, and keep everything")
    options = parser.parse_args()
    stages = options.only.split(",")
    if unknown := [stage for stage in stages if stage not in STAGES]:
        sys.exit(f"no stage {unknown[0]}; there are {', '.join(STAGES)}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="pairs-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        workspace = init(folder / f"workspace-{options.pairs}")
        path, database = folder / f"pairs-{options.pairs}.jsonl", workspace.database
        make(options.rows, path, options.pairs)
        size = path.stat().st_size / 1e6
        print(f"{options.pairs:,} pairs, {size:,.0f} MB of JSONL")
        show("stage", "what", "figure", "slowest", "wanted")
        for stage in (stage for stage in STAGES if stage in stages):
            match stage:
                case "import":
                    for old in database.parent.glob(f"{database.name}*"):
                        old.unlink()
                    bring(stage, database, path, options.pairs)
                case "again":
                    bring(stage, database, path, options.pairs)
                case "edit" | "undo":
                    change(stage, database)
                case "scroll":
                    asyncio.run(scroll(workspace))
                case "export":
                    write(database, folder)
                case "datasets":
                    beside(path, folder)
                case _:
                    read(stage, database)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
