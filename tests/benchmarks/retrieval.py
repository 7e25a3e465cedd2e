"""How well the library finds: dense, BM25, their fusion, and the passages that a chat is given, on two collections.

    .venv/bin/python -P tests/benchmarks/retrieval.py [DATA] [--cache FOLDER] [--calibrate]

DATA holds squad/ (documents/ and questions.jsonl) and cranfield/ (cran.all.1400, cran.qry, cranqrel). Every figure is
given for the half of the questions on which the weights were chosen, for the other half, and for all.

SQuAD: hit@k and MRR@10. A chunk is right when it overlaps the question's paragraph and holds one of its answers,
ignoring case; "any paragraph" leaves out the first of the two. Cranfield: nDCG@10 and RR with binary gains (a judgement
of 1 to 4 is relevant), recall@100, each document in the place of its best chunk.

--calibrate fits P(the library tells of it) on one half of the articles and measures it on the other: questions about
articles that the library does not hold, Cranfield's queries, and SQuAD's questions written to have no answer in a
paragraph that speaks of the same. With --cache the indexes are kept, and a second run takes as long as the searches.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
from ir_measures import RR, R, Success, nDCG

from workbench.library.build import build
from workbench.library.filters import Filter
from workbench.library.fusion import Weights
from workbench.library.index import Index
from workbench.library.ranking import Options
from workbench.library.search import Hit
from workbench.library.store import Store
from workbench.models.embed import Embedder
from workbench.models.local import ensure

MODEL = "all-minilm-l6-v2"
KINDS = {
    "dense": Options("dense"),
    "BM25": Options("lexical"),
    "fused": Options(weights=Weights(window=0, pairs=0), chunks_only=True),
    "fused + structure": Options(chunks_only=True),
    "passages of a chat": Options(),
}
"""Structure: closeness of the question's words. The headings are in both legs always."""
SQUAD = {"hit@1": Success @ 1, "hit@5": Success @ 5, "hit@10": Success @ 10, "MRR@10": RR @ 10}
CRANFIELD = {"nDCG@10": nDCG @ 10, "recall@100": R @ 100, "MRR": RR}


class Quiet:
    """A build's reporter that tells nothing."""

    def progress(self, done: float, total: float | None = None, *, unit: str = "", message: str = "", **_: Any) -> None:
        pass

    def message(self, text: str, *, level: str = "info") -> None:
        pass

    def check_stop(self) -> None:
        pass


@dataclass(frozen=True)
class Asked:
    """A question of a collection, and what is right."""

    question: str
    relevant: dict[str, int]
    """By document; for SQuAD the ranks are relevant, so that it is filled after the search."""
    row: dict[str, Any]
    half: int
    """0: the weights were chosen on it; 1: they were not."""


def squad(data: Path) -> list[Asked]:
    """SQuAD's answerable questions."""
    rows = [row for row in _squad_rows(data) if row["answers"]]
    return [Asked(row["question"], {}, row, int(sha1(row["question"].encode()).hexdigest(), 16) % 2) for row in rows]


