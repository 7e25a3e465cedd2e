"""What would help most next, from what the questions' outcomes are put down to.

Every piece of advice has the number of questions that it is about: the most that it could bring.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.compare.evidence import Evidence
from workbench.compare.figures import count
from workbench.compare.spec import ORACLE

_MOST_K = 20  # passages; the command's limit, and how deep a ranking is looked at
_WELL_KNOWN = 0.5


def advise(evidence: Evidence, attributed: Mapping[int, str]) -> list[dict[str, Any]]:
    """Pieces of advice, `{"advice", "questions"}`, the one about the most questions first.

    Args:
        evidence: of a comparison.
        attributed: by `attribution.attribute`.
    """
    if not evidence.paired:
        return []
    of = {name: [number for number, each in attributed.items() if each == name] for name in set(attributed.values())}
    found = [
        *_retrieval(evidence, of.get("retrieval_missed", [])),
        *_use(evidence, of),
        *_abstaining(evidence, of.get("should_have_abstained", []), _timid(evidence, of)),
        *_not_measured(evidence, of),
    ]
    rows = [{"advice": text, "questions": len(numbers)} for numbers, text in found if numbers]
    rows.sort(key=lambda row: -row["questions"])
    return rows + _known_already(attributed, of.get("weights_knew", []))


_Found = tuple[Sequence[int], str]


def _retrieval(evidence: Evidence, missed: Sequence[int]) -> list[_Found]:
    """Questions whose right passage the model was not given: further down, withheld, or not found at all."""
    k = evidence.spec.top_k
    ranks = {number: evidence.rankings[number].rank for number in missed if number in evidence.rankings}
    ranked = {number: rank for number, rank in ranks.items() if rank is not None}
    withheld = [number for number in ranked if evidence.was_withheld(number)]
    shown = {number: rank for number, rank in ranked.items() if number not in withheld}
    cut = [number for number, rank in shown.items() if len(evidence.citations(number)) < rank <= k]
    deeper = {number: rank for number, rank in shown.items() if rank > k}
    absent = [number for number, rank in ranks.items() if rank is None]
    found: list[_Found] = [
        (
            withheld,
            f"Lower `retrieval.min_fit`: for {_n(withheld)} the model was given no passage at all, as none was near "
            f"enough (`retrieval.min_similarity` with an embedding model that is not calibrated)"
            f"{_oracle(evidence, withheld)}.",
        ),
        (
            cut,
            f"Use smaller chunks or a smaller k: for {_n(cut)} the right passage was found and then left out, as the "
            f"model's context had no room for it{_oracle(evidence, cut)}.",
        ),
        (
            absent,
            f"Improve the search itself: for {_n(absent)} the right passage was not among the "
            f"{_depth(evidence, absent)} best, so no k would have shown it; try chunks of another size or another "
            f"embedding model, and see that the document is in the index{_oracle(evidence, absent)}.",
        ),
    ]
    if deeper:
        wider = _enough(sorted(deeper.values()))
        shown = [number for number, rank in deeper.items() if rank <= wider]
        further = len(deeper) - len(shown)
        more = f" ({further} more {'is' if further == 1 else 'are'} further down)" if further else ""
        if wider <= min(_MOST_K, 4 * k):
            text = (
                f"k = {wider} would have shown the right passage for {_n(shown, 'more question')}{more}"
                f"{_price(evidence, wider)}{_oracle(evidence, shown)}."
            )
            found.append((shown, text))
        else:
            text = (
                f"Have the right passage ranked higher: for {_n(list(deeper))} it was found, but only at rank "
                f"{min(deeper.values())} or deeper, too deep for a larger k; try chunks of another size or another "
                f"embedding model{_oracle(evidence, list(deeper))}."
            )
            found.append((list(deeper), text))
    return found


def _use(evidence: Evidence, of: Mapping[str, Sequence[int]]) -> list[_Found]:
    """Questions that went wrong though what is needed was there."""
    unused, timid = of.get("not_used", []), _timid(evidence, of)
    wrong = [number for number in unused if number not in timid]
    broke, misled = of.get("tuning_broke", []), of.get("passages_misled", [])
    if not evidence.has_run:
        both = [*wrong, *timid]
        fewer = "Try a smaller k, or tune" if evidence.spec.top_k > 1 else "Tune"
        return [
            (
                both,
                f"Tune the model on pairs with `context:`, so that it learns to use passages: it had the right one for "
                f"{_n(both)} and did not use it.",
            ),
            (misled, f"{fewer} on pairs with `context:`: passages misled the model on {_n(misled)}."),
        ]
    if not evidence.has_index:
        return [(broke, f"Tune more gently (fewer epochs, a lower learning rate): tuning broke {_n(broke)}.")]
    trained = [*wrong, *broke]
    fewer = "Try a smaller k, or more pairs" if evidence.spec.top_k > 1 else "Train on more pairs"
    return [
        (
            trained,
            f"Train on more pairs with `context:`: for {_n(trained)} the right answer was at hand "
            f"({len(wrong)} with the passage there and not used, {len(broke)} right before tuning).",
        ),
        (
            misled,
            f"{fewer} with `context:`: on {_n(misled)} the passages misled a model that is right without them.",
        ),
    ]


def _timid(evidence: Evidence, of: Mapping[str, Sequence[int]]) -> list[int]:
    """Questions on which the fullest arm abstained with the right passage before it."""
    return [number for number in of.get("not_used", []) if evidence.score(number, evidence.fullest, "abstained")]


def _abstaining(evidence: Evidence, bold: Sequence[int], timid: Sequence[int]) -> list[_Found]:
    """Questions answered that nothing answers, or the reverse: what mends the one costs the other."""
    if evidence.has_run and evidence.has_index and len(timid) > len(bold):
        price = f"; it would cost some of the abstaining, which {_n(bold)} lacked as it is" if bold else ""
        text = (
            f"Lower `without` in the recipe's `context:`: on {_n(timid)} the {evidence.fullest} arm abstained with the "
            f"right passage before it{price}."
        )
        return [(timid, text)]
    if not evidence.has_run:
        text = (
            f"Teach the model to say that the library does not tell: it answered {_n(bold)} that nothing answers; tune "
            "on pairs some of which have their right passage withheld (`context:` with `without`)."
        )
    elif evidence.has_index:
        price = f"; on {_n(timid)} it abstained wrongly, and that would become more" if timid else ""
        text = (
            f"Withhold the right passage from more pairs (raise `without` in the recipe's `context:`): {_n(bold)} that "
            f"nothing answers got an answer all the same{price}."
        )
    else:
        text = (
            f"Add pairs whose completion says that the answer is not known: {_n(bold)} that nothing answers got an "
            "answer all the same."
        )
    return [(bold, text)]


def _not_measured(evidence: Evidence, of: Mapping[str, Sequence[int]]) -> list[_Found]:
    unexplained = of.get("unexplained", [])
    if evidence.has_index:
        text = (
            f"Say where the answers stand (document and context of a question): {_n(unexplained)} that no arm has "
            "right cannot be put down to retrieval or to the model."
        )
        return [(unexplained, text)]
    text = (
        f"Index the documents that tell the answers and measure retrieval too: no arm has {_n(unexplained)} right, and "
        "none was given a passage."
    )
    return [(unexplained, text)]


def _known_already(attributed: Mapping[int, str], knew: Sequence[int]) -> list[dict[str, Any]]:
    """Last, as it mends nothing: the weights know most of what is asked."""
    answerable = sum("abstained" not in name for name in attributed.values())
    if not knew or len(knew) < _WELL_KNOWN * answerable:
        return []
    text = (
        f"Ask whether you need either: the base model has {len(knew)} of {_plain(answerable, 'answerable question')} "
        "right by itself; retrieval and tuning can bring something only on the others."
    )
    return [{"advice": text, "questions": len(knew)}]


def _enough(ranks: Sequence[int]) -> int:
    """The smallest k that would have shown at least half of those found deeper; what is rarer costs every prompt."""
    return ranks[(len(ranks) - 1) // 2]


def _depth(evidence: Evidence, numbers: Sequence[int]) -> int:
    return max((len(evidence.rankings[number].hits) for number in numbers), default=0)


def _price(evidence: Evidence, wider: int) -> str:
    """What a larger k adds to a prompt, from what the passages add to it now."""
    pair = next(
        (pair for pair in (("base", "rag"), ("tuned", "hybrid")) if all(a in evidence.main for a in pair)), None
    )
    if pair is None:
        return ""
    tokens = evidence.scores("prompt_tokens", pair)
    if not tokens[pair[0]]:
        return ""
    added = statistics.median(b - a for a, b in zip(tokens[pair[0]], tokens[pair[1]], strict=True))
    more = round(added / evidence.spec.top_k * (wider - evidence.spec.top_k), -1)
    return f", for about {count(more)} more prompt tokens a question" if more > 0 else ""


def _oracle(evidence: Evidence, numbers: Sequence[int]) -> str:
    """How many of these the model is right on once it is given the right passage: what better retrieval would bring."""
    asked = [number for number in numbers if evidence.score(number, ORACLE, "right") is not None]
    if not asked:
        return ""
    right = sum(evidence.is_right(number, ORACLE) for number in asked)
    return f"; given it, the oracle arm is right on {right} of {len(asked)}"


def _n(numbers: Sequence[int], noun: str = "question") -> str:
    return _plain(len(numbers), noun)


def _plain(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
