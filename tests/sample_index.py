"""Indexes for the tests of the app: the real store with real chunks, but without a model nothing is embedded."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.library import chunks
from workbench.library.chunks import SourceText
from workbench.library.documents import Fault, FileContent, Found
from workbench.library.store import Store, embedding_key
from workbench.workspace import Workspace

MUSEUM = """\
# Museum hours

## Summer hours

The museum is open every day from 3 May to 19 September, from 9:40 until 17:20. Last entry is 35 minutes before closing.

## Winter hours

In winter the museum opens only on Thursdays and Saturdays, from 11:10 to 15:30.

## Closed days

The museum is closed on 14 January for the yearly lens cleaning.
"""
DOCUMENTS = {
    "museum-hours.md": MUSEUM,
    "ferry.md": "# Ferry\n\nThe ferry leaves at 8:05 and 16:30. Dogs travel on a lead.\n" + "\nIt is punctual.\n" * 60,
    "uniform.txt": "New crew receive two jackets and one oilskin.\n",
}


def write_index(
    workspace: Workspace,
    name: str,
    documents: Mapping[str, str] = DOCUMENTS,
    *,
    source: str = "/srv/handbook",
    faults: Sequence[Fault] = (),
    complete: bool = True,
) -> None:
    """An index as a build leaves it, but for the caches; `complete=False`: as a build that was killed leaves it."""
    folder = workspace.index(name)
    folder.mkdir(parents=True)
    with Store(folder) as store:
        found = []
        for path, text in documents.items():
            one = Found(Path(source) / path, path)
            data = text.encode("utf-8", "surrogateescape")
            title = text.removeprefix("# ").split("\n", 1)[0] if text.startswith("# ") else Path(path).stem
            read = SourceText(text, title)
            cut = chunks.cut(read, lambda words: len(words.split()), limit=60)
            keyed = [(chunk, embedding_key("sample", chunk.embedded)) for chunk in cut]
            content = FileContent(data, hashlib.sha256(data).hexdigest(), 1_760_000_000.0)
            store.stage(one, content, read, keyed, form="sample")
            found.append(one)
        if complete:
            facts = {"embedding_model": "all-minilm-l6-v2", "fingerprint": "sample", "dimensions": 384}
            store.promote([Path(source)], found, faults, {**facts, "updated_at": time.time()})
