"""Where in a search's ranking the known place of an answer stands, and the figures of retrieval that follow.

It knows nothing of how the passages were found, and nothing of answers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from workbench.compare.question import Question
from workbench.compare.squad import holds_words, normalize_answer
from workbench.compare.store import Ranking
from workbench.library.grounding import Passage
from workbench.library.search import Hit

RUN = 5
"""Words in a row that must be the same for two texts to share them."""
ENOUGH = 10
"""Runs of `RUN` words (14 words in a row, about a sentence) that a passage shares with the known one, to be part of it;
half of what the shorter of the two has where that is fewer."""


def holds(hit_document: str, hit_text: str, question: Question) -> bool | None:
    """Whether a passage that was found holds the place where the answer stands.

    The document must be the known one: the same name, or one the end of the other's path. Where the passage is known
    too (`context`), the one found must share `ENOUGH` of it: chunks cut long paragraphs and join short ones, so it need
    be neither all of it nor nothing else. And where a reference stands word for word in the known passage, one must
    stand in what was found: the half of a paragraph that does not tell it is not the right one.

    Args:
        hit_document: the document's name in the index.
        hit_text: the passage.
        question: with `document`, `context`, both or neither.

    Returns:
        None where the place is not known.
    """
    if not question.document and not question.context:
        return None
    if question.document and not same_document(hit_document, question.document):
        return False
    if not question.context:
        return True
    length = min(RUN, len(_words(question.context)))
    known, found = _runs(question.context, length), _runs(hit_text, length)
    if known and len(known & found) < max(1, min(ENOUGH, (len(known) + 1) // 2, (len(found) + 1) // 2)):
        return False
    context, text = normalize_answer(question.context), normalize_answer(hit_text)
    told = [each for each in map(normalize_answer, question.answers) if each and holds_words(context, each)]
    return not told or any(holds_words(text, each) for each in told)


def rank(hits: Sequence[Hit], question: Question) -> Ranking:
    """What a search found, with the ranks of the passages that hold the known place.

    Args:
        hits: best first, deeper than the model is shown.
        question: what was searched for. Where the library does not tell the answer, no passage holds it: its place
            counts as not known.
    """
    listed = tuple({"document": hit.document, "place": hit.place, "similarity": hit.similarity} for hit in hits)
    if question.answerable is False or not (question.document or question.context):
        return Ranking(None, listed)
    return Ranking(tuple(place for place, hit in enumerate(hits, 1) if holds(hit.document, hit.text, question)), listed)


def figures(rankings: Sequence[Ranking], k: int) -> dict[str, Any]:
    """Retrieval over the questions whose place is known, by ir-measures.

    Args:
        rankings: of any questions.
        k: how many passages the model is given.

    Returns:
        n: those questions; k; and the means over them, None where n is 0, of
        hit: 1 where a right passage is among the first k (Success@k), else 0.
        mrr: 1 / the rank of the first right passage, 0 where it is not among the first k (RR@k).
        ndcg: nDCG@k with a gain of 1 for a right passage, discounted by log2(rank + 1). The ideal ranking has all
        right passages that were found, at whatever depth was searched, in front; k of them count at most. A right
        passage that was not found at all is not missed by it.
    """
    known = [set(ranking.right) for ranking in rankings if ranking.right is not None]
    means: dict[str, Any] = {"hit": None, "mrr": None, "ndcg": None}
    if known:
        import ir_measures
        from ir_measures import RR, Success, nDCG

        wanted = {"hit": Success @ k, "mrr": RR @ k, "ndcg": nDCG @ k}
        # What no ranking holds stands in for the right passage where none was found, or the question would not count.
        relevant = {str(q): {str(rank): 1 for rank in right} or {"absent": 1} for q, right in enumerate(known)}
        ranked = {
            str(q): {str(rank): -float(rank) for rank in range(1, max(right, default=1) + 1)}
            for q, right in enumerate(known)
        }
        values = ir_measures.calc_aggregate(list(wanted.values()), relevant, ranked)
        means = {name: float(values[measure]) for name, measure in wanted.items()}
    return {**means, "n": len(known), "k": k}


def right_passage(question: Question, hits: Sequence[Hit]) -> Passage | None:
    """What is given to a model that is to be told the right passage: the known one, else the best hit that holds it.

    Returns:
        None where the place is not known, or only the document is and no hit is from it.
    """
    if question.context:
        return Passage(question.context, question.document)
    return next((hit.passage for hit in hits if holds(hit.document, hit.text, question)), None)


def same_document(found: str, known: str) -> bool:
    """Whether two names or paths are of one document: the same, or one the end of the other."""
    one, other = (_parts(path) for path in (found, known))
    shorter = min(len(one), len(other))
    return shorter > 0 and one[-shorter:] == other[-shorter:]


def _parts(path: str) -> list[str]:
    path = unicodedata.normalize("NFC", path).replace("\\", "/")
    return [part for part in path.split("/") if part not in ("", ".")]


@lru_cache(maxsize=4096)
def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


@lru_cache(maxsize=4096)
def _runs(text: str, length: int) -> frozenset[tuple[str, ...]]:
    words = _words(text)
    return frozenset(words[at : at + length] for at in range(len(words) - length + 1)) if length else frozenset()
