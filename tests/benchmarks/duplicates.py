"""How well near-duplicates are found: precision and recall by kind, and the time of each stage.

    .venv/bin/python -P tests/benchmarks/duplicates.py DATA [--pairs 20000] [--cache FOLDER]

DATA holds gsm8k-train.jsonl. Of 20,000 pairs 37% are its rows, 2,000 are planted by the rules of planted.py (five kinds
that say the same, three that are another exercise by a number alone), the rest are its rows with all numbers changed.
Thresholds are tried on the half of the rows whose base has an even number; the shipped one is reported on both halves.
With --cache what is embedded is kept there, and a second run takes as long as the comparing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from planted import OTHER, SAME, Planted, planted

from workbench.checks import clusters, near
from workbench.checks.cache import Cache
from workbench.checks.likeness import THRESHOLD
from workbench.models.embed import Embedder
from workbench.models.local import ensure, fingerprint
from workbench.pairs.pair import key_of
from workbench.workspace import Workspace

MODEL = "all-minilm-l6-v2"
TRIED = [round(0.6 + 0.025 * step, 3) for step in range(13)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        folder = arguments.cache or Path(aside)
        folder.mkdir(parents=True, exist_ok=True)
        measure(planted(arguments.data, arguments.pairs), Workspace(folder.resolve()))


def measure(rows: Sequence[Planted], workspace: Workspace) -> None:
    prompts = []
    for row in rows:
        messages = [{"role": "user", "content": row.prompt}]
        prompts.append(near.Prompt.of(key_of(messages, row.answer, None, None), messages))
    first = {prompt.key: number for number, prompt in enumerate(prompts)}
    print(f"{len(rows):,} pairs, {sum(row.kind in {**SAME, **OTHER} for row in rows):,} of them planted")
    with Cache(workspace) as cache:
        cache.embedded_by(fingerprint(ensure(MODEL)))
        added = timed("embedding", len(prompts), lambda: near.add(cache, prompts, lambda: Embedder(ensure(MODEL))))
        print(f"  of which {added:,} were new")
        cache.compare_again()
        timed("comparing", len(prompts), lambda: near.compare(cache, lambda *_: None))
        edges = list(cache.edges())
        print(f"  {len(edges):,} pairs of prompts may be the same")
        timed("clusters", len(prompts), lambda: clusters.find(first, edges, THRESHOLD))
        print("\nthreshold  precision  recall   (the half on which it is chosen)")
        for threshold in TRIED:
            precision, recall, _, _ = scores(rows, clusters.find(first, edges, threshold), first, half=0)
            print(f"{threshold:9g}  {precision:9.3f}  {recall:6.3f}{'   shipped' if threshold == THRESHOLD else ''}")
        found = clusters.find(first, edges, THRESHOLD)
        for half, name in ((0, "the half on which it was chosen"), (1, "the other half")):
            precision, recall, by_kind, wrong = scores(rows, found, first, half=half)
            print(f"\n{name}: precision {precision:.3f}, recall {recall:.3f}")
            for kind, (count, of) in by_kind.items():
                print(f"  {kind:24} {count:4} of {of:4} found ({count / of:.3f})")
            for kind, of in Counter(row.kind for row in rows if half_of(row) == half and row.kind not in SAME).items():
                print(f"  {kind or 'rows of GSM8K':24} {wrong[kind]:4} of {of:4} wrongly")


def scores(
    rows: Sequence[Planted], found: clusters.Clusters, first: Mapping[bytes, int], *, half: int
) -> tuple[float, float, dict[str, tuple[int, int]], Counter[str]]:
    """Precision, recall, (found, planted) by kind, and how many of each kind are wrongly called duplicates."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for prompt, representative in found.representatives.items():
        row, stands_for = rows[first[prompt]], first[representative]
        if prompt == representative or half_of(row) != half:
            continue
        (right if row.kind in SAME and row.base == stands_for else wrong)[row.kind] += 1
    there = Counter(row.kind for row in rows if row.kind in SAME and half_of(row) == half)
    count = right.total()
    precision = count / (count + wrong.total()) if count else 0.0
    return precision, count / there.total(), {kind: (right[kind], there[kind]) for kind in SAME}, wrong


def half_of(row: Planted) -> int:
    """0 or 1; a planted row is in the half of its base."""
    return (len(row.prompt) if row.base is None else row.base) % 2


def timed(name: str, pairs: int, work: Callable[[], object]) -> object:
    began = time.monotonic()
    result = work()
    seconds = time.monotonic() - began
    print(f"{name}: {seconds:.1f} s, {pairs / seconds:,.0f} pairs/s")
    return result


if __name__ == "__main__":
    main()
