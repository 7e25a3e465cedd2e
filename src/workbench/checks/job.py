"""The job `check`: all checks of a dataset, one after the other; what they find is kept as flags of its pairs."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from workbench.checks import clusters, leaks, near, passages
from workbench.checks.cache import Cache
from workbench.checks.findings import Detail
from workbench.checks.settings import CheckSettings, CheckStore
from workbench.checks.texts import Model, NotRendered, TextChecks, flag, from_json, length_bias, to_json
from workbench.errors import UserError
from workbench.jobs.context import Context
from workbench.models.local import ensure, fingerprint, local_folder
from workbench.pairs.pair import Pair
from workbench.pairs.split import group_of, is_eval
from workbench.training.recipe import Recipe, load

_BATCH = 500  # pairs that are read and checked at once
_LENGTHS = 20_000  # lengths that are written at once: whoever shows the pairs reads them anew each time
_SURE = 0.99
"""How probable another language must be: of texts of one language, fewer than one in a hundred are flagged."""
_WHOLE = 1 << 40  # a limit that cuts nothing off

Flags = Iterable[tuple[int, str, str]]


def run(context: Context) -> dict[str, Any]:
    """Check a dataset.

    Arguments of the job: `dataset`; if given, `recipe` (its name), `against` (an index), `threshold` (kept for this
    dataset), and `only`: "duplicates" to apply the threshold anew to what was compared already (after a
    check that did not come to its end, all is checked).

    Returns:
        dataset, pairs, checked (pairs that were new to the checks), embedded (prompts that were), flags (how many pairs
        have each), clusters, longer_chosen (share of the decided preference pairs whose chosen side is the longer one;
        None where there are none), and seconds by stage.
    """
    arguments, dataset = context.arguments, context.arguments["dataset"]
    with CheckStore(context.workspace.database) as store, Cache(context.workspace) as cache:
        store.check_dataset(dataset)
        given = {name: arguments[name] for name in ("threshold", "recipe") if arguments.get(name) is not None}
        settings = store.set_check_settings(dataset, **given) if given else store.check_settings(dataset)
        recipe = load(context.workspace.recipe(settings.recipe)) if settings.recipe else _recipe_of(context, dataset)
        return _Check(context, store, cache, dataset, settings, recipe).run()


def _recipe_of(context: Context, dataset: str) -> Recipe | None:
    """The first recipe of the workspace that trains on a dataset."""
    for path in context.workspace.recipes():
        with contextlib.suppress(UserError):  # it is not this check that it is wrong for
            recipe = load(path)
            if recipe.dataset == dataset:
                return recipe
    return None


class _Check:
    """One check of one dataset, stage by stage."""

    def __init__(
        self, context: Context, store: CheckStore, cache: Cache, dataset: str, settings: CheckSettings,
        recipe: Recipe | None,
    ) -> None:  # fmt: skip
        self._context, self._store, self._cache = context, store, cache
        self._dataset, self._settings, self._recipe = dataset, settings, recipe
        self._fraction = recipe.test_size if recipe else Recipe(dataset=dataset).test_size
        self._counted: Counter[str] = Counter()
        self._result: dict[str, Any] = {"dataset": dataset, "seconds": {}}

    def run(self) -> dict[str, Any]:
        again = self._context.arguments.get("only") == "duplicates"
        # A check that was stopped has to come to its end first: what is alike is known only in part.
        again = again and not self._cache.count_prompts(to_compare=True) and self._cache.count_prompts() > 0
        if not again:
            self._stage("texts", self._texts)
            self._stage("prompts", self._embed)
            self._stage("comparing", lambda: near.compare(self._cache, self._tell))
        self._stage("duplicates", self._duplicates)
        index = self._context.arguments.get("against") or (
            self._recipe.context.index if self._recipe and self._recipe.context and not again else None
        )
        if index and not again:
            self._stage("library", lambda: self._library(index))
        facets = self._store.facets(self._dataset)
        self._result |= {"pairs": sum(facets.statuses.values()), "flags": facets.flags}
        told = ", ".join(f"{count:,} {name}" for name, count in sorted(facets.flags.items()))
        self._context.message(f"{self._dataset}: {told or 'nothing was found'}.")
        return self._result

    def _stage(self, name: str, work: Callable[[], object]) -> None:
        self._context.check_stop()
        self._context.progress(0, message=f"checking {self._dataset}: {name}")
        began = time.monotonic()
        work()
        self._result["seconds"][name] = round(time.monotonic() - began, 2)

    def _tell(self, done: float, total: float, unit: str) -> None:
        self._context.check_stop()
        self._context.progress(done, total, unit=unit)

    def _set(self, check: str, rows: Flags) -> None:
        self._store.set_flags(self._dataset, check, rows)

    def _pairs(self) -> Iterator[list[Pair]]:
        """All pairs that are not rejected, in batches."""
        ids = self._store.ids(self._dataset)
        for start in range(0, len(ids), _BATCH):
            pairs = self._store.get_many(ids[start : start + _BATCH])
            yield [pair for pair in pairs if pair.status != "rejected"]
            self._tell(min(start + _BATCH, len(ids)), len(ids), "pairs")

    # Each pair by itself

    def _texts(self) -> None:
        model = self._model()
        checks = TextChecks(self._settings, model)
        limit = self._recipe.max_length if self._recipe else None
        without = " without its passages" if self._recipe and self._recipe.context else ""
        if without and model:
            self._context.message(
                "lengths are told without the passages that the recipe's context: adds; with them more pairs reach its"
                " max_length, and lose passages"
            )
        languages: dict[int, str] = {}
        spoken: Counter[str] = Counter()
        rows: list[tuple[int, str, str]] = []
        lengths: list[tuple[int, str, int]] = []
        checked = preferences = longer = 0
        for pairs in self._pairs():
            known = self._cache.findings([bytes.fromhex(pair.key) for pair in pairs], checks.version)
            found = {key: from_json(kept) for key, kept in known.items()}
            new = [pair for pair in pairs if bytes.fromhex(pair.key) not in found]
            fresh = {bytes.fromhex(pair.key): checks.check(pair) for pair in new}
            self._cache.add_findings(checks.version, ((key, to_json(each)) for key, each in fresh.items()))
            found |= fresh
            checked += len(new)
            for pair in pairs:
                each = found[bytes.fromhex(pair.key)]
                rows += [(pair.id, name, flag(says)) for name, says in each.flags]
                if each.tokens is not None:
                    lengths.append((pair.id, pair.key, each.tokens))
                    if limit and each.tokens > limit:
                        told = f"{each.tokens:,} tokens{without}, the recipe takes {limit:,}"
                        rows.append((pair.id, "too-long", flag(told)))
                if each.language:
                    spoken[each.language] += 1
                    if each.sure >= _SURE:
                        languages[pair.id] = each.language
                if bias := length_bias(pair):
                    rows.append((pair.id, "length-bias", flag(bias)))
                if pair.chosen is not None and pair.rejected is not None and not pair.is_undecided:
                    preferences += 1
                    longer += len(pair.chosen) > len(pair.rejected)
            if len(lengths) >= _LENGTHS:
                self._store.set_lengths(lengths)
                lengths = []
        self._store.set_lengths(lengths)
        main = self._settings.language or (spoken.most_common(1)[0][0] if spoken else "")
        rows += [
            (id, "language", flag(f"in {language}, the dataset is in {main}"))
            for id, language in languages.items()
            if language != main
        ]
        self._set("texts", rows)
        self._result |= {
            "checked": checked,
            "language": main,
            "longer_chosen": round(longer / preferences, 3) if preferences else None,
        }
        if preferences:
            self._context.message(f"the chosen side is the longer one in {longer / preferences:.0%} of the pairs")

    def _model(self) -> Model | None:
        """What training would make of a pair; None where its tokenizer is not on this machine."""
        settings = self._context.workspace.settings()
        recipe = self._recipe
        name = (recipe and recipe.model_name_or_path) or settings.base_model
        system = recipe.system_prompt if recipe and recipe.system_prompt is not None else settings.system_prompt
        folder = local_folder(self._context.workspace.model(name))
        if folder is None:
            self._context.message(
                f"lengths and control tokens are not checked: the model {name!r} is not on this machine",
                level="warning",
            )
            return None
        from jinja2 import TemplateError

        from workbench.models.load import control_strings, load_tokenizer
        from workbench.training.data import FrozenPair, encode

        tokenizer = load_tokenizer(folder)

        def tokens(pair: Pair) -> int:
            frozen = FrozenPair(pair.key, pair.messages, pair.answer, "", False, [], rejected=pair.rejected)
            try:
                example, _ = encode(frozen, tokenizer, system=system, max_length=_WHOLE)
            except TemplateError as error:  # turns that do not alternate, say
                raise NotRendered(f"{error}"[:200]) from None
            assert example
            return len(example.prompt_ids) + max(map(len, example.answers))

        told = hashlib.blake2b(f"{system}\0{tokenizer.chat_template}".encode())
        for file in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json"):
            if (folder / file).is_file():
                told.update((folder / file).read_bytes())
        return Model(told.hexdigest(), control_strings(tokenizer), tokens)

    # Prompts among each other

    def _embed(self) -> None:
        folder = ensure(self._context.workspace.settings().embedding_model)
        self._cache.embedded_by(fingerprint(folder))

        def embedder() -> Any:
            from workbench.models.embed import Embedder

            return Embedder(folder)

        prompts = (near.Prompt.of(pair.key, pair.messages) for pairs in self._pairs() for pair in pairs)
        self._result["embedded"] = near.add(self._cache, prompts, embedder)

    def _duplicates(self) -> None:
        prompts: dict[bytes, list[int]] = defaultdict(list)
        for prompt, id in self._store.prompts(self._dataset):
            prompts[prompt].append(id)
        threshold = self._settings.threshold
        found = clusters.find({prompt: ids[0] for prompt, ids in prompts.items()}, self._cache.edges(), threshold)
        new = self._cache.missing(list(prompts))  # where this is not the whole check
        self._store.set_clusters(self._dataset, (each for each in prompts if each not in new), found.representatives)
        self._set("duplicates", list(clusters.flags(self._store, prompts, found)))
        self._set("exact", list(leaks.exact_duplicates(self._store, self._dataset)))
        rows = leaks.between_splits(self._store, self._dataset, prompts, self._cache.edges(), threshold, self._fraction)
        self._set("splits", list(rows))
        self._result |= {"clusters": len(set(found.representatives.values())), "threshold": threshold}

    # Prompts and answers in a library

    def _library(self, index: str) -> None:
        folder = self._context.workspace.index(index)
        if not folder.is_dir():
            raise UserError(f"there is no index {index!r}", do="See `workbench index list`.")
        trained_with = self._recipe and self._recipe.context and self._recipe.context.index == index
        texts = passages.Texts()
        of: list[tuple[int, str, str]] = []  # (id, key, which) of each text
        for pairs in self._pairs():
            for pair in pairs:
                for which, text in (("question", pair.prompt), ("answer", pair.answer)):
                    texts.add(text)
                    of.append((pair.id, pair.key, which))
        clusters_of = self._store.clusters(self._dataset)
        rows: dict[tuple[int, str], tuple[int, str, str]] = {}
        for standing in passages.standing(folder, texts, self._tell):
            id, key, which = of[standing.text]
            evaluated = is_eval(group_of(key, clusters_of), self._fraction)
            name = "leak-eval-library" if evaluated else "leak-train-library"
            how = "word for word" if standing.share == 1 else f"nearly ({standing.share:.0%})"
            says = f"its {which} stands {how} in {standing.document}"
            says += f", {standing.place}" if standing.place else ""
            says += f" ({index})"
            if trained_with and which == "answer":
                says += "; as it should: the recipe trains with the passage"
            if (id, name) not in rows or which == "question":
                rows[id, name] = (id, name, str(Detail(says, document=standing.document)))
        self._set("library", list(rows.values()))
