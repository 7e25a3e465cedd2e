"""What a run trains on, decided once at its start and frozen in its folder: the split, the passages, the samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from workbench import files
from workbench.errors import UserError
from workbench.jobs.context import Context
from workbench.pairs.pair import Pair
from workbench.pairs.split import group_of, is_eval
from workbench.pairs.store import PairStore
from workbench.training.context import with_passages
from workbench.training.data import FrozenPair, freeze, thaw
from workbench.training.recipe import ONLINE_METHODS, PREFERENCE_METHODS, Recipe

if TYPE_CHECKING:
    from workbench.library.search import Hit
    from workbench.workspace import Workspace

    Search = Callable[[Sequence[str], int], list[list[Hit]]]
    """(questions, k) -> the hits of each, best first."""

PREPARED = "prepared.json"


@dataclass(frozen=True)
class Prepared:
    """The frozen data of a run."""

    training: list[FrozenPair]
    evaluation: list[FrozenPair]
    samples: list[FrozenPair]
    """Prompts that are answered at every evaluation; the completion is the reference, where there is one."""
    sha256: str
    """Of the frozen pairs."""


def prepare(context: Context, recipe: Recipe) -> Prepared:
    """Read back what an earlier attempt froze, or read the accepted pairs and freeze them.

    Raises:
        UserError: there are no accepted pairs to train on, the index is absent or was built with other weights of its
            embedding model, or the frozen copy was changed.
    """
    path = context.folder / PREPARED
    if path.exists():
        try:
            frozen = json.loads(path.read_text(encoding="utf-8"))
            sha256, samples = frozen["sha256"], [FrozenPair(**sample) for sample in frozen["samples"]]
        except (ValueError, KeyError, TypeError):
            raise UserError(
                "is not what this run froze at its start",
                where=str(path),
                do="Start a new run; this one cannot be resumed faithfully.",
            ) from None
        return _split(thaw(context.folder, sha256), samples, sha256)
    pairs = _accepted(context, recipe)
    samples = [
        FrozenPair(f"sample:{prompt}", [{"role": "user", "content": prompt}], "", "", True, [])
        for prompt in recipe.samples.prompts
    ]
    if recipe.context:
        pairs, samples = _retrieve(context, recipe, pairs, samples)
    samples = samples or [pair for pair in pairs if pair.evaluated][: recipe.samples.count]
    sha256 = freeze(context.folder, pairs)
    files.write_json(path, {"sha256": sha256, "samples": [asdict(sample) for sample in samples]})
    return _split(pairs, samples, sha256)


def _accepted(context: Context, recipe: Recipe) -> list[FrozenPair]:
    with PairStore(context.workspace.database) as store:
        accepted = list(store.accepted(recipe.dataset))
        clusters, unseen = store.clusters(recipe.dataset), store.new_since_check(recipe.dataset)
        pairs = [as_frozen(pair, recipe, clusters) for pair in accepted if usable(pair, recipe.method)]
    if not pairs:
        raise UserError(
            f"the dataset {recipe.dataset!r} has no accepted {kind_of_pairs(recipe.method)} to train on"
            + (f", which method {recipe.method} learns from: {_what_there_is(accepted)}" if accepted else ""),
            where="dataset",
            do="Choose another method or dataset."
            if accepted
            else "Import pairs and accept them: on the Pairs screen, or `workbench pairs accept --all`.",
        )
    new = sum(pair.id in unseen for pair in accepted if usable(pair, recipe.method))
    if new and recipe.test_size:
        context.message(
            f"{new:,} of {len(pairs):,} pairs are new since the last check, or have another prompt: what says the same"
            f" may be learned and evaluated; `workbench pairs check {recipe.dataset}` looks at them",
            level="warning",
        )
    evaluated = sum(pair.evaluated for pair in pairs)
    if evaluated == len(pairs):
        raise UserError(
            f"all {len(pairs)} pairs of {recipe.dataset!r} fell into the eval split; none is left to train on",
            where="test_size",
            do="Lower test_size, or accept more pairs.",
        )
    if recipe.test_size and not evaluated:
        context.message(
            f"nothing will be evaluated: a pair falls into the eval split with a chance of {recipe.test_size:g}, and of"
            f" {len(pairs)} none did; raise test_size, or accept more pairs",
            level="warning",
        )
    return pairs


def as_frozen(pair: Pair, recipe: Recipe, clusters: Mapping[str, str]) -> FrozenPair:
    """A pair as a run of this recipe takes it, yet without passages.

    Args:
        pair: of any status.
        recipe: tells which of its answers are taken, and how many pairs are held out.
        clusters: `PairReader.clusters` of its dataset: near-duplicates share a side of the split.
    """
    return FrozenPair(
        pair.key,
        pair.messages,
        pair.answer,
        pair.source,
        is_eval(group_of(pair.key, clusters), recipe.test_size),  # whatever the seed, so that runs can be compared
        [],
        rejected=pair.rejected if recipe.method in PREFERENCE_METHODS else None,
        group=clusters.get(pair.key[:32]),
    )


def usable(pair: Pair, method: str) -> bool:
    """Whether a method learns from this pair: preferences from preference pairs, online ones from any prompt."""
    if method in ONLINE_METHODS:
        return True
    return (pair.completion is None) == (method in PREFERENCE_METHODS)


def _what_there_is(pairs: Sequence[Pair]) -> str:
    preferences = sum(pair.is_preference for pair in pairs)
    held = [(len(pairs) - preferences, "pairs with a completion"), (preferences, "preference pairs")]
    return "it has " + " and ".join(f"{number} {kind}" for number, kind in held if number)


def kind_of_pairs(method: str) -> str:
    """What a method learns from, for a person."""
    if method in PREFERENCE_METHODS:
        return "preference pairs (chosen and rejected)"
    return "pairs" if method in ONLINE_METHODS else "pairs with a completion"


def _retrieve(
    context: Context, recipe: Recipe, pairs: list[FrozenPair], samples: list[FrozenPair]
) -> tuple[list[FrozenPair], list[FrozenPair]]:
    assert recipe.context
    settings = recipe.context
    context.progress(0, message=f"Searching {settings.index} for the pairs' passages")
    search = search_of(context.workspace, settings.index)
    given, report = with_passages(pairs, search, settings, recipe.seed)
    context.message(
        f"passages from {settings.index}: right one found for {report.found} pairs, added to {report.added},"
        f" withheld from {report.withheld}, not known for {report.unknown}"
    )
    whole = settings.model_copy(update={"without": 0.0})
    return given, with_passages(samples, search, whole, recipe.seed)[0] if samples else []


def search_of(workspace: Workspace, name: str) -> Search:
    """What finds passages in an index, as a chat searches it. Loads the embedding model, which takes seconds.

    Raises:
        UserError: the index is absent, or was built with other weights of its embedding model.
    """
    from workbench.library.index import Index, embedder_of, options_of

    folder = workspace.index(name)
    if not folder.is_dir():
        raise UserError(
            f"there is no index {name!r}",
            where="context.index",
            do=f"Build it with `workbench index build {name} FOLDER`.",
        )
    index = Index(folder)
    embedder = embedder_of(index)
    options = options_of(workspace.settings())

    def search(questions: Sequence[str], k: int) -> list[list[Hit]]:
        vectors = embedder.encode(questions, query=True)
        found = zip(questions, vectors, strict=True)
        return [index.search(question, vector, k, options) for question, vector in found]

    return search


def _split(pairs: list[FrozenPair], samples: list[FrozenPair], sha256: str) -> Prepared:
    return Prepared(
        [pair for pair in pairs if not pair.evaluated], [pair for pair in pairs if pair.evaluated], samples, sha256
    )


def facts(prepared: Prepared, recipe: Recipe) -> dict[str, Any]:
    """What the model card tells of the data."""
    return {
        "dataset": recipe.dataset,
        "pairs trained on": len(prepared.training),
        "pairs kept for evaluation": len(prepared.evaluation),
        "sha256 of the pairs": prepared.sha256,
    }