def _squad_rows(data: Path) -> list[dict[str, Any]]:
    lines = (data / "squad/questions.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def cranfield(data: Path, documents: Path) -> list[Asked]:
    """Cranfield's queries; its abstracts are written to a folder, one Markdown file each, the title as heading."""
    documents.mkdir(parents=True, exist_ok=True)
    for part in re.split(r"^\.I ", (data / "cranfield/cran.all.1400").read_text(), flags=re.M)[1:]:
        number, rest = part.split("\n", 1)
        fields = re.split(r"^\.([TABW])\s*$", rest, flags=re.M)
        of = {fields[at]: " ".join(fields[at + 1].split()) for at in range(1, len(fields), 2)}
        body = of["W"].removeprefix(of["T"]).strip()  # the abstracts repeat their titles
        (documents / f"{int(number):04d}.md").write_text(f"# {of['T']}\n\n{body}\n")
    relevant: dict[int, dict[str, int]] = {}
    for line in (data / "cranfield/cranqrel").read_text().splitlines():
        query, document, judged = map(int, line.split())
        if judged > 0:
            relevant.setdefault(query, {})[f"{document:04d}.md"] = 1
    queries = re.split(r"^\.I ", (data / "cranfield/cran.qry").read_text(), flags=re.M)[1:]
    texts = [" ".join(query.split(".W", 1)[1].split()) for query in queries]
    return [
        Asked(text, relevant[number], {}, (number - 1) % 2) for number, text in enumerate(texts, 1)
    ]  # numbered by their order


def built(folder: Path, documents: Path, embedder: Embedder) -> Index:
    """The index of a folder of documents, brought up to date."""
    began = time.perf_counter()
    made = build(folder, [documents], lambda _: embedder, Quiet(), embedding_model=MODEL)
    print(f"\n{folder.name}: {made.documents} documents, {made.chunks} chunks, {time.perf_counter() - began:.0f} s")
    return Index(folder)


def table(
    index: Index,
    asked: Sequence[Asked],
    vectors: np.ndarray,
    measures: dict[str, Any],
    judge: Callable[[Asked, list[Hit]], tuple[dict[str, int], list[str]]],
    k: int,
    kinds: Sequence[str],
) -> None:
    """Print the measures of each kind of search.

    Args:
        judge: (question, hits) -> the gain of each relevant thing, and the things in the order found.
        k: chunks that are asked for.
    """
    print(f"{'':20}" + "".join(f"{name:>25}" for name in measures) + f"{'ms a search':>14}")
    print(f"{'':20}" + f"{'chosen on / others / all':>25}" * len(measures))
    for kind in kinds:
        qrels, runs, times = {}, {}, []
        for number, (each, vector) in enumerate(zip(asked, vectors, strict=True)):
            began = time.perf_counter()
            hits = index.search(each.question, vector, k, KINDS[kind])
            times.append(time.perf_counter() - began)
            qrels[str(number)], order = judge(each, hits)
            runs[str(number)] = {name: -float(place) for place, name in enumerate(order)} or {"none": 0.0}
        found: dict[str, list[tuple[int, float]]] = {name: [] for name in measures}
        names = {measure: name for name, measure in measures.items()}
        for each in ir_measures.iter_calc(list(measures.values()), qrels, runs):
            found[names[each.measure]].append((asked[int(each.query_id)].half, 100 * each.value))
        cells = []
        for rows in found.values():
            assert len(rows) == len(asked)
            halves = [statistics.mean(value for half, value in rows if half in some) for some in ((0,), (1,), (0, 1))]
            cells.append(" / ".join(f"{value:.1f}" for value in halves))
        print(f"{kind:20}" + "".join(f"{cell:>25}" for cell in cells) + f"{1000 * statistics.median(times):14.1f}")


def judge_squad(texts: dict[str, str], *, paragraph: bool) -> Callable[[Asked, list[Hit]], Any]:
    """Right is a chunk that holds an answer and, with `paragraph`, overlaps the question's own."""

    def judge(each: Asked, hits: list[Hit]) -> tuple[dict[str, int], list[str]]:
        start = texts[each.row["document"]].find(each.row["context"])
        end = start + len(each.row["context"])
        right = {}
        for rank, hit in enumerate(hits):
            there = hit.document == each.row["document"] and hit.start < end and hit.end > start
            if (there or not paragraph) and any(answer.lower() in hit.text.lower() for answer in each.row["answers"]):
                right[str(rank)] = 1
        return right or {"absent": 1}, [str(rank) for rank in range(len(hits))]

    return judge


def judge_cranfield(each: Asked, hits: list[Hit]) -> tuple[dict[str, int], list[str]]:
    """Documents in the order of their best chunks."""
    return each.relevant, list(dict.fromkeys(hit.document for hit in hits))[:100]


def calibrate(index: Index, data: Path, embedder: Embedder, queries: Sequence[str]) -> None:
    """Fit the probability on the library of one half of the articles, measure it on that of the other."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    from workbench.library.calibration import calibration_of

    rows = _squad_rows(data)
    with Store(index.folder) as store:
        articles = sorted(row["name"] for row in store.list_documents())
    libraries = [Filter(tuple(articles[half::2])) for half in (0, 1)]
    vectors = embedder.encode([row["question"] for row in rows], query=True)
    other = embedder.encode(queries, query=True)
    told = calibration_of(index.fingerprint)
    assert told is not None

    def features(question: str, vector: np.ndarray, library: Filter) -> list[float]:
        hits = index.search(question, vector, 4, Options(filter=library))
        best = max(hits, key=lambda hit: hit.fit or 0.0)
        # The window's share, back from the probability: a hit does not tell it.
        fit, similarity = best.fit or 0.0, best.similarity or 0.0
        logit = np.log(fit / (1 - fit))
        return [similarity, (logit - told.bias - told.similarity * similarity) / told.window]

    def measured(library: Filter, answers: bool, held: bool) -> np.ndarray:
        some = [
            features(row["question"], vector, library)
            for row, vector in zip(rows, vectors, strict=True)
            if bool(row["answers"]) == answers and (row["document"] in library.within) == held
        ]
        return np.array(some)

    fitted_on = [measured(libraries[0], True, True), measured(libraries[0], True, False)]
    answered, elsewhere = (measured(libraries[1], True, held) for held in (True, False))
    adversarial = measured(libraries[1], False, True)
    foreign = np.array([features(text, vector, libraries[1]) for text, vector in zip(queries, other, strict=True)])
    labels = np.repeat([1, 0], [len(each) for each in fitted_on])
    model = LogisticRegression(C=10, class_weight="balanced").fit(np.concatenate(fitted_on), labels)
    similarity, window = model.coef_[0]
    print(f"\nfitted: bias {model.intercept_[0]:.2f}, similarity {similarity:.2f}, window {window:.2f}; in use: {told}")

    def probability(some: np.ndarray) -> np.ndarray:
        return np.array([told.fit(*each) for each in some])

    groups = {"other articles": elsewhere, "Cranfield's queries": foreign, "written to mislead": adversarial}
    print(f"{'not in the library':22}{'n':>6}{'AUROC':>8}{'cosine':>9}  let through at 0.1 / 0.3 / 0.5; cosine 0.25")
    for name, group in groups.items():
        truth = np.repeat([1, 0], [len(answered), len(group)])
        areas = [
            roc_auc_score(truth, np.concatenate([measure(answered), measure(group)]))
            for measure in (probability, lambda some: some[:, 0])
        ]
        passed = " / ".join(f"{100 * (probability(group) >= least).mean():.1f}%" for least in (0.1, 0.3, 0.5))
        by_cosine = f"{100 * (group[:, 0] >= 0.25).mean():.1f}%"
        print(f"{name:22}{len(group):>6}{areas[0]:>8.3f}{areas[1]:>9.3f}  {passed}, {by_cosine}")
    refused = " / ".join(f"{100 * (probability(answered) < least).mean():.1f}%" for least in (0.1, 0.3, 0.5))
    print(f"answerable, refused   {len(answered):>6}{'':17}  {refused}, {100 * (answered[:, 0] < 0.25).mean():.1f}%")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, help="keep the indexes here")
    parser.add_argument("--calibrate", action="store_true", help="fit and measure the probability, too")
    given = parser.parse_args()
    embedder = Embedder(ensure(MODEL))
    with tempfile.TemporaryDirectory() as folder:
        at = given.cache or Path(folder)
        asked = squad(given.data)
        index = built(at / "squad", given.data / "squad/documents", embedder)
        with Store(index.folder) as store:
            texts = {row["name"]: store.document_text(row["name"]) for row in store.list_documents()}
        vectors = embedder.encode([each.question for each in asked], query=True)
        for paragraph in (True, False):
            print(f"{len(asked)} questions; " + ("the question's paragraph" if paragraph else "any paragraph"))
            table(index, asked, vectors, SQUAD, judge_squad(texts, paragraph=paragraph), 10, list(KINDS))
        queries = cranfield(given.data, at / "abstracts")
        abstracts = built(at / "cranfield", at / "abstracts", embedder)
        vectors = embedder.encode([each.question for each in queries], query=True)
        print(f"{len(queries)} queries")
        table(abstracts, queries, vectors, CRANFIELD, judge_cranfield, 300, list(KINDS)[:-1])
        if given.calibrate:
            calibrate(index, given.data, embedder, [each.question for each in queries])


if __name__ == "__main__":
    main()
