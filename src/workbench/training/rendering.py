"""A pair as the model sees it: its tokens in order, which of them are learned, and where the recipe's limit falls.

All of it is what training itself does (`as_frozen`, `with_passages`, `encode`); nothing is built a second time here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.pairs.pair import Pair
from workbench.training.context import ContextReport, with_passages
from workbench.training.data import FrozenPair, bare, encode, standing
from workbench.training.prepare import as_frozen, kind_of_pairs, usable
from workbench.training.recipe import ONLINE_METHODS, Recipe
from workbench.training.rendered import CONTEXT, CUT, OMITTED, TRAINED, Part, Rendering, SeenPassage

if TYPE_CHECKING:
    from workbench.training.prepare import Search

_HEAD, _TAIL = 3000, 1000  # tokens of a part that are shown: more than a person reads
_WHOLE = 1 << 40  # tokens; no limit
_SPLIT = 8  # tokens at most that make one character


def render(
    pair: Pair,
    recipe: Recipe,
    *,
    name: str,
    base: str,
    tokenizer: Any,
    system: str | None,
    search: Search | None,
    clusters: Mapping[str, str],
) -> Rendering:
    """What the model would see of a pair if it were accepted.

    Args:
        pair: of any status.
        recipe: how it would be trained.
        name: of the recipe, for a person.
        base: the base model's name.
        tokenizer: the base model's.
        system: the system prompt that a run would take.
        search: finds the passages of `context:`, as `workbench.training.prepare.search_of` does; None without it.
        clusters: `PairReader.clusters` of the pair's dataset, by which the split goes.
    """
    frozen, notes = as_frozen(pair, recipe, clusters), []
    if recipe.context and search:
        (frozen,), report = with_passages([frozen], search, recipe.context, recipe.seed)
        notes.append(_of_passages(report))
    example, left_out = encode(frozen, tokenizer, system=system, max_length=recipe.max_length)
    fits = example is not None
    if not fits:
        left_out = len(frozen.passages) - len(bare(frozen).passages)
        example, _ = encode(bare(frozen), tokenizer, system=system, max_length=_WHOLE)
    assert example
    if left_out:
        notes.append(f"{left_out} of {len(frozen.passages)} passages left out, to fit into max_length")
    tokens = len(example.prompt_ids) + max(map(len, example.answers))
    fate = _fate(pair, frozen, recipe, fits=fits)
    notes += _of_fate(pair, recipe, fate, tokens)
    limit, room = recipe.max_length, recipe.max_length - len(example.prompt_ids)
    answered = TRAINED if fate in ("learned", "evaluated") else CONTEXT
    parts = [_part("prompt", example.prompt_ids, CONTEXT, limit, tokenizer)]
    if recipe.method not in ONLINE_METHODS:
        names = ("completion",) if frozen.rejected is None else ("chosen", "rejected")
        parts += [_part(*answer, answered, room, tokenizer) for answer in zip(names, example.answers, strict=True)]
    shown = [
        SeenPassage(frozen.passages[number]["document"], frozen.passages[number]["place"], number == frozen.right)
        for number in standing(frozen, left_out)
    ]
    return Rendering(
        pair.id, name, base, recipe.method, recipe.max_length, fate, tokens, [note for note in notes if note], shown,
        parts,
    )  # fmt: skip


def _fate(pair: Pair, frozen: FrozenPair, recipe: Recipe, *, fits: bool) -> str:
    if not usable(pair, recipe.method):
        return "not used"
    if not fits:
        return "too long"
    return "evaluated" if frozen.evaluated else "learned"


def _of_fate(pair: Pair, recipe: Recipe, fate: str, tokens: int) -> list[str]:
    notes = []
    if fate == "not used":
        notes.append(f"not used: method {recipe.method} learns from {kind_of_pairs(recipe.method)}")
    elif fate == "too long":
        over = tokens - recipe.max_length
        notes.append(f"left out of the run: {over:,} tokens longer than max_length {recipe.max_length:,}")
    elif fate == "evaluated":
        notes.append("in the eval split: its loss is measured, and nothing is learned from it")
    if recipe.method in ONLINE_METHODS:
        notes.append(f"method {recipe.method}: the model answers the prompt itself; the completion is what rewards see")
    elif recipe.method == "reward" and fate == "learned":
        notes.append("method reward: each side gets a score, read at its last token")
    if pair.status != "accepted":
        notes.append(f"{pair.status}: a run takes accepted pairs only")
    if pair.dataset != recipe.dataset:
        notes.append(f"of dataset {pair.dataset}; the recipe trains on {recipe.dataset}")
    return notes


def _of_passages(report: ContextReport) -> str:
    if report.withheld:
        return "the right passage is withheld, and the answer is the refusal: this share of the pairs learns to say so"
    if report.added:
        return "retrieval missed the passage that tells the completion; it was put among them"
    if report.unknown:
        return "no passage holds the words of the completion: these are what retrieval finds"
    return ""


def _part(name: str, ids: Sequence[int], kind: str, room: int, tokenizer: Any) -> Part:
    """`room`: tokens of it that lie within the limit."""
    within = min(len(ids), max(0, room))
    return Part(
        name=name,
        tokens=len(ids),
        trained=within if kind == TRAINED else 0,
        cut=len(ids) - within,
        shown=_shown(ids, [kind] * within + [CUT] * (len(ids) - within), tokenizer),
    )


def _shown(ids: Sequence[int], kinds: Sequence[str], tokenizer: Any) -> list[tuple[str, str]]:
    if len(ids) <= _HEAD + _TAIL:
        return list(zip(token_texts(ids, tokenizer), kinds, strict=True))
    head = zip(token_texts(ids[:_HEAD], tokenizer), kinds, strict=False)
    tail = zip(token_texts(ids[-_TAIL:], tokenizer), kinds[-_TAIL:], strict=True)
    return [*head, (f"{len(ids) - _HEAD - _TAIL:,}", OMITTED), *tail]


def token_texts(ids: Sequence[int], tokenizer: Any) -> list[str]:
    """The text of each token; together they are the text of all. Of a character that several tokens make, the last one
    has it."""
    texts: list[str] = []
    start, given = 0, ""  # the last tokens that made a text: some tokenizers drop the space at the beginning of one
    begun = 0
    for end in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[start:end], clean_up_tokenization_spaces=False)
        if text.endswith("\ufffd") and end < len(ids) and end - begun < _SPLIT:
            texts.append("")
            continue
        texts.append(text[len(given) :])
        start, begun = begun, end
        given = tokenizer.decode(ids[start:end], clean_up_tokenization_spaces=False)
    return texts
